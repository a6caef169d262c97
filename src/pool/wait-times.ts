// How long requests waited for a worker of late: counts by size, in a ring of seconds, so that a request costs an addition.

/** Seconds that are remembered, the present one with them. */
const remembered = 10;
/** The unit of the smallest size, in milliseconds: what is shorter is no wait. */
const unit = 1 / 16;
/** Sizes between one power of two and the next: the median is right to a fifth. */
const steps = 4;
/** Units from which all waits are of one size: nine hours. */
const unitsMost = 2 ** 29;
const sizes = 128;

export interface Waits {
  /** Requests that were given to a worker. */
  readonly count: number;
  /** Milliseconds that half of them waited at most. */
  readonly median: number;
  /** And the one that waited longest. */
  readonly most: number;
}

export class WaitTimes {
  readonly #counts = new Uint32Array(remembered * sizes);
  readonly #most = new Float64Array(remembered);
  /** The present second, counted from 0 of the caller's clock; -1 before the first. */
  #second = -1;
  /** Its place in the ring. */
  #place = 0;
  /** When it is over, milliseconds. */
  #until = Number.NEGATIVE_INFINITY;

  /** A request is given to a worker after `wait` milliseconds. */
  add(wait: number, now: number): void {
    if (now >= this.#until) this.#turn(now);
    const at = this.#place * sizes + sizeOf(wait);
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    if (wait > (this.#most[this.#place] ?? 0)) this.#most[this.#place] = wait;
  }

  /** Those of the last ten seconds. */
  recent(now: number): Waits {
    if (now >= this.#until) this.#turn(now);
    const sums = new Array<number>(sizes).fill(0);
    for (const [at, count] of this.#counts.entries()) sums[at % sizes] = (sums[at % sizes] ?? 0) + count;
    const count = sums.reduce((sum, each) => sum + each, 0);
    const most = Math.max(...this.#most);
    let before = 0;
    const median = sums.findIndex((each) => {
      before += each;
      return 2 * before >= count;
    });
    return { count, median: Math.min(upTo(median), most), most };
  }

  /** Forgets the seconds whose places are needed now. */
  #turn(now: number): void {
    const second = Math.floor(now / 1000);
    const passed = Math.min(remembered, second - this.#second);
    for (let each = second - passed + 1; each <= second; each++) {
      const place = each % remembered;
      this.#counts.fill(0, place * sizes, (place + 1) * sizes);
      this.#most[place] = 0;
    }
    this.#second = second;
    this.#place = second % remembered;
    this.#until = (second + 1) * 1000;
  }
}

function sizeOf(wait: number): number {
  const units = Math.min(wait / unit, unitsMost - 1) | 0;
  if (units <= 0) return 0;
  const power = 31 - Math.clz32(units);
  return 1 + steps * power + (((units * steps) >>> power) & (steps - 1));
}

/** Milliseconds that no wait of this size reaches. */
function upTo(size: number): number {
  if (size <= 0) return 0;
  const power = Math.floor((size - 1) / steps);
  const step = (size - 1) % steps;
  return unit * 2 ** power * (1 + (step + 1) / steps);
}
