// The body of a message going out, either role (RFC 9112 §6, §7). Whatever the other side of the house gives, what goes
// out is as long as its framing says: the message behind it can never be taken for a part of it, nor the other way round.

/** How the end of the body will be known. "none": there is no body, whatever is given; "close": the connection ends. */
export type BodyFraming = "none" | "length" | "chunked" | "close";

/** A body up to this is copied behind its head. A larger one has its place there in memory that need not be made (net/system-stream.ts). */
const copied = 4096;
/** The same for a part between what frames it, which would be three. */
const partCopied = 16384;
const empty: Buffer = Buffer.alloc(0);
const nothing: readonly Uint8Array[] = [];
const lineEnd: Buffer = Buffer.from("\r\n", "latin1");
const lastChunkSize: Buffer = Buffer.from("0\r\n", "latin1");
const lastChunk: Buffer = Buffer.from("0\r\n\r\n", "latin1");
const closingChunk: Buffer = Buffer.from("\r\n0\r\n\r\n", "latin1");

export class BodyEncoder {
  readonly #copied: number;
  #framing: BodyFraming = "none";
  #contentLength = 0;
  #octets = 0;
  #dropped = 0;
  #complete = false;
  #short = false;

  /** `most`: the octets of a body that are copied behind its head. */
  constructor(most: number = copied) {
    this.#copied = most;
  }

  /** `contentLength` matters where the framing is "length". */
  begin(framing: BodyFraming, contentLength: number): void {
    this.#framing = framing;
    this.#contentLength = contentLength;
    this.#octets = 0;
    this.#dropped = 0;
    this.#complete = false;
    this.#short = false;
  }

  /** Octets of the body encoded so far, without framing. */
  get octets(): number {
    return this.#octets;
  }

  /** Whether the last octets were given. */
  get complete(): boolean {
    return this.#complete;
  }

  /** Whether the body ended before its Content-Length. */
  get short(): boolean {
    return this.#short;
  }

  /** Octets given beyond the Content-Length, and dropped. */
  get dropped(): number {
    return this.#dropped;
  }

  /**
   * The head's three parts (`before` ends in the empty line) and the first octets of the body, in one buffer where the
   * body is small. A larger one is not copied: then it follows as a buffer of its own.
   */
  head(
    first: Uint8Array,
    fields: Uint8Array,
    before: string,
    body: Uint8Array | undefined,
    last: boolean,
  ): Uint8Array | readonly Uint8Array[] {
    const admitted = body === undefined ? this.#admit(empty, last) : this.#admit(body, last);
    let text = before;
    let after = empty;
    if (this.#framing === "chunked") {
      if (admitted.length > 0) {
        text += `${admitted.length.toString(16)}\r\n`;
        after = last ? closingChunk : lineEnd;
      } else if (last) after = lastChunk;
    }
    const headLength = first.length + fields.length + text.length;
    const together = admitted.length <= this.#copied;
    if (!together && fields.length === 0 && text === "") {
      return after.length === 0 ? [first, admitted] : [first, admitted, after];
    }
    const octets = Buffer.allocUnsafe(headLength + (together ? admitted.length + after.length : 0));
    octets.set(first, 0);
    if (fields.length > 0) octets.set(fields, first.length);
    if (text !== "") octets.write(text, first.length + fields.length, "latin1");
    if (!together) return after.length === 0 ? [octets, admitted] : [octets, admitted, after];
    if (admitted.length > 0) octets.set(admitted, headLength);
    if (after.length > 0) octets.set(after, headLength + admitted.length);
    return octets;
  }

  /** Further octets of the body; may be empty. Nothing after the body was complete. */
  data(octets: Uint8Array, last: boolean): readonly Uint8Array[] {
    if (this.#complete) return nothing;
    const admitted = this.#admit(octets, last);
    if (this.#framing !== "chunked") return admitted.length === 0 ? nothing : [admitted];
    // an empty chunk would be the last one (RFC 9112 §7.1)
    if (admitted.length === 0) return last ? [lastChunk] : nothing;
    const size = `${admitted.length.toString(16)}\r\n`;
    const closing = last ? closingChunk : lineEnd;
    if (admitted.length > partCopied) return [Buffer.from(size, "latin1"), admitted, closing];
    const chunk = Buffer.allocUnsafe(size.length + admitted.length + closing.length);
    chunk.write(size, 0, "latin1");
    chunk.set(admitted, size.length);
    chunk.set(closing, size.length + admitted.length);
    return [chunk];
  }

  /** The end of the body; `trailers` are field lines (RFC 9112 §7.1.2). */
  end(trailers: Uint8Array): readonly Uint8Array[] {
    if (this.#framing !== "chunked" || this.#complete) return this.data(empty, true);
    this.#admit(empty, true);
    return [lastChunkSize, trailers, lineEnd];
  }

  /** What of the octets given belongs to the message; keeps the accounts. */
  #admit(octets: Uint8Array, last: boolean): Uint8Array {
    let admitted = octets;
    if (this.#framing === "none") admitted = empty;
    else if (this.#framing === "length") {
      const room = this.#contentLength - this.#octets;
      if (octets.length > room) {
        // beyond the announced length they would be read as the next message
        this.#dropped += octets.length - room;
        admitted = octets.subarray(0, room);
      } else if (last && octets.length < room) this.#short = true;
    }
    this.#octets += admitted.length;
    if (last) this.#complete = true;
    return admitted;
  }
}
