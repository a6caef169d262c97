// The pools and fronts of a server as one: what each has to know of the others, from the start to the end. Decides without I/O, by
// way of a Machine; sockets, signals and what is said to people are the supervisor's (supervisor.ts). What it does as a whole is
// a table (lifecycles.ts).
import { log } from "../channels.js";
import { type Config, poolLabel } from "../config/config.js";
import type { EmbeddedFacts, FrontReport, WorkerNews, WorkerSpent } from "../front/messages.js";
import type { TlsMaterial } from "../net/tls-identity.js";
import type { Libpython } from "../python/libpython.js";
import { EmbeddedPool } from "./embedded-pool.js";
import { sumOf } from "./front-reports.js";
import { endWithin, Fronts, type FrontsOwner, type FrontsSettings } from "./fronts.js";
import { type ServiceEvent, type ServiceState, serviceLife } from "./lifecycles.js";
import type { Machine } from "./machine.js";
import { type PoolOwner, PoolProcess } from "./pool-process.js";
import type { Tally } from "./probation.js";
import type { ReloadedBy, ReloadOutcome } from "./reloads.js";
import type { RuntimeDirectory } from "./runtime-directory.js";
import { after, possible } from "./state-table.js";
import type { KnownPool } from "./status-of.js";

export interface ServiceOwner {
  /** Every front accepts clients, and every pool serves: told once. */
  serving(): void;
  /** It cannot start, and ends: why. `traceback` may be "". */
  failed(problem: string, traceback: string): void;
  /** Fronts finish what runs: no new client is to wait for them. */
  draining(): void;
  /** It was told to stop, or has failed, and no process is left: told once. */
  ended(): void;
}

export interface ServiceSettings {
  readonly config: Config;
  readonly runtime: Pick<
    RuntimeDirectory,
    "path" | "scoreboards" | "wire" | "restore" | "newScoreboard" | "removeScoreboard"
  >;
  readonly machine: Machine;
  /** What TLS connections are secured with now; undefined where none are. */
  tls?(): TlsMaterial | undefined;
}

export class Service implements PoolOwner, FrontsOwner {
  readonly #config: Config;
  readonly #settings: ServiceSettings;
  readonly #owner: ServiceOwner;
  #pools: readonly PoolProcess[] = [];
  /** In embedded mode, in place of `#pools`. */
  #embedded: EmbeddedPool | undefined;
  #phase: ServiceState = serviceLife.first;
  #fronts: Fronts | undefined;
  #cancelDeadline: (() => void) | undefined;

  constructor(settings: ServiceSettings, owner: ServiceOwner) {
    this.#settings = settings;
    this.#config = settings.config;
    this.#owner = owner;
  }

  get phase(): ServiceState {
    return this.#phase;
  }
  /** Undefined until they are started. */
  get fronts(): Fronts | undefined {
    return this.#fronts;
  }
  get pools(): readonly KnownPool[] {
    return this.#embedded === undefined ? this.#pools : [this.#embedded];
  }
  /** By the number of the front. */
  async reports(): Promise<ReadonlyMap<number, FrontReport>> {
    return (await this.#fronts?.reports()) ?? new Map();
  }

  #happen(event: ServiceEvent): void {
    this.#phase = after(serviceLife, this.#phase, event);
  }

  // ---- starting

  /** Before the fronts: importing applications takes longest. */
  startPools(): void {
    const { runtime, machine } = this.#settings;
    const { pools, responseMemory, gracefulTimeout, hangTimeout, embedded, limits } = this.#config;
    const [only] = pools;
    if (embedded && only !== undefined) {
      this.#embedded = new EmbeddedPool(only, machine);
      return;
    }
    const ownLimits = limits.some(({ requestTimeout }) => requestTimeout > 0);
    let firstWorker = 1;
    this.#pools = pools.map((pool, index) => {
      const label = poolLabel(this.#config, pool);
      const shared = { responseMemory, ownLimits, gracefulTimeout, hangTimeout, runtime, machine };
      const settings = { ...shared, pool, label, firstWorker, wire: runtime.wire(index) };
      firstWorker += pool.workers;
      return new PoolProcess(settings, this);
    });
  }

  /** `listeners`: descriptors of listening sockets; `python`: the interpreter that fronts are to have inside, in embedded mode. */
  startFronts(listeners: FrontsSettings["listeners"], python: Libpython | undefined): void {
    // What they would serve may have failed already, or a signal may have come.
    if (this.#phase !== "starting") return;
    const { runtime, machine } = this.#settings;
    this.#fronts = new Fronts(
      {
        config: this.#config,
        listeners,
        wires: this.#config.pools.map((_, index) => runtime.wire(index)),
        scoreboards: runtime.scoreboards,
        runtime: runtime.path,
        machine,
        python,
        tls: () => this.#settings.tls?.(),
        pools: () => this.#pools.map(({ generation, awaited }) => ({ generation, awaited })),
      },
      this,
    );
  }

  #maybeServing(): void {
    if (this.#phase !== "starting" || this.#fronts?.listening !== true) return;
    if (!this.#pools.every((pool) => pool.serving)) return;
    this.#happen("serving");
    this.#owner.serving();
  }

  #giveUp(problem: string, traceback: string): void {
    this.#owner.failed(problem, traceback);
    this.kill();
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
    log(
      "error",
      "supervisor",
      `The folder ${this.#settings.runtime.path} was removed, and the front's socket with it.`,
    );
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

  endEvents(pid: number): void {
    this.#fronts?.endEvents(pid);
  }

  frontGone(): void {
    for (const pool of this.#pools) {
      pool.frontGone();
      if (this.#phase === "stopping" && this.#fronts?.running !== true) pool.end();
    }
    if (this.#phase === "stopping") this.#maybeEnded();
  }

  // ---- what the supervisor tells

  /** What comes of it is told by the log, too. */
  async reload(by: ReloadedBy): Promise<readonly ReloadOutcome[]> {
    if (this.#embedded !== undefined && this.#fronts !== undefined) {
      return [await this.#embedded.reload(this.#fronts, this.#phase, by)];
    }
    if (this.#pools.length === 0 && this.#config.tls === undefined)
      log("warning", "supervisor", "There is no application to reload.");
    return await Promise.all(this.#pools.map((pool) => pool.reload(by)));
  }

  /** Each worker prints where its threads are. */
  tellStacks(): void {
    const none = this.#pools.length === 0;
    const sentence = none ? "there are no workers to tell their stacks." : "the stacks of all workers' threads follow.";
    log(none ? "warning" : "info", "supervisor", `SIGUSR2: ${sentence}`);
    for (const pool of this.#pools) pool.tellStacks();
  }

  /** Running requests finish, then everything ends. */
  stop(): void {
    if (!possible(serviceLife, this.#phase, "stop")) return;
    const wasServing = this.#phase === "serving";
    this.#happen("stop");
    if (!wasServing || this.#fronts?.running !== true) {
      this.kill();
      return;
    }
    const { machine } = this.#settings;
    log("info", "supervisor", "Stopping: running requests finish first.");
    for (const pool of this.#pools) pool.stop();
    this.#owner.draining();
    this.#fronts.drain();
    this.#cancelDeadline = machine.later(this.#config.gracefulTimeout * 1000, () => {
      log(
        "warning",
        "supervisor",
        `Requests still run after ${this.#config.gracefulTimeout} s (--graceful-timeout); they are ended.`,
      );
      this.#fronts?.end();
      this.#cancelDeadline = machine.later(endWithin, () => this.kill());
    });
  }

  /** Ends all processes at once. */
  kill(): void {
    if (possible(serviceLife, this.#phase, "stop")) this.#happen("stop");
    for (const pool of this.#pools) pool.kill();
    this.#fronts?.kill();
    this.#maybeEnded();
  }

  #maybeEnded(): void {
    if (!possible(serviceLife, this.#phase, "gone") || this.#fronts?.running === true) return;
    if (!this.#pools.every((pool) => pool.ended)) return;
    this.#happen("gone");
    this.#cancelDeadline?.();
    this.#owner.ended();
  }
}
