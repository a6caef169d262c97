// What a worker was given and has not answered, in the order given: a list whose links are in the requests themselves.
//
// No Set: one that is filled and emptied all the time gets a new table every few entries, and V8 has each table refer to the next and keep
// the entries it had then. One such table in the old generation, and all that comes after it lives until the next full collection. For
// the same reason who is taken out refers to nobody any more.

/** These belong to the list that it is in. */
export interface Givable<R> {
  givenIn: object | undefined;
  before: R | undefined;
  behind: R | undefined;
}

export class Given<R extends Givable<R>> {
  #first: R | undefined;
  #last: R | undefined;

  has(request: R): boolean {
    return request.givenIn === this;
  }

  /** The one that was given first. */
  get first(): R | undefined {
    return this.#first;
  }

  add(request: R): void {
    request.givenIn = this;
    request.before = this.#last;
    if (this.#last === undefined) this.#first = request;
    else this.#last.behind = request;
    this.#last = request;
  }

  /** False where it is not here. */
  delete(request: R): boolean {
    if (request.givenIn !== this) return false;
    const { before, behind } = request;
    if (before === undefined) this.#first = behind;
    else before.behind = behind;
    if (behind === undefined) this.#last = before;
    else behind.before = before;
    request.givenIn = undefined;
    request.before = undefined;
    request.behind = undefined;
    return true;
  }

  clear(): void {
    for (const request of this) this.delete(request);
  }

  /** The one at hand may be taken out meanwhile. */
  *[Symbol.iterator](): Generator<R, void> {
    for (let request = this.#first; request !== undefined; ) {
      const { behind } = request;
      yield request;
      request = behind;
    }
  }
}
