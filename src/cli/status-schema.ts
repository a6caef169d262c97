// What a server's status has to be for this client to read it. What else a newer server tells, `--json` hands on.
import * as v from "valibot";
import { frontCauses, type RestartsStatus, workerCauses } from "../supervisor/restarts.js";
import type { Status } from "../supervisor/status.js";

const count = v.number();
const counts = <Cause extends string>(causes: readonly Cause[]): v.GenericSchema<unknown, Record<Cause, number>> =>
  v.object(Object.fromEntries(causes.map((cause) => [cause, count])) as Record<Cause, typeof count>);
const restarts = <const Cause extends string>(
  causes: readonly Cause[],
): v.GenericSchema<unknown, RestartsStatus<Cause>> =>
  v.object({
    total: count,
    causes: counts(causes),
    last: v.nullable(v.object({ at: v.string(), cause: v.picklist(causes), id: count, pid: count, why: v.string() })),
  });
const executing = v.array(
  v.object({
    method: v.string(),
    target: v.string(),
    id: v.string(),
    seconds: count,
    client: v.picklist(["waiting", "timed out", "gone"]),
  }),
);
const reload = { generation: count, by: v.string(), startedAt: v.string() };
export const statusSchema: v.GenericSchema<unknown, Status> = v.object({
  version: v.string(),
  pid: count,
  name: v.string(),
  chdir: v.string(),
  listen: v.array(v.string()),
  startedAt: v.string(),
  uptime: count,
  fronts: v.array(
    v.object({
      id: count,
      pid: count,
      state: v.picklist(["booting", "ready", "silent", "draining", "down"]),
      startedAt: v.string(),
      connections: count,
      webSockets: count,
      requests: count,
      executing,
      cpu: count,
      memory: count,
    }),
  ),
  frontRestarts: restarts(frontCauses),
  certificates: v.array(
    v.object({ file: v.string(), names: v.array(v.string()), expires: v.string(), problem: v.string() }),
  ),
  mounts: v.array(v.object({ host: v.string(), path: v.string(), tries: v.array(v.string()) })),
  pools: v.array(
    v.object({
      name: v.string(),
      application: v.string(),
      target: v.string(),
      chdir: v.string(),
      generation: count,
      missing: v.array(v.object({ id: count, failures: count, againIn: count })),
      generations: v.array(
        v.object({
          number: count,
          state: v.picklist(["loading", "booting", "checking", "serving", "draining", "kept", "ending", "ended"]),
          since: v.string(),
          spawner: count,
        }),
      ),
      reload: v.nullable(v.object(reload)),
      restarts: restarts(workerCauses),
      lastReload: v.nullable(
        v.object({
          ...reload,
          at: v.string(),
          took: count,
          outcome: v.picklist(["serving", "failed", "rolled back"]),
          problem: v.string(),
          traceback: v.string(),
        }),
      ),
      python: v.string(),
      embedded: v.boolean(),
      spawner: v.object({ pid: count, preload: v.boolean() }),
      threads: count,
      threadsMost: count,
      interface: v.picklist(["", "wsgi", "asgi"]),
      eventLoop: v.string(),
      queue: count,
      wait: v.object({ longest: count, count, median: count, most: count }),
      refused: count,
      down: v.string(),
      writeAhead: count,
      wall: count,
      cpu: count,
    }),
  ),
  upstreams: v.array(
    v.object({
      name: v.string(),
      balance: v.picklist(["least-outstanding", "round-robin", "hash"]),
      requests: count,
      retries: count,
      servers: v.array(
        v.object({
          url: v.string(),
          address: v.string(),
          state: v.picklist(["up", "trial", "ejected", "unhealthy", "draining"]),
          backup: v.boolean(),
          weight: count,
          outstanding: count,
          requests: count,
          failures: count,
          latency: count,
          ejectedFor: count,
          connections: v.object({ busy: count, idle: count }),
        }),
      ),
    }),
  ),
  workers: v.array(
    v.object({
      id: count,
      pool: v.string(),
      pid: count,
      generation: count,
      state: v.picklist(["booting", "waiting", "ready", "lost", "draining"]),
      replaced: v.picklist(["", ...workerCauses]),
      startedAt: v.string(),
      requests: count,
      busy: count,
      blocked: count,
      blockedMost: count,
      executing,
      cpu: count,
      memory: count,
    }),
  ),
});
