// A process that stands in for a supervisor at its control socket.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Status } from "../../src/supervisor/status.js";
import { type RunningProcess, start } from "./processes.js";

const noRestarts = {
  died: 0,
  boot: 0,
  hang: 0,
  timeout: 0,
  requests: 0,
  age: 0,
  memory: 0,
  memoryHard: 0,
  spawner: 0,
  front: 0,
  rollback: 0,
};

/** A status such as a supervisor gives, of process 1. */
export const exampleStatus: Status = {
  version: "0.1.0",
  pid: 1,
  name: "guestbook:application",
  chdir: "/srv/guestbook",
  listen: ["http://127.0.0.1:8000", "fastcgi://unix:/run/guestbook.sock"],
  startedAt: "2030-01-01T00:00:00.000Z",
  uptime: 7384,
  fronts: [
    {
      id: 1,
      pid: 12,
      state: "ready",
      startedAt: "2030-01-01T00:00:00.000Z",
      connections: 1,
      webSockets: 0,
      requests: 34512,
      executing: [],
      cpu: 1.25,
      memory: 50331648,
    },
  ],
  frontRestarts: { total: 0, causes: { died: 0, boot: 0, hang: 0 }, last: null },
  certificates: [],
  mounts: [{ host: "", path: "", tries: ["pool main"] }],
  pools: [
    {
      name: "main",
      application: "guestbook:application",
      target: "guestbook",
      chdir: "/srv/guestbook",
      generation: 1,
      missing: [],
      generations: [{ number: 1, state: "serving", since: "2030-01-01T00:00:01.000Z", spawner: 13 }],
      reload: null,
      lastReload: null,
      restarts: { total: 0, causes: noRestarts, last: null },
      python: "3.11.7",
      embedded: false,
      spawner: { pid: 13, preload: true },
      threads: 4,
      threadsMost: 8,
      interface: "wsgi",
      eventLoop: "",
      queue: 0,
      wait: { longest: 0, count: 1200, median: 0, most: 0 },
      refused: 0,
      down: "",
      writeAhead: 16,
      wall: 5210,
      cpu: 180,
    },
  ],
  upstreams: [],
  workers: [
    {
      id: 1,
      generation: 1,
      pool: "main",
      pid: 14,
      state: "ready",
      replaced: "",
      startedAt: "2030-01-01T00:00:00.000Z",
      requests: 17234,
      busy: 1,
      blocked: 0,
      blockedMost: 0,
      executing: [{ method: "GET", target: "/entries", id: "0123456789abcdef", seconds: 0.25, client: "waiting" }],
      cpu: 738.4,
      memory: 25270682,
    },
    {
      id: 2,
      generation: 1,
      pool: "main",
      pid: 15,
      state: "booting",
      replaced: "",
      startedAt: "2030-01-01T02:03:00.000Z",
      requests: 0,
      busy: 0,
      blocked: 0,
      blockedMost: 0,
      executing: [],
      cpu: 0.2,
      memory: 1048576,
    },
  ],
};

export interface ControlServerOptions {
  /** Path of the control socket. */
  readonly path: string;
  /** Differences from `exampleStatus`; the process number is its own. */
  readonly status?: Partial<Status>;
  /** What it answers to any command, in place of the right answer; "" for silence and the connection's end. */
  readonly answer?: string;
  /** Whether it ends when told to stop. Default true. */
  readonly stops?: boolean;
}

/** Starts one; it listens when this resolves. The test must stop it. */
export async function startControlServer(options: ControlServerOptions): Promise<RunningProcess> {
  const script = join(fileURLToPath(new URL(".", import.meta.url)), "control-server-main.js");
  const server = start(process.execPath, [script, JSON.stringify(options)]);
  await server.line(/listening/u);
  return server;
}
