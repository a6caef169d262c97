// What is known of a pool's reloads: the one under way, and what came of the last one.

/** Who asked: `vivarium reload`, a signal, a file that was touched, or the server itself. */
export type ReloadedBy = string;

export interface ReloadUnderWay {
  /** The generation it makes. */
  readonly generation: number;
  readonly by: ReloadedBy;
  /** When it was asked for; ISO 8601. */
  readonly startedAt: string;
}

/** A reload that ended. */
export interface LastReload extends ReloadUnderWay {
  /** When it ended; ISO 8601. */
  readonly at: string;
  /** Seconds from `startedAt` to `at`. */
  readonly took: number;
  /** `serving`: it took over. `failed`: the one before goes on. `rolled back`: it took over, failed, and the one before is back. */
  readonly outcome: "serving" | "failed" | "rolled back";
  /** Why, in a sentence; "" where it took over. */
  readonly problem: string;
  /** Python's, whole; "" where there is none. */
  readonly traceback: string;
}

/** What came of a reload, for who asked for it. */
export interface ReloadOutcome {
  readonly pool: string;
  /** The one that was made. */
  readonly generation: number;
  /** Why the one before goes on serving; "" where the new one does. */
  readonly problem: string;
  /** May be "". */
  readonly traceback: string;
}

export class Reloads {
  readonly #now: () => number;
  #last: LastReload | undefined;
  #underWay: ReloadUnderWay | undefined;
  /** Whoever asked for the one under way, or for one that was given up for it. */
  #waiting: ((outcome: ReloadOutcome) => void)[] = [];

  /** `now` gives milliseconds since the epoch. */
  constructor(now: () => number) {
    this.#now = now;
  }

  get last(): LastReload | undefined {
    return this.#last;
  }
  get underWay(): ReloadUnderWay | undefined {
    return this.#underWay;
  }

  /** One that was under way is given up for it. */
  began(generation: number, by: ReloadedBy): void {
    this.#underWay = { generation, by, startedAt: new Date(this.#now()).toISOString() };
  }

  ended(generation: number, outcome: LastReload["outcome"], problem: string, traceback: string): void {
    // One that is rolled back had ended before, well.
    const begun = [this.#underWay, this.#last].find((reload) => reload?.generation === generation);
    if (begun === undefined) return;
    const { by, startedAt } = begun;
    const now = this.#now();
    const took = (now - Date.parse(startedAt)) / 1000;
    this.#last = { generation, by, startedAt, at: new Date(now).toISOString(), took, outcome, problem, traceback };
    if (begun === this.#underWay) this.#underWay = undefined;
  }

  /** What comes of the one under way, or of the one it is given up for. */
  outcome(): Promise<ReloadOutcome> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  /** Whoever waits is told. */
  settle(outcome: ReloadOutcome): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const tell of waiting) tell(outcome);
  }
}
