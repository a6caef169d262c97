// The workers a supervisor wants, one slot each. A slot outlives its workers: when one dies, the next takes its number.
//
//   empty ──spawn──▶ booting ──ready──▶ ready
//     ▲                 │                 │
//     └──────exited─────┴─────exited──────┘

export type SlotState = "empty" | "booting" | "ready";

export interface Slot {
  readonly number: number;
  state: SlotState;
  pid: number;
  /** Milliseconds since the epoch. */
  startedAt: number;
  /** Workers in a row that died soon after their start. */
  failures: number;
}

/** A worker that lived less long has failed to start, ms. */
const soon = 1000;
const firstDelay = 100;
const longestDelay = 30_000;

export class WorkerSlots {
  readonly all: readonly Slot[];
  readonly #first: number;

  /** `first`: the number of the first slot; the others follow it. */
  constructor(count: number, first = 1) {
    this.#first = first;
    this.all = Array.from({ length: count }, (_, index) => ({
      number: first + index,
      state: "empty",
      pid: 0,
      startedAt: 0,
      failures: 0,
    }));
  }

  get ready(): number {
    return this.all.filter((slot) => slot.state === "ready").length;
  }

  get(number: number): Slot | undefined {
    return this.all[number - this.#first];
  }

  booting(slot: Slot, now: number): void {
    slot.state = "booting";
    slot.startedAt = now;
  }

  /**
   * A worker says that it is ready: false where that is old news. Its end is told by another process than its beginning,
   * and may be known first; taken for ready, the slot would stay empty for ever.
   */
  connected(slot: Slot, pid: number): boolean {
    if (slot.state !== "booting" || (slot.pid !== 0 && slot.pid !== pid)) return false;
    slot.state = "ready";
    slot.pid = pid;
    return true;
  }

  /** A worker of this slot ended, or could not be made. Returns how long to wait before the next is spawned, ms. */
  exited(slot: Slot, now: number): number {
    const failed = slot.state !== "ready" || now - slot.startedAt < soon;
    slot.failures = failed ? slot.failures + 1 : 0;
    slot.state = "empty";
    slot.pid = 0;
    return slot.failures === 0 ? 0 : Math.min(longestDelay, firstDelay * 2 ** (slot.failures - 1));
  }
}
