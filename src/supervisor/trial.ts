// Looks at a generation while it is on probation; probation.ts decides.
import type { PoolConfig } from "../config/config.js";
import type { Machine } from "./machine.js";
import { Probation, type Tally } from "./probation.js";

export interface TrialOwner {
  /** What the generation on probation has answered so far, and what the one before it had. */
  tallies(): Promise<readonly [now: Tally, before: Tally]>;
  /** It is bad: why. Nothing is told after that. */
  bad(why: string): void;
  /** It has proved itself. Nothing is told after that. */
  passed(): void;
}

/** Milliseconds between two looks. */
const lookEvery = 500;

export class Trial {
  readonly #probation: Probation;
  readonly #ends: number;
  readonly #machine: Machine;
  readonly #owner: TrialOwner;
  #over = false;
  #cancel: () => void;

  /** Begins now. */
  constructor({ probation, workers }: PoolConfig, machine: Machine, owner: TrialOwner) {
    this.#probation = new Probation(workers);
    this.#ends = machine.now() + probation * 1000;
    this.#machine = machine;
    this.#owner = owner;
    this.#cancel = machine.later(lookEvery, () => void this.#look());
  }

  /** A worker died that had been ready. */
  died(): void {
    this.#heed(this.#probation.died());
  }

  /** It does not matter any more how it goes. */
  end(): void {
    this.#over = true;
    this.#cancel();
  }

  async #look(): Promise<void> {
    const [now, before] = await this.#owner.tallies();
    if (this.#over) return;
    this.#heed(this.#probation.look(now, before));
    if (this.#over) return;
    if (this.#machine.now() < this.#ends) this.#cancel = this.#machine.later(lookEvery, () => void this.#look());
    else {
      this.end();
      this.#owner.passed();
    }
  }

  #heed(why: string): void {
    if (why === "") return;
    this.end();
    this.#owner.bad(why);
  }
}
