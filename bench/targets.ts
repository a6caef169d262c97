// Which of its targets Vivarium reaches. Computed, never written by hand.
import type { Result } from "./measure.js";
import { type BenchRun, find, isPeer, metrics, reference, subject } from "./run.js";
import type { IdleLoad } from "./scale/connections.js";

export interface Target {
  readonly what: string;
  /** What was found, in words; undefined where this run did not measure it. */
  readonly found: string | undefined;
  readonly reached: boolean;
}

type Bound = readonly ["≤" | "≥" | "<" | ">", number];

function ratio(what: string, ours: number | undefined, theirs: number | undefined, bound: Bound): Target {
  if (ours === undefined || theirs === undefined) return { what, found: undefined, reached: false };
  const value = ours / theirs;
  const [sign, limit] = bound;
  const holds = { "≤": value <= limit, "<": value < limit, "≥": value >= limit, ">": value > limit };
  return { what, found: `${value.toFixed(2)} ×`, reached: holds[sign] };
}

function best(
  run: BenchRun,
  scenario: string,
  of: (r: Result) => number,
  choose: (...n: number[]) => number,
): number | undefined {
  const values = run.results.filter((r) => r.scenario === scenario && isPeer(r.server)).map(of);
  return values.length === 0 ? undefined : choose(...values);
}

function growth(run: BenchRun, direction: string): Target {
  const found = run.transfers.find((t) => t.server === subject && t.direction === direction);
  return {
    what: `1 GiB ${direction}: memory of the tree grows by less than 64 MiB`,
    found: found === undefined ? undefined : `${found.growth.toFixed(1)} MiB`,
    reached: found !== undefined && found.growth < 64,
  };
}

/** The targets of this version, each against what the run found. */
export function targets(run: BenchRun): readonly Target[] {
  const rate = (r: Result): number => r.requestsPerSecond;
  const cpu = (r: Result): number => r.cpuPerRequest;
  const of = (scenario: string, server: string, pick: (r: Result) => number): number | undefined => {
    const result = find(run, scenario, server);
    return result === undefined ? undefined : pick(result);
  };
  const startUp = (name: string): number | undefined => run.startUps.find((s) => s.name === name)?.milliseconds;
  const own = (scenario: string, pick: (r: Result) => number): number | undefined => of(scenario, subject, pick);
  const theirs = (scenario: string, pick: (r: Result) => number): number | undefined => of(scenario, reference, pick);
  return [
    ratio(`hello: CPU per request ≤ 0.42 × ${reference}`, own("hello", cpu), theirs("hello", cpu), ["≤", 0.42]),
    ratio(`hello: requests/s ≥ 1.4 × ${reference}`, own("hello", rate), theirs("hello", rate), ["≥", 1.4]),
    ratio("hello: requests/s more than every peer", own("hello", rate), best(run, "hello", rate, Math.max), [">", 1]),
    ratio("wait: requests/s ≥ the best peer's", own("wait", rate), best(run, "wait", rate, Math.max), ["≥", 1]),
    ratio(`wait: CPU per request below ${reference}`, own("wait", cpu), theirs("wait", cpu), ["<", 1]),
    ratio("wait: without --threads within 5 % of that", of("wait", "vivarium-auto", rate), own("wait", rate), [
      "≥",
      0.95,
    ]),
    ratio("compute: requests/s ≥ the best peer's", own("compute", rate), best(run, "compute", rate, Math.max), [
      "≥",
      1,
    ]),
    ratio(
      "compute: p99 below every peer's",
      own("compute", (r) => r.p99),
      best(run, "compute", (r) => r.p99, Math.min),
      ["<", 1],
    ),
    ratio(`mix: requests/s ≥ 1.3 × ${reference}`, own("mix", rate), theirs("mix", rate), ["≥", 1.3]),
    ratio("start-up ≤ 1.5 × gunicorn's", startUp("vivarium"), startUp("gunicorn"), ["≤", 1.5]),
    ratio("npm start ≤ 1.5 × gunicorn's with the guestbook", startUp("npm start"), startUp("gunicorn, guestbook"), [
      "≤",
      1.5,
    ]),
    growth(run, "response"),
    growth(run, "upload"),
    ...pairTargets(run, embedded),
    ...pairTargets(run, doors),
    ...pairTargets(run, asgi),
    ratio(
      "asgi-await: requests/s ≥ 0.98 × the best peer's",
      of("asgi-await", "vivarium-asgi", rate),
      best(run, "asgi-await", rate, Math.max),
      ["≥", 0.98],
    ),
    ...scaleTargets(run),
  ];
}

type PairTarget = readonly [scenario: string, mine: string, theirs: string, metric: string, bound: Bound];

/** The record for speed: a request to a process that holds an interpreter. */
const embedded: readonly PairTarget[] = [
  ["hello", "vivarium-embedded", reference, "CPU µs/request", ["≤", 0.35]],
  ["hello", "vivarium-embedded", "granian-wsgi", "CPU µs/request", ["<", 1]],
  ["hello", "vivarium-embedded", "nginx-constant", "CPU µs/request", ["≤", 2]],
];

/** What a door may cost behind nginx, and the gateway in nginx's place. */
const doors: readonly PairTarget[] = [
  ["doors", "vivarium-fastcgi", reference, "CPU µs/request", ["≤", 0.8]],
  ["doors", "vivarium-fastcgi", reference, "requests/s", ["≥", 1]],
  ["doors", "vivarium-http", reference, "CPU µs/request", ["≤", 0.8]],
  ["doors", "vivarium-http", reference, "requests/s", ["≥", 1]],
  ["doors", "vivarium-uwsgi", reference, "CPU µs/request", ["≤", 1.4]],
  ["doors", "vivarium-scgi", reference, "CPU µs/request", ["≤", 1.4]],
  ["doors-gateway", "vivarium-gateway", reference, "requests/s", ["≥", 0.9]],
  ["doors-gateway", "vivarium-gateway", reference, "p99 ms", ["≤", 1]],
  ["doors-multiplex", "vivarium-multiplexed", "vivarium-per-request", "requests/s", ["≥", 0.9]],
];

/** ASGI applications: against the server most of them run on, and against the best where nothing is computed. */
const asgi: readonly PairTarget[] = [
  ["asgi-hello", "vivarium-asgi", "uvicorn", "CPU µs/request", ["≤", 0.85]],
  ["asgi-hello", "vivarium-asgi", "uvicorn", "requests/s", ["≥", 1.1]],
  ["asgi-echo", "vivarium-asgi", "uvicorn", "CPU µs/request", ["≤", 1]],
  ["asgi-http2", "vivarium-asgi", "hypercorn", "requests/s", ["≥", 3]],
  ["asgi-websocket", "vivarium-asgi", "uvicorn", "requests/s", ["≥", 1]],
];

function pairTargets(run: BenchRun, pairs: readonly PairTarget[]): readonly Target[] {
  return pairs.map(([scenario, mine, theirs, metric, bound]) => {
    const value = (server: string): number | undefined => {
      const result = find(run, scenario, server);
      return result && metrics.find(({ name }) => name === metric)?.of(result);
    };
    const words = `${scenario}: ${metric} of ${mine} ${bound[0]} ${bound[1]} × ${theirs}`;
    return ratio(words, value(mine), value(theirs), bound);
  });
}

/** Octets that an idle kept-alive connection may take. */
const connectionMemory = 8192;
const manyConnections = 10_000;

function connectionTargets(run: BenchRun, server: string): readonly Target[] {
  const of = (idle: number): IdleLoad | undefined =>
    run.scale.connections.find((one) => one.server === server && one.idle === idle);
  const [without, many] = [of(0), of(manyConnections)];
  return [
    {
      what: `scale: memory of an idle connection of ${server}, of 10,000, ≤ 8 KiB`,
      found: many && `${(many.perConnection / 1024).toFixed(1)} KiB`,
      reached: many !== undefined && many.perConnection <= connectionMemory,
    },
    ratio(`scale: p99 of ${server} beside 10,000 idle connections < 2 × without`, many?.p99, without?.p99, ["<", 2]),
  ];
}

/** Octets that an idle WebSocket may take, in the front and in the worker. */
const socketMemory = { front: 16_384, worker: 12_288 };

function webSocketTargets(run: BenchRun): readonly Target[] {
  const found = run.scale.webSockets.find(({ server, idle }) => server === "vivarium-asgi" && idle === manyConnections);
  return (["front", "worker"] as const).map((where) => ({
    what: `scale: memory of an idle WebSocket, of 10,000, in the ${where} ≤ ${socketMemory[where] / 1024} KiB`,
    found: found && `${(found[where] / 1024).toFixed(1)} KiB`,
    reached: found !== undefined && found[where] <= socketMemory[where],
  }));
}

function scaleTargets(run: BenchRun): readonly Target[] {
  const memory = (server: string): number | undefined =>
    run.scale.memory.find((one) => one.server === server)?.afterLoad;
  const [mine, theirs] = [memory(subject), memory(reference)];
  const difference = mine === undefined || theirs === undefined ? undefined : mine - theirs;
  return [
    ...connectionTargets(run, subject),
    ...connectionTargets(run, "vivarium-embedded"),
    ...webSocketTargets(run),
    {
      what: `scale: 4 workers of 200 MB take at most 60 MiB more than ${reference}`,
      found: difference === undefined ? undefined : `${difference.toFixed(0)} MiB more`,
      reached: difference !== undefined && difference <= 60,
    },
  ];
}
