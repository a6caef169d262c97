// All that the supervisor's decisions about spawners, workers and fronts need of the world: a clock, chance, and processes. Who
// decides has no other way to it, so that tests run the same code with a world of their own (test/supervisor/histories).
import { performance } from "node:perf_hooks";
import { later } from "../net/deadline.js";
import { Spawner, type SpawnerListener, type SpawnSettings } from "../spawn/spawner.js";
import { type FrontListener, FrontProcess, type FrontSettings } from "./front-process.js";
import { ownMemory } from "./process-usage.js";

type Public<Class> = Pick<Class, keyof Class>;

/** A spawner that was started. */
export type SpawnerHandle = Public<Spawner>;
/** A front that was started. */
export type FrontHandle = Public<FrontProcess>;

export interface Machine {
  /** Milliseconds since the epoch, by a clock that nobody sets. */
  now(): number;
  /** Calls `action` once after at least so many milliseconds. Returns what cancels it. */
  later(milliseconds: number, action: () => void): () => void;
  /** From 0 to 1. */
  random(): number;
  startSpawner(settings: SpawnSettings, listener: SpawnerListener): SpawnerHandle;
  startFront(settings: FrontSettings, listener: FrontListener): FrontHandle;
  /** Nothing where there is no such process; 0 is none. */
  signal(pid: number, signal: NodeJS.Signals): void;
  /** Octets that a process has for itself; 0 of one that is gone. */
  memory(pid: number): number;
}

/** This one. */
export const thisMachine: Machine = {
  now: () => Math.round(performance.timeOrigin + performance.now()),
  later: (milliseconds, action) => later(milliseconds, action),
  random: () => Math.random(),
  startSpawner: (settings, listener) => new Spawner(settings, listener),
  startFront: (settings, listener) => new FrontProcess(settings, listener),
  signal: (pid, signal) => {
    if (pid === 0) return;
    try {
      process.kill(pid, signal);
    } catch {
      // It is gone already.
    }
  },
  memory: ownMemory,
};
