// What idle connections cost: the memory of each, and how long the requests of others take beside them.
import { setTimeout as delay } from "node:timers/promises";
import { answersRight, type Options, type Running, startServer, stopServer, warm } from "../measure.js";
import { memoryOctets } from "../process-tree.js";
import { type Server, usual } from "../server.js";
import { median } from "../statistics.js";
import { load, writeScript } from "../wrk.js";
import { descriptorLimit, IdleConnections } from "./idle-connections.js";

export interface IdleLoad {
  readonly server: string;
  /** Idle connections beside the active ones. */
  readonly idle: number;
  /** Octets of the whole tree (PSS) for each connection added since the step before; NaN for none. The kernel's are not in it. */
  readonly perConnection: number;
  /** MiB of the whole tree. */
  readonly memory: number;
  readonly requestsPerSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** Idle connections the server closed although their time was not up, and active requests that failed. */
  readonly lost: number;
}

export const connectionServers: readonly string[] = [
  "vivarium",
  "vivarium-embedded",
  "nginx+uwsgi",
  "granian-wsgi",
  "uvicorn",
];

/** None is measured before and after, so that what the machine does meanwhile meets both sides of a comparison. */
const steps = [0, 1, 100, 1000, 10_000, 0];

/** Descriptors that client and servers have besides: libraries, pipes, listening sockets, active connections on both sides. */
const spare = 500;

async function step(running: Running, idle: IdleConnections, count: number, options: Options): Promise<IdleLoad> {
  const before = memoryOctets(running.roots);
  const added = count - idle.open;
  if (added < 0) idle.close();
  await idle.growTo(count);
  // What was only needed to accept them is given back by then, where it is.
  await delay(1000);
  const memory = memoryOctets(running.roots);
  const counted = await load(`${running.url}/hello`, writeScript(running.place, undefined), options.seconds);
  return {
    server: running.server.name,
    idle: count,
    perConnection: added <= 0 ? Number.NaN : (memory - before) / added,
    memory: memory / 2 ** 20,
    requestsPerSecond: counted.requestsPerSecond,
    p50: counted.p50,
    p99: counted.p99,
    lost: count - idle.open + counted.badStatus + counted.socketErrors,
  };
}

async function round(server: Server, counts: readonly number[], options: Options): Promise<readonly IdleLoad[]> {
  const running = await startServer(server, { ...usual, connections: 16_384 });
  const idle = new IdleConnections(running.place.port);
  try {
    await answersRight(running.url, { method: "GET", path: "/hello", expected: "Hello, world!\n" });
    const script = writeScript(running.place, undefined);
    await warm(running, (seconds) => load(`${running.url}/hello`, script, seconds));
    const found: IdleLoad[] = [];
    for (const count of counts) {
      found.push(await step(running, idle, count, options));
      const { p99, perConnection } = found.at(-1) ?? { p99: Number.NaN, perConnection: Number.NaN };
      options.say(
        `${count} idle connections, ${server.name}: ${perConnection.toFixed(0)} octets each, p99 ${p99.toFixed(2)} ms`,
      );
    }
    return found;
  } finally {
    idle.close();
    await stopServer(running);
  }
}

function summarize(samples: readonly IdleLoad[]): IdleLoad | undefined {
  const [first] = samples;
  if (first === undefined) return undefined;
  const middle = (pick: (sample: IdleLoad) => number): number => median(samples.map(pick));
  return {
    server: first.server,
    idle: first.idle,
    perConnection: middle((s) => s.perConnection),
    memory: middle((s) => s.memory),
    requestsPerSecond: middle((s) => s.requestsPerSecond),
    p50: middle((s) => s.p50),
    p99: middle((s) => s.p99),
    lost: samples.reduce((sum, { lost }) => sum + lost, 0),
  };
}

export async function measureConnections(servers: readonly Server[], options: Options): Promise<readonly IdleLoad[]> {
  const room = descriptorLimit() - spare;
  const counts = steps.filter((count) => count <= room);
  if (counts.length < steps.length) {
    options.say(
      `a process here may have ${room + spare} descriptors: ulimit -Hn ${10_000 + spare} would let all be measured`,
    );
  }
  const taken: IdleLoad[] = [];
  for (let index = 0; index < options.rounds; index += 1) {
    for (const server of servers.filter(({ name }) => connectionServers.includes(name))) {
      try {
        taken.push(...(await round(server, counts, options)));
      } catch (error) {
        options.say(`${server.name} is left out of a round: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }
  return connectionServers.flatMap((name) =>
    [...new Set(counts)].flatMap(
      (idle) => summarize(taken.filter((one) => one.server === name && one.idle === idle)) ?? [],
    ),
  );
}
