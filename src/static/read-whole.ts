import { closeSync, fstatSync, readSync, type Stats } from "node:fs";
import { type OpenFile, type Problem, problemOf } from "./open.js";

/**
 * A file up to this many octets is read in one go and may be kept in memory. Without Node's thread pool, which costs more
 * than such a file does; so the disk is waited for where the system does not have the file in memory, as nginx does.
 */
export const wholeMost: number = 256 * 1024;

export interface WholeFile {
  readonly stats: Stats;
  readonly octets: Buffer;
}

/** Reads a file of at most `wholeMost` octets and closes it. "failed": the disk, or it changes all the time. */
export function readWhole({ fd, stats }: OpenFile): WholeFile | Problem {
  try {
    let before = stats;
    for (let tries = 0; tries < 3 && before.size <= wholeMost; tries += 1) {
      const octets = Buffer.allocUnsafeSlow(before.size);
      const count = fill(fd, octets);
      const after = fstatSync(fd);
      if (count === octets.length && sameState(before, after)) return { stats: after, octets };
      before = after;
    }
    return "failed";
  } catch (error) {
    return problemOf(error);
  } finally {
    closeSync(fd);
  }
}

/** Reads from the beginning; less than asked for only at the end of the file. */
function fill(fd: number, octets: Buffer): number {
  let count = 0;
  while (count < octets.length) {
    const more = readSync(fd, octets, count, octets.length - count, count);
    if (more === 0) break;
    count += more;
  }
  return count;
}

/** Whether nothing was written in between, nor another file put in its place. ctime, because mtime can be set back. */
export function sameState(a: Stats, b: Stats): boolean {
  return a.size === b.size && a.mtimeMs === b.mtimeMs && a.ctimeMs === b.ctimeMs && a.ino === b.ino && a.dev === b.dev;
}
