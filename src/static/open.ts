// Opening a file below a root. What a path leads to can change between a look at it and the opening, so the check comes
// last and is about what is open: the kernel says where that is (/proc/self/fd), and it must be below the real place of a
// root. Symbolic links are followed as long as they end there.
import { closeSync, constants, fstatSync, openSync, readlinkSync, realpathSync, type Stats, statSync } from "node:fs";
import { systemPath } from "./path.js";

/** A regular file, open for reading, that is below a root. Whoever has it closes `fd`. */
export interface OpenFile {
  readonly fd: number;
  readonly stats: Stats;
}

/** Why there is no file. */
export type Problem =
  /** Nothing there, or nothing that can be served: a device, a FIFO, a socket. */
  | "missing"
  /** It is a folder. */
  | "folder"
  /** It is there and leads out of every root. */
  | "outside"
  /** The system does not let this process read it. */
  | "forbidden"
  /** The process or the system has no descriptor or memory left. */
  | "exhausted"
  /** The disk. */
  | "failed";

/** Opening for reading never waits: neither for the writer of a FIFO nor for a device, and makes no terminal this process's. */
const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

const problems: Readonly<Record<string, Problem>> = {
  ENOENT: "missing",
  ENOTDIR: "missing",
  ENAMETOOLONG: "missing",
  ELOOP: "missing",
  // Of a FIFO, a socket or a device without its driver.
  ENXIO: "missing",
  EACCES: "forbidden",
  EPERM: "forbidden",
  EMFILE: "exhausted",
  ENFILE: "exhausted",
  ENOMEM: "exhausted",
};

export function problemOf(error: unknown): Problem {
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
  return problems[code] ?? "failed";
}

const quiet = { throwIfNoEntry: false } as const;

/** A regular file's or a folder's status. `path`: octets as latin-1, absolute. */
export function look(path: string): Stats | Problem {
  try {
    const stats = statSync(systemPath(path), quiet);
    return stats === undefined || !(stats.isFile() || stats.isDirectory()) ? "missing" : stats;
  } catch (error) {
    return problemOf(error);
  }
}

/**
 * Opens a file below one of `roots`. All paths: octets as latin-1, absolute. The roots are resolved at each call: a root
 * may be a link that is set to the next release while this one is served.
 */
export function openBelow(path: string, roots: readonly string[]): OpenFile | Problem {
  // A device is not opened at all, for it may act on that. Should it take this place afterwards, fstat sees it.
  const seen = look(path);
  if (typeof seen === "string") return seen;
  if (!seen.isFile()) return "folder";
  let fd: number;
  const before = roots.map(realPath);
  try {
    fd = openSync(systemPath(path), flags);
  } catch (error) {
    return problemOf(error);
  }
  const problem = check(
    fd,
    (place) => before.some((root) => isBelow(root, place)) || roots.some((root) => isBelow(realPath(root), place)),
  );
  if (typeof problem !== "string") return { fd, stats: problem };
  closeSync(fd);
  return problem;
}

function check(fd: number, allowed: (place: string) => boolean): Stats | Problem {
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) return "missing";
    return allowed(readlinkSync(`/proc/self/fd/${fd}`, "latin1")) ? stats : "outside";
  } catch (error) {
    return problemOf(error);
  }
}

/** Where a root really is; undefined where it is not there. */
function realPath(root: string): string | undefined {
  try {
    return realpathSync.native(systemPath(root), "latin1");
  } catch {
    return undefined;
  }
}

function isBelow(root: string | undefined, place: string): boolean {
  return root !== undefined && place.startsWith(root === "/" ? root : `${root}/`);
}
