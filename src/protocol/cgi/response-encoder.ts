// The response of a CGI script (RFC 3875 §6), server role: what goes out over SCGI and in FastCGI's STDOUT. The web server
// in front makes HTTP of it, with a Date and a framing of its own.

import { BodyEncoder } from "../http1/body-encoder.js";
import { isFieldValue } from "../http1/grammar.js";
import { hasNoContent, type ResponseFacts, withoutContentLength } from "../http1/response-encoder.js";

export class ResponseEncoder {
  readonly #body: BodyEncoder;
  #toHead = false;

  /** `copies`: a small body is copied behind its head, so that both are one buffer. */
  constructor(copies: boolean = true) {
    this.#body = copies ? new BodyEncoder() : new BodyEncoder(0);
  }

  /** Begins the response to a request. */
  begin(method: string): void {
    this.#toHead = method === "HEAD";
    this.#body.begin("none", 0);
  }

  /** Octets of the body encoded so far. */
  get bodyOctets(): number {
    return this.#body.octets;
  }

  /** Whether the handler ended the response; nothing more will be encoded. */
  get complete(): boolean {
    return this.#body.complete;
  }

  /** Whether the body ended before its Content-Length: it must be cut, so that the web server in front knows. */
  get short(): boolean {
    return this.#body.short;
  }

  /** Octets that the handler gave beyond its Content-Length, and that were dropped. */
  get dropped(): number {
    return this.#body.dropped;
  }

  /**
   * The head with the first octets of the body, if any; called once, first. `last` says that the body is whole: then it
   * has a Content-Length, by which the web server in front sees whether all of it arrived. One buffer where the body is
   * small; else the head and the body, which is not copied.
   */
  head(facts: ResponseFacts, body: Uint8Array | undefined, last: boolean): Uint8Array | readonly Uint8Array[] {
    const { status, contentLength } = facts;
    const length = last ? (body?.length ?? 0) : -1;
    let fields = facts.fields;
    let before = "\r\n";
    if (hasNoContent(status)) {
      this.#body.begin("none", 0);
      // RFC 9110 §8.6: no Content-Length in 204; 205 has no content either (§15.3.6)
      if (contentLength !== -1 && status !== 304) fields = withoutContentLength(fields);
    } else if (contentLength !== -1) this.#body.begin(this.#toHead ? "none" : "length", contentLength);
    else if (this.#toHead) {
      this.#body.begin("none", 0);
      // the length that GET would have shown (RFC 9110 §9.3.2), where the handler made the body and so tells it
      if (length > 0) before = `Content-Length: ${length}\r\n\r\n`;
    } else if (length !== -1) {
      this.#body.begin("length", length);
      before = `Content-Length: ${length}\r\n\r\n`;
    } else this.#body.begin("close", 0);
    const known = knownHead(facts, before, fields);
    if (known !== undefined) return this.#body.head(known, nothing, "", body, last);
    return this.#body.head(statusLine(status, facts.reason), fields, before, body, last);
  }

  /** Further octets of the body; `octets` may be empty, and with `last` the body is whole. */
  data(octets: Uint8Array, last: boolean): readonly Uint8Array[] {
    return this.#body.data(octets, last);
  }
}

const nothing: Uint8Array = Buffer.alloc(0);

/** The facts encoded last, and once they came twice the whole head: applications answer with the same facts again and again. */
let lastFacts: ResponseFacts | undefined;
let lastHead: { readonly before: string; readonly octets: Uint8Array } | undefined;

/** The whole head, where these facts are those before; `fields` follow from them. */
function knownHead(facts: ResponseFacts, before: string, fields: Uint8Array): Uint8Array | undefined {
  if (facts !== lastFacts) {
    lastFacts = facts;
    lastHead = undefined;
    return undefined;
  }
  if (lastHead?.before !== before) {
    const line = statusLine(facts.status, facts.reason);
    lastHead = { before, octets: Buffer.concat([line, fields, Buffer.from(before, "latin1")]) };
  }
  return lastHead.octets;
}

/** The line encoded last; most responses have the same. */
let recent = { status: 0, reason: "", octets: Buffer.alloc(0) };

/** First and always there: web servers look for it before anything else, and without it a Location is a 302. */
function statusLine(status: number, reason: string): Uint8Array {
  if (recent.status !== status || recent.reason !== reason) {
    // a reason phrase is decoration: one that would break the line is left out
    const phrase = isFieldValue(reason) ? reason : "";
    recent = { status, reason, octets: Buffer.from(`Status: ${status} ${phrase}\r\n`, "latin1") };
  }
  return recent.octets;
}
