// Requests, server role: octets in, events out (RFC 9112). No socket, no clock. As in h11 the reader pulls: `next` gives
// the next event, and after an "end" begins the request pipelined behind it; who does not call it has not begun it.
//
// Strict where leniency is dangerous: a request has one framing that nobody can read differently, or it is refused and
// its connection is over. A head is judged octet by octet in order, so the verdict does not depend on how it arrived.
//
// The requests of one connection resemble each other. When a request is, octet for octet, the one before it, or its field lines
// are, what was read from those is taken again.

import { VivariumError, vivariumError } from "../../errors.js";
import { BodyDecoder } from "./body-decoder.js";
import { FieldLines } from "./field-lines.js";
import { CR, type Faults, LF, SPACE, targetOctets, tokenOctets } from "./grammar.js";
import { Inflow, lookahead } from "./inflow.js";
import { asterisk, type FieldFacts, parseTarget, readFields, type Target } from "./request-head.js";

/** Octets, except `maxFields`. Beyond them: 414, 431, 431, 413. */
export interface RequestLimits {
  readonly maxTarget: number;
  /** The request line and the field lines together; also the trailers of a chunked body. */
  readonly maxHead: number;
  readonly maxFields: number;
  readonly maxBody: number;
}

export type Framing = "none" | "length" | "chunked";

export interface RequestHead {
  readonly method: string;
  /** As received. */
  readonly target: string;
  readonly form: "origin" | "absolute" | "asterisk";
  /** Of an absolute-form target, in lower case; else "". */
  readonly scheme: string;
  /** Still percent-encoded. "" for the asterisk form, "/" where an absolute form has none. */
  readonly path: string;
  /** Still percent-encoded, without "?". */
  readonly query: string;
  /** The authority that applies: the absolute form's, else the Host field's; "" for HTTP/1.0 without Host. */
  readonly host: string;
  /** HTTP/1.minor as it applies; a later 1.x is treated as 1.1 (RFC 9110 §2.5). */
  readonly minor: 0 | 1;
  /** Name, value, name, value …, as received, in order; values without the white space around them; latin-1. */
  readonly fields: readonly string[];
  readonly framing: Framing;
  /** Where `framing` is "length"; else 0. */
  readonly contentLength: number;
  /** Whether the client lets the connection stay open after this request. */
  readonly keepAlive: boolean;
  /** Whether the client waits for 100 (Continue) before it sends the body. */
  readonly expectContinue: boolean;
  /** Whether the client asks that the connection become a WebSocket. */
  readonly webSocket: boolean;
}

export type RequestEvent =
  | { readonly type: "head"; readonly head: RequestHead }
  | { readonly type: "body"; readonly octets: Uint8Array }
  | { readonly type: "end" };

const faults: Faults = {
  malformed: (sentence) => vivariumError("ERR_HTTP_BAD_REQUEST", sentence, { status: 400 }),
  headTooLarge: (sentence) => vivariumError("ERR_HTTP_HEAD_TOO_LARGE", sentence, { status: 431 }),
  bodyTooLarge: (sentence) => vivariumError("ERR_HTTP_BODY_TOO_LARGE", sentence, { status: 413 }),
};

/** Where in a request the decoder stands. */
const BETWEEN = 0;
const METHOD = 1;
const TARGET = 2;
const VERSION = 3;
const FIELDS = 4;
const BODY = 5;
/** It has no body: its end is next. */
const END = 6;
/** The request was the last of its connection: what follows it is no request (RFC 9112 §9.6). */
const OVER = 7;

const end: RequestEvent = { type: "end" };
/** Longer methods than any that exist: RFC 9112 §3 asks for 501. */
const maxMethod = 64;
/** RFC 9112 §2.2 asks that at least one empty line before a request line be ignored; a stream of them is no request. */
const maxEmptyLines = 4;
const version = "HTTP/#.#\r\n";

export class RequestDecoder {
  readonly #limits: RequestLimits;
  readonly #inflow = new Inflow();
  readonly #lines: FieldLines;
  /** Made for the first request that has one. */
  #body: BodyDecoder | undefined;
  #phase = BETWEEN;
  #fault: VivariumError | undefined;
  #emptyLines = 0;
  /** These are relative to the inflow's `at`, which stays at the head's first octet until the head is whole. */
  #position = 0;
  #targetAt = 0;
  #versionAt = 0;
  #keepAlive = true;
  #major = 0;
  #minor: 0 | 1 = 1;
  #method = "";
  #target = "";
  #parsed: Target = asterisk;
  /** The request before, its field lines with the empty line, and what was read from them; "" where it is too long to come again. */
  #lastHead = "";
  #last: (RequestEvent & { readonly type: "head" }) | undefined;
  #lastBlock = "";
  #lastFields: readonly string[] = [];
  #lastFacts: FieldFacts | undefined;

  constructor(limits: RequestLimits) {
    this.#limits = limits;
    this.#lines = new FieldLines(limits.maxHead, limits.maxFields, faults);
  }

  /** Octets received and not consumed: what a driver bounds pipelining by. */
  get pending(): number {
    return this.#phase === OVER ? 0 : this.#inflow.pending;
  }

  /**
   * Whether it stands between requests with nothing received of a next one. A connection closed here was closed in
   * order; anywhere else the client left in mid-request.
   */
  get idle(): boolean {
    return this.#phase === OVER || (this.#phase === BETWEEN && this.pending === 0 && this.#fault === undefined);
  }

  /** The method of the request it reads, as far as it is known, else "": a refused HEAD too is answered without a body. */
  get method(): string {
    return this.#phase === BETWEEN ? "" : this.#method;
  }

  /** Takes octets from the peer, the first `length` of a chunk. They are read later: the chunk belongs to the decoder, and to whom it gives a body's. */
  receive(chunk: Uint8Array, length: number = chunk.length): void {
    if (this.#phase !== OVER && this.#fault === undefined) this.#inflow.receive(chunk, length);
  }

  /**
   * Called behind each `receive`, and what came of it, by those whose chunks are read into again: copies what is left of it. The
   * octets of bodies are theirs to copy.
   */
  keep(): void {
    this.#inflow.keep();
  }

  /**
   * The next event; undefined where more octets are needed, and after a request that does not keep its connection alive,
   * whatever follows it. A request without a body has a "head" and an "end".
   * @throws VivariumError where the request cannot be accepted; its `status` is the answer, after which the connection
   * must be closed. The decoder is dead from then on and throws the same again.
   */
  next(): RequestEvent | undefined {
    if (this.#fault !== undefined) throw this.#fault;
    if (this.#phase === OVER) return undefined;
    try {
      for (;;) {
        if (this.#phase === END) return this.#finish();
        const event = this.#phase === BODY ? this.#maybeBody() : this.#maybeHead();
        if (event !== undefined || !this.#inflow.more()) return event;
      }
    } catch (error) {
      if (error instanceof VivariumError) this.#fault = error;
      throw error;
    }
  }

  /** What came behind the last request: the connection speaks HTTP no longer. */
  release(): Uint8Array {
    this.#phase = OVER;
    return this.#inflow.release();
  }

  #maybeBody(): RequestEvent | undefined {
    const octets = this.#body?.maybeOctets(this.#inflow);
    if (octets === undefined) return undefined;
    return octets === "whole" ? this.#finish() : { type: "body", octets };
  }

  #finish(): RequestEvent {
    this.#phase = this.#keepAlive ? BETWEEN : OVER;
    return end;
  }

  #maybeHead(): RequestEvent | undefined {
    const inflow = this.#inflow;
    if (this.#phase === BETWEEN) {
      if (!this.#maybeBegin()) return undefined;
      const last = this.#last;
      if (last !== undefined && inflow.shows(this.#lastHead, inflow.at)) {
        this.#method = last.head.method;
        inflow.at += this.#lastHead.length;
        this.#beginBody(last.head);
        return last;
      }
    }
    if (this.#phase !== FIELDS) {
      if (!this.#maybeRequestLine()) return undefined;
      const start = inflow.at + this.#position;
      const facts = this.#lastFacts;
      if (facts !== undefined && facts.minor === this.#minor && inflow.shows(this.#lastBlock, start)) {
        const position = this.#position + this.#lastBlock.length;
        if (position <= this.#limits.maxHead) return this.#finishHead(position, this.#lastFields, facts);
      }
      this.#lines.begin(this.#position);
      this.#phase = FIELDS;
    }
    if (!this.#lines.maybeFields(inflow)) return undefined;
    const { fields, position } = this.#lines;
    const facts = readFields(fields, this.#minor, this.#limits.maxBody, faults);
    this.#lastFacts = position <= lookahead ? facts : undefined;
    this.#lastFields = fields;
    this.#lastBlock = position <= lookahead ? inflow.string(inflow.at + this.#position, inflow.at + position) : "";
    return this.#finishHead(position, fields, facts);
  }

  #maybeBegin(): boolean {
    const inflow = this.#inflow;
    while (inflow.at < inflow.end && inflow.bytes[inflow.at] === CR) {
      if (inflow.at + 1 === inflow.end) return false;
      if (inflow.bytes[inflow.at + 1] !== LF || ++this.#emptyLines > maxEmptyLines) {
        throw faults.malformed("A request begins with something else than a request line.");
      }
      inflow.at += 2;
    }
    if (inflow.at === inflow.end) return false;
    inflow.look();
    this.#emptyLines = 0;
    this.#position = 0;
    this.#method = "";
    this.#phase = METHOD;
    return true;
  }

  /** Scans the request line on: true when it is whole. Consumes nothing. */
  #maybeRequestLine(): boolean {
    const inflow = this.#inflow;
    const { bytes, at } = inflow;
    const stop = Math.min(inflow.end, at + this.#limits.maxHead);
    let i = at + this.#position;
    if (this.#phase === METHOD) {
      while (i < stop && tokenOctets[bytes[i] as number] === 1) i++;
      if (i - at > maxMethod) throw notImplemented("The method's name is longer than that of any method there is.");
      if (i < stop) {
        if (bytes[i] !== SPACE || i === at) throw faults.malformed("The request line does not begin with a method.");
        this.#method = inflow.string(at, i++);
        this.#targetAt = i - at;
        this.#phase = TARGET;
      }
    }
    if (this.#phase === TARGET) {
      const targetAt = at + this.#targetAt;
      while (i < stop && targetOctets[bytes[i] as number] === 1) i++;
      if (i - targetAt > this.#limits.maxTarget) {
        const sentence = `The request target is longer than ${this.#limits.maxTarget} octets.`;
        throw vivariumError("ERR_HTTP_TARGET_TOO_LONG", sentence, { status: 414 });
      }
      if (i < stop) {
        if (bytes[i] !== SPACE || i === targetAt) {
          throw faults.malformed(
            "The request line does not hold a method, a target and a version, with one space between.",
          );
        }
        this.#target = inflow.string(targetAt, i++);
        this.#versionAt = i - at;
        this.#phase = VERSION;
      }
    }
    const whole = this.#phase === VERSION && this.#maybeVersion(i, stop);
    if (!whole) {
      if (this.#phase !== VERSION) this.#position = i - at;
      if (stop - at >= this.#limits.maxHead) {
        throw faults.headTooLarge(`The head is larger than ${this.#limits.maxHead} octets.`);
      }
    }
    return whole;
  }

  /** HTTP-version and the line's end (RFC 9112 §2.3), case-sensitive, one digit each. */
  #maybeVersion(from: number, stop: number): boolean {
    const { bytes, at } = this.#inflow;
    const versionAt = at + this.#versionAt;
    let i = from;
    for (; i < stop; i++) {
      const octet = bytes[i] as number;
      const expected = version.charCodeAt(i - versionAt);
      if (expected === 0x23) {
        const digit = octet - 0x30;
        if (digit < 0 || digit > 9) throw faults.malformed("The request line does not end in an HTTP version.");
        if (i - versionAt === 5) this.#major = digit;
        else this.#minor = digit === 0 ? 0 : 1;
      } else if (octet !== expected) throw faults.malformed("The request line does not end in an HTTP version.");
      if (octet === LF) break;
    }
    this.#position = i - at;
    if (i === stop) return false;
    this.#position++;
    if (this.#major !== 1) {
      const sentence = `The request is in HTTP/${this.#major}; HTTP/1.1 and HTTP/1.0 are served here.`;
      throw vivariumError("ERR_HTTP_VERSION", sentence, { status: 505 });
    }
    // CONNECT asks for a tunnel, which is a proxy's to give: 501, as a method that this server does not implement for
    // any target; 405 would say that it does for some (RFC 9110 §9.1, §9.3.6).
    if (this.#method === "CONNECT") throw notImplemented("CONNECT is not implemented; this server is no proxy.");
    this.#parsed = parseTarget(this.#method, this.#target, faults);
    return true;
  }

  #finishHead(position: number, fields: readonly string[], facts: FieldFacts): RequestEvent {
    const target = this.#parsed;
    const inflow = this.#inflow;
    const head: RequestHead = {
      method: this.#method,
      target: this.#target,
      form: target.form,
      scheme: target.scheme,
      path: target.path,
      query: target.query,
      // RFC 9112 §3.2.2: the authority of an absolute form applies, whatever Host says
      host: target.form === "absolute" ? target.authority : facts.host,
      minor: this.#minor,
      fields,
      framing: facts.framing,
      contentLength: facts.contentLength,
      keepAlive: facts.keepAlive,
      expectContinue: facts.expectContinue,
      webSocket: facts.webSocket,
    };
    const event = { type: "head", head } as const;
    this.#last = position <= lookahead ? event : undefined;
    this.#lastHead = position <= lookahead ? inflow.string(inflow.at, inflow.at + position) : "";
    inflow.at += position;
    this.#beginBody(head);
    return event;
  }

  #beginBody(head: RequestHead): void {
    this.#keepAlive = head.keepAlive;
    this.#phase = BODY;
    if (head.framing === "none") {
      this.#phase = END;
      return;
    }
    this.#body ??= new BodyDecoder(this.#limits, faults);
    if (head.framing === "chunked") this.#body.beginChunked();
    else this.#body.beginLength(head.contentLength);
  }
}

function notImplemented(sentence: string): VivariumError {
  return vivariumError("ERR_HTTP_NOT_IMPLEMENTED", sentence, { status: 501 });
}
