// Runs a scenario: the servers in turn, a second each, again and again, so that the machine's drift meets all alike: it was seen to be
// half as fast again from one second to the next. Each round starts them anew; the median of the rounds is the result. A server runs
// only while it is measured, and is stopped (SIGSTOP) meanwhile: an idle uWSGI with thunder-lock, once it has answered a request, may
// try accept(2) without end and take half of every core from whoever is measured beside it.
import { availableParallelism } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { waitUntilAccepting } from "../test/support/ports.js";
import type { RunningProcess } from "../test/support/processes.js";
import { ask } from "./client.js";
import { freeze, thaw } from "./freeze.js";
import { http2Load } from "./http2-load.js";
import { cpuMicroseconds, machineMicroseconds, ownMicroseconds, ownOctets } from "./process-tree.js";
import type { Check, Scenario } from "./scenarios.js";
import { clearPlace, type Demand, type Place, preparePlace, type Server, usual } from "./server.js";
import { median, spread } from "./statistics.js";
import { webSocketLoad } from "./web-socket-load.js";
import { connections, type Load, load, writeScript } from "./wrk.js";

export interface Result {
  readonly scenario: string;
  readonly server: string;
  readonly requestsPerSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** Microseconds of the whole tree. */
  readonly cpuPerRequest: number;
  /** MiB of the whole tree, after the load. */
  readonly memory: number;
  /** Share of the machine's cores that processes other than this server and wrk used meanwhile: the run's disturbance. */
  readonly others: number;
  /** How far the rounds' CPU per request lay from their middle at most, as a share of it: the noise of this figure. */
  readonly noise: number;
  /** Of all rounds together. */
  readonly badStatus: number;
  readonly socketErrors: number;
}

export interface Options {
  readonly seconds: number;
  readonly rounds: number;
  readonly say: (line: string) => void;
}

interface Sample extends Omit<Result, "scenario" | "server" | "noise"> {
  readonly requests: number;
  readonly seconds: number;
}

/** A server that was started for measuring. */
export interface Running {
  readonly server: Server;
  readonly place: Place;
  readonly processes: readonly RunningProcess[];
  readonly roots: readonly number[];
  readonly url: string;
}

export async function startServer(server: Server, demand: Demand): Promise<Running> {
  const place = await preparePlace(demand);
  const processes = server.start(place);
  const running = {
    server,
    place,
    processes,
    roots: processes.map(({ pid }) => pid),
    url: `${demand.tls ? "https" : "http"}://127.0.0.1:${place.port}`,
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

/** Puts load on a server for so many seconds. */
export type Loader = (seconds: number) => Promise<Load>;

function loaderOf({ path, script, by, connections: many = connections }: Scenario, running: Running): Loader {
  if (by === "web-socket") return (seconds) => webSocketLoad(running.place.port, path, seconds, many);
  if (by === "http2") return (seconds) => http2Load(`${running.url}${path}`, running.place, seconds, many);
  const lua = writeScript(running.place, script);
  return (seconds) => load(`${running.url}${path}`, lua, seconds, many);
}

async function sample(running: Running, put: Loader, seconds: number): Promise<Sample> {
  const before = cpuMicroseconds(running.roots);
  const mostBefore = machineMicroseconds() - ownMicroseconds();
  const began = performance.now();
  const counted = await put(seconds);
  const cpu = cpuMicroseconds(running.roots) - before;
  const others = machineMicroseconds() - ownMicroseconds() - mostBefore - cpu;
  const available = (performance.now() - began) * 1000 * availableParallelism();
  return {
    requests: counted.requests,
    seconds: counted.seconds,
    requestsPerSecond: counted.requestsPerSecond,
    p50: counted.p50,
    p99: counted.p99,
    cpuPerRequest: cpu / counted.requests,
    memory: ownOctets(running.roots) / 2 ** 20,
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
    noise: spread(samples.map((s) => s.cpuPerRequest)),
    badStatus: sum((s) => s.badStatus),
    socketErrors: sum((s) => s.socketErrors),
  };
}

/** At most so many seconds of warming up. */
const longestWarming = 6;

/**
 * Load until it costs no less from one second to the next: on a machine that is busy with other things, a second of wall time is
 * not enough for V8 to have compiled what is hot.
 */
export async function warm(running: Running, put: Loader): Promise<void> {
  let before = Number.POSITIVE_INFINITY;
  for (let second = 0; second < longestWarming; second += 1) {
    const cpu = cpuMicroseconds(running.roots);
    const { requests } = await put(1);
    const each = (cpuMicroseconds(running.roots) - cpu) / requests;
    if (each > before * 0.9) return;
    before = each;
  }
}

/** A server that takes part in a round. */
interface Contestant {
  readonly running: Running;
  readonly put: Loader;
  readonly samples: Sample[];
}

/** A server, started for this round alone, checked, warmed, and held still. */
async function enter(scenario: Scenario, server: Server): Promise<Contestant> {
  const running = await startServer(server, {
    ...usual,
    threads: scenario.threads,
    webSockets: scenario.by === "web-socket",
    tls: scenario.by === "http2",
  });
  try {
    for (const check of scenario.checks) await answersRight(running.url, check);
    const put = loaderOf(scenario, running);
    await warm(running, put);
    freeze(running.roots);
    return { running, put, samples: [] };
  } catch (error) {
    await stopServer(running);
    throw error;
  }
}

/** Seconds of load before another server has its turn: this machine's speed changes within few. */
const turnSeconds = 1;

/** All servers of a scenario, one second each and again, the others being held still. What cannot go on is left out. */
async function round(
  scenario: Scenario,
  servers: readonly Server[],
  options: Options,
  leaveOut: (server: Server, error: unknown) => void,
): Promise<ReadonlyMap<Server, Sample>> {
  const contestants = new Set<Contestant>();
  const drop = async (contestant: Contestant): Promise<void> => {
    contestants.delete(contestant);
    await thaw(contestant.running.roots);
    await stopServer(contestant.running);
  };
  try {
    for (const server of servers) {
      try {
        contestants.add(await enter(scenario, server));
      } catch (error) {
        leaveOut(server, error);
      }
    }
    for (let turn = 0; turn < options.seconds / turnSeconds; turn += 1) {
      // Back and forth: none always follows the same neighbour's heat.
      const order = [...contestants];
      for (const contestant of turn % 2 === 0 ? order : order.reverse()) {
        const { running, put, samples } = contestant;
        await thaw(running.roots);
        try {
          samples.push(await sample(running, put, turnSeconds));
          freeze(running.roots);
        } catch (error) {
          leaveOut(running.server, error);
          await drop(contestant);
        }
      }
    }
    return new Map([...contestants].map(({ running, samples }) => [running.server, together(samples)]));
  } finally {
    for (const contestant of [...contestants]) await drop(contestant);
  }
}

/** What the turns of a round were as one. */
function together(samples: readonly Sample[]): Sample {
  const sum = (pick: (sample: Sample) => number): number => samples.reduce((total, each) => total + pick(each), 0);
  const middle = (pick: (sample: Sample) => number): number => median(samples.map(pick));
  const requests = sum((each) => each.requests);
  const seconds = sum((each) => each.seconds);
  return {
    requests,
    seconds,
    requestsPerSecond: requests / seconds,
    p50: middle((each) => each.p50),
    p99: middle((each) => each.p99),
    cpuPerRequest: sum((each) => each.cpuPerRequest * each.requests) / requests,
    memory: samples.at(-1)?.memory ?? Number.NaN,
    others: sum((each) => each.others * each.seconds) / seconds,
    badStatus: sum((each) => each.badStatus),
    socketErrors: sum((each) => each.socketErrors),
  };
}

export async function measure(
  scenario: Scenario,
  servers: readonly Server[],
  options: Options,
): Promise<readonly Result[]> {
  let taking = servers.filter(({ name }) => scenario.servers.includes(name));
  const samples = new Map<Server, Sample[]>(taking.map((server) => [server, []]));
  const leaveOut = (server: Server, error: unknown): void => {
    options.say(
      `${server.name} is left out of ${scenario.name}: ${error instanceof Error ? error.message : String(error)}`,
    );
    taking = taking.filter((other) => other !== server);
  };
  for (let index = 0; index < options.rounds; index += 1) {
    // Every round begins with another server.
    const from = index % Math.max(1, taking.length);
    const order = [...taking.slice(from), ...taking.slice(0, from)];
    for (const [server, taken] of await round(scenario, order, options, leaveOut)) {
      samples.get(server)?.push(taken);
      options.say(
        `${scenario.name} ${index + 1}/${options.rounds} ${server.name}: ` +
          `${taken.requestsPerSecond.toFixed(0)} requests/s, ${taken.cpuPerRequest.toFixed(1)} µs CPU`,
      );
    }
  }
  return taking.map((server) => summarize(scenario, server, samples.get(server) ?? []));
}
