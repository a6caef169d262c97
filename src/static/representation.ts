import type { Stats } from "node:fs";
import type { ResponseHead } from "../exchange.js";
import type { Validators } from "./conditions.js";
import { formatHttpDate } from "./http-date.js";

/** A file in one coding, as responses tell of it (RFC 9110 §3.2). */
export interface Representation extends Validators {
  /** Octets. */
  readonly size: number;
  readonly contentType: string;
  /** The line Content-Encoding, or "". */
  readonly encoding: string;
  /** Field lines that go with every response about it, 304 included (RFC 9110 §15.4.5). */
  readonly about: string;
  /** The head of the response that is all of it. */
  readonly whole: ResponseHead;
}

export interface Description {
  readonly contentType: string;
  /** "" for the file itself. */
  readonly coding: string;
  /** Further field lines, each ending in CR LF. */
  readonly fields: string;
  /** 200, or the application's own. */
  readonly status: number;
  readonly reason: string;
}

/**
 * Describes a file. Its entity-tag is made of what changes with every write, the time of modification and the size, as in
 * nginx, Apache and lighttpd; to the microsecond, not the second as in nginx, so that it is fit to be a strong one. Not of
 * the inode: machines that serve the same release give the same tags.
 */
export function represent(stats: Stats, description: Description): Representation {
  const { contentType, coding, fields, status, reason } = description;
  const { size, mtimeMs } = stats;
  const suffix = coding === "" ? "" : `-${coding}`;
  const etag = `"${Math.floor(mtimeMs * 1000).toString(16)}-${size.toString(16)}${suffix}"`;
  // Never later than the response's Date (RFC 9110 §8.8.2.1).
  const modified = Math.floor(Math.min(mtimeMs, Date.now()) / 1000);
  const encoding = coding === "" ? "" : `Content-Encoding: ${coding}\r\n`;
  const about = `ETag: ${etag}\r\nLast-Modified: ${formatHttpDate(modified)}\r\n${fields}`;
  const lines = `Content-Type: ${contentType}\r\n${encoding}Content-Length: ${size}\r\nAccept-Ranges: bytes\r\n${about}`;
  return { etag, modified, size, contentType, encoding, about, whole: makeHead(status, reason, lines, size) };
}

export function makeHead(status: number, reason: string, lines: string, contentLength: number): ResponseHead {
  return { status, reason, fields: Buffer.from(lines, "latin1"), contentLength, hasDate: false };
}
