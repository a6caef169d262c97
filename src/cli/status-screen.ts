// The screen `vivarium status` prints.
import { abridged } from "../abridged.js";
import { listenerText, placeText } from "../config/describe.js";
import type { LastReload, ReloadUnderWay } from "../supervisor/reloads.js";
import type { RestartsStatus } from "../supervisor/restarts.js";
import type {
  ExecutingStatus,
  FrontStatus,
  MissingWorker,
  PoolStatus,
  Status,
  WorkerStatus,
} from "../supervisor/status.js";
import { counted, duration, megabytes, milliseconds, percent, shortDuration } from "./amounts.js";
import { type Column, type Fact, facts, table, visible } from "./table.js";
import { type Paint, paint } from "./terminal.js";

/** Seconds that nobody would call waiting. */
const noWait = 0.0005;
/** Requests that are executed of which the screen tells. */
const executingMost = 8;
/** Characters of a request's id: those of proxies may be longer. */
const idMost = 36;

/** Seconds: renewed later than this before it expires, a certificate may come too late. */
const expiresSoon = 14 * 86_400;

/** `now` in milliseconds since 1970, for ages. */
export function describe(status: Status, now: number): string {
  const { fronts, mounts, pools } = status;
  const [only] = pools.length === 1 ? pools : [];
  const plain = only !== undefined && mounts.length === 1 && mounts[0]?.tries.length === 1;
  const parts = [
    `${paint(process.stdout, "bold", visible(status.name))}\n${facts(serverFacts(status, only, now))}`,
    plain ? "" : table([{ name: "mount" }, { name: "answered by" }], mounts.map(mountRow)),
    only !== undefined || pools.length === 0 ? "" : poolsPart(status, now),
    fronts.length === 1
      ? ""
      : table(
          frontColumns,
          fronts.map((front) => frontRow(front, now)),
        ),
    status.upstreams.length === 0 ? "" : upstreamsTable(status),
    pools.every(({ embedded }) => embedded) ? "" : workersTable(status, now),
    executingPart(status),
  ];
  return parts.filter((part) => part !== "").join("\n");
}

function serverFacts(status: Status, only: PoolStatus | undefined, now: number): readonly Fact[] {
  const { frontRestarts } = status;
  return [
    { name: "address", text: status.listen.map(listenerText).join("\n") },
    {
      name: "uptime",
      text: `${duration(status.uptime)} (Vivarium ${status.version}${only === undefined ? "" : `, Python ${only.python}`})`,
    },
    ...certificateFacts(status, now),
    { name: "directory", text: status.chdir },
    { name: "supervisor", text: `process ${status.pid}` },
    frontsFact(status.fronts),
    ...(frontRestarts.total === 0 ? [] : [{ name: "", text: restartsText(frontRestarts, "front", now) }]),
    ...(only === undefined ? [] : [...poolFacts(only), ...poolEvents(status, only, now)]),
  ];
}

function certificateFacts({ certificates }: Status, now: number): readonly Fact[] {
  return certificates.map(({ file, names, expires, problem }, index) => {
    const left = (Date.parse(expires) - now) / 1000;
    const [first = file, ...others] = names;
    const name = others.length === 0 ? first : `${first} and ${counted(others.length, "other name")}`;
    const date = expires.slice(0, 10);
    const good = left < 0 ? `expired on ${date}` : `good until ${date}, ${duration(left)}`;
    const wrong = problem === "" ? "" : `; what the file holds now is refused: ${problem}`;
    const fact = { name: index === 0 ? "certificate" : "", text: `${name}, ${good}${wrong}` };
    return left < expiresSoon || problem !== "" ? { ...fact, paint: "red" as const } : fact;
  });
}

/** The only front, or what all of them have together. */
function frontsFact(fronts: readonly FrontStatus[]): Fact {
  const sum = (name: "connections" | "webSockets" | "requests" | "memory" | "cpu"): number =>
    fronts.reduce((total, front) => total + front[name], 0);
  const webSockets = sum("webSockets");
  const open = `${counted(sum("connections"), "connection")} open${webSockets === 0 ? "" : ` (${counted(webSockets, "WebSocket")})`}`;
  const served = `${open}, ${counted(sum("requests"), "request")}, ${megabytes(sum("memory"))}, CPU ${sum("cpu").toFixed(1)} s`;
  const [front, ...others] = fronts;
  if (front !== undefined && others.length === 0) {
    return { name: "front", text: `process ${front.pid}, ${front.state}; ${served}` };
  }
  const ready = fronts.filter(({ state }) => state === "ready").length;
  return { name: "fronts", text: `${counted(fronts.length, "process", "processes")}, ${ready} ready; ${served}` };
}

function poolFacts(pool: PoolStatus): readonly Fact[] {
  const { spawner } = pool;
  if (pool.embedded) return [{ name: "mode", text: "embedded: the fronts have the application inside" }];
  const imported = spawner.preload ? "application imported once" : "each worker imports the application";
  const asgi = pool.interface === "asgi";
  const average = `${milliseconds(pool.wall)} on average`;
  // Of one among many on a thread nobody knows what it computes.
  const measured = asgi ? average : `${average}, of it ${milliseconds(pool.cpu)} computing`;
  const threads = `${pool.threads} of ${counted(pool.threadsMost, "thread")} a worker in use`;
  return [
    { name: "spawner", text: spawner.pid === 0 ? "none at the moment" : `process ${spawner.pid}, ${imported}` },
    { name: "queue", text: queueText(pool) },
    {
      name: "pool",
      text: asgi
        ? `ASGI on ${pool.eventLoop}, up to ${counted(pool.threadsMost, "request")} at once in each worker`
        : `${threads}, up to ${counted(pool.writeAhead, "request")} written ahead`,
    },
    { name: "request", text: pool.wall === 0 ? "none measured yet" : measured },
  ];
}

function queueText({ queue, wait, refused }: PoolStatus): string {
  if (queue === 0 && refused === 0 && wait.count > 0 && wait.most < noWait) {
    return `0 requests; none of the ${counted(wait.count, "request")} of the last 10 s has waited`;
  }
  const longest = queue === 0 ? "" : `, the longest for ${shortDuration(wait.longest)}`;
  const recent = `${counted(wait.count, "request")} given to workers in the last 10 s had waited`;
  const waited = `${recent} ${shortDuration(wait.median)} (median), at most ${shortDuration(wait.most)}`;
  const of503 =
    refused === 0 ? "" : `; since the start ${counted(refused, "request was", "requests were")} answered 503`;
  return `${counted(queue, "request")}${longest}${wait.count === 0 ? "" : `; ${waited}`}${of503}`;
}

/** What has happened to a pool, and happens: nothing where nothing has. */
function poolEvents(status: Status, pool: PoolStatus, now: number): readonly Fact[] {
  const { generation, reload, lastReload, restarts, down } = pool;
  const events: Fact[] = [];
  if (reload !== null) events.push({ name: "reload", text: underWayText(status, pool, reload, now), paint: "yellow" });
  if (lastReload !== null) events.push(generationFact(generation, lastReload, now));
  else if (reload !== null || generation > 1) events.push({ name: "generation", text: String(generation) });
  if (restarts.total > 0) events.push({ name: "restarts", text: restartsText(restarts, "worker", now) });
  if (down !== "") events.push({ name: "down", text: `requests are answered 503 at once: ${down}`, paint: "red" });
  return events;
}

function underWayText(
  status: Status,
  pool: PoolStatus,
  { generation, by, startedAt }: ReloadUnderWay,
  now: number,
): string {
  const made = pool.generations.find(({ number }) => number === generation);
  const workers = status.workers.filter((worker) => worker.pool === pool.name && worker.generation === generation);
  const ready = workers.filter(({ state }) => state !== "booting").length;
  const state = made === undefined ? "" : `, ${made.state}, ${counted(ready, "worker")} there`;
  return `generation ${generation}${state}; asked for ${duration(since(startedAt, now))} ago (${by})`;
}

/** Which load of the code serves, and what came of the last reload. */
function generationFact(generation: number, reload: LastReload, now: number): Fact {
  const { outcome, problem, traceback, generation: made, by, took } = reload;
  const ago = `${duration(since(reload.at, now))} ago`;
  const name = "generation";
  if (outcome === "serving") {
    return { name, text: `${generation}, since the reload ${ago} (${by}), which took ${shortDuration(took)}` };
  }
  const ended = outcome === "failed" ? "failed" : "was rolled back";
  const [last = ""] = traceback.trimEnd().split("\n").slice(-1);
  const text = `${generation}; the reload ${ago} (${by}, generation ${made}) ${ended} after ${shortDuration(took)}: ${problem}`;
  return { name, text: problem.includes(last) ? text : `${text}\n${last}`, paint: "red" };
}

function restartsText({ total, causes, last }: RestartsStatus<string>, what: string, now: number): string {
  const by = Object.entries<number>(causes).filter(([, count]) => count > 0);
  const text = `${counted(total, `${what} was`, `${what}s were`)} replaced (${by.map(([cause, count]) => `${cause} ${count}`).join(", ")})`;
  if (last === null) return text;
  const who = last.id === 0 ? "" : `${what} ${last.id}${last.pid === 0 ? "" : ` (pid ${last.pid})`} `;
  return `${text}; the last ${duration(since(last.at, now))} ago (${last.cause}): ${who}${last.why}`;
}

function mountRow(mount: Status["mounts"][number]): readonly string[] {
  return [placeText(mount), mount.tries.join(", else ")];
}

// ---- pools

const poolColumns: readonly Column[] = [
  { name: "pool" },
  { name: "application" },
  { name: "Python" },
  { name: "generation", right: true },
  { name: "spawner", right: true },
  { name: "queue", right: true },
  { name: "waited", right: true },
  { name: "threads", right: true },
  { name: "request", right: true },
  { name: "computing", right: true },
];

function poolsPart(status: Status, now: number): string {
  const events = status.pools.flatMap((pool) =>
    poolEvents(status, pool, now).map(({ name, text, ...rest }) => ({
      ...rest,
      name: pool.name,
      text: `${name}: ${text}`,
    })),
  );
  return `${table(poolColumns, status.pools.map(poolRow))}${facts(events)}`;
}

function poolRow(pool: PoolStatus): readonly string[] {
  const measured = pool.wall > 0;
  return [
    pool.name,
    pool.application,
    pool.python,
    String(pool.generation),
    String(pool.spawner.pid),
    String(pool.queue),
    pool.wait.count === 0 ? "-" : shortDuration(pool.wait.median),
    `${pool.threads} of ${pool.threadsMost}`,
    measured ? milliseconds(pool.wall) : "-",
    measured ? milliseconds(pool.cpu) : "-",
  ];
}

// ---- fronts, and servers elsewhere

const stateColumn: Column = {
  name: "state",
  whole: true,
  paint: (cell) => statePaint.get(cell.split(/[ ,]/u)[0] ?? ""),
};
const statePaint: ReadonlyMap<string, Paint> = new Map<string, Paint>([
  ["ready", "green"],
  ["up", "green"],
  ["booting", "yellow"],
  ["waiting", "yellow"],
  ["lost", "yellow"],
  ["draining", "yellow"],
  ["trial", "yellow"],
  ["empty", "red"],
  ["silent", "red"],
  ["down", "red"],
  ["unhealthy", "red"],
  ["out", "red"],
]);

const frontColumns: readonly Column[] = [
  { name: "front", right: true },
  { name: "pid", right: true },
  stateColumn,
  { name: "age", right: true },
  { name: "connections", right: true },
  { name: "requests", right: true },
  { name: "CPU %", right: true },
  { name: "memory", right: true },
];

function frontRow(front: FrontStatus, now: number): readonly string[] {
  const age = since(front.startedAt, now);
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
}

function upstreamsTable({ upstreams }: Status): string {
  const columns: readonly Column[] = [
    { name: "upstream" },
    { name: "server" },
    stateColumn,
    { name: "busy", right: true },
    { name: "requests", right: true },
    { name: "failed", right: true },
    { name: "latency", right: true },
    { name: "conns", right: true },
    { name: "idle", right: true },
  ];
  const rows = upstreams.flatMap(({ name, servers }) =>
    servers.map((server) => [
      name,
      server.url.endsWith(server.address) ? server.url : `${server.url} ${server.address}`,
      serverState(server),
      String(server.outstanding),
      server.requests.toLocaleString("en"),
      server.failures.toLocaleString("en"),
      server.latency < 0 ? "-" : milliseconds(server.latency * 1000),
      String(server.connections.busy + server.connections.idle),
      String(server.connections.idle),
    ]),
  );
  return table(columns, rows);
}

function serverState({ state, ejectedFor, backup }: Status["upstreams"][number]["servers"][number]): string {
  const ejected = state === "ejected" ? `out ${ejectedFor} s` : state;
  return backup ? `${ejected}, backup` : ejected;
}

// ---- workers

interface Row {
  readonly pool: string;
  readonly id: number;
  readonly generation: number;
  readonly cells: readonly string[];
}

/** The generation is told where there has been more than one. */
function workersTable({ pools, workers }: Status, now: number): string {
  const several = pools.length > 1;
  const generations =
    pools.some(({ generation }) => generation > 1) || workers.some(({ generation }) => generation > 1);
  const columns: readonly Column[] = [
    ...(several ? [{ name: "pool" }] : []),
    { name: "worker", right: true },
    { name: "pid", right: true },
    ...(generations ? [{ name: "generation", right: true }] : []),
    stateColumn,
    { name: "age", right: true },
    { name: "requests", right: true },
    { name: "busy", right: true },
    { name: "CPU %", right: true },
    { name: "memory", right: true },
  ];
  const rows: Row[] = [
    ...workers.map((worker) => workerRow(worker, now)),
    ...pools.flatMap((pool) => pool.missing.map((missing) => missingRow(missing, pool))),
  ].sort((one, other) => one.id - other.id);
  return table(
    columns,
    rows.map(({ pool, id, generation, cells: [pid = "", ...others] }) => [
      ...(several ? [pool] : []),
      String(id),
      pid,
      ...(generations ? [String(generation)] : []),
      ...others,
    ]),
  );
}

/** An event loop that a synchronous call blocks, or has blocked. */
function blockedText({ blocked, blockedMost }: WorkerStatus): string {
  if (blocked > 0) return `, blocked for ${shortDuration(blocked)}`;
  return blockedMost > 0 ? `, was blocked for ${shortDuration(blockedMost)}` : "";
}

function workerRow(worker: WorkerStatus, now: number): Row {
  const age = since(worker.startedAt, now);
  const cells = [
    String(worker.pid),
    `${worker.state}${worker.replaced === "" ? "" : ` (${worker.replaced})`}${blockedText(worker)}`,
    duration(age),
    worker.requests.toLocaleString("en"),
    String(worker.busy),
    percent(worker.cpu, age),
    megabytes(worker.memory),
  ];
  return { pool: worker.pool, id: worker.id, generation: worker.generation, cells };
}

function missingRow({ id, failures, againIn }: MissingWorker, pool: PoolStatus): Row {
  const when = againIn === 0 ? "" : `, next in ${shortDuration(againIn)}`;
  const failed = failures === 0 ? "" : `, ${counted(failures, "failure")} in a row`;
  return {
    pool: pool.name,
    id,
    generation: pool.generation,
    cells: ["-", `empty${when}${failed}`, "-", "-", "-", "-", "-"],
  };
}

// ---- what is executed

function executingPart({ fronts, pools, workers }: Status): string {
  const embedded = pools.some((pool) => pool.embedded);
  const several = pools.length > 1;
  const all = embedded
    ? fronts.flatMap(({ id, executing }) => executing.map((request) => ({ who: String(id), request })))
    : workers.flatMap(({ id, pool, executing }) =>
        executing.map((request) => ({ who: several ? `${pool} ${id}` : String(id), request })),
      );
  if (all.length === 0) return "";
  const oldest = all.sort((one, other) => other.request.seconds - one.request.seconds).slice(0, executingMost);
  const client = oldest.some(({ request }) => request.client !== "waiting");
  const columns: readonly Column[] = [
    { name: "executing for", right: true },
    { name: embedded ? "front" : "worker", right: true },
    { name: "request" },
    { name: "request id", whole: true },
    ...(client ? [{ name: "client", paint: (): Paint => "yellow" }] : []),
  ];
  const rows = oldest.map(({ who, request }) => [...executingRow(who, request), ...(client ? [request.client] : [])]);
  // An ASGI worker tells of its oldest only.
  const count = embedded
    ? all.length
    : workers.reduce((sum, { busy, executing }) => sum + Math.max(busy, executing.length), 0);
  const more = count - oldest.length;
  const where = count === all.length ? "--json has all" : "--json has the oldest of each worker";
  return `${table(columns, rows)}${more === 0 ? "" : `and ${more.toLocaleString("en")} more (${where})\n`}`;
}

function executingRow(who: string, { method, target, id, seconds }: ExecutingStatus): readonly string[] {
  return [shortDuration(seconds), who, `${method} ${target}`, abridged(id, idMost)];
}

/** Seconds. */
function since(time: string, now: number): number {
  return Math.max(0, (now - Date.parse(time)) / 1000);
}
