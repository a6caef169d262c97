// What fronts tell of workers of which their spawner has not told yet. A spawner and a front are two processes, and what they say is
// heard in no order: of a worker that was just forked, a busy machine may hear first that it has served its time. It is kept until it
// can be understood; forgotten, the worker would count as one that never served, and not be replaced.

interface Told {
  readonly pid: number;
  readonly act: () => void;
}

export class EarlyNews {
  /** By the workers' numbers, in the order in which they were told. */
  readonly #told = new Map<number, readonly Told[]>();

  /** To be acted on when the worker is known. */
  keep(worker: number, pid: number, act: () => void): void {
    this.#told.set(worker, [...(this.#told.get(worker) ?? []), { pid, act }]);
  }

  /** The worker is known now. What was told of others with its number is of use only where `more` are to come. */
  play(worker: number, pid: number, more: boolean): void {
    const told = this.#told.get(worker) ?? [];
    this.#told.delete(worker);
    const others = told.filter((each) => each.pid !== pid);
    if (more && others.length > 0) this.#told.set(worker, others);
    for (const each of told) if (each.pid === pid) each.act();
  }

  /** The front that told is gone: the next will tell what is true then. */
  forget(): void {
    this.#told.clear();
  }
}
