// A pool as the supervisor sees it: the generations of its code (succession.ts says which serves), and what fronts tell of their
// workers.
import { log } from "../channels.js";
import type { PoolConfig } from "../config/config.js";
import type { WorkerNews, WorkerSpent } from "../front/messages.js";
import type { Loaded } from "../spawn/spawner.js";
import { EarlyNews } from "./early-news.js";
import { Generation, type GenerationOwner } from "./generation.js";
import type { Machine } from "./machine.js";
import type { PoolSettings } from "./pool-settings.js";
import type { Tally } from "./probation.js";
import { looksAtWorkers } from "./recycler.js";
import type { ReloadedBy, ReloadOutcome, Reloads } from "./reloads.js";
import { Restarts, type WorkerCause, workerCauses } from "./restarts.js";
import { Succession, type SuccessionOwner } from "./succession.js";

export interface PoolOwner {
  /** Every worker has been ready: told once. */
  poolServing(): void;
  /** It cannot start, which ends the server. `traceback` may be "". Told once. */
  poolFailed(problem: string, traceback: string): void;
  /** There is no worker, nor will there be for so many seconds, as they die again and again: why, as clients may read it. */
  poolDown(pool: string, why: string, againIn: number): void;
  /**
   * Requests go to the workers of this generation from now on; those with these process ids get no more, and end when they have
   * finished what they have.
   */
  generationServes(pool: string, generation: number, leaving: readonly number[]): void;
  /** Asks all workers of a generation that does not serve yet for `path`. What is wrong, or ""; undefined where no front could ask. */
  checkGeneration(pool: string, generation: number, path: string): Promise<string | undefined>;
  /** What the generations of a pool have answered, by their numbers. */
  tallies(pool: string): Promise<ReadonlyMap<number, Tally>>;
  /** The socket where workers connect was removed. `frontGone` and `frontListening` follow. */
  wireRemoved(): void;
  /** The front is to give this worker nothing more: its successor is ready. */
  retireWorker(pid: number): void;
  /** This worker is ended in a moment: the front ends what has no end of its own. */
  endEvents(pid: number): void;
  /** It was told to stop, and nothing of it is left. */
  poolEnded(): void;
}

/** Milliseconds between two looks at the age and memory of workers. */
const lookEvery = 250;

export class PoolProcess implements GenerationOwner, SuccessionOwner {
  readonly #settings: PoolSettings;
  readonly #machine: Machine;
  readonly #owner: PoolOwner;
  readonly #succession: Succession;
  readonly restarts: Restarts<WorkerCause>;
  #cancelLook: (() => void) | undefined;
  #frontListening = false;
  readonly #early = new EarlyNews();
  /** What `poolDown` told, until a worker is ready; "" otherwise. */
  #down = "";

  /** Starts the first generation. */
  constructor(settings: Omit<PoolSettings, "connectable" | "restarts">, owner: PoolOwner) {
    this.#machine = settings.machine;
    this.restarts = new Restarts(workerCauses, this.#machine.now);
    this.#settings = { ...settings, restarts: this.restarts, connectable: () => this.#frontListening };
    this.#owner = owner;
    this.#succession = new Succession(this.#settings, this);
    this.#succession.begin();
    if (looksAtWorkers(settings.pool)) this.#cancelLook = this.#machine.later(lookEvery, () => this.#look());
  }

  get config(): PoolConfig {
    return this.#settings.pool;
  }
  get generations(): readonly Generation[] {
    return this.#succession.generations;
  }
  /** Whether workers that lost their front are to come to the next. */
  get awaited(): boolean {
    return this.generations.some(({ slots }) => slots.all.some(({ state }) => state === "lost"));
  }
  /** The number of the generation that serves, or is the first to. */
  get generation(): number {
    return this.#succession.number;
  }
  get #present(): Generation | undefined {
    return this.#succession.serving ?? this.#succession.next;
  }
  /** Undefined until the application has been loaded. */
  get facts(): Loaded | undefined {
    return this.#present?.facts;
  }
  /** The process id of the spawner of what serves; 0 where there is none. */
  get spawnerPid(): number {
    return this.#present?.spawnerPid ?? 0;
  }
  get reloads(): Reloads {
    return this.#succession.reloads;
  }
  get serving(): boolean {
    return this.#succession.phase === "serving";
  }
  get ended(): boolean {
    return this.#succession.phase === "stopping" && this.generations.length === 0;
  }

  // ---- what the supervisor tells

  /** Workers can connect. */
  frontListening(): void {
    this.#frontListening = true;
    for (const generation of this.generations) generation.frontListening();
    if (this.#down !== "") this.#tellDown(this.#down, 1);
    this.#step();
  }

  /** Nobody listens for workers. Those there are connect to the next front, once they have executed what they have. */
  frontGone(): void {
    this.#frontListening = false;
    this.#early.forget();
    for (const generation of this.generations) generation.frontGone();
  }

  /** A worker connected to the front. Nothing where it is another pool's. */
  workerReady(worker: number, pid: number): void {
    this.#heard(worker, pid, () => this.#workerReady(worker, pid));
  }

  #workerReady(worker: number, pid: number): void {
    const own = this.generations.filter((generation) => generation.has(pid));
    if (own.some((generation) => generation.toldToLeave(pid))) {
      // Told by the front before; the one it came to does not know.
      this.#owner.retireWorker(pid);
      return;
    }
    if (!own.some((generation) => generation.workerReady(worker, pid))) return;
    this.#down = "";
    for (const leaver of this.#succession.serving?.succeeded(worker) ?? []) this.#owner.retireWorker(leaver);
    const leaving = this.#succession.retire();
    if (leaving.length > 0) this.generationServes(this.generation, leaving);
    this.#step();
  }

  /** It answered its first request. */
  workerServed(worker: number, pid: number): void {
    this.#heard(worker, pid, () => {
      for (const generation of this.generations) generation.workerServed(worker, pid);
    });
  }

  /** What a front found of a worker. Nothing where it is another pool's. */
  workerNews(news: WorkerNews | WorkerSpent): void {
    this.#heard(news.worker, news.pid, () => {
      for (const generation of this.generations) generation.workerNews(news);
    });
  }

  /** Acts on what a front tells of a worker: now, or when its spawner, which is another process, has told of it, too. */
  #heard(worker: number, pid: number, act: () => void): void {
    const known = this.generations.some((generation) => generation.has(pid));
    if (known || !this.#untold(worker)) act();
    else this.#early.keep(worker, pid, act);
  }

  /** Whether there may be a worker with this number of which no spawner has told. */
  #untold(worker: number): boolean {
    return this.generations.some(({ slots }) => slots.untold(worker));
  }

  /** Its workers print where their threads are. */
  tellStacks(): void {
    for (const generation of this.generations) generation.tellStacks();
  }

  /** Loads the code anew beside what serves, which goes on where that does not succeed. A reload under way is overtaken. */
  reload(by: ReloadedBy): Promise<ReloadOutcome> {
    return this.#succession.reload(by);
  }

  /** What ends from now on is not replaced. */
  stop(): void {
    this.#cancelLook?.();
    this.#succession.stop();
    this.#maybeDeserted();
  }

  /** While it stops nothing is replaced: where no worker is left, what waits for one is to be told. */
  #maybeDeserted(): void {
    if (this.generations.some(({ slots }) => slots.alive > 0)) return;
    this.#owner.poolDown(this.config.name, "The server is stopping.", 1);
  }

  /** After `stop`: the front has gone, and workers end when their connection does. */
  end(): void {
    for (const generation of this.generations) generation.end();
  }

  /** Stops, and ends all processes at once. */
  kill(): void {
    this.stop();
    for (const generation of this.generations) generation.kill();
  }

  // ---- steps

  /** Does what can be done: spawns, promotes, sees off. */
  #step(): void {
    const succession = this.#succession;
    if (succession.phase === "stopping") {
      this.#maybeDeserted();
      return;
    }
    succession.seeOff();
    if (!this.#frontListening) return;
    this.#recycle();
    const { serving, next } = succession;
    // What serves comes first, but for the one worker with which what is to serve begins.
    const begins = serving !== undefined && next?.state === "booting" && next.slots.alive === 0;
    if (begins && succession.room <= 0) serving.giveWay();
    serving?.spawn(succession.room - (begins ? 1 : 0));
    next?.spawn(succession.room);
    succession.advance();
  }

  /** One worker at a time has its place taken by another; during a reload all have. */
  #recycle(): void {
    const { serving, next } = this.#succession;
    if (next !== undefined) return;
    if (this.generations.every((each) => each === serving || each.slots.alive === 0)) serving?.recycle();
  }

  /** Looks at workers every now and then. */
  #look(): void {
    for (const generation of this.generations) generation.killOversized();
    this.#step();
    this.#cancelLook = this.#machine.later(lookEvery, () => this.#look());
  }

  #tellDown(why: string, delay: number): void {
    if (this.#down === "") {
      const { label } = this.#settings;
      const pool = label === "" ? "" : ` of ${label}`;
      log("error", "supervisor", `No worker${pool} is there, and they die again and again: requests are answered 503.`);
    }
    this.#down = why;
    this.#owner.poolDown(this.config.name, why, delay / 1000);
  }

  // ---- what the succession asks and tells

  makeGeneration(number: number): Generation {
    return new Generation(number, this.#settings, this);
  }

  firstServes(): void {
    this.#owner.poolServing();
  }

  firstFailed(problem: string, traceback: string): void {
    this.stop();
    this.#owner.poolFailed(problem, traceback);
  }

  endEvents(pid: number): void {
    this.#owner.endEvents(pid);
  }

  generationServes(generation: number, leaving: readonly number[]): void {
    this.#owner.generationServes(this.config.name, generation, leaving);
  }

  checkGeneration(generation: number, path: string): Promise<string | undefined> {
    return this.#owner.checkGeneration(this.config.name, generation, path);
  }

  tallies(): Promise<ReadonlyMap<number, Tally>> {
    return this.#owner.tallies(this.config.name);
  }

  // ---- what a generation tells

  generationChanged(): void {
    this.#step();
  }

  workerDied(generation: Generation): void {
    this.#succession.workerDied(generation);
  }

  workerForked(worker: number, pid: number): void {
    this.#early.play(worker, pid, this.#untold(worker));
  }

  workersFailing(generation: Generation, why: string, delay: number): void {
    if (this.serving && generation === this.#succession.serving) this.#tellDown(why, delay);
  }

  generationFailed(generation: Generation, problem: string, traceback: string): void {
    this.#succession.failed(generation, problem, traceback);
  }

  spawnerStuck(generation: Generation): void {
    this.#succession.spawnerStuck(generation);
  }

  wireRemoved(): void {
    this.#owner.wireRemoved();
  }

  generationEnded(generation: Generation): void {
    this.#succession.ended(generation);
    if (this.#succession.phase !== "stopping") this.#step();
    else if (this.ended) this.#owner.poolEnded();
  }
}
