// A front: the process that does all I/O with clients. Its supervisor starts it with the listening sockets as inherited
// descriptors and tells it the rest; it ends when told to, or at once when the supervisor is gone.
import { rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { log } from "../channels.js";
import { type Config, type ListenAddress, type PoolConfig, poolLabel, threadsMost } from "../config/config.js";
import { Ingress, type ListenerRules, type MakeHttp2, serverOptions } from "../ingress/ingress.js";
import type { TlsDoor } from "../ingress/tls.js";
import { backlog } from "../net/backlog.js";
import { Deadlines, later } from "../net/deadline.js";
import { listenPrivately } from "../net/listen.js";
import { ResponseMemory } from "../net/response-memory.js";
import type { Accepting } from "../net/system-listener.js";
import type { acceptBySystemCalls } from "../net/system-socket.js";
import type { TlsMaterial } from "../net/tls-identity.js";
import { version } from "../package.js";
import { LoadFailed } from "../python/embedded/bridge.js";
import { TrustedProxies } from "../routing/forwarded.js";
import { HttpsRedirect } from "../routing/https-redirect.js";
import { AccessLog } from "../telemetry/access-log.js";
import { logToStandardError } from "../telemetry/log.js";
import { EmbeddedApplication } from "./embedded.js";
import { Handlers } from "./handlers.js";
import { HealthCheck } from "./health-check.js";
import type { Drained, FromFront, FrontReport, ToFront } from "./messages.js";
import { poolReport, workerReports } from "./pool-report.js";
import { SpoolSpace } from "./response-spool.js";
import { WorkerLink } from "./worker-link.js";
import { type PoolOwner, WorkerPool } from "./worker-pool.js";

/** Milliseconds that workers have to end their connections after the last answer; the spawner ends who takes longer. */
const workersMercy = 2000;

/** Milliseconds that clients wait to be accepted for workers of the front before, which may be executing something long. */
const workersCome = 500;

type Start = Extract<ToFront, { type: "start" }>;
type DrainServer = Extract<ToFront, { type: "drain-server" }>;

function tell(message: FromFront): void {
  // To a supervisor that is gone nothing can be told; "disconnect" follows.
  process.send?.(message, undefined, undefined, () => {});
}

const poolOwner: PoolOwner = {
  workerReady: (worker, pid) => tell({ type: "worker-ready", worker, pid }),
  workerServed: (worker, pid) => tell({ type: "worker-served", worker, pid }),
  workerHung: (worker, pid) => tell({ type: "worker-hung", worker, pid }),
  workerStuck: (worker, pid) => tell({ type: "worker-stuck", worker, pid }),
  workerSpent: (worker, pid, cause, amount) => tell({ type: "worker-spent", worker, pid, spent: { cause, amount } }),
  workerRetired: (worker, pid) => tell({ type: "worker-retired", worker, pid }),
};

/**
 * Whether it is for a web server on this machine, which needs the processors, too: woken by each request that this one passes on, a front
 * would interrupt it, and with every second request have only one to give to its workers; and so would each further worker.
 */
function behindWebServer({ protocol, endpoint }: ListenAddress): boolean {
  return endpoint.kind === "unix" || (protocol !== "http" && protocol !== "https");
}

class Front {
  readonly #config: Config;
  readonly #runtime: string;
  readonly #pools: ReadonlyMap<PoolConfig, WorkerPool>;
  /** In embedded mode. */
  readonly #application: EmbeddedApplication | undefined;
  readonly #handlers: Handlers;
  readonly #ingress: Ingress;
  readonly #accessLog: AccessLog | undefined;
  readonly #tls: TlsDoor | undefined;
  readonly #listeners: readonly number[];
  /** What accepts clients. */
  readonly #servers: { close(): unknown }[] = [];
  readonly #accept: AcceptBySystemCalls;
  #wires: readonly CloseWire[] = [];

  static async start(start: Start): Promise<Front> {
    const { config, scoreboards, embedded } = start;
    const { responseMemory, responseMemoryTotal } = config;
    const pools = new Map<PoolConfig, WorkerPool>();
    const awaited: Promise<void>[] = [];
    const deadlines = new Deadlines();
    const spoolSpace = new SpoolSpace(
      config.tempDir,
      config.responseDisk,
      new ResponseMemory(responseMemory, responseMemoryTotal),
      deadlines,
    );
    const answering = new Map<PoolConfig, Pick<WorkerPool, "handle" | "streams">>();
    const [only] = config.pools;
    let application: EmbeddedApplication | undefined;
    if (embedded !== undefined && only !== undefined) {
      Object.assign(process.env, embedded.environment);
      application = await EmbeddedApplication.start(config, only, embedded.python, start.listeners);
      await checkHealth(application, start.held?.healthPath ?? "");
      tell({ type: "loaded", facts: application.facts });
      answering.set(only, application);
    }
    const behind = config.listen.every(behindWebServer);
    for (const [index, pool] of (application === undefined ? config.pools : []).entries()) {
      const { generation, awaited: comes } = start.pools[index] ?? { generation: 1, awaited: false };
      const label = poolLabel(config, pool);
      const settings = {
        ...pool,
        label,
        threads: threadsMost(pool),
        responseMemory,
        responseMemoryTotal,
        scoreboards,
        limits: config.limits,
        hangTimeout: config.hangTimeout,
        gathers: behind,
        deadlines,
        spoolSpace,
        generation,
      };
      const workers = new WorkerPool(settings, poolOwner);
      pools.set(pool, workers);
      if (comes) awaited.push(workers.whenStaffed);
      answering.set(pool, workers);
    }
    const tls = await openTls(config, start.tls);
    const http2 = await loadHttp2(config);
    const { acceptBySystemCalls } = await import("../net/system-socket.js");
    const handlers = await Handlers.open(config, answering, {
      responseMemory,
      responseMemoryTotal,
      deadlines,
      drained: start.drained,
      ...(config.fronts > 1 ? { tellScarce: (address: string) => tell({ type: "scarce", address }) } : {}),
    });
    const front = new Front(start, pools, application, handlers, deadlines, tls, http2, acceptBySystemCalls);
    front.#wires = await Promise.all([...pools.values()].map((pool, index) => expectWorkers(start.wires[index], pool)));
    // Clients have a better place to wait than a queue that may be too short for all who came meanwhile.
    if (awaited.length > 0)
      await Promise.race([
        Promise.all(awaited),
        new Promise((resolve) => later(workersCome, () => resolve(undefined))),
      ]);
    if (behind) (await import("../net/scheduling.js")).interruptNobody();
    if (start.held === undefined) front.listen();
    return front;
  }

  private constructor(
    start: Start,
    pools: ReadonlyMap<PoolConfig, WorkerPool>,
    application: EmbeddedApplication | undefined,
    handlers: Handlers,
    deadlines: Deadlines,
    tls: TlsDoor | undefined,
    http2: MakeHttp2 | undefined,
    accept: AcceptBySystemCalls,
  ) {
    this.#accept = accept;
    this.#tls = tls;
    this.#config = start.config;
    this.#listeners = start.listeners;
    this.#runtime = start.runtime;
    this.#pools = pools;
    this.#application = application;
    this.#handlers = handlers;
    this.#accessLog = AccessLog.open(start.config.accessLog, start.config.fronts > 1, start.embedded?.output);
    this.#ingress = new Ingress(start.config, handlers.router, {
      version,
      deadlines,
      shared: start.config.fronts > 1,
      tls,
      http2,
    });
  }

  listen(): void {
    let waiting = this.#listeners.length;
    const listening = (): void => {
      waiting -= 1;
      if (waiting === 0) tell({ type: "listening" });
    };
    for (const [index, fd] of this.#listeners.entries()) {
      const { protocol = "http", peers, proxies: named, redirect, endpoint } = this.#config.listen[index] ?? {};
      const path = endpoint?.kind === "unix" ? endpoint.path : undefined;
      const admitted = peers && new TrustedProxies([...peers, "unix"]);
      const proxies = named && new TrustedProxies(named);
      const router = redirect === undefined ? undefined : new HttpsRedirect(this.#handlers.router, redirect);
      const rules = { protocol, admitted, proxies, router, path };
      const plain = protocol !== "https" && proxies === undefined;
      const accepting = plain ? this.#acceptPlain(fd, rules) : undefined;
      this.#servers.push(accepting ?? this.#serve(fd, rules, listening));
      if (accepting !== undefined) listening();
    }
  }

  /** Undefined where this Node has not what that needs. */
  #acceptPlain(fd: number, rules: ListenerRules): Accepting | undefined {
    return this.#accept(fd, (socket) => this.#ingress.accept(socket, rules), this.#config.fronts > 1);
  }

  #serve(fd: number, rules: ListenerRules, listening: () => void): Server {
    const server = createServer(serverOptions);
    this.#ingress.attach(server, rules);
    server.on("error", (error) => log("error", "ingress", `Connections cannot be accepted: ${error.message}.`));
    return server.listen({ fd }, backlog, listening);
  }

  async drain(gently: boolean): Promise<void> {
    // Of a front that takes this one's place the sockets are open.
    if (!gently) await this.#ingress.windUp();
    for (const server of this.#servers) server.close();
    await this.#ingress.drain(gently);
    await this.#accessLog?.close();
    for (const pool of this.#pools.values()) pool.end();
    later(workersMercy, () => process.exit(0));
    await Promise.all(this.#wires.map((close) => close()));
    this.#application?.end();
    process.exit(0);
  }

  /** What still runs is cut; the access log says so. */
  async end(): Promise<void> {
    for (const pool of this.#pools.values()) pool.endEvents();
    this.#ingress.destroy();
    await this.#ingress.drain();
    await this.#accessLog?.close();
    process.exit(0);
  }

  renewTls(material: TlsMaterial): void {
    this.#tls?.renew(material);
  }

  reopenLogs(): void {
    this.#accessLog?.reopen();
  }

  /** The supervisor is gone, so nobody else will clean up. */
  abandon(): void {
    rmSync(this.#runtime, { recursive: true, force: true });
    process.exit(1);
  }

  /** The pool of this name has no worker, nor will have one soon. */
  poolDown(name: string, why: string, againIn: number): void {
    this.#pool(name)?.down(why, againIn);
  }

  #pool(name: string): WorkerPool | undefined {
    return [...this.#pools].find(([config]) => config.name === name)?.[1];
  }

  serve(pool: string, generation: number, leaving: readonly number[]): void {
    this.#pool(pool)?.serve(generation, leaving);
  }

  async check(pool: string, generation: number, path: string): Promise<string> {
    return (await this.#pool(pool)?.check(generation, path)) ?? "";
  }

  drainServer({ server, undo, expected }: DrainServer): Drained {
    return this.#handlers.drain(server, undo, expected);
  }

  makeRoom(address: string): void {
    for (const group of this.#handlers.groups) group.makeRoom(address);
  }

  retire(pid: number): void {
    for (const pool of this.#pools.values()) pool.retire(pid);
  }

  endEvents(pid: number): void {
    for (const pool of this.#pools.values()) pool.endEvents(pid);
  }

  report(): FrontReport {
    return {
      connections: this.#ingress.connections,
      webSockets: this.#ingress.openWebSockets,
      requests: this.#ingress.requests,
      pools: [...this.#pools].map(([config, workers]) => poolReport(config, workers)),
      workers: [...this.#pools.values()].flatMap(workerReports),
      executing: this.#application?.executing ?? [],
      upstreams: this.#handlers.groups.map((group) => group.status()),
    };
  }
}

/** Accepts no further worker, and waits until those that are there have left. */
type CloseWire = () => Promise<unknown>;

/** Listens at `path` for the workers of a pool. */
async function expectWorkers(path = "", pool: WorkerPool): Promise<CloseWire> {
  const { acceptLinks } = await import("../net/link-socket.js");
  // A front that was killed leaves the socket's file.
  const fd = await listenPrivately(path);
  const connected = new Set<Promise<void>>();
  const accepting = acceptLinks(fd, (socket) => {
    const link = new WorkerLink(socket, pool);
    connected.add(link.closed);
    void link.closed.then(() => connected.delete(link.closed));
    pool.add(link);
  });
  return () => {
    accepting.close();
    rmSync(path, { force: true });
    return Promise.all(connected);
  };
}

async function openTls({ tls, http2 }: Config, material: TlsMaterial | undefined): Promise<TlsDoor | undefined> {
  if (tls === undefined || material === undefined) return undefined;
  const { TlsDoor } = await import("../ingress/tls.js");
  return new TlsDoor(tls, material, http2 !== "off");
}

type AcceptBySystemCalls = typeof acceptBySystemCalls;

/** Only where it is spoken: node:http2 alone takes 15 ms. */
async function loadHttp2({ http2, tls }: Config): Promise<MakeHttp2 | undefined> {
  if (http2 === "off" || (http2 === "tls" && tls === undefined)) return undefined;
  const { Http2Door } = await import("../ingress/http2.js");
  return (options) => new Http2Door(options);
}

/** Rejects with LoadFailed where the application does not answer `path` well; "" is nothing to ask. */
async function checkHealth(application: EmbeddedApplication, path: string): Promise<void> {
  if (path === "") return;
  const problem = await new Promise<string>((resolve) => {
    application.handle(new HealthCheck(path, `vivarium/${version}`, resolve));
  });
  if (problem !== "") throw new LoadFailed(`The health check failed: ${problem}.`, "");
}

/** Tells why it cannot serve, and ends. */
function failed(error: unknown): void {
  if (error instanceof LoadFailed) {
    const { problem, traceback } = error;
    const told: FromFront = { type: "load-failed", problem, traceback };
    process.send?.(told, undefined, undefined, () => process.exit(1));
    return;
  }
  const why = error instanceof Error ? error.message.replace(/\.$/, "") : String(error);
  const message: FromFront = { type: "failed", problem: `The front cannot serve: ${why}.` };
  process.send?.(message, undefined, undefined, () => process.exit(1));
}

let front: Promise<Front | undefined> | undefined;
process.on("message", async (message: ToFront) => {
  if (message.type === "start") {
    logToStandardError(message.embedded?.error);
    const starting = Front.start(message);
    front = starting.catch(() => undefined);
    starting.catch(failed);
    return;
  }
  if (message.type === "ping") {
    tell({ type: "alive" });
    return;
  }
  const started = await front;
  if (message.type === "drain") started?.drain(message.gently);
  else if (message.type === "listen") started?.listen();
  else if (message.type === "end") started?.end();
  else if (message.type === "tls") started?.renewTls(message.material);
  else if (message.type === "reopen-logs") started?.reopenLogs();
  else if (message.type === "make-room") started?.makeRoom(message.address);
  else if (message.type === "pool-down") started?.poolDown(message.pool, message.why, message.againIn);
  else if (message.type === "retire") started?.retire(message.pid);
  else if (message.type === "end-events") started?.endEvents(message.pid);
  else if (message.type === "generation") started?.serve(message.pool, message.generation, message.leaving);
  else if (started !== undefined && message.type === "check") {
    const problem = await started.check(message.pool, message.generation, message.path);
    tell({ type: "checked", id: message.id, problem });
  } else if (started !== undefined && message.type === "drain-server") {
    tell({ type: "server-drained", id: message.id, drained: started.drainServer(message) });
  } else if (started !== undefined && message.type === "report") {
    tell({ type: "report", id: message.id, report: started.report() });
  }
});
process.on("disconnect", async () => {
  const started = await front;
  if (started === undefined) process.exit(1);
  started.abandon();
});
// A terminal's Ctrl-C and a service manager's SIGTERM reach every process of the group; the supervisor decides.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => {});
process.on("SIGHUP", () => {});
process.on("SIGUSR1", () => {});
