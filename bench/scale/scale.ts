// How costs grow: with connections, workers, the size of the application; and how long changes of it take.
import type { Options } from "../measure.js";
import type { Server } from "../server.js";
import { format, type Row, type Section } from "../table.js";
import { connectionServers, type IdleLoad, measureConnections } from "./connections.js";
import { type LargeApplication, measureMemory, memoryServers } from "./memory.js";
import { measureStarts, type Start, startServers } from "./starts.js";
import { type IdleSockets, measureWebSockets, webSocketServers } from "./web-sockets.js";
import { measureWorkers, type WorkerLoad, workerServers } from "./workers.js";

export interface Scale {
  readonly connections: readonly IdleLoad[];
  readonly webSockets: readonly IdleSockets[];
  readonly workers: readonly WorkerLoad[];
  readonly memory: readonly LargeApplication[];
  readonly starts: readonly Start[];
}

/** What can be asked for by name, and the servers each part takes. */
export const scaleParts: ReadonlyMap<string, readonly string[]> = new Map([
  ["scale-connections", connectionServers],
  ["scale-websockets", webSocketServers],
  ["scale-workers", workerServers],
  ["scale-memory", memoryServers],
  ["scale-start", startServers],
]);

export async function measureScale(
  names: readonly string[],
  servers: readonly Server[],
  options: Options,
): Promise<Scale> {
  const chosen = (name: string): boolean => names.includes(name);
  return {
    connections: chosen("scale-connections") ? await measureConnections(servers, options) : [],
    webSockets: chosen("scale-websockets") ? await measureWebSockets(servers, options) : [],
    workers: chosen("scale-workers") ? await measureWorkers(servers, options) : [],
    memory: chosen("scale-memory") ? await measureMemory(servers, options) : [],
    starts: chosen("scale-start") ? await measureStarts(servers, options) : [],
  };
}

function connectionRows(connections: readonly IdleLoad[]): readonly Row[] {
  return connections.map((one) => [
    one.server,
    format(one.idle, 0),
    // Of a few connections, what is measured is the allocator.
    one.idle < 1000 ? "" : format(one.perConnection / 1024, 1),
    format(one.memory, 1),
    format(one.requestsPerSecond, 0),
    format(one.p50, 2),
    format(one.p99, 2),
    format(one.lost, 0),
  ]);
}

function workerRows(workers: readonly WorkerLoad[]): readonly Row[] {
  return workers.map((one) => [
    one.server,
    format(one.workers, 0),
    format(one.requestsPerSecond, 0),
    format(one.p99, 1),
    format(one.cpuPerRequest, 1),
    format(one.memory, 1),
    format(one.errors, 0),
  ]);
}

function startRows(starts: readonly Start[]): readonly Row[] {
  return starts.map(({ server, start, reload }) => [
    server,
    format(start, 0),
    ...(reload === undefined
      ? ["–", "–", "–"]
      : [format(reload.firstNew, 0), format(reload.lastOld, 0), format(reload.failed, 0)]),
  ]);
}

/** The tables of a report. */
export function scaleSections(scale: Scale): readonly Section[] {
  return [
    {
      title: "Scale: idle kept-alive connections beside 32 active ones",
      head: ["server", "idle", "KiB each", "memory MiB", "requests/s", "p50 ms", "p99 ms", "lost or failed"],
      rows: connectionRows(scale.connections),
    },
    {
      title: "Scale: idle WebSockets of an ASGI application beside 32 active ones",
      head: [
        "server",
        "idle",
        "KiB each in the front",
        "KiB each in workers",
        "messages/s",
        "p99 ms",
        "lost or failed",
      ],
      rows: scale.webSockets.map((one) => [
        one.server,
        format(one.idle, 0),
        // A peer has no process that runs no Python.
        one.server.startsWith("vivarium") ? format(one.front / 1024, 1) : "–",
        format(one.worker / 1024, 1),
        format(one.messagesPerSecond, 0),
        format(one.p99, 2),
        format(one.lost, 0),
      ]),
    },
    {
      title: "Scale: workers of one thread, a page that waits 5 ms, 128 connections",
      head: ["server", "workers", "requests/s", "p99 ms", "CPU µs/request", "memory MiB", "errors"],
      rows: workerRows(scale.workers),
    },
    {
      title: "Scale: 4 workers of an application of 200 MB",
      head: ["server", "MiB at start", "MiB after load"],
      rows: scale.memory.map((one) => [one.server, format(one.atStart, 0), format(one.afterLoad, 0)]),
    },
    {
      title: "Scale: start, and reload under requests",
      head: ["server", "start ms", "first new answer ms", "last old answer ms", "failed meanwhile"],
      rows: startRows(scale.starts),
    },
  ];
}
