// Members that come and go all the time, in the order they came.
//
// No Set: one that is filled and emptied all the time gets a new table every few entries, and V8 has each table refer to the next and keep
// the entries it had then. One such table in the old generation, and all that comes after it lives until the next full collection:
// two fifths of what was made for requests, and of connections that carry one request nearly all. For the same reason a place that is
// given up refers to no other.

/** A member's, for as long as it is one. */
export class Place<T> {
  readonly member: T;
  /** These are the sequence's. */
  sequence: Sequence<T> | undefined;
  before: Place<T> | undefined = undefined;
  behind: Place<T> | undefined = undefined;

  constructor(member: T, sequence: Sequence<T>) {
    this.member = member;
    this.sequence = sequence;
  }
}

export class Sequence<T> implements Iterable<T> {
  #first: Place<T> | undefined;
  #last: Place<T> | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Of the one that came first. */
  get first(): Place<T> | undefined {
    return this.#first;
  }

  add(member: T): Place<T> {
    const place = new Place(member, this);
    const last = this.#last;
    place.before = last;
    if (last === undefined) this.#first = place;
    else last.behind = place;
    this.#last = place;
    this.#size += 1;
    return place;
  }

  has(place: Place<T> | undefined): boolean {
    return place?.sequence === this;
  }

  /** False where it is not here any more. */
  remove(place: Place<T> | undefined): boolean {
    if (place?.sequence !== this) return false;
    const { before, behind } = place;
    if (before === undefined) this.#first = behind;
    else before.behind = behind;
    if (behind === undefined) this.#last = before;
    else behind.before = before;
    place.sequence = undefined;
    place.before = undefined;
    place.behind = undefined;
    this.#size -= 1;
    return true;
  }

  /** Those that are here at the beginning, each where it is still here at its turn. */
  *[Symbol.iterator](): Generator<T, void> {
    const places: Place<T>[] = [];
    for (let place = this.#first; place !== undefined; place = place.behind) places.push(place);
    for (const place of places) if (place.sequence === this) yield place.member;
  }
}
