// A server's status, put together from what the supervisor knows, what its front reports, and what the kernel accounts.
import { type Config, type PoolConfig, threadsMost } from "../config/config.js";
import { serverName, tryText } from "../config/describe.js";
import type { FrontReport } from "../front/messages.js";
import { version } from "../package.js";
import type { Loaded } from "../spawn/spawner.js";
import { processUsage } from "./process-usage.js";
import type { FrontStatus, PoolStatus, Status, WorkerStatus } from "./status.js";
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

export interface Known {
  readonly config: Config;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly listen: readonly string[];
  /** Process id; 0 where there is none. */
  readonly front: number;
  readonly frontListening: boolean;
  readonly stopping: boolean;
  readonly pools: readonly KnownPool[];
  /** Undefined where the front is gone. */
  readonly report: FrontReport | undefined;
}

const idlePool = { threads: 0, queue: 0, writeAhead: 0, wall: 0, cpu: 0 };

export function statusOf(known: Known): Status {
  const { config, pools, report } = known;
  return {
    version,
    pid: process.pid,
    name: serverName(config, (pool) => pools.find((each) => each.config === pool)?.facts?.application ?? pool.target),
    chdir: config.chdir,
    listen: known.listen,
    startedAt: new Date(known.startedAt).toISOString(),
    uptime: (Date.now() - known.startedAt) / 1000,
    front: {
      pid: known.front,
      state: frontState(known),
      connections: report?.connections ?? 0,
      requests: report?.requests ?? 0,
      ...processUsage(known.front),
    },
    mounts: config.mounts.map(({ host, path, tries }) => ({ host, path, tries: tries.map(tryText) })),
    pools: pools.map((pool) => poolStatus(pool, report)),
    upstreams: report?.upstreams ?? [],
    workers: pools.flatMap((pool) =>
      pool.slots.filter((slot) => slot.state !== "empty").map((slot) => workerStatus(slot, pool.config.name, known)),
    ),
  };
}

function poolStatus({ config, facts, spawnerPid }: KnownPool, report: FrontReport | undefined): PoolStatus {
  const { name, target, chdir } = config;
  return {
    name,
    application: facts?.application ?? target,
    target,
    chdir,
    python: facts?.python ?? "",
    spawner: { pid: spawnerPid, preload: facts?.preload ?? config.preload },
    ...(report?.pools.find((pool) => pool.name === name) ?? { ...idlePool, threadsMost: threadsMost(config) }),
  };
}

function frontState({ front, frontListening, stopping }: Known): FrontStatus["state"] {
  if (front === 0) return "down";
  if (stopping) return "draining";
  return frontListening ? "ready" : "booting";
}

function workerStatus(slot: Slot, pool: string, { report, stopping }: Known): WorkerStatus {
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
