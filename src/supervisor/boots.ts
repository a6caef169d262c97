// How a generation's workers come to be: one is asked for, forked, and ready within the boot timeout; one that cannot be made is tried
// again, ever later.
import { log } from "../channels.js";
import { workerName } from "../config/config.js";
import type { SpawnerHandle } from "./machine.js";
import type { PoolSettings } from "./pool-settings.js";
import type { Slot, WorkerSlots } from "./worker-slots.js";

export interface BootsOwner {
  /** Whether workers are not wanted any more. */
  readonly ending: boolean;
  /** A worker could not be made; the next try is worth while after so many milliseconds. */
  tryAgain(delay: number): void;
  killWorker(pid: number): void;
  /** The socket where workers connect was removed. */
  wireRemoved(): void;
}

export class Boots {
  readonly #generation: number;
  readonly #slots: WorkerSlots;
  readonly #settings: PoolSettings;
  readonly #owner: BootsOwner;
  /** Cancels the look at slots that are empty for a while. */
  #cancelLook: (() => void) | undefined;

  constructor(generation: number, slots: WorkerSlots, settings: PoolSettings, owner: BootsOwner) {
    this.#generation = generation;
    this.#slots = slots;
    this.#settings = settings;
    this.#owner = owner;
  }

  /** Has workers forked where slots are empty, at most so many. `soon` is called when another's time has come. */
  spawn(spawner: Pick<SpawnerHandle, "spawn">, most: number, soon: () => void): void {
    const { machine } = this.#settings;
    let spawned = 0;
    let soonest = Number.POSITIVE_INFINITY;
    for (const slot of this.#slots.all) {
      const wait = slot.state === "empty" ? slot.notBefore - machine.now() : 0;
      if (wait > 0) soonest = Math.min(soonest, wait);
      if (slot.state !== "empty" || wait > 0 || spawned >= most) continue;
      if (!this.#spawn(spawner, slot)) break;
      spawned += 1;
    }
    this.#cancelLook?.();
    // Whoever else would tell that its time has come may have done so while there was no front for it, or a moment too early.
    this.#cancelLook = Number.isFinite(soonest) ? machine.later(soonest + 1, soon) : undefined;
  }

  /** No more are made. */
  stop(): void {
    this.#cancelLook?.();
  }

  /** False where no further one could be made either. */
  #spawn(spawner: Pick<SpawnerHandle, "spawn">, slot: Slot): boolean {
    const { runtime, wire, machine } = this.#settings;
    this.#slots.booting(slot, machine.now());
    try {
      if (runtime.restore(wire)) {
        this.#slots.exited(slot, machine.now());
        this.#owner.wireRemoved();
        return false;
      }
      runtime.newScoreboard(this.#generation, slot.number);
    } catch (error) {
      // A full disk, for example: what serves already is not to end for it.
      this.#unmade(slot, error instanceof Error ? error.message : String(error));
      return false;
    }
    spawner.spawn(slot.number);
    this.#expectReady(slot, slot.startedAt);
    return true;
  }

  /** The worker of a slot, made at that time, is to be ready within the boot timeout, unless there is nobody it could say so to. */
  #expectReady(slot: Slot, startedAt: number): void {
    const { pool, label, machine, restarts, connectable } = this.#settings;
    machine.later(pool.bootTimeout * 1000, () => {
      if (this.#owner.ending || slot.state !== "booting" || slot.startedAt !== startedAt) return;
      if (!connectable() || slot.pid === 0) {
        this.#expectReady(slot, startedAt);
        return;
      }
      const who = `${workerName(label, slot.number)} (pid ${slot.pid})`;
      log("error", "supervisor", `${who} was not ready within ${pool.bootTimeout} s (--boot-timeout); it is killed.`);
      restarts.expect(slot.pid, "boot");
      this.#owner.killWorker(slot.pid);
    });
  }

  /** A worker was forked. */
  forked(worker: number, pid: number): void {
    const slot = this.#slots.get(worker);
    if (!this.#slots.unwanted(worker) && slot?.state === "booting" && !this.#owner.ending) {
      this.#slots.forked(slot, pid);
      return;
    }
    // It was not wanted any more before it was there.
    this.#slots.leaves({ number: worker, pid, startedAt: this.#settings.machine.now(), told: true });
    this.#owner.killWorker(pid);
  }

  /** The spawner could not fork it. */
  unforked(worker: number, problem: string): void {
    const slot = this.#slots.get(worker);
    if (!this.#slots.unwanted(worker) && slot?.state === "booting") this.#unmade(slot, problem);
  }

  #unmade(slot: Slot, problem: string): void {
    const { label, machine, restarts } = this.#settings;
    const delay = this.#slots.exited(slot, machine.now());
    if (this.#owner.ending) return;
    restarts.add("boot", slot.number, 0, `cannot be made: ${problem}`);
    const who = workerName(label, slot.number);
    log("error", "supervisor", `${who} cannot be made: ${problem}; tried again in ${delay / 1000} s.`);
    this.#owner.tryAgain(delay);
  }
}
