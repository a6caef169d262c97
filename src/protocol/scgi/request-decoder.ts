// SCGI, server role (the specification is "SCGI: A Simple Common Gateway Interface alternative" by N. Schemenauer,
// version of 2008): a netstring of headers, then the body. Octets in, events out; one request on a connection.
//
//     70: CONTENT_LENGTH NUL 27 NUL SCGI NUL 1 NUL REQUEST_METHOD NUL POST NUL … , What is the answer to life?
//
// The headers are taken apart once they are there whole, with their comma: where they were split on their way changes nothing.

import { VivariumError, vivariumError } from "../../errors.js";
import { requestBody } from "../cgi/request-body.js";
import { BodyDecoder } from "../http1/body-decoder.js";
import type { Faults } from "../http1/grammar.js";
import { Inflow } from "../http1/inflow.js";
import type { RequestLimits } from "../http1/request-decoder.js";

export type { RequestLimits };

export interface RequestHead {
  /** Name, value, name, value … in order, latin-1. No name is empty or there twice; repeated HTTP_* are joined. */
  readonly pairs: readonly string[];
  readonly framing: "none" | "length" | "chunked";
  /** Where `framing` is "length"; else 0. */
  readonly contentLength: number;
}

/** Reads the headers of a request. Throws a VivariumError where they are malformed. */
export type ReadHead = (octets: Buffer, limits: RequestLimits) => RequestHead;

export type RequestEvent =
  | { readonly type: "head"; readonly head: RequestHead }
  | { readonly type: "body"; readonly octets: Uint8Array }
  | { readonly type: "end" };

const faults: Faults = {
  malformed: (sentence) => vivariumError("ERR_SCGI_BAD_REQUEST", sentence, { status: 400 }),
  headTooLarge: (sentence) => vivariumError("ERR_HTTP_HEAD_TOO_LARGE", sentence, { status: 431 }),
  bodyTooLarge: (sentence) => vivariumError("ERR_HTTP_BODY_TOO_LARGE", sentence, { status: 413 }),
};

const LENGTH = 0;
const HEADERS = 1;
const BODY = 2;
/** What follows a request is no other: SCGI has one on a connection. */
const OVER = 3;

const COLON = 0x3a;
const COMMA = 0x2c;
const ZERO = 0x30;
const NINE = 0x39;

const end: RequestEvent = { type: "end" };
/** More digits than these are nobody's length of headers. */
const maxDigits = 9;

export class RequestDecoder {
  readonly #limits: RequestLimits;
  readonly #readHead: ReadHead;
  readonly #inflow = new Inflow();
  #body: BodyDecoder | undefined;
  #phase = LENGTH;
  #fault: VivariumError | undefined;
  #digits = 0;
  /** Of the headers, as far as it is read. */
  #length = 0;

  /** `read` may know what `readHead` gave for the same octets and limits. */
  constructor(limits: RequestLimits, read: ReadHead = readHead) {
    this.#limits = limits;
    this.#readHead = read;
  }

  /** Octets received and not consumed. */
  get pending(): number {
    return this.#phase === OVER ? 0 : this.#inflow.pending;
  }

  /** Whether nothing was received yet: a connection closed here was closed in order. */
  get idle(): boolean {
    return this.#phase === LENGTH && this.#digits === 0 && this.#inflow.pending === 0;
  }

  /**
   * Takes the first `length` octets of a chunk from the peer. They are read later: the chunk belongs to the decoder, and to whom it gives a
   * body's, unless `keep` is called behind each `receive`.
   */
  receive(chunk: Uint8Array, length: number = chunk.length): void {
    if (this.#phase !== OVER && this.#fault === undefined) this.#inflow.receive(chunk, length);
  }

  /** Copies what is left of the chunk received last, which is used again. */
  keep(): void {
    this.#inflow.keep();
  }

  /**
   * The next event; undefined where more octets are needed, and after "end". A request without a body has a "head" and
   * an "end".
   * @throws VivariumError where the request cannot be accepted: ERR_SCGI_BAD_REQUEST for what is no SCGI; others with the
   * status that answers it. The decoder is dead from then on and throws the same again.
   */
  next(): RequestEvent | undefined {
    if (this.#fault !== undefined) throw this.#fault;
    if (this.#phase === OVER) return undefined;
    try {
      for (;;) {
        const event = this.#phase === BODY ? this.#maybeBody() : this.#maybeHead();
        if (event !== undefined || !this.#inflow.more()) return event;
      }
    } catch (error) {
      if (error instanceof VivariumError) this.#fault = error;
      throw error;
    }
  }

  #maybeBody(): RequestEvent | undefined {
    const octets = this.#body === undefined ? "whole" : this.#body.maybeOctets(this.#inflow);
    if (octets === undefined) return undefined;
    if (octets !== "whole") return { type: "body", octets };
    this.#phase = OVER;
    return end;
  }

  #maybeHead(): RequestEvent | undefined {
    const inflow = this.#inflow;
    if (this.#phase === LENGTH && !this.#maybeLength()) return undefined;
    const to = inflow.at + this.#length;
    if (inflow.end <= to) return undefined;
    if (inflow.bytes[to] !== COMMA) throw faults.malformed("The headers are not followed by a comma.");
    const head = this.#readHead(inflow.bytes.subarray(inflow.at, to), this.#limits);
    inflow.at = to + 1;
    if (head.framing !== "none") {
      this.#body = new BodyDecoder(this.#limits, faults);
      if (head.framing === "chunked") this.#body.beginChunked();
      else this.#body.beginLength(head.contentLength);
    }
    this.#phase = BODY;
    return { type: "head", head };
  }

  /** The netstring's length and its colon: true when both are consumed. */
  #maybeLength(): boolean {
    const inflow = this.#inflow;
    while (inflow.at < inflow.end) {
      const octet = inflow.bytes[inflow.at++] as number;
      if (octet === COLON && this.#digits > 0) {
        if (this.#length > this.#limits.maxHead) {
          throw faults.headTooLarge(`The headers are larger than ${this.#limits.maxHead} octets.`);
        }
        this.#phase = HEADERS;
        return true;
      }
      if (octet < ZERO || octet > NINE) throw faults.malformed("The request does not begin with a length and a colon.");
      // as in netstrings: one length has one way to be written
      if (this.#digits > 0 && this.#length === 0)
        throw faults.malformed("The length of the headers begins with a zero.");
      this.#length = this.#length * 10 + octet - ZERO;
      if (++this.#digits > maxDigits) throw faults.malformed("The length of the headers is too large a number.");
    }
    return false;
  }
}

/** Of the netstring's octets. */
export function readHead(octets: Buffer, { maxBody }: RequestLimits): RequestHead {
  const pairs = octets.toString("latin1").split("\0");
  // each string is followed by a NUL, so that nothing is left behind the last
  if (pairs.pop() !== "" || pairs.length % 2 !== 0) {
    throw faults.malformed("The headers are not names and values that each end in NUL.");
  }
  if (pairs[0] !== "CONTENT_LENGTH") throw faults.malformed("The first header is not CONTENT_LENGTH.");
  const names = new Set<string>();
  let version = "";
  let fieldLength = "";
  let codings: string | undefined;
  for (let at = 0; at < pairs.length; at += 2) {
    const name = pairs[at] as string;
    names.add(name);
    if (name === "SCGI") version = pairs[at + 1] as string;
    else if (name === "HTTP_CONTENT_LENGTH") fieldLength = pairs[at + 1] as string;
    else if (name === "HTTP_TRANSFER_ENCODING") {
      codings = codings === undefined ? pairs[at + 1] : `${codings},${pairs[at + 1]}`;
    }
  }
  if (names.has("")) throw faults.malformed("A header has no name.");
  if (version !== "1") throw faults.malformed("The headers do not say SCGI=1.");
  // With `scgi_request_buffering off`, nginx says in CONTENT_LENGTH how much of the body it has so far, and sends all of it.
  const length = fieldLength !== "" && Number(fieldLength) > Number(pairs[1]) ? fieldLength : pairs[1];
  const body = requestBody(length, codings, maxBody, faults);
  return { pairs: names.size * 2 === pairs.length ? pairs : withoutRepetition(pairs), ...body };
}
/**
 * SCGI forbids to repeat a name, and it is refused. But nginx before 1.23 sends one HTTP_* header for each field line that
 * its client sent: those are joined to a list, as repeated field lines may be (RFC 9110 §5.3; cookies: RFC 6265 §5.4).
 */
function withoutRepetition(pairs: readonly string[]): readonly string[] {
  const values = new Map<string, string>();
  for (let at = 0; at < pairs.length; at += 2) {
    const name = pairs[at] as string;
    const value = pairs[at + 1] as string;
    const before = values.get(name);
    if (before !== undefined && !name.startsWith("HTTP_")) {
      throw faults.malformed(`The header ${name.replaceAll(/[^!-~]/g, "?").slice(0, 64)} is there twice.`);
    }
    values.set(name, before === undefined ? value : `${before}${name === "HTTP_COOKIE" ? "; " : ", "}${value}`);
  }
  return Array.from(values).flat();
}
