// Finds out whether another process is stuck: asks it again and again for a sign of life. What counts is how often in a row the
// answer was missing when it was looked for, not what a clock says: a system that was suspended, or so busy that this process
// got no turn either, has then been looked at once.
import { later } from "./deadline.js";

export interface HeartbeatOwner {
  /** `answered` is to be called when the process answers. */
  ask(): void;
  /** It has not answered for so long. Told again each time it has not for as long. */
  stuck(): void;
}

/** Looks before the process counts as stuck. */
const looks = 10;

export class Heartbeat {
  readonly #period: number;
  readonly #owner: HeartbeatOwner;
  #waiting = false;
  #missed = 0;
  #stuck = false;
  #cancel: () => void;

  /** From now on until `stop`; with 0 seconds not at all. */
  constructor(seconds: number, owner: HeartbeatOwner) {
    this.#period = (seconds * 1000) / looks;
    this.#owner = owner;
    this.#cancel = seconds > 0 ? later(this.#period, () => this.#look()) : () => {};
  }

  /** Whether it has been told stuck, and has not answered since. */
  get stuck(): boolean {
    return this.#stuck;
  }

  answered(): void {
    this.#waiting = false;
    this.#stuck = false;
  }

  stop(): void {
    this.#cancel();
  }

  #look(): void {
    this.#missed = this.#waiting ? this.#missed + 1 : 0;
    // One question at a time: a process that is stopped reads none.
    if (!this.#waiting) {
      this.#waiting = true;
      this.#owner.ask();
    }
    this.#cancel = later(this.#period, () => this.#look());
    if (this.#missed < looks) return;
    this.#missed = 0;
    this.#stuck = true;
    this.#owner.stuck();
  }
}
