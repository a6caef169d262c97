// Which worker is replaced though it works, and why. Decides without I/O: what was found of workers goes in, the one whose place
// another is to take comes out.
//
// Safety:   no worker is chosen while another of its generation boots or finishes what it has, so that there is never more than
//           one too many.
// Progress: a worker that has served its time is chosen once those before it are gone.
import type { Slot, WorkerSlots } from "./worker-slots.js";

/** What was found of a worker: requests it has answered, its seconds, or its MiB of memory. */
export interface Spent {
  readonly cause: "requests" | "age" | "memory";
  readonly amount: number;
}

export interface Due {
  readonly slot: Slot;
  readonly spent: Spent;
}

/** Limits are higher by up to this share, so that workers that were started together are not replaced together. */
const jitter = 0.1;

export class Recycling {
  readonly #slots: Pick<WorkerSlots, "all" | "unconnected" | "leaving">;
  /** Milliseconds; 0 is none. */
  readonly #maxAge: number;
  readonly #random: () => number;
  /** By process id. */
  readonly #spent = new Map<number, Spent>();
  readonly #ages = new Map<number, number>();
  #tooLarge = false;

  /** `maxAge` in seconds, 0 for none; `random` gives a number from 0 to 1. */
  constructor(
    slots: Pick<WorkerSlots, "all" | "unconnected" | "leaving">,
    maxAge: number,
    random: () => number = Math.random,
  ) {
    this.#slots = slots;
    this.#maxAge = maxAge * 1000;
    this.#random = random;
  }

  /**
   * A worker has reached a limit. False, the first time, where that is no reason: it has too much memory before it has answered
   * anything, and so would its successor.
   */
  spent(pid: number, spent: Spent): boolean {
    const slot = this.#slots.all.find((each) => each.pid === pid);
    if (slot === undefined || this.#spent.has(pid)) return true;
    if (spent.cause === "memory" && (this.#tooLarge || !slot.served)) {
      const known = this.#tooLarge;
      this.#tooLarge = true;
      return known;
    }
    this.#spent.set(pid, spent);
    return true;
  }

  /** The worker to be replaced now, if there is one; `now` in milliseconds since the epoch. */
  next(now: number): Due | undefined {
    const { all, unconnected, leaving } = this.#slots;
    this.#forget();
    if (this.#maxAge > 0) for (const slot of all) this.#look(slot, now);
    if (unconnected > 0 || leaving.length > 0) return undefined;
    const due = all.flatMap((slot): readonly Due[] => {
      const spent = slot.state === "ready" ? this.#spent.get(slot.pid) : undefined;
      return spent === undefined ? [] : [{ slot, spent }];
    });
    // Memory runs out; the others have time.
    return due.find(({ spent }) => spent.cause === "memory") ?? due[0];
  }

  /** Whether this worker has served its time. */
  known(pid: number): boolean {
    return this.#spent.has(pid);
  }

  #look({ state, pid, startedAt }: Slot, now: number): void {
    if (state !== "ready" || this.#spent.has(pid)) return;
    const most = this.#ages.get(pid) ?? this.#maxAge * (1 + jitter * this.#random());
    this.#ages.set(pid, most);
    const age = now - startedAt;
    if (age >= most) this.#spent.set(pid, { cause: "age", amount: Math.floor(age / 1000) });
  }

  /** Workers that are gone. One that is leaving may have its slot again. */
  #forget(): void {
    const there = new Set([...this.#slots.all, ...this.#slots.leaving].map(({ pid }) => pid));
    for (const known of [this.#spent, this.#ages]) {
      for (const pid of known.keys()) if (!there.has(pid)) known.delete(pid);
    }
  }
}
