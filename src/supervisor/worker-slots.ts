// The workers a supervisor wants, one slot each. A slot outlives its workers: when one dies, the next takes its number.
// A worker that is to finish what it executes and then end leaves its slot, and the next may take it meanwhile. A slot's life is a table
// (lifecycles.ts).
import { type SlotEvent, type SlotState, slotLife } from "./lifecycles.js";
import { after, possible } from "./state-table.js";

export interface Slot {
  readonly number: number;
  state: SlotState;
  pid: number;
  /** Milliseconds since the epoch. */
  startedAt: number;
  /** Its worker has answered a request. */
  served: boolean;
  /** Workers in a row that died without having been of use. */
  failures: number;
  /** Milliseconds since the epoch: no worker is spawned before. */
  notBefore: number;
}

/** A worker that gets no more requests, and ends when it has finished those it has. */
export interface Leaving {
  /** That of its slot. */
  readonly number: number;
  readonly pid: number;
  readonly startedAt: number;
  /** The front was told to give it nothing more. Until then it serves: its successor is not ready. */
  told: boolean;
}

/** A worker that lived as long, ms, was of use, though nobody asked it anything. */
const soon = 1000;
const firstDelay = 100;
const longestDelay = 30_000;
/** Delays are longer by up to this share of them, so that not all who failed together come back together. */
const jitter = 0.5;

export class WorkerSlots {
  readonly all: readonly Slot[];
  readonly #first: number;
  readonly #random: () => number;
  readonly #leaving = new Map<number, Leaving>();
  /** By the number of their slot: how many workers left before they were forked. Of each the spawner will tell. */
  readonly #unwanted = new Map<number, number>();
  /** The spawner hangs, so that none of these is about to come. */
  #silent = false;

  /** `first`: the number of the first slot; the others follow it. `random` gives a number from 0 to 1. */
  constructor(count: number, first = 1, random: () => number = Math.random) {
    this.#first = first;
    this.#random = random;
    this.all = Array.from({ length: count }, (_, index) => ({
      number: first + index,
      state: slotLife.first,
      pid: 0,
      startedAt: 0,
      served: false,
      failures: 0,
      notBefore: 0,
    }));
  }

  get ready(): number {
    return this.all.filter((slot) => slot.state === "ready").length;
  }
  get unconnected(): number {
    return this.all.filter((slot) => slot.state === "booting" || slot.state === "lost").length;
  }
  /** Workers that finish what they have. */
  get leaving(): readonly Leaving[] {
    return [...this.#leaving.values()];
  }
  /** Processes there are, or will be in a moment. */
  get alive(): number {
    const unwanted = this.#silent ? 0 : [...this.#unwanted.values()].reduce((sum, count) => sum + count, 0);
    return this.ready + this.unconnected + this.#leaving.size + unwanted;
  }

  /** Whether none is there nor about to be, as they die again and again. */
  get failing(): boolean {
    return this.all.every((slot) => (slot.state === "empty" || slot.state === "booting") && slot.failures > 0);
  }

  get(number: number): Slot | undefined {
    return this.all[number - this.#first];
  }

  booting(slot: Slot, now: number): void {
    happen(slot, "spawned");
    slot.startedAt = now;
    slot.served = false;
  }

  /** A worker answered its first request. */
  served(slot: Slot, pid: number): void {
    if (slot.state === "ready" && slot.pid === pid) slot.served = true;
  }

  /**
   * A worker says that it is ready: false where that is old news. Its end is told by another process than this, and may be known
   * first; taken for ready, the slot would stay empty for ever.
   */
  connected(slot: Slot, pid: number): boolean {
    const leaving = this.#leaving.get(pid);
    if (leaving !== undefined) return this.#returned(slot, leaving);
    if (!possible(slotLife, slot.state, "connected") || slot.pid !== pid) return false;
    happen(slot, "connected");
    return true;
  }

  /** A worker that was to have a successor has its slot again, where there is none. */
  returned(slot: Slot, pid: number): void {
    const leaving = this.#leaving.get(pid);
    if (leaving !== undefined && possible(slotLife, slot.state, "returned")) this.#returned(slot, leaving);
  }

  /** The worker of a slot was forked. */
  forked(slot: Slot, pid: number): void {
    slot.pid = pid;
  }

  /** Whether there may be a worker with this number of which the spawner has not told. */
  untold(number: number): boolean {
    const slot = this.get(number);
    return (slot?.state === "booting" && slot.pid === 0) || (this.#unwanted.get(number) ?? 0) > 0;
  }

  /** A worker that was to have a successor is ready for the next front before there is one: it has its slot again. */
  #returned(slot: Slot, { pid, startedAt, told }: Leaving): boolean {
    if (told) return false;
    if (!possible(slotLife, slot.state, "returned")) {
      // It serves until its successor is ready: the time it has to finish begins then.
      this.leaves({ number: slot.number, pid, startedAt, told });
      return false;
    }
    this.#leaving.delete(pid);
    happen(slot, "returned");
    slot.pid = pid;
    slot.startedAt = startedAt;
    return true;
  }

  /** The front is gone, and with it the connections of those that were ready. */
  disconnected(): void {
    for (const slot of this.all) if (possible(slotLife, slot.state, "front gone")) happen(slot, "front gone");
  }

  /** The worker of a slot is to finish and end. */
  leave(slot: Slot): Leaving {
    const { number, pid, startedAt } = slot;
    const leaving = { number, pid, startedAt, told: false };
    if (pid !== 0) this.leaves(leaving);
    else this.#unwanted.set(number, (this.#unwanted.get(number) ?? 0) + 1);
    happen(slot, "left");
    slot.pid = 0;
    slot.failures = 0;
    slot.notBefore = 0;
    return leaving;
  }

  /** The spawner tells of a worker with this number: whether it is one that left before that. */
  unwanted(number: number): boolean {
    const count = this.#unwanted.get(number) ?? 0;
    this.#silent = false;
    if (count > 0) this.#unwanted.set(number, count - 1);
    return count > 0;
  }

  /** The spawner hangs: workers that it was asked for and has not forked are not waited for. */
  unanswered(): void {
    for (const slot of this.all) if (slot.state === "booting" && slot.pid === 0) this.leave(slot);
    this.#silent = true;
  }

  /** The spawner is gone, and its workers with it: it tells of none any more. */
  abandoned(now: number): void {
    this.#silent = false;
    this.#unwanted.clear();
    this.#leaving.clear();
    for (const slot of this.all) {
      if (slot.state !== "empty") this.exited(slot, now);
      slot.notBefore = 0;
    }
  }

  leaves(worker: Leaving): void {
    this.#leaving.set(worker.pid, worker);
  }

  /** A process ended. What is known of it where it was leaving. */
  left(pid: number): Leaving | undefined {
    const worker = this.#leaving.get(pid);
    this.#leaving.delete(pid);
    return worker;
  }

  /**
   * A worker of this slot ended, or could not be made. Returns how long to wait before the next is spawned, ms: not at all
   * where it was of use, however short its life, for then the next will be. Of one that was ready only, once: the first
   * request it got may have ended it, and the next worker's need not.
   */
  exited(slot: Slot, now: number): number {
    const ready = slot.state === "ready" || slot.state === "lost";
    const useful = slot.served || (ready && now - slot.startedAt >= soon);
    slot.failures = useful ? 0 : slot.failures + 1;
    happen(slot, "gone");
    slot.pid = 0;
    slot.notBefore = now;
    if (useful || (ready && slot.failures === 1)) return 0;
    const delay = Math.round(
      Math.min(longestDelay, firstDelay * 2 ** (slot.failures - 1) * (1 + jitter * this.#random())),
    );
    slot.notBefore = now + delay;
    return delay;
  }
}

function happen(slot: Slot, event: SlotEvent): void {
  slot.state = after(slotLife, slot.state, event);
}
