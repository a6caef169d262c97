// How many requests a worker with an event loop gets at once: as many as it may have, for each waits by itself. There is nothing to
// be found out, and nothing to be written ahead: what it is given it begins.
import type { Pacing } from "./pace.js";

/** A moving average's weight for the newest request. */
const weight = 1 / 32;

export class Concurrency implements Pacing {
  readonly most: number;
  readonly limit: number;
  readonly threads: number;
  readonly ahead = 0;
  readonly slow = true;
  readonly patience: number = Number.POSITIVE_INFINITY;
  /** What a request of many on one thread computes nobody knows. */
  readonly cpu = 0;
  #wall = 0;
  #samples = 0;

  constructor(most: number) {
    this.most = most;
    this.limit = most;
    this.threads = most;
  }

  get wall(): number {
    return this.#wall;
  }

  ended(wall: number): void {
    this.#samples += 1;
    this.#wall += (wall - this.#wall) * Math.max(weight, 1 / this.#samples);
  }

  busy(): void {}
  demand(): void {}
  decide(): void {}
}
