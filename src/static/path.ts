// Paths of requests. They come decoded, so an encoded dot, slash or NUL is by now what it stands for, and what is refused
// here is refused however it was written.

/**
 * Whether a decoded path may name a file: it begins with a slash, and no part of it is `.` or `..`, or empty (but the last:
 * a folder), or hidden unless that is allowed. Empty parts would give one file many addresses, and make of a redirect of
 * `//example.org/folder` one to another host. What symbolic links make of a path is seen when the file is open.
 */
export function isServable(path: string, hidden: boolean): boolean {
  if (!path.startsWith("/") || path.includes("\0")) return false;
  for (let at = 0; at >= 0; ) {
    const next = path.indexOf("/", at + 1);
    if (next === at + 1) return false;
    if (path.charCodeAt(at + 1) === 0x2e && !isDotted(path.slice(at + 1, next < 0 ? undefined : next), at, hidden)) {
      return false;
    }
    at = next;
  }
  return true;
}

/** Whether a part that begins with a dot may be there. */
function isDotted(part: string, at: number, hidden: boolean): boolean {
  if (part === "." || part === "..") return false;
  return hidden || (at === 0 && part === ".well-known");
}

/** A path of octets as a URI has it. What is not unreserved or common in paths is encoded (RFC 3986 §3.3). */
export function encodePath(path: string): string {
  return path.replace(/[^A-Za-z0-9\-._~!$&'()*+,;=:@/]/g, percentEncoded);
}

/** A query as it came, but for what no URI can hold. */
export function encodeQuery(query: string): string {
  return query.replace(/[^!-~]/g, percentEncoded);
}

function percentEncoded(octet: string): string {
  return `%${octet.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
}

/** Octets as latin-1, as Node's file functions want a path. */
export function systemPath(octets: string): string | Buffer {
  // Text is UTF-8 there, so that only ASCII is the same octets; it also costs less.
  return /^[\0-\x7f]*$/.test(octets) ? octets : Buffer.from(octets, "latin1");
}

/** Text, such as a configured folder, as octets in latin-1. */
export function pathOctets(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}
