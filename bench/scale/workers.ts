// An application that waits 5 ms for each request, with one thread and ever more workers.
import { answersRight, type Loader, type Options, startServer, stopServer, warm } from "../measure.js";
import { cpuMicroseconds, memoryOctets } from "../process-tree.js";
import { type Server, usual } from "../server.js";
import { median } from "../statistics.js";
import { listenUrl, startVivarium } from "../vivarium.js";
import { load, writeScript } from "../wrk.js";

export interface WorkerLoad {
  readonly server: string;
  readonly workers: number;
  readonly requestsPerSecond: number;
  /** Milliseconds. */
  readonly p99: number;
  /** Microseconds of the whole tree. */
  readonly cpuPerRequest: number;
  /** MiB of the whole tree (PSS). */
  readonly memory: number;
  readonly errors: number;
}

export const workerServers: readonly string[] = ["vivarium", "nginx+uwsgi"];

const counts = [1, 2, 4, 8, 16, 32, 64];

/** Twice what the most workers execute at once: there is always a request to give. */
const connections = 128;

/** Vivarium is held to one thread a worker here: how many it finds right by itself is another question. */
function withOneThread(server: Server): Server {
  if (server.name !== "vivarium") return server;
  return { ...server, start: (place) => [startVivarium(place, listenUrl(place), ["--threads", "1"])] };
}

async function sample(server: Server, workers: number, options: Options): Promise<WorkerLoad> {
  const running = await startServer(withOneThread(server), { ...usual, workers });
  try {
    await answersRight(running.url, { method: "GET", path: "/wait", expected: "Hello, world!\n" });
    const script = writeScript(running.place, undefined);
    const put: Loader = (seconds) => load(`${running.url}/wait`, script, seconds, connections);
    await warm(running, put);
    const before = cpuMicroseconds(running.roots);
    const counted = await put(options.seconds);
    return {
      server: server.name,
      workers,
      requestsPerSecond: counted.requestsPerSecond,
      p99: counted.p99,
      cpuPerRequest: (cpuMicroseconds(running.roots) - before) / counted.requests,
      memory: memoryOctets(running.roots) / 2 ** 20,
      errors: counted.badStatus + counted.socketErrors,
    };
  } finally {
    await stopServer(running);
  }
}

export async function measureWorkers(servers: readonly Server[], options: Options): Promise<readonly WorkerLoad[]> {
  const found: WorkerLoad[] = [];
  const taking = servers.filter(({ name }) => workerServers.includes(name));
  for (const workers of counts) {
    const samples = new Map<Server, WorkerLoad[]>(taking.map((server) => [server, []]));
    for (let round = 0; round < options.rounds; round += 1) {
      for (const [server, list] of samples) list.push(await sample(server, workers, options));
    }
    for (const [{ name }, list] of samples) {
      const middle = (pick: (one: WorkerLoad) => number): number => median(list.map(pick));
      found.push({
        server: name,
        workers,
        requestsPerSecond: middle((one) => one.requestsPerSecond),
        p99: middle((one) => one.p99),
        cpuPerRequest: middle((one) => one.cpuPerRequest),
        memory: middle((one) => one.memory),
        errors: list.reduce((sum, { errors }) => sum + errors, 0),
      });
      options.say(`${workers} workers, ${name}: ${found.at(-1)?.requestsPerSecond.toFixed(0)} requests/s`);
    }
  }
  return found;
}
