// How fast a queue has moved of late, so that who is refused can be told when to come again (Retry-After, RFC 9110 §10.2.3).

/** Seconds that anybody is told, at least and at most: a client that comes at once helps nobody, one that stays away no one. */
const least = 1;
const most = 30;
/** Milliseconds after which what was seen before says nothing. */
const forgetAfter = 5000;
/** A moving average's weight for the newest look. */
const weight = 1 / 4;

export class DrainRate {
  /** Requests a millisecond; undefined while unknown. */
  #rate: number | undefined;
  #at = Number.NEGATIVE_INFINITY;
  #answered = 0;

  /** Looks at how many requests were answered in all, up to `now`. To be called now and then while requests wait. */
  look(answered: number, now: number): void {
    const passed = now - this.#at;
    if (passed > forgetAfter) this.#rate = undefined;
    else if (passed > 0) {
      const rate = (answered - this.#answered) / passed;
      this.#rate = this.#rate === undefined ? rate : this.#rate + (rate - this.#rate) * weight;
    }
    this.#at = now;
    this.#answered = answered;
  }

  /** Whole seconds until a queue of this length is empty, as far as one can tell. */
  secondsFor(length: number): number {
    if (this.#rate === undefined) return least;
    return Math.max(least, Math.min(most, Math.ceil(Math.max(length, 1) / (this.#rate * 1000))));
  }
}
