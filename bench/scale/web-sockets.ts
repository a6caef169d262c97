// What idle WebSockets cost: the memory of each, in the processes that talk to clients and in those that run the application.
import { setTimeout as delay } from "node:timers/promises";
import { answersRight, type Options, startServer, stopServer } from "../measure.js";
import { memoryOctets, runsPython } from "../process-tree.js";
import { type Server, usual } from "../server.js";
import { median } from "../statistics.js";
import { webSocketLoad } from "../web-socket-load.js";
import { connections } from "../wrk.js";
import { descriptorLimit, IdleConnections, webSocket } from "./idle-connections.js";

export interface IdleSockets {
  readonly server: string;
  readonly idle: number;
  /** Octets (PSS) for each, of processes that run no Python: Vivarium's front. */
  readonly front: number;
  /** Octets for each, of processes that do. */
  readonly worker: number;
  /** Messages that come back on others meanwhile. */
  readonly messagesPerSecond: number;
  /** Milliseconds. */
  readonly p99: number;
  /** Those that the server closed. */
  readonly lost: number;
}

export const webSocketServers: readonly string[] = ["vivarium-asgi", "uvicorn", "granian-asgi"];

const many = 10_000;
/** Descriptors that client and servers have besides. */
const spare = 500;

async function round(server: Server, count: number, options: Options): Promise<IdleSockets> {
  const running = await startServer(server, { ...usual, connections: 16_384, webSockets: true });
  const idle = new IdleConnections(running.place.port, webSocket);
  try {
    await answersRight(running.url, { method: "GET", path: "/hello", expected: "Hello, world!\n" });
    // What the first of them load and compile is not theirs.
    await webSocketLoad(running.place.port, "/socket", 2, connections);
    await idle.growTo(100);
    const memory = async (): Promise<readonly [front: number, worker: number]> => {
      await delay(1000);
      const python = memoryOctets(running.roots, runsPython);
      return [memoryOctets(running.roots) - python, python];
    };
    const [frontBefore, workerBefore] = await memory();
    await idle.growTo(count);
    const [front, worker] = await memory();
    const counted = await webSocketLoad(running.place.port, "/socket", options.seconds, connections);
    return {
      server: server.name,
      idle: count,
      front: (front - frontBefore) / (count - 100),
      worker: (worker - workerBefore) / (count - 100),
      messagesPerSecond: counted.requestsPerSecond,
      p99: counted.p99,
      lost: count - idle.open + counted.socketErrors,
    };
  } finally {
    idle.close();
    await stopServer(running);
  }
}

function summarize(samples: readonly IdleSockets[]): readonly IdleSockets[] {
  const [first] = samples;
  if (first === undefined) return [];
  const middle = (pick: (sample: IdleSockets) => number): number => median(samples.map(pick));
  return [
    {
      server: first.server,
      idle: first.idle,
      front: middle((s) => s.front),
      worker: middle((s) => s.worker),
      messagesPerSecond: middle((s) => s.messagesPerSecond),
      p99: middle((s) => s.p99),
      lost: samples.reduce((sum, { lost }) => sum + lost, 0),
    },
  ];
}

export async function measureWebSockets(servers: readonly Server[], options: Options): Promise<readonly IdleSockets[]> {
  const count = Math.min(many, descriptorLimit() - spare);
  if (count < many) options.say(`${count} WebSockets are measured in place of ${many}: ulimit -Hn is too low`);
  const taken: IdleSockets[] = [];
  for (let index = 0; index < options.rounds; index += 1) {
    for (const server of servers.filter(({ name }) => webSocketServers.includes(name))) {
      try {
        const found = await round(server, count, options);
        taken.push(found);
        options.say(
          `${count} WebSockets, ${server.name}: ${found.front.toFixed(0)} + ${found.worker.toFixed(0)} octets each`,
        );
      } catch (error) {
        options.say(`${server.name} is left out of a round: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }
  return webSocketServers.flatMap((name) => summarize(taken.filter(({ server }) => server === name)));
}
