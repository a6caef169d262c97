// The octets a peer has sent and its decoder has not consumed. Heads are read from one contiguous stretch; bodies are
// handed on as they came, without copying. So what arrives behind an unfinished stretch is joined to it while it is
// small, with room doubled each time (a head sent octet by octet costs linear work), and queued untouched otherwise.

/** A chunk from here on is queued rather than copied behind what is left over; it is probably a body's. */
const smallChunk = 4096;
/** How far ahead octets are made a string at once: one conversion serves a whole head, and short pipelined ones behind it. */
export const lookahead = 8192;
/**
 * Where there is more, the end of the head is looked for first: a piece of a string keeps the whole of it, and an idle connection that had
 * sent a body of 9 KB was measured at 25 KiB with the body in it and at 10 without.
 */
const shortText = 1024;
const nothing: Buffer = Buffer.alloc(0);

export class Inflow {
  /** The stretch being read: octets from `at` up to `end` are received and not consumed. */
  bytes: Buffer = nothing;
  at = 0;
  end = 0;
  #queue: Buffer[] | undefined;
  #queued = 0;
  /** Whether `bytes` was allocated here, so that what lies behind `end` is free to append to. */
  #owned = false;
  #text = "";
  #textAt = 0;
  #textEnd = 0;

  /** Octets received and not consumed. */
  get pending(): number {
    return this.end - this.at + this.#queued;
  }

  /**
   * Takes the first `length` octets of a chunk; they are read later and must not be changed by whoever gave them, unless `keep` is
   * called before.
   */
  receive(chunk: Uint8Array, length: number = chunk.length): void {
    if (length === 0) return;
    const buffer = chunk instanceof Buffer ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if (this.#queued > 0 || (this.at < this.end && length >= smallChunk)) {
      this.#queue ??= [];
      this.#queue.push(buffer.subarray(0, length));
      this.#queued += length;
    } else this.#take(buffer, length);
  }

  /** Copies what is left of the chunk received last. Called behind each `receive` by those who read into the same memory again. */
  keep(): void {
    if (this.at === this.end) this.#read(nothing, 0);
    else if (!this.#owned) {
      const left = Buffer.from(this.bytes.subarray(this.at, this.end));
      this.#read(left, left.length);
    }
    const last = this.#queue?.pop();
    if (last !== undefined) this.#queue?.push(Buffer.from(last));
  }

  /** Makes the next queued chunk readable, behind what is left. False where there is none. Positions relative to `at` hold. */
  more(): boolean {
    const buffer = this.#queued > 0 ? this.#queue?.shift() : undefined;
    if (buffer === undefined) {
      // an idle connection holds on to no chunk
      if (this.at === this.end) this.#read(nothing, 0);
      return false;
    }
    this.#queued -= buffer.length;
    this.#take(buffer, buffer.length);
    return true;
  }

  /** Makes the octets from `at` a string in advance, where they are not yet. */
  look(): void {
    if (this.at >= this.#textAt && this.at < this.#textEnd) return;
    this.#textAt = this.at;
    this.#textEnd = Math.min(this.end, this.at + lookahead);
    if (this.#textEnd - this.#textAt > shortText) {
      const emptyLine = this.bytes.subarray(this.#textAt, this.#textEnd).indexOf("\r\n\r\n", 0, "latin1");
      if (emptyLine >= 0) this.#textEnd = this.#textAt + emptyLine + 4;
    }
    this.#text = this.bytes.toString("latin1", this.#textAt, this.#textEnd);
  }

  /** Octets from `from` up to `to`, as latin-1. */
  string(from: number, to: number): string {
    if (from >= this.#textAt && to <= this.#textEnd) return this.#text.slice(from - this.#textAt, to - this.#textAt);
    return this.bytes.toString("latin1", from, to);
  }

  /** Whether `text` stands at `from`; may miss it where it lies beyond what `look` saw. */
  shows(text: string, from: number): boolean {
    const to = from + text.length;
    // cut and compared as wholes: `startsWith` takes four times as long
    return (
      from >= this.#textAt && to <= this.#textEnd && this.#text.slice(from - this.#textAt, to - this.#textAt) === text
    );
  }

  /** All that is pending, which is consumed then. */
  release(): Uint8Array {
    const octets = Buffer.concat([this.bytes.subarray(this.at, this.end), ...(this.#queue ?? [])]);
    this.#queue = undefined;
    this.#queued = 0;
    this.#read(nothing, 0);
    return octets;
  }

  #take(buffer: Buffer, length: number): void {
    if (this.at < this.end) this.#append(buffer.subarray(0, length));
    else this.#read(buffer, length);
  }

  #read(buffer: Buffer, length: number): void {
    this.bytes = buffer;
    this.at = 0;
    this.end = length;
    this.#owned = false;
    this.#textEnd = 0;
    this.#text = "";
  }

  #append(buffer: Buffer): void {
    const length = this.end - this.at;
    if (!this.#owned || this.bytes.length - this.end < buffer.length) {
      const room = Buffer.allocUnsafe(2 * (length + buffer.length));
      room.set(this.bytes.subarray(this.at, this.end));
      this.bytes = room;
      this.at = 0;
      this.end = length;
      this.#owned = true;
      this.#textEnd = 0;
    }
    this.bytes.set(buffer, this.end);
    this.end += buffer.length;
  }
}
