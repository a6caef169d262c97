import { outflow } from "./client-socket.js";

/** Octets of a response that may always be kept. */
export const littleResponse = 65536;

/** How much of a response may be kept in memory for a client that reads slowly, before its source must wait. */
export class ResponseMemory {
  readonly #most: number;
  readonly #total: number;

  /** Of one response; of all that this process has. */
  constructor(most: number, total: number) {
    this.#most = most;
    this.#total = total;
  }

  /** All together have more than they should: those that begin now get little. */
  get scarce(): boolean {
    return outflow.unsent > this.#total;
  }

  /** Octets, at this moment. */
  get most(): number {
    return this.scarce ? Math.min(this.#most, littleResponse) : this.#most;
  }
}
