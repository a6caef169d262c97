// What a worker notes of itself in a file that this process reads, too (src/python/wire/README.md), so that it can be learnt
// when the worker does not answer any more.
import { closeSync, openSync, readSync } from "node:fs";

export interface Noted {
  /** The id of the request it has begun last; infinite where that cannot be told, so that all count as begun. */
  readonly begun: number;
  /** Counts up while it executes requests and is well. */
  readonly beat: number;
  /** For how long its event loop has been blocked at this moment, and the longest that it was, ms; from a second up, else 0. */
  readonly blocked: number;
  readonly blockedMost: number;
}

/** Of a worker that nothing is known of. */
export const nothingNoted: Noted = { begun: Number.POSITIVE_INFINITY, beat: 0, blocked: 0, blockedMost: 0 };
const octets: Buffer = Buffer.alloc(16);

export class Scoreboard {
  /** -1 where it could not be opened, or was closed. */
  #descriptor: number;

  constructor(path: string) {
    try {
      this.#descriptor = openSync(path, "r");
    } catch {
      this.#descriptor = -1;
    }
  }

  read(): Noted {
    if (this.#descriptor < 0 || readSync(this.#descriptor, octets, 0, octets.length, 0) < octets.length)
      return nothingNoted;
    return {
      begun: octets.readUInt32LE(0),
      beat: octets.readUInt32LE(4),
      blocked: octets.readUInt32LE(8),
      blockedMost: octets.readUInt32LE(12),
    };
  }

  close(): void {
    if (this.#descriptor >= 0) closeSync(this.#descriptor);
    this.#descriptor = -1;
  }
}

/** Whether a worker that has begun `begun` last has begun the request with this id: ids are 32 bits, and begin again. */
export function hasBegun(id: number, begun: number): boolean {
  // The distance on the circle; with an infinite `begun` it is 0.
  return ((id - begun) | 0) <= 0;
}
