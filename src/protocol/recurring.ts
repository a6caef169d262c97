// What describes a request is the same, octet for octet, when a client asks again, and the web server in front sends it over
// whichever connection is free. What it means is remembered by those octets.

/** How many `Recurring` can know. A power of two. */
const slots = 1024;
/** Octets that are worth remembering at most. */
const recurringMost = 2048;

/** What is known of octets. */
interface Known<T> {
  readonly octets: Buffer;
  readonly meaning: T;
}

/**
 * Octets that were seen once leave four octets here, so that requests that never come again cost next to nothing; what comes a second
 * time is kept with what was made of it.
 */
export class Recurring<T> {
  readonly #seen = new Int32Array(slots);
  readonly #known = new Array<Known<T> | undefined>(slots).fill(undefined);

  /** What these octets mean: `read` says so, unless it has. It must not depend on anything else. What it throws is not remembered. */
  meaning(octets: Buffer, read: (octets: Buffer) => T): T {
    if (octets.length > recurringMost) return read(octets);
    const print = fingerprint(octets);
    // Two at once in each place, the newer first: else one pair of clients would in most cases forget each other's for ever.
    const first = print & (slots - 2);
    const second = first + 1;
    const known = this.#at(first, octets) ?? this.#at(second, octets);
    if (known !== undefined) return known.meaning;
    const meaning = read(octets);
    if (this.#seen[first] === print || this.#seen[second] === print) {
      this.#known[second] = this.#known[first];
      // A copy: the octets lie in a chunk of the socket's, which may be much larger.
      this.#known[first] = { octets: Buffer.from(octets), meaning };
    } else {
      this.#seen[second] = this.#seen[first] as number;
      this.#seen[first] = print;
    }
    return meaning;
  }

  #at(slot: number, octets: Buffer): Known<T> | undefined {
    const known = this.#known[slot];
    return known?.octets.equals(octets) === true ? known : undefined;
  }
}

/** Of what was looked at last: most octets come in the same memory. */
let view: DataView = new DataView(new ArrayBuffer(0));

const prime = 0x01000193;

/** Differs where octets differ, mostly. Four prints of four octets each in turn: none waits for another's multiplication. */
function fingerprint(octets: Buffer): number {
  const { buffer, byteOffset, length } = octets;
  if (view.buffer !== buffer) view = new DataView(buffer);
  const end = byteOffset + length;
  let [first, second, third, fourth] = [length, 0, 0, 0];
  let at = byteOffset;
  for (; at + 16 <= end; at += 16) {
    first = Math.imul(first ^ view.getInt32(at, true), prime) ^ (first >>> 15);
    second = Math.imul(second ^ view.getInt32(at + 4, true), prime) ^ (second >>> 15);
    third = Math.imul(third ^ view.getInt32(at + 8, true), prime) ^ (third >>> 15);
    fourth = Math.imul(fourth ^ view.getInt32(at + 12, true), prime) ^ (fourth >>> 15);
  }
  for (; at < end; at += 1) first = Math.imul(first ^ view.getUint8(at), prime);
  return mixed(mixed(mixed(mixed(first) ^ second) ^ third) ^ fourth);
}

/** Each bit has its part in each (MurmurHash3's finalizer). */
function mixed(print: number): number {
  const once = Math.imul(print ^ (print >>> 16), 0x85ebca6b);
  const twice = Math.imul(once ^ (once >>> 13), 0xc2b2ae35);
  return twice ^ (twice >>> 16);
}
