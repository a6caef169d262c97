// Responses, client role: octets of an upstream in, events out (RFC 9112 §4, §6.3). `begin` tells which request is being
// answered, since that decides whether there is a body; octets that answer no request are an error, for they would be
// taken for the answer to the next one.

import { VivariumError, vivariumError } from "../../errors.js";
import { BodyDecoder, type BodyLimits } from "./body-decoder.js";
import { FieldLines } from "./field-lines.js";
import { becomesWebSocket, framingFields, readContentLength, staysOpen } from "./framing.js";
import { CR, type Faults, LF, parseTransferEncoding, SPACE, valueOctets } from "./grammar.js";
import { Inflow } from "./inflow.js";

/** Octets, except `maxFields`. A response beyond them is an error. */
export type ResponseLimits = BodyLimits;

export type ResponseFraming = "none" | "length" | "chunked" | "close";

export interface ResponseHead {
  /** 100 to 999. */
  readonly status: number;
  readonly reason: string;
  readonly minor: 0 | 1;
  /** Name, value, name, value …, as received, in order; values without the white space around them; latin-1. */
  readonly fields: readonly string[];
  /** "close": the body ends with the connection. */
  readonly framing: ResponseFraming;
  /** Where `framing` is "length"; else 0. */
  readonly contentLength: number;
  /** Whether the connection can be used again after this response. */
  readonly keepAlive: boolean;
}

export type ResponseEvent =
  /** A 1xx response; the final one is still to come. */
  | { readonly type: "informational"; readonly head: ResponseHead }
  /** The peer has switched to WebSocket, as it was asked to: `release` gives what follows. */
  | { readonly type: "switched"; readonly head: ResponseHead }
  | { readonly type: "head"; readonly head: ResponseHead }
  | { readonly type: "body"; readonly octets: Uint8Array }
  | { readonly type: "end" };

function badResponse(sentence: string): VivariumError {
  return vivariumError("ERR_HTTP_BAD_RESPONSE", sentence, { status: 502 });
}

const faults: Faults = { malformed: badResponse, headTooLarge: badResponse, bodyTooLarge: badResponse };

/** Where in a response the decoder stands. */
const BETWEEN = 0;
const VERSION = 1;
const REASON = 2;
const REASON_LF = 3;
const FIELDS = 4;
const BODY = 5;

/** Octets of a head that is worth remembering, at most. */
const knownMost = 1024;

/** A final response's head that was read, and what it is the head of. */
interface Known {
  /** Up to and with the empty line. */
  readonly octets: Buffer;
  readonly toHead: boolean;
  readonly event: ResponseEvent & { readonly type: "head" };
}

const end: ResponseEvent = { type: "end" };
const start = "HTTP/#.# ###";

export class ResponseDecoder {
  readonly #limits: ResponseLimits;
  readonly #inflow = new Inflow();
  readonly #lines: FieldLines;
  readonly #body: BodyDecoder;
  #phase = BETWEEN;
  #method = "";
  #webSocket = false;
  #closed = false;
  #fault: VivariumError | undefined;
  /** These are relative to the inflow's `at`, which stays at the head's first octet until the head is whole. */
  #position = 0;
  #reasonAt = 0;
  #status = 0;
  #minor: 0 | 1 = 1;
  #reason = "";
  /** The last one: what a server answers has mostly the head of what it answered before. */
  #known: Known | undefined;

  constructor(limits: ResponseLimits) {
    this.#limits = limits;
    this.#lines = new FieldLines(limits.maxHead, limits.maxFields, faults);
    this.#body = new BodyDecoder(limits, faults);
  }

  /** Octets received and not consumed. */
  get pending(): number {
    return this.#inflow.pending;
  }

  /** Whether no response is awaited and nothing was received: the connection can carry a request. */
  get idle(): boolean {
    return this.#phase === BETWEEN && this.#inflow.pending === 0 && this.#fault === undefined && !this.#closed;
  }

  /** Awaits the response to a request, which perhaps asked for a WebSocket; once for each, after the "end" of the one before. */
  begin(method: string, webSocket = false): void {
    this.#method = method;
    this.#webSocket = webSocket;
    this.#beginHead();
  }

  /** Takes octets from the peer. They are read later: the chunk belongs to the decoder, and to whom it gives a body's. */
  receive(chunk: Uint8Array): void {
    this.#inflow.receive(chunk);
  }

  /** What came behind the last response: the connection speaks HTTP no longer. */
  release(): Uint8Array {
    return this.#inflow.release();
  }

  /** The peer has sent all it will. */
  receiveEnd(): void {
    this.#closed = true;
  }

  /**
   * The next event; undefined where more octets are needed.
   * @throws VivariumError where the response cannot be accepted; the connection must be closed then. The decoder is dead
   * from then on and throws the same again.
   */
  next(): ResponseEvent | undefined {
    if (this.#fault !== undefined) throw this.#fault;
    try {
      for (;;) {
        const event = this.#maybeEvent();
        if (event !== undefined) return event;
        if (!this.#inflow.more()) return this.#closed ? this.#finish() : undefined;
      }
    } catch (error) {
      if (error instanceof VivariumError) this.#fault = error;
      throw error;
    }
  }

  #maybeEvent(): ResponseEvent | undefined {
    if (this.#phase === BODY) {
      const octets = this.#body.maybeOctets(this.#inflow);
      if (octets === undefined) return undefined;
      if (octets !== "whole") return { type: "body", octets };
      this.#phase = BETWEEN;
      return end;
    }
    if (this.#phase !== BETWEEN) return this.#maybeHead();
    if (this.#inflow.pending > 0) throw badResponse("The upstream sent octets that answer no request.");
    return undefined;
  }

  /** The connection ended, and all that came before is read. */
  #finish(): ResponseEvent | undefined {
    if (this.#phase === BETWEEN) return undefined;
    if (this.#phase === BODY && this.#body.endsWithConnection) {
      this.#phase = BETWEEN;
      return end;
    }
    throw badResponse("The upstream's connection ended before its response did.");
  }

  #beginHead(): void {
    this.#phase = VERSION;
    this.#position = 0;
  }

  #maybeHead(): ResponseEvent | undefined {
    const inflow = this.#inflow;
    if (inflow.at === inflow.end) return undefined;
    if (this.#phase === VERSION && this.#position === 0) {
      const known = this.#maybeKnown();
      if (known !== undefined) return known;
    }
    if (this.#phase !== FIELDS) {
      if (this.#position === 0) inflow.look();
      if (!this.#maybeStatusLine()) return undefined;
      this.#lines.begin(this.#position);
      this.#phase = FIELDS;
    }
    if (!this.#lines.maybeFields(inflow)) return undefined;
    const headAt = inflow.at;
    inflow.at += this.#lines.position;
    const head = this.#readHead(this.#lines.fields);
    if (head.status === 101) {
      this.#phase = BETWEEN;
      return { type: "switched", head };
    }
    if (head.status < 200) {
      this.#beginHead();
      return { type: "informational", head };
    }
    const event = { type: "head", head } as const;
    this.#remember(inflow.bytes.subarray(headAt, inflow.at), event);
    return this.#beginBody(event);
  }

  #beginBody(event: Known["event"]): ResponseEvent {
    const { framing, contentLength } = event.head;
    this.#phase = BODY;
    if (framing === "chunked") this.#body.beginChunked();
    else if (framing === "close") this.#body.beginUntilClose();
    else this.#body.beginLength(contentLength);
    return event;
  }

  /** The same event where the same octets come again, which answer the same method. */
  #maybeKnown(): ResponseEvent | undefined {
    const inflow = this.#inflow;
    const { bytes, at } = inflow;
    const known = this.#known;
    if (known === undefined || this.#webSocket || known.toHead !== (this.#method === "HEAD")) return undefined;
    const until = at + known.octets.length;
    if (until > inflow.end || known.octets.compare(bytes, at, until) !== 0) return undefined;
    inflow.at = until;
    return this.#beginBody(known.event);
  }

  #remember(octets: Buffer, event: Known["event"]): void {
    this.#known =
      this.#webSocket || octets.length > knownMost
        ? undefined
        : { octets: Buffer.from(octets), toHead: this.#method === "HEAD", event };
  }

  /** Scans the status line on: true when it is whole. Consumes nothing. */
  #maybeStatusLine(): boolean {
    const inflow = this.#inflow;
    const { bytes, at } = inflow;
    const stop = Math.min(inflow.end, at + this.#limits.maxHead);
    let i = at + this.#position;
    for (; this.#phase === VERSION && i < stop; i++) this.#version(i - at, bytes[i] as number);
    if (this.#phase === REASON) {
      while (i < stop && valueOctets[bytes[i] as number] === 1) i++;
      if (i < stop) {
        if (bytes[i] !== CR) throw badResponse("The status line has a control octet.");
        const reasonAt = at + this.#reasonAt;
        // the space before an empty reason must be sent (RFC 9112 §4), and is often forgotten, at no risk
        if (i > reasonAt && bytes[reasonAt] !== SPACE) throw badResponse("The status line is malformed.");
        this.#reason = inflow.string(Math.min(i, reasonAt + 1), i);
        this.#phase = REASON_LF;
        i++;
      }
    }
    this.#position = i - at;
    if (this.#phase === REASON_LF && i < stop) {
      if (bytes[i] !== LF) throw badResponse("The status line has a carriage return without a line feed.");
      this.#position++;
      return true;
    }
    if (stop - at >= this.#limits.maxHead)
      throw faults.headTooLarge(`The head is larger than ${this.#limits.maxHead} octets.`);
    return false;
  }

  /** One octet of `HTTP/1.1 200`. */
  #version(position: number, octet: number): void {
    const expected = start.charCodeAt(position);
    const digit = octet - 0x30;
    if (expected !== 0x23) {
      if (octet !== expected)
        throw badResponse("The upstream's response does not begin with an HTTP version and a status.");
      return;
    }
    if (digit < 0 || digit > 9) throw badResponse("The upstream's HTTP version or status is malformed.");
    if (position === 5) {
      if (digit !== 1)
        throw badResponse(`The upstream answers in HTTP/${digit}; HTTP/1.1 and HTTP/1.0 are understood here.`);
    } else if (position === 7) this.#minor = digit === 0 ? 0 : 1;
    else {
      this.#status = (position === 9 ? 0 : this.#status * 10) + digit;
      if (position === 9 && digit === 0) throw badResponse("The upstream's status is malformed.");
      if (position !== 11) return;
      this.#reasonAt = 12;
      this.#phase = REASON;
    }
  }

  #readHead(fields: readonly string[]): ResponseHead {
    const status = this.#status;
    const minor = this.#minor;
    const { length, codings, connection, upgrade } = framingFields(fields, faults);
    // what follows a 101 to anything else would be anyone's guess
    if (status === 101 && !(this.#webSocket && becomesWebSocket(connection, upgrade)))
      throw badResponse("The upstream switches protocols, unasked.");
    let framing: ResponseFraming = "none";
    let contentLength = 0;
    // RFC 9112 §6.3, in its order
    if (this.#method !== "HEAD" && status >= 200 && status !== 204 && status !== 304) {
      if (codings !== undefined) {
        checkCodings(codings, minor);
        framing = "chunked";
      } else if (length !== undefined) {
        contentLength = readContentLength(length, this.#limits.maxBody, faults);
        framing = "length";
      } else framing = "close";
    }
    const keepAlive = framing !== "close" && staysOpen(connection, minor);
    return { status, reason: this.#reason, minor, fields, framing, contentLength, keepAlive };
  }
}

function checkCodings(codings: string, minor: 0 | 1): void {
  // RFC 9112 §6.1: an HTTP/1.0 message with Transfer-Encoding is to be treated as if its framing were faulty
  if (minor === 0) throw badResponse("The upstream answers in HTTP/1.0 and with a Transfer-Encoding.");
  // no other coding was offered in TE, so that none may be used (RFC 9112 §7.4)
  if (parseTransferEncoding(codings) !== "chunked")
    throw badResponse("The upstream uses a transfer coding other than chunked.");
}
