// Processes that ended and had to be made anew: how many for which reason, and the last of them.

/** Why another worker took the place of one; docs/status.md says what each is. */
export const workerCauses = [
  "died",
  "boot",
  "hang",
  "timeout",
  "requests",
  "age",
  "memory",
  "memoryHard",
  "spawner",
  "front",
  "rollback",
] as const;
export type WorkerCause = (typeof workerCauses)[number];

/** Why another front took the place of one. */
export const frontCauses = ["died", "boot", "hang"] as const;
export type FrontCause = (typeof frontCauses)[number];

export interface LastRestart<Cause extends string> {
  /** ISO 8601. */
  readonly at: string;
  readonly cause: Cause;
  /** The number of the worker or front; 0 where it was something else: a spawner, a whole generation. */
  readonly id: number;
  /** 0 where there was no process, or more than one. */
  readonly pid: number;
  /** What happened, as words that follow "it": `was killed by SIGKILL`. */
  readonly why: string;
}

export interface RestartsStatus<Cause extends string> {
  readonly total: number;
  readonly causes: Readonly<Record<Cause, number>>;
  /** Null where there was none. */
  readonly last: LastRestart<Cause> | null;
}

export class Restarts<Cause extends string> {
  readonly #now: () => number;
  readonly #counts: Map<Cause, number>;
  /** By process id: of those that are to be replaced, and are not gone yet. */
  readonly #expected = new Map<number, Cause>();
  #last: LastRestart<Cause> | null = null;

  /** `now` gives milliseconds since the epoch. */
  constructor(causes: readonly Cause[], now: () => number) {
    this.#now = now;
    this.#counts = new Map(causes.map((cause) => [cause, 0]));
  }

  get status(): RestartsStatus<Cause> {
    const total = [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
    return { total, causes: Object.fromEntries(this.#counts) as Record<Cause, number>, last: this.#last };
  }

  /** This process will end, and why. What was found first is the reason; what follows from it is not. */
  expect(pid: number, cause: Cause): void {
    if (!this.#expected.has(pid)) this.#expected.set(pid, cause);
  }

  /** Why this process is to be replaced; undefined where it is not. */
  expected(pid: number): Cause | undefined {
    return this.#expected.get(pid);
  }

  /** As `expected`, for one that is gone: its process id may be another's soon. */
  gone(pid: number): Cause | undefined {
    const cause = this.#expected.get(pid);
    this.#expected.delete(pid);
    return cause;
  }

  /** One more is replaced. */
  add(cause: Cause, id: number, pid: number, why: string): void {
    this.#counts.set(cause, (this.#counts.get(cause) ?? 0) + 1);
    this.#last = { at: new Date(this.#now()).toISOString(), cause, id, pid, why };
  }
}
