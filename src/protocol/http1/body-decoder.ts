// The body of a message (RFC 9112 §6, §7): of a given length, chunked, or up to the end of the connection. Octets are
// handed on as stretches of what was received; only the framing between them is consumed one octet at a time.

import { FieldLines } from "./field-lines.js";
import { CR, type Faults, hexadecimal, isChunkExtensions, LF, SEMICOLON, SPACE, TAB, valueOctets } from "./grammar.js";
import type { Inflow } from "./inflow.js";

const NONE = 0;
const OCTETS = 1;
const UNTIL_CLOSE = 2;
const CHUNK_SIZE = 3;
const CHUNK_EXTENSION = 4;
const CHUNK_SIZE_LF = 5;
const CHUNK_OCTETS = 6;
const CHUNK_CR = 7;
const CHUNK_LF = 8;
const TRAILERS = 9;

/** More digits than these, leading zeros that they must be, are nobody's chunk size. */
const maxSizeDigits = 64;
/** Octets of a chunk's extensions. */
const maxExtension = 1024;
/** Octets of all extensions of a body, beyond as many as the body itself has had so far (RFC 9112 §7.1.1). */
const maxExtensions = 16384;

/** Fields that frame or route a message; in trailers they are an attempt at being read by someone who merges them. */
const forbiddenTrailers: ReadonlySet<string> = new Set(["content-length", "transfer-encoding", "host"]);

export interface BodyLimits {
  readonly maxHead: number;
  readonly maxFields: number;
  /** Octets of a body that is chunked or ends with the connection. A length known in advance is for the head's reader. */
  readonly maxBody: number;
}

export class BodyDecoder {
  readonly #limits: BodyLimits;
  readonly #faults: Faults;
  /** Made for the first chunked body. */
  #trailers: FieldLines | undefined;
  #phase = NONE;
  /** Octets left of the body, or of the chunk; while a size is read, the size so far. */
  #left = 0;
  #sizeDigits = 0;
  /** What stands between a chunk's size and its line's end. */
  #extension = "";
  #extensions = 0;
  #total = 0;

  constructor(limits: BodyLimits, faults: Faults) {
    this.#limits = limits;
    this.#faults = faults;
  }

  /** Whether the connection's end is this body's end. */
  get endsWithConnection(): boolean {
    return this.#phase === UNTIL_CLOSE;
  }

  beginLength(length: number): void {
    this.#left = length;
    this.#phase = length === 0 ? NONE : OCTETS;
  }

  beginChunked(): void {
    this.#total = 0;
    this.#extensions = 0;
    this.#expectSize();
  }

  beginUntilClose(): void {
    this.#total = 0;
    this.#phase = UNTIL_CLOSE;
  }

  /** The next octets of the body; "whole" once it ended; undefined where more must be received. */
  maybeOctets(inflow: Inflow): Uint8Array | "whole" | undefined {
    if (this.#phase >= CHUNK_SIZE) return this.#maybeChunked(inflow);
    if (this.#phase === NONE) return "whole";
    if (inflow.at === inflow.end) return undefined;
    if (this.#phase === UNTIL_CLOSE) {
      // what the limit admits is handed on first, so that the outcome does not depend on how the octets arrived
      const room = this.#limits.maxBody - this.#total;
      this.#count(room === 0 ? 1 : 0);
      const octets = this.#take(inflow, room);
      this.#total += octets.length;
      return octets;
    }
    const octets = this.#take(inflow, this.#left);
    this.#left -= octets.length;
    if (this.#left === 0) this.#phase = NONE;
    return octets;
  }

  #maybeChunked(inflow: Inflow): Uint8Array | "whole" | undefined {
    while (inflow.at < inflow.end) {
      if (this.#phase === TRAILERS) return this.#maybeTrailers(inflow);
      if (this.#phase === CHUNK_OCTETS) {
        const octets = this.#take(inflow, this.#left);
        this.#left -= octets.length;
        if (this.#left === 0) this.#phase = CHUNK_CR;
        return octets;
      }
      this.#frame(inflow.bytes[inflow.at++] as number);
      if (this.#phase === TRAILERS) {
        this.#trailers ??= new FieldLines(this.#limits.maxHead, this.#limits.maxFields, this.#faults);
        this.#trailers.begin(0);
      }
    }
    return undefined;
  }

  /** One octet of what lies between chunks. */
  #frame(octet: number): void {
    switch (this.#phase) {
      case CHUNK_SIZE:
        this.#size(octet);
        return;
      case CHUNK_EXTENSION:
        this.#extend(octet);
        return;
      case CHUNK_SIZE_LF:
        if (octet !== LF) throw this.#faults.malformed("A chunk's size is not followed by CR LF.");
        this.#count(this.#left);
        this.#phase = this.#left === 0 ? TRAILERS : CHUNK_OCTETS;
        return;
      case CHUNK_CR:
        if (octet !== CR) throw this.#faults.malformed("A chunk is longer than its size.");
        this.#phase = CHUNK_LF;
        return;
      default:
        if (octet !== LF) throw this.#faults.malformed("A chunk is not followed by CR LF.");
        this.#expectSize();
    }
  }

  #expectSize(): void {
    this.#phase = CHUNK_SIZE;
    this.#left = 0;
    this.#sizeDigits = 0;
    this.#extension = "";
  }

  #size(octet: number): void {
    const digit = hexadecimal[octet] as number;
    if (digit !== 255) {
      this.#left = this.#left * 16 + digit;
      if (++this.#sizeDigits <= maxSizeDigits && this.#left <= Number.MAX_SAFE_INTEGER) return;
      throw this.#faults.malformed("A chunk's size is too large a number.");
    }
    if (this.#sizeDigits === 0) throw this.#faults.malformed("A chunk has no size.");
    if (octet === CR) this.#phase = CHUNK_SIZE_LF;
    else if (octet === SEMICOLON || octet === SPACE || octet === TAB) {
      this.#phase = CHUNK_EXTENSION;
      this.#extend(octet);
    } else throw this.#faults.malformed("A chunk's size is malformed.");
  }

  /**
   * Extensions are read over, as RFC 9112 §7.1.1 demands, once they are seen to be extensions: a line that servers read
   * differently up to a bare line feed, or from a semicolon on, is how requests were smuggled.
   */
  #extend(octet: number): void {
    if (octet === CR) {
      if (!isChunkExtensions(this.#extension)) throw this.#faults.malformed("A chunk's extension is malformed.");
      this.#phase = CHUNK_SIZE_LF;
      return;
    }
    if (valueOctets[octet] !== 1) throw this.#faults.malformed("A chunk's extension is malformed.");
    this.#extension += String.fromCharCode(octet);
    if (this.#extension.length > maxExtension || ++this.#extensions > maxExtensions + this.#total) {
      throw this.#faults.malformed("The extensions of the body's chunks are too long.");
    }
  }

  #maybeTrailers(inflow: Inflow): "whole" | undefined {
    const trailers = this.#trailers;
    if (trailers === undefined || !trailers.maybeFields(inflow)) return undefined;
    inflow.at += trailers.position;
    for (let i = 0; i < trailers.fields.length; i += 2) {
      const name = (trailers.fields[i] as string).toLowerCase();
      if (forbiddenTrailers.has(name)) throw this.#faults.malformed(`The field ${name} stands in the trailers.`);
    }
    this.#phase = NONE;
    return "whole";
  }

  #take(inflow: Inflow, most: number): Uint8Array {
    const to = Math.min(inflow.end, inflow.at + most);
    const octets = inflow.bytes.subarray(inflow.at, to);
    inflow.at = to;
    return octets;
  }

  #count(octets: number): void {
    this.#total += octets;
    if (this.#total > this.#limits.maxBody) {
      throw this.#faults.bodyTooLarge(`The body is larger than ${this.#limits.maxBody} octets.`);
    }
  }
}
