// Which file a path stands for.
import type { Stats } from "node:fs";
import type { FilesConfig } from "./config.js";
import { type Coding, codings } from "./encodings.js";
import { look, type Problem } from "./open.js";
import { isServable, pathOctets } from "./path.js";

/** A file that was there a moment ago. */
export interface Located {
  /** Absolute; octets as latin-1. */
  readonly path: string;
  readonly stats: Stats;
  /** Precompressed siblings that are not older than it. */
  readonly codings: readonly Coding[];
}

/** The root's path, octets as latin-1, such that `/` and a path below follow. */
export function rootOctets(root: string): string {
  return pathOctets(root).replace(/\/+$/, "");
}

/**
 * Finds the file for a decoded PATH_INFO. "folder": a folder was asked for without the slash behind it, and has an index
 * to be redirected to.
 */
export function locate(root: string, pathInfo: string, config: FilesConfig): Located | Problem {
  if (pathInfo !== "" && !isServable(pathInfo, config.hidden)) return "missing";
  const path = root + pathInfo;
  if (pathInfo.endsWith("/")) return locateIndex(path, config);
  // The root itself may be "/", whose path is empty here.
  const found = look(path === "" ? "/" : path);
  if (typeof found === "string") return found;
  if (found.isFile()) return describe(path, found, config);
  const index = locateIndex(`${path}/`, config);
  return typeof index === "string" ? index : "folder";
}

/** `folder` ends in a slash. */
function locateIndex(folder: string, config: FilesConfig): Located | Problem {
  for (const name of config.index) {
    const path = folder + pathOctets(name);
    const found = look(path);
    if (typeof found === "string") {
      if (found !== "missing") return found;
    } else if (found.isFile()) {
      return describe(path, found, config);
    }
  }
  return "missing";
}

function describe(path: string, stats: Stats, config: FilesConfig): Located {
  if (!config.precompressed) return { path, stats, codings: [] };
  const there = codings.filter(({ suffix }) => isFresh(look(path + suffix), stats));
  return { path, stats, codings: there.map(({ coding }) => coding) };
}

/** Whole seconds are compared: of compressors that pass the time of modification on, some pass on no more. */
function isFresh(sibling: Stats | Problem, original: Stats): boolean {
  return (
    typeof sibling !== "string" &&
    sibling.isFile() &&
    Math.floor(sibling.mtimeMs / 1000) >= Math.floor(original.mtimeMs / 1000)
  );
}
