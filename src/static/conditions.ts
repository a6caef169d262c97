// Conditional requests (RFC 9110 §13).
import { parseHttpDate } from "./http-date.js";
import type { FileRequest } from "./request.js";

/** What tells one state of a representation from another. */
export interface Validators {
  /** An entity-tag with its quotes, always a strong one. */
  readonly etag: string;
  /** Last-Modified, seconds since 1970. */
  readonly modified: number;
}

/** What the preconditions make of a request: perform it, or answer with this status in its place. */
export type Verdict = "perform" | 304 | 412;

/** The order of RFC 9110 §13.2.2. `validators` are those of the representation that a GET would send now. */
export function evaluate(request: FileRequest, { etag, modified }: Validators): Verdict {
  const { ifMatch, ifUnmodifiedSince, ifNoneMatch, ifModifiedSince, method } = request;
  const reads = method === "GET" || method === "HEAD";
  if (ifMatch !== undefined) {
    if (!lists(ifMatch, etag, false)) return 412;
  } else if (ifUnmodifiedSince !== undefined) {
    const date = parseHttpDate(ifUnmodifiedSince);
    if (date !== undefined && modified > date) return 412;
  }
  if (ifNoneMatch !== undefined) {
    if (lists(ifNoneMatch, etag, true)) return reads ? 304 : 412;
  } else if (ifModifiedSince !== undefined && reads) {
    const date = parseHttpDate(ifModifiedSince);
    if (date !== undefined && modified <= date) return 304;
  }
  return "perform";
}

/**
 * Whether a Range is to be obeyed, as far as If-Range goes (RFC 9110 §13.1.5). A date must be the very one, and is only
 * worth believing once its second is over (§8.8.2.2): before, the file may have changed twice in it. `now`: milliseconds.
 */
export function rangeHolds(ifRange: string | undefined, { etag, modified }: Validators, now: number): boolean {
  if (ifRange === undefined) return true;
  if (ifRange.startsWith('"')) return ifRange === etag;
  // A weak tag is no date either.
  return parseHttpDate(ifRange) === modified && now >= (modified + 1) * 1000;
}

/** An element of a list of entity-tags; a tag may hold commas (RFC 9110 §8.8.3). */
const element = /[\t ,]*(W\/)?("[!#-~\x80-\xff]*")[\t ]*(?=,|$)/y;

/** Whether `*` or an equal tag is in the list; `weakly`: W/ makes no difference. What follows a malformed one is not read. */
function lists(field: string, etag: string, weakly: boolean): boolean {
  if (field === "*" || field === etag) return true;
  element.lastIndex = 0;
  for (;;) {
    const match = element.exec(field);
    if (match === null) return false;
    if (match[2] === etag && (weakly || match[1] === undefined)) return true;
  }
}
