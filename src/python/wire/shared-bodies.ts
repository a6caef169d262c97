// Bodies that a front and a worker give each other in memory that both have. Through a socket a body would be copied twice, into
// memory that the kernel has to find for it first. Here who sends puts it there, says in the frame where, and who receives takes it out
// at once. There is no ring, and nothing is given back: where all was taken, the next begins at the beginning, and that is so
// nearly always; where there is no room meanwhile, bodies go with their frames.

/** What is smaller goes with its frame, octets: of 4 KiB both ways cost the same. */
export const sharedLeast = 8192;

/** Octets of each side's bodies. */
const sideSize = 2 ** 21;
/** Before them, two counts of 32 bits: of bodies that the worker has taken, and of those that the front has. */
const sidesAt = 4096;
const takenByFrontAt = 16;
/** Bodies begin at multiples of it: a line of a processor's cache. */
const aligned = 64;

/** Of the whole, octets; zero to begin with. The worker's bodies are behind the front's. */
export const sharedSize: number = sidesAt + 2 * sideSize;

/** Larger bodies need memory of their own that is asked for so; smaller ones lie one behind the other. */
const slabSize = 128 * 1024;

/** What the codecs need of it. */
export interface Bodies {
  /** Where the body stands; 0 where there is no room for it. */
  put(body: Uint8Array): number;
  /** The octets are the caller's. Each body is to be taken once. */
  take(at: number, length: number): Buffer;
}

/** The front's end. */
export class SharedBodies implements Bodies {
  readonly #octets: Buffer;
  readonly #counts: Int32Array;
  /** Bodies that were put, and those that were taken; both begin anew after 2³² − 1. */
  #put = 0;
  #taken = 0;
  /** Where the next is put. */
  #next = sidesAt;
  #slab = Buffer.alloc(0);
  #used = 0;

  /** Of `sharedSize` octets. */
  constructor(memory: Uint8Array) {
    this.#octets = Buffer.from(memory.buffer, memory.byteOffset, memory.length);
    this.#counts = new Int32Array(memory.buffer, memory.byteOffset, sidesAt / 4);
  }

  put(body: Uint8Array): number {
    if (Atomics.load(this.#counts, 0) === this.#put) this.#next = sidesAt;
    const at = this.#next;
    const end = at + body.length;
    if (end > sidesAt + sideSize) return 0;
    this.#octets.set(body, at);
    this.#next = Math.ceil(end / aligned) * aligned;
    this.#put = (this.#put + 1) | 0;
    return at;
  }

  take(at: number, length: number): Buffer {
    const body = this.#room(length);
    this.#octets.copy(body, 0, at, at + length);
    this.#taken = (this.#taken + 1) | 0;
    Atomics.store(this.#counts, takenByFrontAt, this.#taken);
    return body;
  }

  #room(length: number): Buffer {
    if (length > slabSize / 2) return Buffer.allocUnsafeSlow(length);
    if (this.#slab.length - this.#used < length) {
      this.#slab = Buffer.allocUnsafeSlow(slabSize);
      this.#used = 0;
    }
    const at = this.#used;
    this.#used += length;
    return this.#slab.subarray(at, this.#used);
  }
}
