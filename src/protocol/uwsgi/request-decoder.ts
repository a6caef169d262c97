// The uwsgi protocol, server role (as uWSGI's documentation has it, "The uwsgi Protocol"): a packet of four octets and as
// many octets of variables as it says, then the body. Octets in, events out; one request on a connection.
//
//     modifier1  size (16 bits, little-endian)  modifier2   { name size  name  value size  value } …   body
//
// Of the modifiers there are, 0 (a web request for a Python application) and 100 (a ping) are understood; the others ask to
// run code, reload, spool or write to a cache, and are refused.

import { VivariumError, vivariumError } from "../../errors.js";
import { requestBody } from "../cgi/request-body.js";
import { BodyDecoder } from "../http1/body-decoder.js";
import type { Faults } from "../http1/grammar.js";
import { Inflow } from "../http1/inflow.js";
import type { RequestLimits } from "../http1/request-decoder.js";

export type { RequestLimits };

export interface RequestHead {
  /** Name, value, name, value … in order, latin-1, without those that tell uWSGI what to load. No name is empty. */
  readonly pairs: readonly string[];
  readonly framing: "none" | "length" | "chunked";
  /** Where `framing` is "length"; else 0. */
  readonly contentLength: number;
}

/** Reads the variables of a request. Throws a VivariumError where they are malformed. */
export type ReadHead = (octets: Buffer, limits: RequestLimits) => RequestHead;

export type RequestEvent =
  | { readonly type: "head"; readonly head: RequestHead }
  | { readonly type: "body"; readonly octets: Uint8Array }
  | { readonly type: "end" }
  /** The peer asks whether anybody is there; `pong` answers. Nothing follows. */
  | { readonly type: "ping" };

const faults: Faults = {
  malformed: (sentence) => vivariumError("ERR_UWSGI_BAD_REQUEST", sentence, { status: 400 }),
  headTooLarge: (sentence) => vivariumError("ERR_HTTP_HEAD_TOO_LARGE", sentence, { status: 431 }),
  bodyTooLarge: (sentence) => vivariumError("ERR_HTTP_BODY_TOO_LARGE", sentence, { status: 413 }),
};

const HEAD = 0;
const BODY = 1;
/** What follows a request is no other: uwsgi has one on a connection. */
const OVER = 2;

const end: RequestEvent = { type: "end" };
const headSize = 4;
const ping = 100;
/** What begins so is for uWSGI itself: UWSGI_FILE, UWSGI_MODULE, UWSGI_CHDIR, UWSGI_SETENV and so on. */
const ignored = "UWSGI_";
/** But for this one, by which front-ends are told to say `https`. */
const scheme = "UWSGI_SCHEME";

export class RequestDecoder {
  readonly #limits: RequestLimits;
  readonly #readHead: ReadHead;
  readonly #inflow = new Inflow();
  #body: BodyDecoder | undefined;
  #phase = HEAD;
  #fault: VivariumError | undefined;
  /** Of the variables; -1 before the packet's head was read. */
  #size = -1;

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
    return this.#phase === HEAD && this.#size === -1 && this.#inflow.pending === 0;
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
   * The next event; undefined where more octets are needed, and after "end" or "ping". A request without a body has a
   * "head" and an "end".
   * @throws VivariumError where the request cannot be accepted: ERR_UWSGI_BAD_REQUEST for what is no uwsgi or not for a
   * web application; others with the status that answers it. The decoder is dead from then on and throws the same again.
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
    if (this.#size === -1) {
      // refused by its first octet already: an HTTP request on this listener need not come whole
      if (inflow.at < inflow.end) checkModifier1(inflow.bytes[inflow.at] as number);
      if (inflow.end - inflow.at < headSize) return undefined;
      const { bytes, at } = inflow;
      const modifier2 = bytes[at + 3] as number;
      const size = bytes.readUInt16LE(at + 1);
      if (modifier2 !== 0) throw faults.malformed(`A uwsgi packet has modifier2 ${modifier2}; only 0 is served.`);
      if (bytes[at] === ping) {
        this.#phase = OVER;
        return { type: "ping" };
      }
      if (size > this.#limits.maxHead) {
        throw faults.headTooLarge(`The variables are larger than ${this.#limits.maxHead} octets.`);
      }
      this.#size = size;
      inflow.at += headSize;
    }
    if (inflow.end - inflow.at < this.#size) return undefined;
    const head = this.#readHead(inflow.bytes.subarray(inflow.at, inflow.at + this.#size), this.#limits);
    inflow.at += this.#size;
    if (head.framing !== "none") {
      this.#body = new BodyDecoder(this.#limits, faults);
      if (head.framing === "chunked") this.#body.beginChunked();
      else this.#body.beginLength(head.contentLength);
    }
    this.#phase = BODY;
    return { type: "head", head };
  }
}

/** Of the variables' octets. */
export function readHead(octets: Buffer, { maxBody }: RequestLimits): RequestHead {
  // one conversion, from which names and values are cut
  const text = octets.toString("latin1");
  const to = octets.length;
  const pairs: string[] = [];
  let length: string | undefined;
  let fieldLength: string | undefined;
  let codings: string | undefined;
  for (let at = 0; at < to; ) {
    const nameAt = at + 2;
    const nameTo = nameAt + sizeAt(octets, at, to);
    const valueAt = nameTo + 2;
    const valueTo = valueAt + sizeAt(octets, nameTo, to);
    if (valueTo > to) throw faults.malformed("A variable is longer than the packet that holds it.");
    if (nameTo === nameAt) throw faults.malformed("A variable has no name.");
    const name = text.slice(nameAt, nameTo);
    const value = text.slice(valueAt, valueTo);
    at = valueTo;
    if (name === "CONTENT_LENGTH") {
      if (length !== undefined) throw faults.malformed("CONTENT_LENGTH is there twice.");
      length = value;
    } else if (name === "HTTP_CONTENT_LENGTH") fieldLength = value;
    else if (name === "HTTP_TRANSFER_ENCODING") codings = value;
    else if (name.startsWith(ignored) && name !== scheme) continue;
    pairs.push(name, value);
  }
  return { pairs, ...requestBody(length || fieldLength, codings, maxBody, faults) };
}

function checkModifier1(modifier1: number): void {
  if (modifier1 === 0 || modifier1 === ping) return;
  const printable = modifier1 >= 0x41 && modifier1 <= 0x5a;
  throw faults.malformed(
    `A uwsgi packet has modifier1 ${modifier1}; only 0 is served${
      printable ? ", and this one is the first letter of a request in HTTP" : ""
    }.`,
  );
}

function sizeAt(bytes: Buffer, at: number, to: number): number {
  if (at + 2 > to) throw faults.malformed("The sizes of the variables do not add up to that of the packet.");
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
}
