// How a generation's workers end that are to: each finishes what it has, and is killed where that takes longer than it may.
import { constants } from "node:os";
import { log } from "../channels.js";
import { workerName } from "../config/config.js";
import type { WorkerNews, WorkerSpent } from "../front/messages.js";
import type { PoolSettings } from "./pool-settings.js";
import { Recycler } from "./recycler.js";
import type { Leaving, Slot, WorkerSlots } from "./worker-slots.js";

/** Makes a worker print the stacks of its threads (python/vivarium_host/worker.py). */
const stacksSignal = "SIGUSR2";
/** It has so long for that before it is killed, ms. */
const tellStacksWithin = 300;
/** A worker whose connection has ended has so long to exit, ms. */
const exitWithin = 1000;

const superseded = "still executes what it had when newer code took over";
const succeeded = "still executes what it had when another took its place";
const absent = "still executes what the front that ended gave it";

/** Applications that are told that a WebSocket or a stream of events is over have so long to end, ms. */
const farewell = 1000;

export interface DeparturesOwner {
  /** Whether the spawner hangs, and tells of no worker's end. */
  readonly spawnerStuck: boolean;
  workerExited(worker: number, pid: number, status: number, signal: number): void;
  /** This worker is ended in a moment: the front ends what has no end of its own. */
  endEvents(pid: number): void;
}

type DeparturesSettings = Pick<PoolSettings, "pool" | "label" | "machine" | "gracefulTimeout" | "restarts">;

export class Departures {
  readonly #slots: WorkerSlots;
  readonly #settings: DeparturesSettings;
  readonly #owner: DeparturesOwner;
  readonly #recycler: Recycler;
  /** Process ids of those that were killed, and of whose end nothing was heard yet. */
  readonly #killed = new Set<number>();

  constructor(slots: WorkerSlots, settings: DeparturesSettings, owner: DeparturesOwner) {
    this.#owner = owner;
    this.#slots = slots;
    this.#settings = settings;
    this.#recycler = new Recycler(slots, settings);
  }

  /** Whether this is one of the workers there are. */
  has(pid: number): boolean {
    return this.#workers.some((worker) => worker.pid === pid);
  }

  get #workers(): readonly Pick<Slot, "number" | "pid">[] {
    return [...this.#slots.all, ...this.#slots.leaving].filter(({ pid }) => pid !== 0);
  }

  // ---- for others

  /**
   * The workers of so many slots make room for newer code's. Returns the process ids of those that finish what they have, for the
   * front to be told.
   */
  leave(count: number): readonly number[] {
    // Those whose successor was not ready leave, too: there will be none.
    const pids = this.#see(this.#slots.leaving, superseded);
    const all = pids.length + count;
    for (const slot of this.#slots.all) {
      if (pids.length >= all) break;
      if (slot.state === "empty") continue;
      // One that has lost its front executes for nobody.
      const booting = slot.state !== "ready";
      const leaving = this.#slots.leave(slot);
      if (booting) this.kill(leaving.pid);
      else pids.push(...this.#see([leaving], superseded));
    }
    return pids;
  }

  /** The worker with this number is ready: who had it before leaves. Their process ids, for the front to be told. */
  succeeded(worker: number): readonly number[] {
    const before = this.#slots.leaving.filter(({ number }) => number === worker);
    return this.#see(before, succeeded);
  }

  /** A worker has not come to the front there is: another gets its slot. */
  absent(slot: Slot): void {
    this.#settings.restarts.expect(slot.pid, "front");
    this.#endLater(this.#slots.leave(slot), absent);
  }

  /** The worker is to have a successor, if one's turn it is: it serves on until that is ready. */
  recycle(): void {
    const due = this.#recycler.next();
    if (due === undefined) return;
    this.#settings.restarts.expect(due.slot.pid, due.spent.cause);
    this.#slots.leave(due.slot);
  }

  /**
   * Newer code needs room: workers that boot give theirs, for they may hang, and would be the older code's. Who was to have one of
   * these as successor serves on until the newer code does.
   */
  giveWay(): void {
    for (const slot of this.#slots.all) {
      if (slot.state !== "booting") continue;
      const discarded = this.#slots.leave(slot);
      discarded.told = true;
      this.kill(discarded.pid);
      const before = this.#slots.leaving.find(({ number, told }) => number === slot.number && !told);
      if (before !== undefined && this.#recycler.chose(before.pid)) this.#slots.returned(slot, before.pid);
    }
  }

  /** Those that were not told yet to finish what they have; `what` they do when their time is over. */
  #see(leaving: readonly Leaving[], what: string): number[] {
    const untold = leaving.filter(({ told }) => !told);
    for (const worker of untold) {
      worker.told = true;
      this.#endLater(worker, what);
    }
    return untold.map(({ pid }) => pid);
  }

  /** Ends a worker that is still leaving after the graceful timeout; `what` it does then, for the log. */
  #endLater(leaving: Leaving, what: string): void {
    const { gracefulTimeout, machine, label } = this.#settings;
    const { number, pid } = leaving;
    machine.later(gracefulTimeout * 1000, () => {
      // It may have had its slot again meanwhile, and leave it a second time.
      if (!this.#slots.leaving.includes(leaving)) return;
      const who = `${workerName(label, number)} (pid ${pid})`;
      log("warning", "supervisor", `${who} ${what}: it is ended (--graceful-timeout).`);
      this.#owner.endEvents(pid);
      machine.later(farewell, () => {
        if (this.#slots.leaving.includes(leaving)) this.kill(pid);
      });
    });
  }

  // ---- for what was found of them

  /** What a front found of one of them. Whether there may be something to do. */
  heed(news: WorkerNews | WorkerSpent): boolean {
    const { type, worker, pid } = news;
    const { machine, restarts, gracefulTimeout } = this.#settings;
    const killWithin = (milliseconds: number): void => {
      machine.later(milliseconds, () => {
        if (this.has(pid)) this.kill(pid);
      });
    };
    if (type === "worker-spent") {
      this.#recycler.heed(news);
      return true;
    }
    if (type === "worker-hung") {
      restarts.expect(pid, "hang");
      machine.signal(pid, stacksSignal);
      killWithin(tellStacksWithin);
      return false;
    }
    if (type === "worker-retired") {
      killWithin(exitWithin);
      return false;
    }
    const slot = this.#slots.get(worker);
    if (slot?.pid !== pid || slot.state !== "ready") return false;
    if (this.#slots.leaving.some(({ number }) => number === worker)) return false;
    // Stuck: it stays until its successor is there.
    restarts.expect(pid, "timeout");
    this.#slots.leave(slot);
    killWithin(gracefulTimeout * 1000);
    return true;
  }

  /** Kills those that have far too much memory. */
  killOversized(): void {
    for (const pid of this.#recycler.oversized()) {
      this.#settings.restarts.expect(pid, "memoryHard");
      this.kill(pid);
    }
  }

  /** They print where their threads are. */
  tellStacks(): void {
    // One that boots has no handler for it yet, and would be ended.
    for (const { state, pid } of this.#slots.all) {
      if (state === "ready") this.#settings.machine.signal(pid, stacksSignal);
    }
  }

  kill(pid: number): void {
    this.#settings.machine.signal(pid, "SIGKILL");
    this.#killed.add(pid);
    if (this.#owner.spawnerStuck) this.#settings.machine.later(0, () => this.unheard());
  }

  /** A worker has ended. */
  gone(pid: number): void {
    this.#killed.delete(pid);
  }

  /** The spawner hangs, and does not tell of those that were killed: they are gone. */
  unheard(): void {
    for (const { number, pid } of this.#workers) {
      if (this.#killed.has(pid)) this.#owner.workerExited(number, pid, 0, constants.signals.SIGKILL);
    }
  }

  killAll(): void {
    for (const { pid } of this.#workers) this.kill(pid);
  }
}
