// Whether a new generation proves itself in its first seconds. Decides without I/O: what happened goes in, a reason to go back
// to the one before comes out.

/** What was answered. */
export interface Tally {
  readonly answers: number;
  /** Of these, with a status from 500. */
  readonly errors: number;
}

export const noTally: Tally = { answers: 0, errors: 0 };

/** Workers of the new generation that may die before it is taken for bad; more where there are more workers. */
const deathsLeast = 3;
/** Errors that may happen whatever the rate: one broken page is no broken deploy. */
const errorsLeast = 10;
/** The share of errors that is bad, whatever it was before. */
const rateLeast = 0.1;
/** How many times the old generation's share is well above it. */
const rateTimes = 3;

export class Probation {
  readonly #deathsMost: number;
  #deaths = 0;

  constructor(workers: number) {
    this.#deathsMost = Math.max(deathsLeast, workers);
  }

  /** A worker died that had been ready. Why the generation is bad, or "". */
  died(): string {
    this.#deaths += 1;
    return this.#deaths < this.#deathsMost ? "" : `${this.#deaths} of its workers died`;
  }

  /** What it has answered so far, and what the one before it had. Why it is bad, or "". */
  look(now: Tally, before: Tally): string {
    if (now.errors < errorsLeast) return "";
    const rate = share(now);
    const usual = share(before);
    if (rate <= Math.max(rateLeast, rateTimes * usual)) return "";
    return `${percent(rate)} of its responses were errors of the server (5xx), before it ${percent(usual)}`;
  }
}

function share({ answers, errors }: Tally): number {
  return answers === 0 ? 0 : errors / answers;
}

function percent(rate: number): string {
  return `${Math.round(rate * 100)} %`;
}
