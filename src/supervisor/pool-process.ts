// A pool as the supervisor sees it: the spawner of one application and the slots of its workers. Sees that what died is
// replaced, as soon as there is a front that workers can connect to.
//
//   starting ──every worker ready──▶ serving ──stop──▶ stopping ──spawner gone──▶ (ended)
//      └──────could not start, or stop────────────────────▲

import { constants } from "node:os";
import { log } from "../channels.js";
import { type PoolConfig, threadsMost, workerArea, workerName } from "../config/config.js";
import type { WorkerNews } from "../front/messages.js";
import { later } from "../net/deadline.js";
import { type Loaded, loadFailedStatus, Spawner, type SpawnerListener } from "../spawn/spawner.js";
import { logOutput } from "./output.js";
import { killProcess, replacementDelay, signalProcess } from "./replacement.js";
import type { RuntimeDirectory } from "./runtime-directory.js";
import { type Slot, WorkerSlots } from "./worker-slots.js";

/** Requests wait for a worker that is started within so many milliseconds; otherwise they are answered 503 at once. */
const worthWaiting = 1000;
/** Makes a worker print the stacks of its threads (python/vivarium_host/worker.py). */
const stacksSignal = "SIGUSR2";
/** It has so long for that before it is killed, ms. */
const tellStacksWithin = 300;
/** A worker whose connection has ended has so long to exit, ms. */
const exitWithin = 1000;

export interface PoolOwner {
  /** Every worker has been ready: told once. */
  poolServing(): void;
  /** It cannot start, which ends the server. `traceback` may be "". Told once. */
  poolFailed(problem: string, traceback: string): void;
  /** There is no worker, nor will there be for so many seconds, as they die again and again: why, as clients may read it. */
  poolDown(pool: string, why: string, againIn: number): void;
  /** The socket where workers connect was removed. `frontGone` and `frontListening` follow. */
  wireRemoved(): void;
  /** The front is to give this worker nothing more: its successor is ready. */
  retireWorker(pid: number): void;
  /** It was told to stop, and nothing of it is left. */
  poolEnded(): void;
}

export interface PoolSettings {
  readonly pool: PoolConfig;
  /** How the pool is called in the log, where there are several; else "". */
  readonly label: string;
  /** The first worker's number: numbers are unique in a server. */
  readonly firstWorker: number;
  /** The unix socket on which the front expects this pool's workers. */
  readonly wire: string;
  readonly runtime: RuntimeDirectory;
  /** Octets of a response that a worker may send beyond what was credited. */
  readonly responseMemory: number;
  /** Whether there are requests with a time limit of their own. */
  readonly ownLimits: boolean;
  /** Seconds that workers of a front that died get to end what they execute. */
  readonly gracefulTimeout: number;
}

export class PoolProcess implements SpawnerListener {
  readonly #settings: PoolSettings;
  readonly #owner: PoolOwner;
  readonly #slots: WorkerSlots;
  #phase: "starting" | "serving" | "stopping" = "starting";
  #spawner: Spawner | undefined;
  #facts: Loaded | undefined;
  #frontListening = false;
  /** How often in a row the spawner died before it could work. */
  #spawnerFailures = 0;
  /** What `poolDown` told, until a worker is ready; "" otherwise. */
  #down = "";
  readonly #cancelDeadline: () => void;

  /** Starts the spawner. */
  constructor(settings: PoolSettings, owner: PoolOwner) {
    this.#settings = settings;
    this.#owner = owner;
    this.#slots = new WorkerSlots(settings.pool.workers, settings.firstWorker);
    this.#startSpawner();
    this.#cancelDeadline = later(settings.pool.bootTimeout * 1000, () => this.#bootTooLong());
  }

  get config(): PoolConfig {
    return this.#settings.pool;
  }
  get slots(): readonly Slot[] {
    return this.#slots.all;
  }
  /** Undefined until the application has been loaded. */
  get facts(): Loaded | undefined {
    return this.#facts;
  }
  /** The spawner's process id; 0 where there is none. */
  get spawnerPid(): number {
    return this.#spawner?.pid ?? 0;
  }
  get serving(): boolean {
    return this.#phase === "serving";
  }
  get ended(): boolean {
    return this.#phase === "stopping" && this.#spawner === undefined;
  }

  // ---- what the supervisor tells

  /** Workers can connect. */
  frontListening(): void {
    this.#frontListening = true;
    if (this.#down !== "") this.#tellDown(this.#down, 1);
    this.#spawnWorkers();
  }

  /** Nobody listens for workers. Those there are end with their connection, once they have executed what they have. */
  frontGone(): void {
    this.#frontListening = false;
  }

  /**
   * The front died: what its workers execute nobody waits for, and the next front has no other workers. They are ended
   * where they have not ended by themselves after the graceful timeout.
   */
  endWorkersLater(): void {
    const { gracefulTimeout } = this.#settings;
    const pids = this.#slots.all.map((slot) => slot.pid);
    later(gracefulTimeout * 1000, () => {
      for (const [index, slot] of this.#slots.all.entries()) {
        if (slot.pid === 0 || slot.pid !== pids[index]) continue;
        const who = this.#name(slot.number);
        log("warning", "supervisor", `${who} still executes what the front that ended gave it: it is ended.`);
        killProcess(slot.pid);
      }
    });
  }

  /** A worker connected to the front and takes requests. Nothing where it is another pool's. */
  workerReady(worker: number, pid: number): void {
    const slot = this.#slots.get(worker);
    if (slot === undefined || !this.#slots.connected(slot, pid)) return;
    this.#down = "";
    for (const leaving of slot.leaving) this.#owner.retireWorker(leaving);
    if (this.#phase !== "starting" || this.#slots.ready < this.#slots.all.length) return;
    this.#phase = "serving";
    this.#cancelDeadline();
    this.#owner.poolServing();
  }

  /** Nothing where it is another pool's, or gone. */
  workerServed(worker: number, pid: number): void {
    const slot = this.#slots.get(worker);
    if (slot !== undefined) this.#slots.served(slot, pid);
  }

  /** What a front found of a worker. Nothing where it is another pool's. */
  workerNews({ type, worker, pid }: WorkerNews): void {
    const slot = this.#slots.get(worker);
    if (slot === undefined || this.#phase === "stopping") return;
    const there = (): boolean => slot.pid === pid || slot.leaving.has(pid);
    const kill = (): void => {
      if (there()) killProcess(pid);
    };
    if (type === "worker-hung" && there()) {
      signalProcess(pid, stacksSignal);
      later(tellStacksWithin, kill);
    } else if (type === "worker-stuck" && this.#slots.replace(slot, pid)) {
      this.#spawnWorker(slot);
      later(this.#settings.gracefulTimeout * 1000, kill);
    } else if (type === "worker-retired") later(exitWithin, kill);
  }

  /** Its workers print where their threads are. */
  tellStacks(): void {
    // One that boots has no handler for it yet, and would be ended.
    for (const { state, pid } of this.#slots.all) if (state === "ready") signalProcess(pid, stacksSignal);
  }

  /** What ends from now on is not replaced. */
  stop(): void {
    this.#phase = "stopping";
    this.#cancelDeadline();
  }

  /** After `stop`: the front has gone, and workers end when their connection does. */
  end(): void {
    this.#spawner?.end();
  }

  /** Stops, and ends all processes at once. */
  kill(): void {
    this.stop();
    for (const slot of this.#slots.all) for (const pid of [slot.pid, ...slot.leaving]) killProcess(pid);
    this.#spawner?.kill();
  }

  // ---- starting

  #startSpawner(): void {
    const { pool, wire, runtime, responseMemory, ownLimits } = this.#settings;
    this.#facts = undefined;
    const { scoreboards } = runtime;
    this.#spawner = new Spawner(
      { pool, threads: threadsMost(pool), wire, scoreboards, responseMemory, ownLimits },
      this,
    );
  }

  /** Fills empty slots, as soon as there is somebody to fork workers and somebody for them to connect to. */
  #spawnWorkers(): void {
    for (const slot of this.#slots.all) this.#spawnWorker(slot);
  }

  #spawnWorker(slot: Slot): void {
    if (this.#phase === "stopping" || this.#facts === undefined || !this.#frontListening) return;
    if (slot.state !== "empty") return;
    const { runtime, wire } = this.#settings;
    this.#slots.booting(slot, Date.now());
    try {
      if (runtime.restore(wire)) {
        this.#slots.exited(slot, Date.now());
        this.#owner.wireRemoved();
        return;
      }
      runtime.newScoreboard(slot.number);
    } catch (error) {
      // A full disk, for example: what serves already is not to end for it.
      this.workerUnforked(slot.number, error instanceof Error ? error.message : String(error));
      return;
    }
    this.#spawner?.spawn(slot.number);
  }

  #bootTooLong(): void {
    const { target, bootTimeout } = this.config;
    this.#fail(`The application ${target} was not ready within ${bootTimeout} seconds (--boot-timeout).`, "");
  }

  #fail(problem: string, traceback: string): void {
    if (this.#phase !== "starting") return;
    this.stop();
    this.#owner.poolFailed(problem, traceback);
  }

  /** A worker died, and the next of its slot comes after `delay` ms: what is worth waiting for, requests wait for. */
  #maybeDown(delay: number): void {
    if (delay < worthWaiting || this.#phase !== "serving" || !this.#slots.failing) return;
    this.#tellDown(
      "The application's processes end as soon as they have started. Others are started ever more slowly.",
      delay,
    );
  }

  #tellDown(why: string, delay: number): void {
    if (this.#down === "") {
      const pool = this.#which(" of ");
      log("error", "supervisor", `No worker${pool} is there, and they die again and again: requests are answered 503.`);
    }
    this.#down = why;
    this.#owner.poolDown(this.config.name, why, delay / 1000);
  }

  #name(worker: number): string {
    return workerName(this.#settings.label, worker);
  }

  // ---- what the spawner tells

  loaded(facts: Loaded): void {
    this.#facts = facts;
    this.#spawnerFailures = 0;
    this.#spawnWorkers();
  }

  loadFailed(problem: string, traceback: string): void {
    if (this.#phase === "starting") this.#fail(problem, traceback);
    else log("error", "supervisor", `${traceback}${problem}`);
  }

  workerForked(worker: number, pid: number): void {
    const slot = this.#slots.get(worker);
    if (slot !== undefined) slot.pid = pid;
  }

  workerUnforked(worker: number, problem: string): void {
    const slot = this.#slots.get(worker);
    if (slot === undefined || slot.state !== "booting") return;
    const delay = this.#slots.exited(slot, Date.now());
    log("error", "supervisor", `${this.#name(worker)} cannot be made: ${problem}; tried again in ${delay / 1000} s.`);
    this.#maybeDown(delay);
    later(delay, () => this.#spawnWorker(slot));
  }

  workerExited(worker: number, pid: number, status: number, signal: number): void {
    const slot = this.#slots.get(worker);
    if (slot?.leaving.delete(pid) === true) {
      log("info", "supervisor", `${this.#name(worker)} (pid ${pid}), whose place another has, is gone.`);
      return;
    }
    if (slot === undefined || slot.pid !== pid) return;
    if (status === loadFailedStatus) {
      this.#fail(`The application ${this.config.target} could not be loaded; the lines above say why.`, "");
    }
    const delay = this.#slots.exited(slot, Date.now());
    if (this.#phase === "stopping") return;
    if (this.#frontListening) {
      const why = signal === 0 ? `exited with status ${status}` : `was killed by ${signalName(signal)}`;
      const then = delay === 0 ? "another takes its place" : `another takes its place in ${delay / 1000} s`;
      log("error", "supervisor", `${this.#name(worker)} (pid ${pid}) ${why}; ${then}.`);
    }
    this.#maybeDown(delay);
    later(delay, () => this.#spawnWorker(slot));
  }

  output(worker: number, lines: string): void {
    const { label } = this.#settings;
    logOutput(worker === 0 ? `${label} spawner`.trimStart() : workerArea(label, worker), lines);
  }

  exited(status: number | null, signal: NodeJS.Signals | null): void {
    this.#spawner = undefined;
    const how = signal === null ? `with status ${status}` : `by ${signal}`;
    this.#fail(`Python ended ${how} while it imported the application${this.#which(" of ")}.`, "");
    if (this.#phase === "stopping") {
      this.#owner.poolEnded();
      return;
    }
    if (status !== null || signal !== null) {
      const ended = `The spawner${this.#which(" of ")} ended (${signal ?? `status ${status}`})`;
      log("error", "supervisor", `${ended}; it and its workers are replaced.`);
    }
    // Its workers have lost their parent: nobody would learn of their end.
    for (const slot of this.#slots.all) {
      for (const pid of [slot.pid, ...slot.leaving]) killProcess(pid);
      slot.leaving.clear();
      if (slot.state !== "empty") this.#slots.exited(slot, Date.now());
    }
    const delay = replacementDelay(this.#spawnerFailures++);
    if (delay >= worthWaiting) this.#tellDown("The application cannot be loaded at the moment.", delay);
    later(delay, () => {
      if (this.#phase !== "stopping") this.#startSpawner();
    });
  }

  /** The pool's name behind these words, where it needs to be told from others. */
  #which(words: string): string {
    const { label } = this.#settings;
    return label === "" ? "" : `${words}${label}`;
  }
}

function signalName(number: number): string {
  const found = Object.entries(constants.signals).find(([, value]) => value === number);
  return found?.[0] ?? `signal ${number}`;
}
