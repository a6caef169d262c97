// What of a response's fields is for the client: all but those that were about the connection it came over
// (RFC 9110 §7.6.1). One reader for every protocol an upstream answers in.

import { type Faults, listElements, parseContentLength } from "./grammar.js";

/** Fields about one connection, in lower case. Trailer goes too, since no trailers are handed on. */
const hopByHop: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

export interface EndToEndFields {
  /** Field lines, each `Name: value CR LF`, latin-1. */
  readonly fields: Uint8Array;
  /** The value of Content-Length, or -1. */
  readonly contentLength: number;
  readonly hasDate: boolean;
}

/**
 * Makes field lines of a response's fields (name, value, name, value …), which a decoder has read. Throws a `malformed`
 * of `faults` for a Content-Length that is repeated or no number.
 */
export function endToEndFields(fields: readonly string[], faults: Faults): EndToEndFields {
  let lines = "";
  let contentLength = -1;
  let hasDate = false;
  const named = namedByConnection(fields);
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = fields[at] ?? "";
    const value = fields[at + 1] ?? "";
    const lower = name.toLowerCase();
    if (lower === "content-length") {
      if (contentLength !== -1) throw faults.malformed("The message has more than one Content-Length.");
      contentLength = parseContentLength(value);
      if (contentLength === -1) throw faults.malformed("The message's Content-Length is malformed.");
    } else if (hopByHop.has(lower) || named?.has(lower) === true) continue;
    else if (lower === "date") hasDate = true;
    lines += `${name}: ${value}\r\n`;
  }
  return { fields: Buffer.from(lines, "latin1"), contentLength, hasDate };
}

function namedByConnection(fields: readonly string[]): ReadonlySet<string> | undefined {
  let named: Set<string> | undefined;
  for (let at = 0; at + 1 < fields.length; at += 2) {
    if (fields[at]?.length !== 10 || fields[at]?.toLowerCase() !== "connection") continue;
    named ??= new Set();
    for (const name of listElements((fields[at + 1] ?? "").toLowerCase())) named.add(name);
  }
  return named;
}
