// A seeded source of chance, so that what a run finds can be found again.

export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** An integer from 0 up to, not including, `below` (mulberry32). */
  below(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  of<T>(choices: readonly [T, ...T[]]): T {
    return choices[this.below(choices.length)] ?? choices[0];
  }

  /** `octets` cut into chunks at places left to chance. */
  cut(octets: Buffer): readonly Buffer[] {
    const chunks: Buffer[] = [];
    const most = this.of([1, 3, 20, 200, 10_000]);
    for (let at = 0; at < octets.length; ) {
      const to = at + 1 + this.below(most);
      chunks.push(octets.subarray(at, to));
      at = to;
    }
    return chunks;
  }
}
