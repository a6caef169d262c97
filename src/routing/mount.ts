import type { Place } from "../protocol/cgi/request-variables.js";

/** A configured prefix ("" or "/prefix") as octets, as decoded paths are compared with it and SCRIPT_NAME shows it. */
export function mountOctets(mount: string): string {
  return Buffer.from(mount, "utf8").toString("latin1");
}

/**
 * Splits a decoded path at the mount prefix: `/p/a` under `/p` is SCRIPT_NAME `/p`, PATH_INFO `/a`; `/p` itself has an
 * empty PATH_INFO; `/px` is not under `/p`. Undefined for a path outside. An empty path (asterisk-form: the server as a
 * whole) belongs to the application, there being no other.
 */
export function placeUnder(mount: string, path: string): Place | undefined {
  if (mount === "" || path === "") return { scriptName: mount, pathInfo: path };
  if (!path.startsWith(mount)) return undefined;
  const pathInfo = path.slice(mount.length);
  return pathInfo === "" || pathInfo.startsWith("/") ? { scriptName: mount, pathInfo } : undefined;
}
