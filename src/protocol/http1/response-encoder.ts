// Responses, server role: what a handler says in, octets out (RFC 9110 §15, RFC 9112 §6). One encoder serves a
// connection, response after response.

import { BodyEncoder } from "./body-encoder.js";
import { isFieldValue } from "./grammar.js";

/** Status and header of a response; an exchange's ResponseHead is one. */
export interface ResponseFacts {
  readonly status: number;
  readonly reason: string;
  /** Field lines, each `Name: value CR LF`, latin-1, validated by whoever made them, without any hop-by-hop field. */
  readonly fields: Uint8Array;
  /** The value of Content-Length in `fields`, or -1. */
  readonly contentLength: number;
  readonly hasDate: boolean;
}

const interim: Buffer = Buffer.from("HTTP/1.1 100 Continue\r\n\r\n", "latin1");
const nothing = Buffer.alloc(0);
const lineEnd: Buffer = Buffer.from("\r\n", "latin1");
const closes = "Connection: close\r\n";
const staysOpen = "Connection: keep-alive\r\n";

/** The interim response that lets a client send the body it announced with Expect (RFC 9110 §10.1.1). Do not change it. */
export function continue100(): Uint8Array {
  return interim;
}

export class ResponseEncoder {
  /** What a response says where the connection ends behind it. */
  protected readonly closes: string = closes;
  readonly #body = new BodyEncoder();
  #toHead = false;
  #minor: 0 | 1 = 1;
  #keepAlive = false;

  /** Begins the response to a request. `keepAlive`: whether the connection may stay open after it. */
  begin(method: string, minor: 0 | 1, keepAlive: boolean): void {
    this.#toHead = method === "HEAD";
    this.#minor = minor;
    this.#keepAlive = keepAlive;
    this.#body.begin("none", 0);
  }

  /** Whether the connection can be used again; true only once the response is whole. */
  get keepAlive(): boolean {
    return this.#keepAlive && this.#body.complete && !this.#body.short;
  }

  /** Octets of the body encoded so far, without framing. */
  get bodyOctets(): number {
    return this.#body.octets;
  }

  /** Whether the handler ended the response; nothing more will be encoded. */
  get complete(): boolean {
    return this.#body.complete;
  }

  /** Whether the body ended before its Content-Length: the connection must be cut, so that the client knows. */
  get short(): boolean {
    return this.#body.short;
  }

  /** Octets that the handler gave beyond its Content-Length, and that were dropped. */
  get dropped(): number {
    return this.#body.dropped;
  }

  /**
   * The head with the first octets of the body, if any; called once, first. `last` says that the body is whole. `date`
   * is the IMF-fixdate of now (RFC 9110 §5.6.7). One buffer where the body is small; else the head and the body, which
   * is not copied.
   */
  head(
    facts: ResponseFacts,
    body: Uint8Array | undefined,
    last: boolean,
    date: string,
  ): Uint8Array | readonly Uint8Array[] {
    const { status, contentLength } = facts;
    const known = last ? (body?.length ?? 0) : -1;
    let fields = facts.fields;
    let before = "\r\n";
    if (hasNoContent(status)) {
      this.#body.begin("none", 0);
      // RFC 9110 §8.6: no Content-Length in 1xx and 204. A 205 is framed like any response, as an empty one (§15.3.6).
      if (contentLength !== -1 && status !== 304) fields = withoutContentLength(fields);
      if (status === 205) before = "Content-Length: 0\r\n\r\n";
    } else if (contentLength !== -1) {
      this.#body.begin(this.#toHead ? "none" : "length", contentLength);
    } else if (this.#toHead) {
      this.#body.begin("none", 0);
      // the length that GET would have shown (RFC 9110 §9.3.2), where the handler made the body and so tells it
      if (known > 0) before = `Content-Length: ${known}\r\n\r\n`;
    } else if (known !== -1) {
      this.#body.begin("length", known);
      before = `Content-Length: ${known}\r\n\r\n`;
    } else if (this.#minor === 1) {
      this.#body.begin("chunked", 0);
      before = "Transfer-Encoding: chunked\r\n\r\n";
    } else {
      this.#body.begin("close", 0);
      this.#keepAlive = false;
    }
    const connection = this.#keepAlive ? (this.#minor === 0 ? staysOpen : "") : this.closes;
    const whole = knownHead(facts, date, connection, before, fields);
    if (whole !== undefined) return this.#body.head(whole, nothing, "", body, last);
    return this.#body.head(firstLines(facts, date, connection), fields, before, body, last);
  }

  /** Further octets of the body; `octets` may be empty, and with `last` the body is whole. */
  data(octets: Uint8Array, last: boolean): readonly Uint8Array[] {
    return this.#body.data(octets, last);
  }

  /** The end of the body, with trailer fields behind it where it is in chunks; elsewhere they have no place. */
  end(trailers: Uint8Array): readonly Uint8Array[] {
    return this.#body.end(trailers);
  }
}

/** An interim response other than 100 (RFC 9110 §15.2); `fields` are field lines. */
export function interimHead(status: number, fields: Uint8Array): Uint8Array {
  const line = Buffer.from(`HTTP/1.1 ${status} ${status === 103 ? "Early Hints" : ""}\r\n`, "latin1");
  return Buffer.concat([line, fields, lineEnd]);
}

/** What a connection says last in HTTP before it is a WebSocket (RFC 6455 §4.2.2); `fields` are field lines. */
export function switchingHead(accept: string, fields: Uint8Array): Uint8Array {
  const line = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n`;
  return Buffer.concat([Buffer.from(line, "latin1"), fields, lineEnd]);
}

/** Statuses whose responses have no content, whatever the method (RFC 9110 §15.2, §15.3.5, §15.3.6, §15.4.5). */
export function hasNoContent(status: number): boolean {
  return status < 200 || status === 204 || status === 205 || status === 304;
}

interface FirstLines {
  readonly status: number;
  readonly reason: string;
  readonly date: string;
  readonly connection: string;
  readonly octets: Uint8Array;
}

interface KnownHead {
  readonly date: string;
  readonly connection: string;
  readonly before: string;
  readonly octets: Uint8Array;
}

/** The facts encoded last, and once they came twice the whole head: handlers answer with the same facts again and again. */
let lastFacts: ResponseFacts | undefined;
let lastKnown: KnownHead | undefined;

/** The whole head, where these facts are those before; `fields` follow from them. */
function knownHead(
  facts: ResponseFacts,
  date: string,
  connection: string,
  before: string,
  fields: Uint8Array,
): Uint8Array | undefined {
  if (facts !== lastFacts) {
    lastFacts = facts;
    lastKnown = undefined;
    return undefined;
  }
  if (lastKnown?.date !== date || lastKnown.connection !== connection || lastKnown.before !== before) {
    const octets = Buffer.concat([firstLines(facts, date, connection), fields, Buffer.from(before, "latin1")]);
    lastKnown = { date, connection, before, octets };
  }
  return lastKnown.octets;
}

/** The first lines encoded last; responses of one second mostly share theirs, whatever their connection. */
let recent: FirstLines = { status: 0, reason: "", date: "", connection: "", octets: Buffer.alloc(0) };

/** Status line, Date (unless the handler gave one) and Connection. */
function firstLines(facts: ResponseFacts, date: string, connection: string): Uint8Array {
  const { status, reason } = facts;
  const shown = facts.hasDate ? "" : date;
  if (
    recent.status !== status ||
    recent.date !== shown ||
    recent.connection !== connection ||
    recent.reason !== reason
  ) {
    // a reason phrase is decoration (RFC 9112 §4): one that would break the line is left out; the space before it stays
    const phrase = isFieldValue(reason) ? reason : "";
    const dateLine = shown === "" ? "" : `Date: ${shown}\r\n`;
    const octets = Buffer.from(`HTTP/1.1 ${status} ${phrase}\r\n${dateLine}${connection}`, "latin1");
    recent = { status, reason, date: shown, connection, octets };
  }
  return recent.octets;
}

/** The field lines without Content-Length. */
export function withoutContentLength(fields: Uint8Array): Uint8Array {
  const text = Buffer.from(fields.buffer, fields.byteOffset, fields.byteLength).toString("latin1");
  return Buffer.from(text.replace(/^content-length:[^\n]*\n/gim, ""), "latin1");
}
