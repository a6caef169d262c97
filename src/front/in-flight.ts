// What a worker was given and has not ended, by its id: ids count up, most are over soon, and some stay for hours.
//
// No Map: one that is filled and emptied all the time gets a new table every few entries, and V8 has each table refer to the next and keep
// the entries it had then. One such table in the old generation, and all that comes after it lives until the next full collection: two
// fifths of all objects of requests were measured to survive so, where now none do.

/** So many ids are looked for in a ring; who is still there when its place is needed is one of those that stay. */
const ringSize = 1024;

export class InFlight<T extends { readonly id: number }> {
  readonly #ring: (T | undefined)[] = new Array<T | undefined>(ringSize).fill(undefined);
  readonly #staying = new Map<number, T>();

  get(id: number): T | undefined {
    const entry = this.#ring[id % ringSize];
    return entry?.id === id ? entry : this.#staying.get(id);
  }

  /** `entry.id` must not change while it is here, nor be that of another. */
  add(entry: T): void {
    const place = entry.id % ringSize;
    const before = this.#ring[place];
    if (before !== undefined) this.#staying.set(before.id, before);
    this.#ring[place] = entry;
  }

  /** The one with this id, which is not here any more. */
  take(id: number): T | undefined {
    const place = id % ringSize;
    const entry = this.#ring[place];
    if (entry?.id === id) {
      this.#ring[place] = undefined;
      return entry;
    }
    const staying = this.#staying.get(id);
    this.#staying.delete(id);
    return staying;
  }

  /** All, the one longest here first; `next` is the id that is given next. */
  all(next: number): T[] {
    const entries = [...this.#staying.values(), ...this.#ring.filter((entry) => entry !== undefined)];
    // Ids start again behind 2**32 - 1.
    const age = ({ id }: T): number => (next - id) >>> 0;
    return entries.sort((one, other) => age(other) - age(one));
  }

  clear(): void {
    this.#ring.fill(undefined);
    this.#staying.clear();
  }
}
