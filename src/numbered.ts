// Values by small numbers that are used again and again, as request ids of FastCGI are.
//
// No Map, for the reason that sequence.ts gives.

/** Numbers below this are places in an array; peers may choose larger ones, which few do. */
const few = 256;

export class Numbered<T> {
  readonly #values: (T | undefined)[] = [];
  readonly #others = new Map<number, T>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(number: number): T | undefined {
    return number < few ? this.#values[number] : this.#others.get(number);
  }

  has(number: number): boolean {
    return this.get(number) !== undefined;
  }

  set(number: number, value: T): void {
    if (!this.has(number)) this.#size += 1;
    if (number >= few) this.#others.set(number, value);
    else {
      // An array with holes is slower for ever.
      while (this.#values.length <= number) this.#values.push(undefined);
      this.#values[number] = value;
    }
  }

  delete(number: number): void {
    if (!this.has(number)) return;
    this.#size -= 1;
    if (number < few) this.#values[number] = undefined;
    else this.#others.delete(number);
  }

  clear(): void {
    this.#values.fill(undefined);
    this.#others.clear();
    this.#size = 0;
  }

  /** Those that are there now, the small numbers first. */
  values(): T[] {
    return [...this.#values.filter((value) => value !== undefined), ...this.#others.values()];
  }
}
