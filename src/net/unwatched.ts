// Connections that mostly have sent all when they are accepted, and are closed when they are answered: to have the kernel watch them
// costs more than to read them once. Those that are still open after a while are watched then.

export interface Unwatched {
  /** Where it is here: of `unwatched` alone. -1: nowhere. */
  place: number;
  /** To read what is there. */
  look(): void;
  /** It has been here for a while. */
  watchAfterAll(): void;
}

/** Milliseconds until a connection is watched: at least, and at most twice as many. */
const after = 15;

class List {
  readonly #members: Unwatched[] = [];
  /** Of each, in which round it came. */
  readonly #rounds: number[] = [];
  #round = 0;
  #looking: Unwatched[] = [];
  #timer: NodeJS.Timeout | undefined;

  /** It is looked at when all that are accepted in this turn of the event loop are here. */
  add(member: Unwatched): void {
    member.place = this.#members.push(member) - 1;
    this.#rounds.push(this.#round);
    if (this.#looking.push(member) === 1) queueMicrotask(() => this.#look());
    this.#timer ??= setInterval(() => this.#watch(), after).unref();
  }

  remove(member: Unwatched): void {
    const { place } = member;
    member.place = -1;
    const last = this.#members.pop();
    const round = this.#rounds.pop() ?? 0;
    if (last === undefined || last === member) return;
    last.place = place;
    this.#members[place] = last;
    this.#rounds[place] = round;
  }

  #look(): void {
    const members = this.#looking;
    this.#looking = [];
    for (const member of members) member.look();
  }

  #watch(): void {
    const before = this.#round;
    this.#round += 1;
    for (const member of this.#members.filter((_, place) => (this.#rounds[place] ?? 0) < before))
      member.watchAfterAll();
    if (this.#members.length > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

export const unwatched: List = new List();
