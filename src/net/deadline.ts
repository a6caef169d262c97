// Time for connections. A connection has at most one deadline at a time (the end of a head, of idleness, of a stall), sets
// a new one several times per request and almost never sees it pass. So setting one must cost nothing: it is one integer
// stored in the connection itself, and one coarse interval for the whole process looks at all of them. Looking at 10,000
// connections twice a second costs less than one timer armed and disarmed per request.
import { type Place, Sequence } from "../sequence.js";

/** Something with one deadline. */
export interface Timed {
  /** The tick after which `expire` is called; 0 for none. Set it with `Deadlines.tick + ticks`. */
  deadline: number;
  /** Belongs to the `Deadlines` that watch it. */
  watched?: Place<Timed> | undefined;
  /** The deadline passed; it is already 0 again. */
  expire(): void;
}

/** Milliseconds between two looks at the clock. */
const period = 250;

/** How many ticks make at least this many seconds, whatever part of the current tick is already over. */
export function ticks(seconds: number): number {
  return Math.ceil((seconds * 1000) / period) + 1;
}

export class Deadlines {
  /** Counts up while anything is watched. */
  tick = 1;
  readonly #clock: boolean;
  readonly #watched = new Sequence<Timed>();
  #interval: NodeJS.Timeout | undefined;

  /** Without a `clock` time passes only by `advance`, as tests want it. */
  constructor(clock = true) {
    this.#clock = clock;
  }

  /** Looks after `timed` until `unwatch`. */
  watch(timed: Timed): void {
    if (this.#watched.has(timed.watched)) return;
    timed.watched = this.#watched.add(timed);
    // Not while nothing is watched: an idle server wakes for nothing. Never keeps the process alive.
    if (this.#clock) this.#interval ??= setInterval(() => this.advance(), period).unref();
  }

  unwatch(timed: Timed): void {
    if (this.#watched.remove(timed.watched)) timed.watched = undefined;
    if (this.#watched.size === 0) this.#stop();
  }

  #stop(): void {
    clearInterval(this.#interval);
    this.#interval = undefined;
  }

  /** Lets `count` ticks pass. Called by the interval, or by tests in place of waiting. */
  advance(count = 1): void {
    this.tick += count;
    for (const timed of this.#watched) {
      if (timed.deadline !== 0 && timed.deadline <= this.tick) {
        timed.deadline = 0;
        timed.expire();
      }
    }
  }
}

/**
 * Calls `action` once after at least `milliseconds`; keeps the process alive for it only when it `holds`. Returns what
 * cancels it.
 */
export function later(milliseconds: number, action: () => void, holds = false): () => void {
  const timeout = setTimeout(action, milliseconds);
  if (!holds) timeout.unref();
  return () => clearTimeout(timeout);
}
