// First come, first served. A client that leaves takes its request out; that costs a look through the ring, and is rare.

/** What a queue holds. `queued` belongs to the queue. */
export interface Queueable {
  queued: boolean;
  /** Since when it has waited, milliseconds of any monotonic clock. */
  waitingSince: number;
}

export class Queue<R extends Queueable> {
  /** A ring; its length is a power of two, `#head` counts up and down without bounds. */
  #ring: (R | undefined)[] = new Array<R | undefined>(64).fill(undefined);
  #head = 0;
  #end = 0;
  #length = 0;

  /** Elements waiting. */
  get length(): number {
    return this.#length;
  }

  /** The one whose turn is next. */
  get first(): R | undefined {
    const mask = this.#ring.length - 1;
    for (let place = this.#head; place !== this.#end; place++) {
      const element = this.#ring[place & mask];
      if (element?.queued === true) return element;
    }
    return undefined;
  }

  /** Adds behind all others. */
  push(element: R): void {
    this.#grow();
    this.#ring[this.#end++ & (this.#ring.length - 1)] = element;
    element.queued = true;
    this.#length++;
  }

  /** Adds before all others: for a request that was at its turn already and came back. */
  unshift(element: R): void {
    this.#grow();
    this.#ring[--this.#head & (this.#ring.length - 1)] = element;
    element.queued = true;
    this.#length++;
  }

  shift(): R | undefined {
    while (this.#head !== this.#end) {
      const place = this.#head++ & (this.#ring.length - 1);
      const element = this.#ring[place];
      this.#ring[place] = undefined;
      if (element?.queued === true) {
        element.queued = false;
        this.#length--;
        return element;
      }
    }
    return undefined;
  }

  /** False where the element is not queued. Its place in the ring is passed over later. */
  remove(element: R): boolean {
    if (!element.queued) return false;
    element.queued = false;
    this.#length--;
    // A removed element may be queued again before its old place is reached: that place must not bring it twice.
    const mask = this.#ring.length - 1;
    for (let place = this.#head; place !== this.#end; place++) {
      if (this.#ring[place & mask] === element) {
        this.#ring[place & mask] = undefined;
        break;
      }
    }
    return true;
  }

  /** Takes out those that have waited since `before` or longer, in order. */
  overdue(before: number): R[] {
    const found: R[] = [];
    const mask = this.#ring.length - 1;
    for (let place = this.#head; place !== this.#end; place++) {
      const element = this.#ring[place & mask];
      if (element?.queued !== true || element.waitingSince > before) continue;
      this.#ring[place & mask] = undefined;
      element.queued = false;
      this.#length--;
      found.push(element);
    }
    return found;
  }

  #grow(): void {
    if (this.#end - this.#head < this.#ring.length) return;
    const mask = this.#ring.length - 1;
    // Full of places left by those who were taken out, it is only put in order: nobody may be served for a long while.
    const size = this.#length > mask / 2 ? this.#ring.length * 2 : this.#ring.length;
    const grown = new Array<R | undefined>(size).fill(undefined);
    let count = 0;
    for (let place = this.#head; place !== this.#end; place++) {
      const element = this.#ring[place & mask];
      if (element?.queued === true) grown[count++] = element;
    }
    this.#ring = grown;
    this.#head = 0;
    this.#end = count;
  }
}
