// Records of FastCGI 1.0 (§3.3): an eight-octet header, content, padding. The reader gives the content of streams (PARAMS,
// STDIN, STDOUT, STDERR, DATA) in the pieces it arrives in, uncopied, and that of all other records whole.

import type { VivariumError } from "../../errors.js";

/** FCGI_VERSION_1. */
const version = 1;
/** FCGI_HEADER_LEN. */
export const headerSize = 8;
/** Content of an FCGI_BeginRequestBody and of an FCGI_EndRequestBody (§5.1, §5.5). */
export const bodySize = 8;
/**
 * The most content that is put into one record: the largest multiple of eight that the length field holds, so that records
 * stay aligned, as §3.3 advises, without padding.
 */
export const contentMost = 0xfff8;

/** FCGI_NULL_REQUEST_ID: the record is about the connection (§3.3, "management records"). */
export const nullId = 0;

/** Record types (§8). */
export const recordType = {
  beginRequest: 1,
  abortRequest: 2,
  endRequest: 3,
  params: 4,
  stdin: 5,
  stdout: 6,
  stderr: 7,
  data: 8,
  getValues: 9,
  getValuesResult: 10,
  unknownType: 11,
} as const;

/** FCGI_MAXTYPE. */
export const typeMost = 11;

/** The one role spoken here (§6.2). Authorizers and filters have found no use in any front-end web server of today. */
export const responder = 1;
/** FCGI_KEEP_CONN, a flag of BEGIN_REQUEST. */
export const keepConnectionFlag = 1;

/** END_REQUEST's protocolStatus (§5.5). */
export const protocolStatus = {
  requestComplete: 0,
  /** The application handles one request at a time on a connection. */
  cannotMultiplex: 1,
  overloaded: 2,
  unknownRole: 3,
} as const;

/** What a peer did wrong, as the error to throw; the two roles differ in its code. */
export type Malformed = (sentence: string) => VivariumError;

/** Whether the header of such a record stands there. */
export function isHeader(
  octets: Buffer,
  at: number,
  type: number,
  id: number,
  content: number,
  padding: number,
): boolean {
  return (
    octets[at] === version &&
    octets[at + 1] === type &&
    octets.readUInt16BE(at + 2) === id &&
    octets.readUInt16BE(at + 4) === content &&
    octets[at + 6] === padding
  );
}

const nothing: Buffer = Buffer.alloc(0);

const PADDING = 0;
const HEADER = 1;
const CONTENT = 2;

/** Reads records, whatever chunks they arrive in. */
export class RecordReader {
  /** The current record. */
  type = 0;
  id = 0;
  /** Content of the current record: a piece of it for a stream, else all. Empty for a record without any. */
  octets: Buffer = nothing;

  readonly #malformed: Malformed;
  readonly #queue: Buffer[] = [];
  #chunk: Buffer = nothing;
  #at = 0;
  #phase = HEADER;
  /** Of the current record: content and padding still to come. */
  #content = 0;
  #padding = 0;
  /** A header or content that arrives in pieces, and how much of it there is. */
  #gathered: Buffer = nothing;
  #filled = 0;

  constructor(malformed: Malformed) {
    this.#malformed = malformed;
  }

  /** Whether it stands between two records. */
  get idle(): boolean {
    return this.#phase === HEADER && this.#filled === 0 && this.#at === this.#chunk.length && this.#queue.length === 0;
  }

  /** Takes octets from the peer. They are read later and must not be changed by whoever gave them. */
  receive(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    const buffer = chunk instanceof Buffer ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if (this.#at === this.#chunk.length && this.#queue.length === 0) {
      this.#chunk = buffer;
      this.#at = 0;
    } else {
      this.#queue.push(buffer);
    }
  }

  /** Reads on: true when `type`, `id` and `octets` tell of something new, false when more octets are needed. */
  next(): boolean {
    for (;;) {
      if (this.#at === this.#chunk.length && !this.#more()) return false;
      const left = this.#chunk.length - this.#at;
      if (this.#phase === CONTENT) {
        if (this.#maybeContent(left)) return true;
      } else if (this.#phase === HEADER) {
        if (this.#maybeHeader(left)) return true;
      } else {
        const skipped = Math.min(left, this.#padding);
        this.#at += skipped;
        this.#padding -= skipped;
        if (this.#padding === 0) this.#phase = HEADER;
      }
    }
  }

  #more(): boolean {
    const buffer = this.#queue.shift();
    // An idle connection holds on to no chunk.
    this.#chunk = buffer ?? nothing;
    this.#at = 0;
    return buffer !== undefined;
  }

  /** True for a record without content, which is all read with its header. */
  #maybeHeader(left: number): boolean {
    let from = this.#chunk;
    let at = this.#at;
    if (this.#filled > 0 || left < headerSize) {
      if (!this.#gather(headerSize)) return false;
      from = this.#gathered;
      at = 0;
      this.#filled = 0;
      this.#gathered = nothing;
    } else {
      this.#at += headerSize;
    }
    const octet = from[at] as number;
    if (octet !== version) {
      throw this.#malformed(`A record begins with version ${octet}: this is not FastCGI 1.0.`);
    }
    this.type = from[at + 1] as number;
    this.id = ((from[at + 2] as number) << 8) | (from[at + 3] as number);
    this.#content = ((from[at + 4] as number) << 8) | (from[at + 5] as number);
    this.#padding = from[at + 6] as number;
    this.octets = nothing;
    if (this.#content > 0) {
      this.#phase = CONTENT;
      return false;
    }
    this.#phase = this.#padding > 0 ? PADDING : HEADER;
    return true;
  }

  #maybeContent(left: number): boolean {
    if (this.#filled === 0 && (left >= this.#content || isStream(this.type))) {
      const size = Math.min(left, this.#content);
      this.octets = this.#chunk.subarray(this.#at, this.#at + size);
      this.#at += size;
      this.#content -= size;
    } else {
      if (!this.#gather(this.#content)) return false;
      this.octets = this.#gathered;
      this.#gathered = nothing;
      this.#filled = 0;
      this.#content = 0;
    }
    if (this.#content === 0) this.#phase = this.#padding > 0 ? PADDING : HEADER;
    return true;
  }

  /** Takes octets over until there are `size`. */
  #gather(size: number): boolean {
    if (this.#filled === 0) this.#gathered = Buffer.allocUnsafe(size);
    const taken = this.#chunk.copy(this.#gathered, this.#filled, this.#at);
    this.#at += taken;
    this.#filled += taken;
    return this.#filled === size;
  }
}

/** Whether records of this type carry a stream: what counts is their content one after another, not where each ends. */
function isStream(type: number): boolean {
  return type >= recordType.params && type <= recordType.data;
}

/** Writes a record's header; the padding is always 0. Returns the position behind it. */
export function writeHeader(to: Buffer, at: number, type: number, id: number, contentLength: number): number {
  to[at] = version;
  to[at + 1] = type;
  to[at + 2] = id >> 8;
  to[at + 3] = id;
  to[at + 4] = contentLength >> 8;
  to[at + 5] = contentLength;
  to[at + 6] = 0;
  to[at + 7] = 0;
  return at + headerSize;
}

/** A content of this size and less is copied between its headers: one buffer costs less than the system's gathering of several. */
const copied = 16384;

/**
 * Octets of a stream as records, between what is to stand `before` and `after` them: one buffer where all is small. What
 * is large is not copied.
 */
export function streamRecords(
  type: number,
  id: number,
  octets: readonly Uint8Array[],
  before: Uint8Array,
  after: Uint8Array,
): Uint8Array | readonly Uint8Array[] {
  let total = 0;
  for (const part of octets) total += part.length;
  if (total <= copied) {
    const record = total === 0 ? 0 : headerSize + total;
    const buffer = Buffer.allocUnsafe(before.length + record + after.length);
    buffer.set(before, 0);
    let at = before.length;
    if (total > 0) {
      at = writeHeader(buffer, at, type, id, total);
      for (const part of octets) {
        buffer.set(part, at);
        at += part.length;
      }
    }
    buffer.set(after, at);
    return buffer;
  }
  const buffers: Uint8Array[] = [];
  if (before.length > 0) buffers.push(before);
  for (const part of octets) {
    for (let at = 0; at < part.length; at += contentMost) {
      const content = part.subarray(at, at + contentMost);
      const header = Buffer.allocUnsafe(headerSize);
      writeHeader(header, 0, type, id, content.length);
      buffers.push(header, content);
    }
  }
  if (after.length > 0) buffers.push(after);
  return buffers;
}
