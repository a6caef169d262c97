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

/** Differs where octets differ, mostly; four at a time. */
function fingerprint(octets: Buffer): number {
  const { length } = octets;
  const view = new DataView(octets.buffer, octets.byteOffset, length);
  let print = length;
  let at = 0;
  for (; at + 4 <= length; at += 4) print = Math.imul(print ^ view.getInt32(at, true), 0x01000193) ^ (print >>> 15);
  for (; at < length; at += 1) print = Math.imul(print ^ (octets[at] as number), 0x01000193);
  return print ^ (print >>> 13);
}
