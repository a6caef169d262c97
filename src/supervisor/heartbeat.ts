// Finds out whether another process is stuck: asks it again and again for a sign of life. What counts is how often in a row the
// answer was missing when it was looked for, not what a clock says: a system that was suspended, or so busy that this process
// got no turn either, has then been looked at once.
import { later } from "../net/deadline.js";

export interface HeartbeatOwner {
  /** `answered` is to be called when the process answers. */
  ask(): void;
  /** It has not answered for so long. Told once. */
  stuck(): void;
}

/** Looks before the process counts as stuck. */
const looks = 10;

export class Heartbeat {
  readonly #period: number;
  readonly #owner: HeartbeatOwner;
  #waiting = false;
  #missed = 0;
  #cancel: () => void;

  /** From now on until `stop`; with 0 seconds not at all. */
  constructor(seconds: number, owner: HeartbeatOwner) {
    this.#period = (seconds * 1000) / looks;
    this.#owner = owner;
    this.#cancel = seconds > 0 ? later(this.#period, () => this.#look()) : () => {};
  }

  answered(): void {
    this.#waiting = false;
  }

  stop(): void {
    this.#cancel();
  }

  #look(): void {
    this.#missed = this.#waiting ? this.#missed + 1 : 0;
    if (this.#missed === looks) {
      this.#owner.stuck();
      return;
    }
    // One question at a time: a process that is stopped reads none.
    if (!this.#waiting) {
      this.#waiting = true;
      this.#owner.ask();
    }
    this.#cancel = later(this.#period, () => this.#look());
  }
}
