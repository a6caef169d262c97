// What a client of HTTP/2 may have done for nothing: each such thing costs the server far more than the client, and no client in earnest
// does much of it.
import type { Deadlines } from "../net/deadline.js";

/** So many at once; browsers give up a page's requests all together, dozens at a time. */
const most = 400;
/** So many more with each tick: 40 a second. */
const aTick = 10;

export class Patience {
  readonly #deadlines: Deadlines;
  #left = most;
  #at: number;

  constructor(deadlines: Deadlines) {
    this.#deadlines = deadlines;
    this.#at = deadlines.tick;
  }

  /** Takes one. Whether there was one. */
  take(): boolean {
    const { tick } = this.#deadlines;
    this.#left = Math.min(most, this.#left + (tick - this.#at) * aTick);
    this.#at = tick;
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }
}
