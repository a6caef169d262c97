// A server's status, put together from what the supervisor knows, what its front reports, and what the kernel accounts.
import { type Config, type PoolConfig, threadsMost } from "../config/config.js";
import { serverName, tryText } from "../config/describe.js";
import type { FrontReport } from "../front/messages.js";
import { version } from "../package.js";
import type { Loaded } from "../spawn/spawner.js";
import { sumOf } from "./front-reports.js";
import { processUsage } from "./process-usage.js";
import type { FrontState, FrontStatus, PoolStatus, Status, WorkerStatus } from "./status.js";
import type { Slot } from "./worker-slots.js";

/** What is known of a pool. */
export interface KnownPool {
  readonly config: PoolConfig;
  /** Undefined until the application has been loaded. */
  readonly facts: Loaded | undefined;
  /** 0 where there is none. */
  readonly spawnerPid: number;
  readonly slots: readonly Slot[];
}

/** What is known of a front. */
export interface KnownFront {
  readonly number: number;
  /** Undefined where there is none. */
  readonly process: { readonly pid: number } | undefined;
  readonly listening: boolean;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
}

export interface Known {
  readonly config: Config;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly listen: readonly string[];
  readonly fronts: readonly KnownFront[];
  /** What the fronts report, by number; none of one that is gone or silent. */
  readonly reports: ReadonlyMap<number, FrontReport>;
  readonly stopping: boolean;
  readonly pools: readonly KnownPool[];
}

const idlePool = { threads: 0, queue: 0, writeAhead: 0, wall: 0, cpu: 0 };

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
    mounts: config.mounts.map(({ host, path, tries }) => ({ host, path, tries: tries.map(tryText) })),
    pools: pools.map((pool) => poolStatus(pool, config.embedded, report)),
    upstreams: report?.upstreams ?? [],
    workers: pools.flatMap((pool) =>
      pool.slots
        .filter((slot) => slot.state !== "empty")
        .map((slot) => workerStatus(slot, pool.config.name, known, report)),
    ),
  };
}

function poolStatus(known: KnownPool, embedded: boolean, report: FrontReport | undefined): PoolStatus {
  const { config, facts, spawnerPid } = known;
  const { name, target, chdir } = config;
  return {
    name,
    application: facts?.application ?? target,
    target,
    chdir,
    python: facts?.python ?? "",
    embedded,
    spawner: { pid: spawnerPid, preload: facts?.preload ?? config.preload },
    ...(report?.pools.find((pool) => pool.name === name) ?? { ...idlePool, threadsMost: threadsMost(config) }),
  };
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
    requests: report?.requests ?? 0,
    ...processUsage(pid),
  };
}

function frontState({ number, process, listening }: KnownFront, { reports, stopping }: Known): FrontState {
  if (process === undefined) return "down";
  if (!listening) return "booting";
  if (!reports.has(number)) return "silent";
  return stopping ? "draining" : "ready";
}

function workerStatus(slot: Slot, pool: string, { stopping }: Known, report: FrontReport | undefined): WorkerStatus {
  const told = report?.workers.find((worker) => worker.id === slot.number);
  return {
    id: slot.number,
    pool,
    pid: slot.pid,
    state: slot.state === "booting" ? "booting" : stopping ? "draining" : "ready",
    startedAt: new Date(slot.startedAt).toISOString(),
    requests: told?.requests ?? 0,
    busy: told?.busy ?? 0,
    ...processUsage(slot.pid),
  };
}
