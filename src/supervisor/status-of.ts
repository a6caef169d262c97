// A server's status, put together from what the supervisor knows, what its front reports, and what the kernel accounts.
import { type Config, threadsMost } from "../config/config.js";
import type { FrontReport } from "../front/messages.js";
import { version } from "../package.js";
import type { Loaded } from "../spawn/spawner.js";
import { processUsage } from "./process-usage.js";
import type { FrontStatus, Status, WorkerStatus } from "./status.js";
import type { Slot } from "./worker-slots.js";

export interface Known {
  readonly config: Config;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly listen: readonly string[];
  readonly loaded: Loaded | undefined;
  /** Process ids; 0 where there is none. */
  readonly spawner: number;
  readonly front: number;
  readonly frontListening: boolean;
  readonly stopping: boolean;
  readonly slots: readonly Slot[];
  /** Undefined where the front is gone. */
  readonly report: FrontReport | undefined;
}

const idlePool = { threads: 0, queue: 0, writeAhead: 0, wall: 0, cpu: 0 };

export function statusOf(known: Known): Status {
  const { config, loaded, report } = known;
  return {
    version,
    pid: process.pid,
    application: loaded?.application ?? config.target,
    target: config.target,
    chdir: config.chdir,
    python: loaded?.python ?? "",
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
    spawner: { pid: known.spawner, preload: loaded?.preload ?? config.preload },
    pool: report?.pool ?? { ...idlePool, threadsMost: threadsMost(config) },
    workers: known.slots.filter((slot) => slot.state !== "empty").map((slot) => workerStatus(slot, known)),
  };
}

function frontState({ front, frontListening, stopping }: Known): FrontStatus["state"] {
  if (front === 0) return "down";
  if (stopping) return "draining";
  return frontListening ? "ready" : "booting";
}

function workerStatus(slot: Slot, { report, stopping }: Known): WorkerStatus {
  const told = report?.workers.find((worker) => worker.id === slot.number);
  return {
    id: slot.number,
    pid: slot.pid,
    state: slot.state === "booting" ? "booting" : stopping ? "draining" : "ready",
    startedAt: new Date(slot.startedAt).toISOString(),
    requests: told?.requests ?? 0,
    busy: told?.busy ?? 0,
    ...processUsage(slot.pid),
  };
}
