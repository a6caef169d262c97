// Variables of requests that come again have numbers, by which Python keeps what it made of them: then they need not be sent.

/** Variables that have one. */
const numbersMost = 512;
/** Longer ones are not kept, octets. */
const lengthMost = 4096;

export class Numbers {
  readonly #numbers = new Map<string, number>();
  #last = 0;

  /** That of these variables, from 1; 0 where they have none. The string is to be the same one each time, so that V8 has its hash. */
  get(variables: string): number {
    return this.#numbers.get(variables) ?? 0;
  }

  /** One for variables that have none; others may lose theirs by it. 0: they are not worth it. */
  add(variables: string): number {
    if (variables.length > lengthMost) return 0;
    if (this.#last === numbersMost) {
      this.#numbers.clear();
      this.#last = 0;
    }
    this.#last += 1;
    this.#numbers.set(variables, this.#last);
    return this.#last;
  }

  /** Python was not told it after all. */
  delete(variables: string): void {
    this.#numbers.delete(variables);
  }
}
