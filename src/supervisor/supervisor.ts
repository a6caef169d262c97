// The supervisor: owns the listening sockets, the fronts, and a PoolProcess for each pool, and ends them all. No octet of a request passes
// through it. What it does as a whole is a table (lifecycles.ts).

import { performance } from "node:perf_hooks";
import { isatty } from "node:tty";
import { log } from "../channels.js";
import { type Config, poolLabel, siteUrl } from "../config/config.js";
import type { EmbeddedFacts, WorkerNews, WorkerSpent } from "../front/messages.js";
import { later } from "../net/deadline.js";
import { type Listener, openListeners } from "../net/listen.js";
import type { Libpython } from "../python/libpython.js";
import { checkAccessLog } from "../telemetry/access-log.js";
import { logToStandardError } from "../telemetry/log.js";
import { ControlSocket } from "./control-socket.js";
import { EmbeddedPool } from "./embedded-pool.js";
import { sumOf } from "./front-reports.js";
import { Fronts, type FrontsOwner } from "./fronts.js";
import { type SupervisorEvent, type SupervisorState, supervisorLife } from "./lifecycles.js";
import { thisMachine } from "./machine.js";
import { type PoolOwner, PoolProcess, type ReloadOutcome } from "./pool-process.js";
import type { Tally } from "./probation.js";
import type { ReloadedBy } from "./reloads.js";
import { frontCauses, Restarts } from "./restarts.js";
import { RuntimeDirectory } from "./runtime-directory.js";
import { startScreen } from "./screen.js";
import { after, possible } from "./state-table.js";
import type { Status } from "./status.js";
import { type KnownPool, statusOf } from "./status-of.js";
import { watchTouched } from "./touch.js";

/**
 * A signal so soon after another, ms, is the same one: npm passes a terminal's Ctrl-C on to a server that has it from the
 * terminal already, and running requests would be cut.
 */
const echo = 100;

/** What a front has to cut its requests and to write its access log, ms. */
const endAfter = 1000;

/**
 * Serves `config` until told to stop. Resolves with the exit status: 0 stopped as asked, 1 an application could not be
 * loaded. Rejects with a `VivariumError` where an address cannot be listened on.
 */
export async function supervise(config: Config): Promise<0 | 1> {
  logToStandardError();
  const supervisor = new Supervisor(config);
  return await supervisor.run();
}

class Supervisor implements PoolOwner, FrontsOwner {
  readonly #config: Config;
  readonly #runtime = new RuntimeDirectory();
  readonly #startedAt = Date.now();
  #pools: readonly PoolProcess[] = [];
  /** In embedded mode, in place of `#pools`. */
  #embedded: EmbeddedPool | undefined;
  #phase: SupervisorState = supervisorLife.first;
  #exitStatus: 0 | 1 = 0;
  /** performance.now() of the last signal that asked to stop. */
  #stopAskedAt = 0;
  #listeners: readonly Listener[] = [];
  #control: ControlSocket | undefined;
  #fronts: Fronts | undefined;
  #cancelDeadline: (() => void) | undefined;
  #stopWatching: (() => void) | undefined;
  /** Whether it was started from a terminal. */
  readonly #fromTerminal = isatty(0);
  #ended: (() => void) | undefined;
  readonly #signals: readonly (readonly [NodeJS.Signals, () => void])[] = [
    ["SIGINT", () => this.#stopAsked()],
    ["SIGTERM", () => this.#stopAsked()],
    ["SIGQUIT", () => this.#stopAsked()],
    ["SIGHUP", () => this.#hungUp()],
    ["SIGUSR2", () => this.#tellStacks()],
    ["SIGUSR1", () => this.#fronts?.reopenLogs()],
  ];

  constructor(config: Config) {
    this.#config = config;
  }

  async run(): Promise<0 | 1> {
    const ended = new Promise<void>((resolve) => {
      this.#ended = resolve;
    });
    for (const [signal, act] of this.#signals) process.on(signal, act);
    try {
      // Python takes longest to start: it comes first, the rest meanwhile.
      checkAccessLog(this.#config.accessLog);
      const python = this.#startPools();
      python.catch(() => {}); // it is awaited below
      this.#listeners = await openListeners(this.#config.listen, this.#config);
      this.#warnOfExposed();
      this.#startFronts(await python);
      this.#control = await ControlSocket.open(this.#config.control, {
        status: () => this.#status(),
        stop: () => this.#stop(),
        drain: (server, undo) => this.#drainServer(server, undo),
        reload: () => this.#reload("vivarium reload"),
      });
      this.#stopWatching = watchTouched(this.#config.touchReload, (file) => this.#touched(file));
    } catch (error) {
      this.#kill();
      this.#clean();
      throw error;
    }
    await ended;
    this.#clean();
    return this.#exitStatus;
  }

  #happen(event: SupervisorEvent): void {
    this.#phase = after(supervisorLife, this.#phase, event);
  }

  #clean(): void {
    for (const [signal, act] of this.#signals) process.off(signal, act);
    this.#cancelDeadline?.();
    this.#stopWatching?.();
    this.#control?.close();
    for (const listener of this.#listeners) listener.close();
    this.#runtime.remove();
  }

  // ---- starting

  /** Gives the interpreter that the fronts are to have inside, in embedded mode. */
  async #startPools(): Promise<Libpython | undefined> {
    const { pools, responseMemory, gracefulTimeout, embedded, limits } = this.#config;
    const [only] = pools;
    if (embedded && only !== undefined) {
      this.#embedded = new EmbeddedPool(only);
      return await (await import("../python/libpython.js")).findLibpython(only.python);
    }
    const ownLimits = limits.some(({ requestTimeout }) => requestTimeout > 0);
    let firstWorker = 1;
    this.#pools = pools.map((pool, index) => {
      const wire = this.#runtime.wire(index);
      const label = poolLabel(this.#config, pool);
      const shared = { responseMemory, ownLimits, gracefulTimeout, runtime: this.#runtime, machine: thisMachine };
      const settings = { ...shared, pool, label, firstWorker, wire };
      firstWorker += pool.workers;
      return new PoolProcess(settings, this);
    });
    return undefined;
  }

  #startFronts(python: Libpython | undefined): void {
    // What they would serve may have failed already, or a signal may have come.
    if (this.#phase === "stopping") return;
    this.#fronts = new Fronts(
      {
        config: this.#config,
        listeners: this.#listeners.map((listener) => listener.fd),
        wires: this.#config.pools.map((_, index) => this.#runtime.wire(index)),
        scoreboards: this.#runtime.scoreboards,
        runtime: this.#runtime.path,
        machine: thisMachine,
        python,
        generations: () => this.#pools.map((pool) => pool.generation),
      },
      this,
    );
  }

  #maybeServing(): void {
    if (this.#phase !== "starting" || this.#fronts?.listening !== true) return;
    if (!this.#pools.every((pool) => pool.serving)) return;
    this.#happen("serving");
    const loaded = this.#knownPools.map((pool) => pool.facts);
    process.stderr.write(startScreen(this.#config, this.#urls(), loaded, performance.now()));
  }

  /** Says why the server cannot start, and ends it with status 1. */
  #giveUp(problem: string, traceback: string): void {
    process.stderr.write(
      `${traceback}${traceback === "" || traceback.endsWith("\n") ? "" : "\n"}vivarium: ${problem}\n`,
    );
    this.#exitStatus = 1;
    this.#kill();
  }

  // ---- what a pool tells

  poolServing(): void {
    this.#maybeServing();
  }

  poolDown(pool: string, why: string, againIn: number): void {
    this.#fronts?.poolDown(pool, why, againIn);
  }

  generationServes(pool: string, generation: number, leaving: readonly number[]): void {
    this.#fronts?.generationServes(pool, generation, leaving);
  }

  async checkGeneration(pool: string, generation: number, path: string): Promise<string | undefined> {
    return await this.#fronts?.checkGeneration(pool, generation, path);
  }

  async tallies(pool: string): Promise<ReadonlyMap<number, Tally>> {
    const reports = (await this.#fronts?.reports()) ?? new Map();
    const found = sumOf(reports.values())?.pools.find(({ name }) => name === pool);
    return new Map(found?.answers.map((each) => [each.generation, each]));
  }

  poolFailed(problem: string, traceback: string): void {
    this.#giveUp(problem, traceback);
  }

  wireRemoved(): void {
    if (this.#fronts?.listening !== true) return;
    log("error", "supervisor", `The folder ${this.#runtime.path} was removed, and the front's socket with it.`);
    for (const pool of this.#pools) pool.frontGone();
    this.#fronts.replace();
  }

  poolEnded(): void {
    this.#maybeEnded();
  }

  // ---- what the fronts tell

  frontListening(): void {
    for (const pool of this.#pools) pool.frontListening();
    this.#maybeServing();
  }

  frontFailed(problem: string): void {
    if (this.#phase === "starting") this.#giveUp(problem, "");
    else if (this.#phase === "serving") log("error", "supervisor", problem);
  }

  applicationLoaded(facts: EmbeddedFacts): void {
    this.#embedded?.loaded(facts);
  }

  applicationFailed(front: number, problem: string, traceback: string): void {
    if (this.#phase === "starting") this.#giveUp(problem, traceback);
    else if (this.#phase === "serving") this.#embedded?.loadFailed(front, problem, traceback);
  }

  applicationPrinted(front: number, lines: string): void {
    this.#embedded?.output(front, lines);
  }

  workerReady(worker: number, pid: number): void {
    for (const pool of this.#pools) pool.workerReady(worker, pid);
  }

  workerServed(worker: number, pid: number): void {
    for (const pool of this.#pools) pool.workerServed(worker, pid);
  }

  workerNews(news: WorkerNews | WorkerSpent): void {
    for (const pool of this.#pools) pool.workerNews(news);
  }

  retireWorker(pid: number): void {
    this.#fronts?.retire(pid);
  }

  frontGone(): void {
    for (const pool of this.#pools) {
      pool.frontGone();
      if (this.#phase === "stopping" && this.#fronts?.running !== true) pool.end();
    }
    if (this.#phase === "stopping") this.#maybeEnded();
  }

  /** A web server in front is believed about who the client is, so none but it should get there. */
  #warnOfExposed(): void {
    for (const { address, exposed, url } of this.#listeners) {
      if (address.protocol === "http" || !exposed || address.peers !== undefined) continue;
      log(
        "warning",
        "supervisor",
        `Whoever can connect to ${url} is believed whatever they say of a request: its client's address, its user, that it came by HTTPS. Listen on 127.0.0.1 or a unix socket, or let a firewall admit the web server alone.`,
      );
    }
  }

  #urls(): readonly string[] {
    return this.#listeners.map(({ address, url }) => siteUrl(this.#config, address, url));
  }

  // ---- stopping

  /** By a signal: the first asks, the second insists. */
  #stopAsked(): void {
    const now = performance.now();
    if (this.#phase !== "stopping") this.#stop();
    else if (now - this.#stopAskedAt > echo) {
      log("info", "supervisor", "Stopping at once.");
      this.#kill();
    }
    this.#stopAskedAt = now;
  }

  /** A closed terminal ends what runs in it: then standard input is none any more. Otherwise somebody asks for a reload. */
  #hungUp(): void {
    // Not process.stdin, which would read from what may be a listening socket.
    if (this.#fromTerminal && !isatty(0)) this.#stopAsked();
    else this.#reload("SIGHUP");
  }

  #touched(file: string): void {
    log("info", "supervisor", `${file} was touched.`);
    this.#reload(`touch of ${file}`);
  }

  /** What comes of it is told by the log, too. */
  async #reload(by: ReloadedBy): Promise<readonly ReloadOutcome[]> {
    if (this.#embedded !== undefined && this.#fronts !== undefined) {
      return [await this.#embedded.reload(this.#fronts, this.#phase, by)];
    }
    if (this.#pools.length === 0) log("warning", "supervisor", "There is no application to reload.");
    return await Promise.all(this.#pools.map((pool) => pool.reload(by)));
  }

  /** Each worker prints where its threads are. */
  #tellStacks(): void {
    const none = this.#pools.length === 0;
    const sentence = none ? "there are no workers to tell their stacks." : "the stacks of all workers' threads follow.";
    log(none ? "warning" : "info", "supervisor", `SIGUSR2: ${sentence}`);
    for (const pool of this.#pools) pool.tellStacks();
  }

  /** Running requests finish, then everything ends. */
  #stop(): void {
    if (this.#phase === "stopping") return;
    const wasServing = this.#phase === "serving";
    this.#happen("stop");
    if (!wasServing || this.#fronts?.running !== true) {
      this.#kill();
      return;
    }
    log("info", "supervisor", "Stopping: running requests finish first.");
    for (const pool of this.#pools) pool.stop();
    this.#fronts.drain();
    // Whoever connects now is refused, instead of waiting in a backlog that nobody looks at.
    for (const listener of this.#listeners) listener.close();
    this.#cancelDeadline = later(this.#config.gracefulTimeout * 1000, () => {
      log(
        "warning",
        "supervisor",
        `Requests still run after ${this.#config.gracefulTimeout} s (--graceful-timeout); they are ended.`,
      );
      this.#fronts?.end();
      this.#cancelDeadline = later(endAfter, () => this.#kill());
    });
  }

  #kill(): void {
    if (possible(supervisorLife, this.#phase, "stop")) this.#happen("stop");
    for (const pool of this.#pools) pool.kill();
    this.#fronts?.kill();
    this.#maybeEnded();
  }

  #maybeEnded(): void {
    if (this.#fronts?.running !== true && this.#pools.every((pool) => pool.ended)) this.#ended?.();
  }

  // ---- what is asked at the control socket

  get #knownPools(): readonly KnownPool[] {
    return this.#embedded === undefined ? this.#pools : [this.#embedded];
  }

  async #drainServer(server: string, undo: boolean): Promise<readonly string[] | string> {
    const drained = await this.#fronts?.drainServer(server, undo);
    if (drained === undefined) return "No front answers: it is just being replaced, or stuck; try again.";
    const { groups } = drained;
    if (groups.length === 0) {
      const urls = this.#config.upstreams.flatMap(({ servers }) => servers.map(({ url }) => url));
      const known = urls.length === 0 ? "there is no upstream at all" : `there is ${[...new Set(urls)].join(", ")}`;
      return `No upstream group has a server ${server}; ${known}.`;
    }
    return groups;
  }

  async #status(): Promise<Status> {
    return statusOf({
      config: this.#config,
      startedAt: this.#startedAt,
      listen: this.#urls(),
      fronts: this.#fronts?.slots ?? [],
      frontRestarts: this.#fronts?.restarts ?? new Restarts(frontCauses, thisMachine.now),
      stopping: this.#phase === "stopping",
      pools: this.#knownPools,
      reports: (await this.#fronts?.reports()) ?? new Map(),
    });
  }
}
