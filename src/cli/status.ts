// vivarium status: what a running server is doing, for people or as JSON.
import type { Command } from "commander";
import { listenerText, placeText } from "../config/describe.js";
import type { FrontStatus, PoolStatus, Status, WorkerStatus } from "../supervisor/status.js";
import type { ExitStatus } from "./command.js";
import { findServer } from "./control-client.js";
import { paint, print, table } from "./terminal.js";

const HELP = `
Which server: the one --control names, else the one running in the current directory, else the only one of this user.

Columns: busy is the number of requests a worker, or an upstream server, executes at this moment; CPU % is a process's time in
percent of one core, since it started; memory is its proportional share (PSS). Where there are several fronts, an upstream
server's numbers are the sums over all of them, and its state the worst that one of them sees it in.

Exit status: 0 a server answered, 1 none is running, 2 wrong usage.`;

export function define(command: Command, done: (status: ExitStatus) => void): void {
  command
    .description("Show what a running server is doing: its workers, their requests, processor time and memory.")
    .option("--control <PATH>", "control socket of the server (default: found by itself)")
    .option("--json", "as one JSON object")
    .addHelpText("after", HELP)
    .action(async (flags: { readonly control?: string; readonly json?: boolean }) => {
      const { status, raw } = await findServer({ ...flags, cwd: process.cwd(), environment: process.env });
      print(flags.json === true ? `${JSON.stringify(raw, undefined, 2)}\n` : describe(status, Date.now()));
      done(0);
    });
}

/** The screen `vivarium status` prints; `now` in milliseconds since 1970, for the workers' ages. */
export function describe(status: Status, now: number): string {
  const { fronts, mounts, pools } = status;
  const [only] = pools.length === 1 ? pools : [];
  const bold = (text: string): string => paint(process.stdout, "bold", text);
  const dim = (text: string): string => paint(process.stdout, "dim", text);
  const facts = [
    ["address", status.listen.map(listenerText).join(`\n${" ".repeat(12)}`)],
    [
      "uptime",
      `${duration(status.uptime)} ${dim(`(Vivarium ${status.version}${only === undefined ? "" : `, Python ${only.python}`})`)}`,
    ],
    ["directory", status.chdir],
    ["supervisor", `process ${status.pid}`],
    frontsFact(fronts),
    ...(only === undefined ? [] : poolFacts(only, now)),
  ];
  const plain = only !== undefined && mounts.length === 1 && mounts[0]?.tries.length === 1;
  const parts = [
    `${bold(status.name)}\n${facts.map(([name = "", fact = ""]) => `${dim(name.padEnd(11))} ${fact}\n`).join("")}`,
    ...(plain ? [] : [table([["mount", "answered by"], ...mounts.map(mountRow)], new Set())]),
    ...(only !== undefined || pools.length === 0
      ? []
      : [table([poolHeading, ...pools.map(poolRow)], new Set([3, 4, 5, 6, 7, 8]))]),
    ...(fronts.length === 1 ? [] : [frontsTable(fronts, now)]),
    ...(status.upstreams.length === 0 ? [] : [upstreamsTable(status)]),
    ...(pools.every(({ embedded }) => embedded) ? [] : [workersTable(status, now)]),
  ];
  return parts.join("\n");
}

/** The only front, or what all of them have together. */
function frontsFact(fronts: readonly FrontStatus[]): readonly string[] {
  const sum = (name: "connections" | "requests" | "memory" | "cpu"): number =>
    fronts.reduce((total, front) => total + front[name], 0);
  const served = `${counted(sum("connections"), "connection")} open, ${counted(sum("requests"), "request")}, ${megabytes(sum("memory"))}, CPU ${sum("cpu").toFixed(1)} s`;
  const [front, ...others] = fronts;
  if (front !== undefined && others.length === 0) return ["front", `process ${front.pid}, ${front.state}; ${served}`];
  const ready = fronts.filter(({ state }) => state === "ready").length;
  return ["fronts", `${counted(fronts.length, "process", "processes")}, ${ready} ready; ${served}`];
}

function frontsTable(fronts: readonly FrontStatus[], now: number): string {
  const heading = ["front", "pid", "state", "age", "connections", "requests", "CPU %", "memory"];
  const rows = fronts.map((front) => {
    const age = ageOf(front, now);
    return [
      String(front.id),
      String(front.pid),
      front.state,
      duration(age),
      front.connections.toLocaleString("en"),
      front.requests.toLocaleString("en"),
      percent(front.cpu, age),
      megabytes(front.memory),
    ];
  });
  return table([heading, ...rows], new Set([0, 1, 3, 4, 5, 6, 7]));
}

function mountRow(mount: Status["mounts"][number]): readonly string[] {
  return [placeText(mount), mount.tries.join(", else ")];
}

/** Which load of the code serves, and what came of the last reload. */
function generationText({ generation, lastReload }: PoolStatus, now: number): string {
  if (lastReload === null) return String(generation);
  const { at, outcome, problem, generation: made } = lastReload;
  const ago = `${duration((now - Date.parse(at)) / 1000)} ago`;
  if (outcome === "serving") return `${generation}, since the reload ${ago}`;
  return `${generation}; the reload ${ago} (generation ${made}) ${outcome === "failed" ? "failed" : "was rolled back"}: ${problem}`;
}

function poolFacts(pool: PoolStatus, now: number): readonly (readonly string[])[] {
  const { spawner } = pool;
  const reloaded = pool.generation > 1 || pool.lastReload !== null;
  const generation = reloaded ? [["generation", generationText(pool, now)]] : [];
  if (pool.embedded) return [["mode", "embedded: the fronts have the application inside"], ...generation];
  return [
    [
      "spawner",
      `process ${spawner.pid}, ${spawner.preload ? "application imported once" : "each worker imports the application"}`,
    ],
    ...generation,
    ["queue", counted(pool.queue, "request")],
    [
      "pool",
      `${pool.threads} of ${counted(pool.threadsMost, "thread")} a worker in use, up to ${counted(pool.writeAhead, "request")} written ahead`,
    ],
    [
      "request",
      pool.wall === 0
        ? "none measured yet"
        : `${milliseconds(pool.wall)} on average, of it ${milliseconds(pool.cpu)} computing`,
    ],
  ];
}

const poolHeading = [
  "pool",
  "application",
  "Python",
  "generation",
  "spawner",
  "queue",
  "threads",
  "request",
  "computing",
];

function poolRow(pool: PoolStatus): readonly string[] {
  const measured = pool.wall > 0;
  return [
    pool.name,
    pool.application,
    pool.python,
    String(pool.generation),
    String(pool.spawner.pid),
    String(pool.queue),
    `${pool.threads} of ${pool.threadsMost}`,
    measured ? milliseconds(pool.wall) : "-",
    measured ? milliseconds(pool.cpu) : "-",
  ];
}

function upstreamsTable({ upstreams }: Status): string {
  const heading = ["upstream", "server", "state", "busy", "requests", "failures", "latency", "connections"];
  const rows = upstreams.flatMap(({ name, servers }) =>
    servers.map((server) => [
      name,
      server.url.endsWith(server.address) ? server.url : `${server.url} ${server.address}`,
      serverState(server),
      String(server.outstanding),
      server.requests.toLocaleString("en"),
      server.failures.toLocaleString("en"),
      server.latency < 0 ? "-" : milliseconds(server.latency * 1000),
      `${server.connections.busy} busy, ${server.connections.idle} idle`,
    ]),
  );
  return table([heading, ...rows], new Set([3, 4, 5, 6]));
}

function serverState({ state, ejectedFor, backup }: Status["upstreams"][number]["servers"][number]): string {
  const ejected = state === "ejected" ? `left out for ${ejectedFor} s` : state;
  return backup ? `${ejected} (backup)` : ejected;
}

function workersTable({ pools, workers }: Status, now: number): string {
  const heading = ["worker", "pid", "state", "age", "requests", "busy", "CPU %", "memory"];
  const right = [0, 1, 3, 4, 5, 6, 7];
  const rows = workers.map((worker) => row(worker, now));
  if (pools.length === 1) return table([heading, ...rows], new Set(right));
  const named = rows.map((cells, index) => [workers[index]?.pool ?? "", ...cells]);
  return table([["pool", ...heading], ...named], new Set(right.map((column) => column + 1)));
}

function row(worker: WorkerStatus, now: number): readonly string[] {
  const age = ageOf(worker, now);
  return [
    String(worker.id),
    String(worker.pid),
    worker.state,
    duration(age),
    worker.requests.toLocaleString("en"),
    String(worker.busy),
    percent(worker.cpu, age),
    megabytes(worker.memory),
  ];
}

/** Seconds. */
function ageOf({ startedAt }: { readonly startedAt: string }, now: number): number {
  return Math.max(0, (now - Date.parse(startedAt)) / 1000);
}

/** Processor time in percent of one core, over `age` seconds. */
function percent(cpu: number, age: number): string {
  const share = age > 0 ? (100 * cpu) / age : 0;
  return share.toFixed(share < 10 ? 1 : 0);
}

/** "45 s", "12 min", "3 h 20 min", "5 d 4 h": the two largest units. */
export function duration(seconds: number): string {
  const whole = Math.floor(seconds);
  if (whole < 60) return `${whole} s`;
  const [days, hours, minutes] = [
    Math.floor(whole / 86_400),
    Math.floor(whole / 3600) % 24,
    Math.floor(whole / 60) % 60,
  ];
  if (days > 0) return `${days} d ${hours} h`;
  return hours > 0 ? `${hours} h ${minutes} min` : `${minutes} min`;
}

function counted(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

function megabytes(octets: number): string {
  return `${(octets / 2 ** 20).toFixed(1)} MiB`;
}

function milliseconds(microseconds: number): string {
  return `${(microseconds / 1000).toFixed(microseconds < 10_000 ? 2 : 0)} ms`;
}
