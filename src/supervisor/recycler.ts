// Has workers replaced that have served their time (recycling.ts says which), and says which have far too much memory.
import { log } from "../channels.js";
import { type PoolConfig, workerName } from "../config/config.js";
import type { WorkerSpent } from "../front/messages.js";
import type { PoolSettings } from "./pool-settings.js";
import { type Due, Recycling, type Spent } from "./recycling.js";
import type { WorkerSlots } from "./worker-slots.js";

const mebibyte = 2 ** 20;

/** Whether the workers of a pool have to be looked at every now and then. */
export function looksAtWorkers({ maxWorkerAge, maxWorkerMemoryHard }: PoolConfig): boolean {
  return maxWorkerAge > 0 || maxWorkerMemoryHard > 0;
}

export class Recycler {
  readonly #slots: WorkerSlots;
  readonly #settings: Pick<PoolSettings, "pool" | "label" | "machine">;
  readonly #recycling: Recycling;

  constructor(slots: WorkerSlots, settings: Pick<PoolSettings, "pool" | "label" | "machine">) {
    const { pool, machine } = settings;
    this.#slots = slots;
    this.#settings = settings;
    this.#recycling = new Recycling(slots, pool.maxWorkerAge, machine.random);
  }

  /** A front found that a worker has reached a limit. */
  heed({ worker, pid, spent }: WorkerSpent): void {
    if (this.#recycling.spent(pid, spent)) return;
    const has = `${this.#name(worker, pid)} has ${spent.amount} MiB of memory before it has answered anything`;
    const sentence = `${has}, and so would the next: --max-worker-memory (${this.#settings.pool.maxWorkerMemory}) is too low, and counts for nothing until a reload.`;
    log("warning", "supervisor", sentence);
  }

  /** The slot whose worker is to leave now, if there is one, and why; the log says so. */
  next(): Due | undefined {
    const due = this.#recycling.next(this.#settings.machine.now());
    if (due === undefined) return undefined;
    const { slot, spent } = due;
    log("info", "supervisor", `${this.#name(slot.number, slot.pid)} ${what(spent)}; another takes its place.`);
    return due;
  }

  /** Whether this worker's turn has come. */
  chose(pid: number): boolean {
    return this.#recycling.known(pid);
  }

  /** Those that have more than `maxWorkerMemoryHard`, to be killed whatever they execute; the log says so. Gives process ids. */
  oversized(): readonly number[] {
    const { pool, machine } = this.#settings;
    const { maxWorkerMemoryHard } = pool;
    if (maxWorkerMemoryHard === 0) return [];
    return [...this.#slots.all, ...this.#slots.leaving].flatMap(({ number, pid }) => {
      const memory = pid === 0 ? 0 : Math.floor(machine.memory(pid) / mebibyte);
      if (memory <= maxWorkerMemoryHard) return [];
      const has = `${this.#name(number, pid)} has ${memory} MiB of memory`;
      log("error", "supervisor", `${has} (--max-worker-memory-hard): it is killed.`);
      return [pid];
    });
  }

  #name(worker: number, pid: number): string {
    return `${workerName(this.#settings.label, worker)} (pid ${pid})`;
  }
}

function what({ cause, amount }: Spent): string {
  if (cause === "requests") return `has answered ${amount} requests (--max-requests)`;
  if (cause === "age") return `is ${amount} s old (--max-worker-age)`;
  return `has ${amount} MiB of memory (--max-worker-memory)`;
}
