// A server's status, put together from what the supervisor knows, what its front reports, and what the kernel accounts.
import { type Config, type PoolConfig, threadsMost } from "../config/config.js";
import { serverName, tryText } from "../config/describe.js";
import type { FrontReport } from "../front/messages.js";
import { version } from "../package.js";
import type { Loaded } from "../spawn/spawner.js";
import { sumOf } from "./front-reports.js";
import type { Generation } from "./generation.js";
import type { FrontSlotState } from "./lifecycles.js";
import { thisMachine } from "./machine.js";
import { processUsage } from "./process-usage.js";
import type { Reloads } from "./reloads.js";
import type { FrontCause, Restarts, WorkerCause } from "./restarts.js";
import type {
  FrontState,
  FrontStatus,
  MissingWorker,
  PoolStatus,
  Status,
  WorkerState,
  WorkerStatus,
} from "./status.js";
import type { Slot } from "./worker-slots.js";

/** What is known of a pool. */
export interface KnownPool {
  readonly config: PoolConfig;
  /** Undefined until the application has been loaded. */
  readonly facts: Loaded | undefined;
  /** 0 where there is none. */
  readonly spawnerPid: number;
  /** All there are of the pool's code. */
  readonly generations: readonly Pick<Generation, "number" | "state" | "since" | "slots" | "spawnerPid">[];
  /** The number of the one that serves. */
  readonly generation: number;
  readonly reloads: Reloads;
  readonly restarts: Restarts<WorkerCause>;
}

/** What is known of a worker. */
interface KnownWorker extends Pick<Slot, "number" | "pid" | "startedAt"> {
  readonly state: WorkerState;
  readonly generation: number;
}

/** What is known of a front. */
export interface KnownFront {
  readonly number: number;
  /** Undefined where there is none. */
  readonly process: { readonly pid: number } | undefined;
  readonly state: FrontSlotState;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
}

export interface Known {
  readonly config: Config;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly listen: readonly string[];
  readonly fronts: readonly KnownFront[];
  readonly frontRestarts: Restarts<FrontCause>;
  /** What the fronts report, by number; none of one that is gone or silent. */
  readonly reports: ReadonlyMap<number, FrontReport>;
  readonly stopping: boolean;
  readonly certificates: Status["certificates"];
  readonly pools: readonly KnownPool[];
}

const idlePool = {
  interface: "" as const,
  eventLoop: "",
  threads: 0,
  queue: 0,
  wait: { longest: 0, count: 0, median: 0, most: 0 },
  refused: 0,
  down: "",
  writeAhead: 0,
  wall: 0,
  cpu: 0,
};

export function statusOf(known: Known): Status {
  const { config, pools, fronts, reports } = known;
  const report = sumOf(reports.values());
  return {
    version,
    pid: process.pid,
    name: serverName(config, (pool) => pools.find((each) => each.config === pool)?.facts?.application ?? pool.target),
    chdir: config.chdir,
    listen: known.listen,
    startedAt: new Date(known.startedAt).toISOString(),
    uptime: (Date.now() - known.startedAt) / 1000,
    fronts: fronts.map((front) => frontStatus(front, known)),
    frontRestarts: known.frontRestarts.status,
    certificates: known.certificates,
    mounts: config.mounts.map(({ host, path, tries }) => ({ host, path, tries: tries.map(tryText) })),
    pools: pools.map((pool) => poolStatus(pool, known, report)),
    upstreams: report?.upstreams ?? [],
    workers: pools.flatMap((pool) =>
      workersOf(pool, known.stopping).map((worker) => workerStatus(worker, pool, report)),
    ),
  };
}

function poolStatus(pool: KnownPool, known: Known, report: FrontReport | undefined): PoolStatus {
  const { config, facts, spawnerPid, generation, generations, reloads, restarts } = pool;
  const { name, target, chdir } = config;
  const told = report?.pools.find((each) => each.name === name);
  const { answers: _, ...load } = told ?? { ...idlePool, name, threadsMost: threadsMost(config), answers: [] };
  return {
    ...load,
    application: facts?.application ?? target,
    target,
    chdir,
    generation,
    missing: known.stopping ? [] : missingWorkers(pool),
    generations: generations.map(({ number, state, since, spawnerPid: spawner }) => ({
      number,
      state,
      since: new Date(since).toISOString(),
      spawner,
    })),
    reload: reloads.underWay ?? null,
    lastReload: reloads.last ?? null,
    restarts: restarts.status,
    python: facts?.python ?? "",
    embedded: known.config.embedded,
    spawner: { pid: spawnerPid, preload: facts?.preload ?? config.preload },
  };
}

/** Slots of other generations are not to be filled, or not yet. */
function missingWorkers({ generations, generation }: KnownPool): readonly MissingWorker[] {
  const present = generations.find(({ number }) => number === generation)?.slots.all ?? [];
  const empty = present.filter(({ state }) => state === "empty");
  return empty.map(({ number, failures, notBefore }) => ({
    id: number,
    failures,
    againIn: Math.max(0, notBefore - thisMachine.now()) / 1000,
  }));
}

function frontStatus(front: KnownFront, known: Known): FrontStatus {
  const report = known.reports.get(front.number);
  const pid = front.process?.pid ?? 0;
  return {
    id: front.number,
    pid,
    state: frontState(front, known),
    startedAt: new Date(front.startedAt).toISOString(),
    connections: report?.connections ?? 0,
    webSockets: report?.webSockets ?? 0,
    requests: report?.requests ?? 0,
    executing: report?.executing ?? [],
    ...processUsage(pid),
  };
}

function frontState({ number, process, state }: KnownFront, { reports, stopping }: Known): FrontState {
  if (process === undefined) return "down";
  if (state !== "listening") return "booting";
  if (!reports.has(number)) return "silent";
  return stopping ? "draining" : "ready";
}

function workersOf({ generations, restarts }: KnownPool, stopping: boolean): readonly KnownWorker[] {
  return generations.flatMap(({ number: generation, state, slots }) => [
    ...slots.leaving.map(
      ({ told, ...worker }): KnownWorker => ({
        ...worker,
        generation,
        // Until its successor is ready it takes requests, unless it has no front.
        state: told || stopping || restarts.expected(worker.pid) === "front" ? "draining" : "ready",
      }),
    ),
    ...slots.all.flatMap((slot): readonly KnownWorker[] => {
      if (slot.state === "empty") return [];
      const waiting = state === "checking" || (state === "booting" && generation > 1);
      const ready = stopping ? "draining" : waiting ? "waiting" : "ready";
      return [{ ...slot, generation, state: slot.state === "ready" ? ready : slot.state }];
    }),
  ]);
}

function workerStatus(worker: KnownWorker, pool: KnownPool, report: FrontReport | undefined): WorkerStatus {
  const { number, pid, startedAt, state, generation } = worker;
  const told = report?.workers.find((each) => each.pid === pid);
  return {
    id: number,
    pool: pool.config.name,
    generation,
    pid,
    state,
    replaced: pool.restarts.expected(pid) ?? "",
    startedAt: new Date(startedAt).toISOString(),
    requests: told?.requests ?? 0,
    busy: told?.busy ?? 0,
    blocked: told?.blocked ?? 0,
    blockedMost: told?.blockedMost ?? 0,
    executing: told?.executing ?? [],
    ...processUsage(pid),
  };
}
