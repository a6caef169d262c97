// Runs a scenario: every server started and checked, then measured in turn, round after round, so that the machine's
// drift meets all alike; the median of the rounds is the result.
import { availableParallelism } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { waitUntilAccepting } from "../test/support/ports.js";
import type { RunningProcess } from "../test/support/processes.js";
import { ask } from "./client.js";
import { cpuMicroseconds, machineMicroseconds, memoryOctets, ownMicroseconds } from "./process-tree.js";
import type { Check, Scenario } from "./scenarios.js";
import { clearPlace, type Place, preparePlace, type Server } from "./servers.js";
import { load, writeScript } from "./wrk.js";

export interface Result {
  readonly scenario: string;
  readonly server: string;
  readonly requestsPerSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** Microseconds of the whole tree. */
  readonly cpuPerRequest: number;
  /** MiB of the whole tree (PSS), after the load. */
  readonly memory: number;
  /** Share of the machine's cores that processes other than this server and wrk used meanwhile: the run's disturbance. */
  readonly others: number;
  /** Of all rounds together. */
  readonly badStatus: number;
  readonly socketErrors: number;
}

export interface Options {
  readonly seconds: number;
  readonly rounds: number;
  readonly say: (line: string) => void;
}

type Sample = Omit<Result, "scenario" | "server">;

/** A server that was started for measuring. */
export interface Running {
  readonly server: Server;
  readonly place: Place;
  readonly processes: readonly RunningProcess[];
  readonly roots: readonly number[];
  readonly url: string;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const high = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? high : ((sorted[middle - 1] ?? high) + high) / 2;
}

export async function startServer(server: Server, threads: number): Promise<Running> {
  const place = await preparePlace(threads);
  const processes = server.start(place);
  const running = {
    server,
    place,
    processes,
    roots: processes.map(({ pid }) => pid),
    url: `http://127.0.0.1:${place.port}`,
  };
  const gaveUp = (): string | undefined => {
    const ended = processes.find(({ exit }) => exit !== undefined);
    return ended === undefined ? undefined : `${server.name}: ${ended.command} ended:\n${ended.output}`;
  };
  try {
    await waitUntilAccepting(place.port, { gaveUp });
    return running;
  } catch (error) {
    await stopServer(running);
    throw error;
  }
}

export async function stopServer({ processes, place }: Running): Promise<void> {
  for (const process of processes) await process.stop("SIGTERM", 5000);
  clearPlace(place);
}

/** A front may listen before its application does (nginx answers 502 then): so several tries. */
export async function answersRight(url: string, check: Check): Promise<void> {
  let problem = "";
  for (let attempt = 0; attempt < 50; attempt += 1) {
    try {
      const { status, body } = await ask(`${url}${check.path}`, check);
      const text = body.toString("latin1");
      const right = typeof check.expected === "string" ? text === check.expected : check.expected.test(text);
      if (status === 200 && right) return;
      problem = `status ${status}, ${text.length} characters: ${text.slice(0, 80)}`;
    } catch (error) {
      problem = error instanceof Error ? error.message : String(error);
    }
    await delay(100);
  }
  throw new Error(`${check.method} ${check.path} is not answered as it should be: ${problem}`);
}

async function sample(running: Running, script: string, path: string, options: Options): Promise<Sample> {
  const before = cpuMicroseconds(running.roots);
  const mostBefore = machineMicroseconds() - ownMicroseconds();
  const began = performance.now();
  const counted = await load(`${running.url}${path}`, script, options.seconds);
  const cpu = cpuMicroseconds(running.roots) - before;
  const others = machineMicroseconds() - ownMicroseconds() - mostBefore - cpu;
  const available = (performance.now() - began) * 1000 * availableParallelism();
  return {
    requestsPerSecond: counted.requestsPerSecond,
    p50: counted.p50,
    p99: counted.p99,
    cpuPerRequest: cpu / counted.requests,
    memory: memoryOctets(running.roots) / 2 ** 20,
    others: Math.max(0, others / available),
    badStatus: counted.badStatus,
    socketErrors: counted.socketErrors,
  };
}

function summarize(scenario: Scenario, server: Server, samples: readonly Sample[]): Result {
  const middle = (pick: (sample: Sample) => number): number => median(samples.map(pick));
  const sum = (pick: (sample: Sample) => number): number => samples.reduce((total, s) => total + pick(s), 0);
  return {
    scenario: scenario.name,
    server: server.name,
    requestsPerSecond: middle((s) => s.requestsPerSecond),
    p50: middle((s) => s.p50),
    p99: middle((s) => s.p99),
    cpuPerRequest: middle((s) => s.cpuPerRequest),
    memory: middle((s) => s.memory),
    others: middle((s) => s.others),
    badStatus: sum((s) => s.badStatus),
    socketErrors: sum((s) => s.socketErrors),
  };
}

async function startChecked(scenario: Scenario, servers: readonly Server[], options: Options): Promise<Running[]> {
  const started: Running[] = [];
  for (const server of servers) {
    try {
      const running = await startServer(server, scenario.threads);
      started.push(running);
      for (const check of scenario.checks) await answersRight(running.url, check);
    } catch (error) {
      options.say(`${server.name} is left out of ${scenario.name}: ${error instanceof Error ? error.message : error}`);
      const index = started.findIndex((running) => running.server === server);
      const failed = index < 0 ? undefined : started.splice(index, 1)[0];
      if (failed !== undefined) await stopServer(failed);
    }
  }
  return started;
}

export async function measure(
  scenario: Scenario,
  servers: readonly Server[],
  options: Options,
): Promise<readonly Result[]> {
  const taking = servers.filter((server) => server.scenarios?.includes(scenario.name) ?? true);
  const started = await startChecked(scenario, taking, options);
  try {
    const samples = new Map<string, Sample[]>(started.map(({ server }) => [server.name, []]));
    for (let round = 0; round < options.rounds; round += 1) {
      // Every round begins with another server: none always follows the same neighbour's heat.
      const order = [...started.slice(round % started.length), ...started.slice(0, round % started.length)];
      for (const running of order) {
        const script = writeScript(running.place, scenario.script);
        await load(`${running.url}${scenario.path}`, script, 1);
        const taken = await sample(running, script, scenario.path, options);
        samples.get(running.server.name)?.push(taken);
        options.say(
          `${scenario.name} ${round + 1}/${options.rounds} ${running.server.name}: ` +
            `${taken.requestsPerSecond.toFixed(0)} requests/s, ${taken.cpuPerRequest.toFixed(1)} µs CPU`,
        );
      }
    }
    return started.map(({ server }) => summarize(scenario, server, samples.get(server.name) ?? []));
  } finally {
    for (const running of started) await stopServer(running);
  }
}
