// Responses, server role: what a handler says in, out what Node's HTTP/2 is told: the head as an object by name, in lower case
// (RFC 9113 §8.2), and the octets of the body that belong to it.

import type { OutgoingHttpHeaders } from "node:http2";
import { BodyEncoder } from "../http1/body-encoder.js";
import { hasNoContent, type ResponseFacts } from "../http1/response-encoder.js";

/** Fields about one connection, which HTTP/2 does not have (RFC 9113 §8.2.2). */
const connectionFields: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
]);

/** Fields of which each line is a value, which may have commas of its own; those of others make one list (RFC 9110 §5.3). */
const apart: ReadonlySet<string> = new Set(["set-cookie", "www-authenticate", "proxy-authenticate"]);

/** Field lines, each `Name: value CR LF`, latin-1, by name. */
export function headersOf(lines: Uint8Array): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {};
  const text = Buffer.from(lines.buffer, lines.byteOffset, lines.byteLength).toString("latin1");
  for (const line of text.split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon < 1) continue;
    const name = line.slice(0, colon).toLowerCase();
    if (connectionFields.has(name)) continue;
    const value = line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, "");
    const before = headers[name];
    if (before === undefined) headers[name] = value;
    else headers[name] = apart.has(name) ? [before, value].flat().map(String) : `${before}, ${value}`;
  }
  return headers;
}

const nothing = new Uint8Array();

export class ResponseEncoder {
  readonly #body = new BodyEncoder();
  readonly #toHead: boolean;

  /** Of the one response to a request with this method. */
  constructor(method: string) {
    this.#toHead = method === "HEAD";
    this.#body.begin("none", 0);
  }

  /** Octets of the body so far. */
  get bodyOctets(): number {
    return this.#body.octets;
  }

  /** Whether the body ended before its Content-Length. */
  get short(): boolean {
    return this.#body.short;
  }

  /** Octets that the handler gave beyond its Content-Length, and that were dropped. */
  get dropped(): number {
    return this.#body.dropped;
  }

  /** Called once, first; not to be changed. `known` is the body's length where the handler gave all of it, else -1; `date` the IMF-fixdate of now. */
  head(facts: ResponseFacts, known: number, date: string): OutgoingHttpHeaders {
    const { status, contentLength } = facts;
    // RFC 9110 §8.6: no Content-Length in 204; 205 has no content either (§15.3.6)
    if (hasNoContent(status)) return responseHeaders(facts, status === 304 ? contentLength : -1, date);
    // the length that GET would have shown (RFC 9110 §9.3.2), where the handler made the body and so tells it
    if (this.#toHead) return responseHeaders(facts, contentLength >= 0 ? contentLength : known > 0 ? known : -1, date);
    const length = contentLength >= 0 ? contentLength : known;
    this.#body.begin(length >= 0 ? "length" : "close", length);
    return responseHeaders(facts, length, date);
  }

  /** Whether the response has no body, whatever the handler gives. Known once there was a head. */
  bodiless(status: number): boolean {
    return this.#toHead || hasNoContent(status);
  }

  /** What of these octets belongs to the response; with `last` there are no more. */
  data(octets: Uint8Array | undefined, last: boolean): Uint8Array {
    return this.#body.data(octets ?? nothing, last)[0] ?? nothing;
  }
}

/** What was made last of which facts: handlers answer with the same facts again and again. */
let lastFacts: ResponseFacts | undefined;
let lastDate = "";
let lastLength = -1;
let lastHeaders: OutgoingHttpHeaders = {};

/** `contentLength` is told where it is not -1; `date` is the IMF-fixdate of now. Do not change what this gives. */
function responseHeaders(facts: ResponseFacts, contentLength: number, date: string): OutgoingHttpHeaders {
  if (facts === lastFacts && contentLength === lastLength && date === lastDate) return lastHeaders;
  const headers: OutgoingHttpHeaders = { ":status": facts.status, ...headersOf(facts.fields) };
  if (!facts.hasDate) headers["date"] = date;
  if (contentLength >= 0) headers["content-length"] = contentLength;
  else delete headers["content-length"];
  lastFacts = facts;
  lastLength = contentLength;
  lastDate = date;
  lastHeaders = headers;
  return headers;
}
