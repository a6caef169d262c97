// A status in which no list is empty and nothing is null, so that it has every field there is: the compiler sees to that.
import { frontCauses, workerCauses } from "../../src/supervisor/restarts.js";
import type { ExecutingStatus, Status } from "../../src/supervisor/status.js";
import { exampleStatus } from "./control-server.js";

const executing: ExecutingStatus = {
  method: "GET",
  target: "/entries?page=2",
  id: "0123456789abcdef",
  seconds: 192.5,
  client: "waiting",
};
const reload = { generation: 3, by: "SIGHUP", startedAt: "2030-01-01T02:03:00.000Z" };

function counted<Cause extends string>(causes: readonly Cause[]): Record<Cause, number> {
  return Object.fromEntries(causes.map((cause, index) => [cause, index])) as Record<Cause, number>;
}

const [pool] = exampleStatus.pools;
const [front] = exampleStatus.fronts;
if (pool === undefined || front === undefined) throw new Error("the example has no pool or no front");

export const fullStatus: Status = {
  ...exampleStatus,
  fronts: [{ ...front, executing: [executing] }],
  frontRestarts: {
    total: 3,
    causes: counted(frontCauses),
    last: { at: "2030-01-01T02:00:00.000Z", cause: "hang", id: 1, pid: 11, why: "was killed by SIGKILL" },
  },
  pools: [
    {
      ...pool,
      generation: 1,
      reload,
      lastReload: {
        ...reload,
        generation: 2,
        at: "2030-01-01T02:01:00.000Z",
        took: 1.5,
        outcome: "failed",
        problem: "The application guestbook cannot be imported.",
        traceback: "Traceback (most recent call last):\n  …\nSyntaxError: invalid syntax\n",
      },
      restarts: {
        total: 55,
        causes: counted(workerCauses),
        last: { at: "2030-01-01T02:02:52.000Z", cause: "died", id: 2, pid: 9, why: "was killed by SIGKILL" },
      },
      generations: [...pool.generations, { number: 3, state: "loading", since: reload.startedAt, spawner: 20 }],
      missing: [{ id: 3, failures: 4, againIn: 0.8 }],
      queue: 3,
      wait: { longest: 1.25, count: 900, median: 0.012, most: 1.9 },
      refused: 17,
      down: "The application's processes end as soon as they have started.",
    },
  ],
  upstreams: [
    {
      name: "old",
      balance: "least-outstanding",
      requests: 12_004,
      retries: 3,
      servers: [
        {
          url: "uwsgi://10.0.0.5:3031",
          address: "10.0.0.5:3031",
          state: "up",
          backup: false,
          weight: 1,
          outstanding: 3,
          requests: 12_001,
          failures: 1,
          latency: 4.5,
          ejectedFor: 0,
          connections: { busy: 3, idle: 0 },
        },
      ],
    },
  ],
  workers: exampleStatus.workers.map((worker, index) => ({
    ...worker,
    replaced: index === 0 ? "requests" : "",
    executing: [{ ...executing, client: index === 0 ? "waiting" : "timed out" }],
  })),
};

/** The paths of all fields of a JSON value, in the notation of docs/status.md; a list that is empty, or null, has none below it. */
export function fieldsOf(value: unknown, path = ""): readonly string[] {
  if (value === null) return [];
  if (Array.isArray(value)) return [...new Set(value.flatMap((each) => fieldsOf(each, `${path}[]`)))];
  if (typeof value !== "object") return [path];
  return Object.entries(value).flatMap(([name, each]) => fieldsOf(each, path === "" ? name : `${path}.${name}`));
}
