// Responses, server role: what a handler says in, octets out (RFC 9110 §15, RFC 9112 §6). One encoder serves a
// connection, response after response. Whatever the handler gives, what goes out is one well-framed response: the next
// one on the connection can never be taken for a part of it, nor the other way round.

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

/** How the end of the body will be known. "none": there is no body, whatever the handler gives. */
type BodyFraming = "none" | "length" | "chunked" | "close";

/** A body up to this is copied behind its head: one buffer costs the socket less than two. Measured. */
const copied = 16384;
const empty: Buffer = Buffer.alloc(0);
const nothing: readonly Uint8Array[] = [];
const lineEnd: Buffer = Buffer.from("\r\n", "latin1");
const lastChunk: Buffer = Buffer.from("0\r\n\r\n", "latin1");
const closingChunk: Buffer = Buffer.from("\r\n0\r\n\r\n", "latin1");
const interim: Buffer = Buffer.from("HTTP/1.1 100 Continue\r\n\r\n", "latin1");

const closes = "Connection: close\r\n";
const staysOpen = "Connection: keep-alive\r\n";

/** The interim response that lets a client send the body it announced with Expect (RFC 9110 §10.1.1). Do not change it. */
export function continue100(): Uint8Array {
  return interim;
}

export class ResponseEncoder {
  #head = false;
  #minor: 0 | 1 = 1;
  #keepAlive = true;
  #framing: BodyFraming = "length";
  #toHead = false;
  #contentLength = -1;
  #bodyOctets = 0;
  #dropped = 0;
  #complete = false;
  #short = false;

  /** Begins the response to a request. `keepAlive`: whether the connection may stay open after it. */
  begin(method: string, minor: 0 | 1, keepAlive: boolean): void {
    this.#toHead = method === "HEAD";
    this.#minor = minor;
    this.#keepAlive = keepAlive;
    this.#head = false;
    this.#contentLength = -1;
    this.#bodyOctets = 0;
    this.#dropped = 0;
    this.#complete = false;
    this.#short = false;
  }

  /** Whether the connection can be used again; true only once the response is whole. */
  get keepAlive(): boolean {
    return this.#keepAlive && this.#complete && !this.#short;
  }

  /** Octets of the body encoded so far, without framing. */
  get bodyOctets(): number {
    return this.#bodyOctets;
  }

  /** Whether the handler ended the response; nothing more will be encoded. */
  get complete(): boolean {
    return this.#complete;
  }

  /** Whether the body ended before its Content-Length: the connection must be cut, so that the client knows. */
  get short(): boolean {
    return this.#short;
  }

  /** Octets that the handler gave beyond its Content-Length, and that were dropped. */
  get dropped(): number {
    return this.#dropped;
  }

  /**
   * The head with the first octets of the body, if any; `last` says that the body is whole. `date` is the IMF-fixdate
   * of now (RFC 9110 §5.6.7). One buffer where the body is small; else the head and the body, which is not copied.
   */
  head(
    facts: ResponseFacts,
    body: Uint8Array | undefined,
    last: boolean,
    date: string,
  ): Uint8Array | readonly Uint8Array[] {
    if (this.#head) throw new Error("The response has its head already.");
    this.#head = true;
    const given = body ?? empty;
    let fields = facts.fields;
    let framing = "\r\n";
    this.#contentLength = facts.contentLength;
    if (hasNoContent(facts.status)) {
      this.#framing = "none";
      // RFC 9110 §8.6: no Content-Length in 204 and 1xx. A 205 is read like any response, so its emptiness is said (§15.3.6).
      if (facts.contentLength !== -1 && facts.status !== 304) fields = withoutContentLength(fields);
      if (facts.status === 205) framing = "Content-Length: 0\r\n\r\n";
    } else if (facts.contentLength !== -1) {
      this.#framing = this.#toHead ? "none" : "length";
    } else if (this.#toHead) {
      this.#framing = "none";
      // the length that GET would have shown (RFC 9110 §9.3.2), where the handler's body tells it
      if (last && given.length > 0) framing = `Content-Length: ${given.length}\r\n\r\n`;
    } else if (last) {
      this.#framing = "length";
      this.#contentLength = given.length;
      framing = `Content-Length: ${given.length}\r\n\r\n`;
    } else if (this.#minor === 1) {
      this.#framing = "chunked";
      framing = "Transfer-Encoding: chunked\r\n\r\n";
    } else {
      this.#framing = "close";
      this.#keepAlive = false;
    }
    const first = headLines(facts, date, this.#keepAlive ? (this.#minor === 0 ? staysOpen : "") : closes);
    return this.#assemble(first, fields, framing, this.#admit(given, last), last);
  }

  /** Further octets of the body; `octets` may be empty, and with `last` the body is whole. */
  data(octets: Uint8Array, last: boolean): readonly Uint8Array[] {
    if (this.#complete) return nothing;
    const admitted = this.#admit(octets, last);
    if (this.#framing !== "chunked") return admitted.length === 0 ? nothing : [admitted];
    if (admitted.length === 0) return last ? [lastChunk] : nothing;
    const size = `${admitted.length.toString(16)}\r\n`;
    const closing = last ? closingChunk : lineEnd;
    if (admitted.length > copied) return [Buffer.from(size, "latin1"), admitted, closing];
    const chunk = Buffer.allocUnsafe(size.length + admitted.length + closing.length);
    chunk.write(size, 0, "latin1");
    chunk.set(admitted, size.length);
    chunk.set(closing, size.length + admitted.length);
    return [chunk];
  }

  /** What of the handler's octets belongs to the response; keeps the accounts. */
  #admit(octets: Uint8Array, last: boolean): Uint8Array {
    let admitted = octets;
    if (this.#framing === "none") admitted = empty;
    else if (this.#framing === "length") {
      const room = this.#contentLength - this.#bodyOctets;
      if (octets.length > room) {
        // beyond the announced length they would be read as the next response
        this.#dropped += octets.length - room;
        admitted = octets.subarray(0, room);
      } else if (last && octets.length < room) this.#short = true;
    }
    this.#bodyOctets += admitted.length;
    if (last) this.#complete = true;
    return admitted;
  }

  #assemble(
    first: Uint8Array,
    fields: Uint8Array,
    framing: string,
    body: Uint8Array,
    last: boolean,
  ): Uint8Array | readonly Uint8Array[] {
    let before = framing;
    let after = empty;
    if (this.#framing === "chunked") {
      if (body.length > 0) {
        before += `${body.length.toString(16)}\r\n`;
        after = last ? closingChunk : lineEnd;
      } else if (last) after = lastChunk;
    }
    const headLength = first.length + fields.length + before.length;
    const together = body.length <= copied;
    const octets = Buffer.allocUnsafe(headLength + (together ? body.length + after.length : 0));
    octets.set(first, 0);
    octets.set(fields, first.length);
    octets.write(before, first.length + fields.length, "latin1");
    if (!together) return after.length === 0 ? [octets, body] : [octets, body, after];
    if (body.length > 0) octets.set(body, headLength);
    if (after.length > 0) octets.set(after, headLength + body.length);
    return octets;
  }
}

/** Statuses whose responses have no content, whatever the method (RFC 9110 §15.2, §15.3.5, §15.3.6, §15.4.5). */
function hasNoContent(status: number): boolean {
  return status === 204 || status === 304 || status === 205 || status < 200;
}

interface HeadLines {
  readonly status: number;
  readonly reason: string;
  readonly date: string;
  readonly connection: string;
  readonly octets: Uint8Array;
}

/** The status lines written last; responses of one second mostly share theirs, whatever their connection. */
let recent: HeadLines = { status: 0, reason: "", date: "", connection: "", octets: empty };

/** Status line, Date (unless the handler gave one) and Connection. */
function headLines(facts: ResponseFacts, date: string, connection: string): Uint8Array {
  const { status, reason } = facts;
  const shown = facts.hasDate ? "" : date;
  if (
    recent.status !== status ||
    recent.date !== shown ||
    recent.connection !== connection ||
    recent.reason !== reason
  ) {
    // a reason phrase is decoration (RFC 9112 §4); one that would break the line is left out. The space before it stays.
    const phrase = /^[\t\x20-\x7e\x80-\xff]*$/.test(reason) ? reason : "";
    const dateLine = shown === "" ? "" : `Date: ${shown}\r\n`;
    const octets = Buffer.from(`HTTP/1.1 ${status} ${phrase}\r\n${dateLine}${connection}`, "latin1");
    recent = { status, reason, date: shown, connection, octets };
  }
  return recent.octets;
}

/** The field lines without Content-Length. */
function withoutContentLength(fields: Uint8Array): Uint8Array {
  const text = Buffer.from(fields.buffer, fields.byteOffset, fields.byteLength).toString("latin1");
  return Buffer.from(text.replace(/^content-length:[^\n]*\n/gim, ""), "latin1");
}
