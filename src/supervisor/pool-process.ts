// A pool as the supervisor sees it: the generations of its code. One serves; a reload makes the next beside it, and only when
// that is loaded, its workers are there and the health check is answered does it take over. Then the old one drains; its
// spawner is kept until the new one has proved itself, so that going back takes no more than forking workers again. The lives of
// a pool and of a generation are tables (lifecycles.ts).

import { log } from "../channels.js";
import type { PoolConfig } from "../config/config.js";
import type { WorkerNews, WorkerSpent } from "../front/messages.js";
import type { Loaded } from "../spawn/spawner.js";
import { Generation, type GenerationOwner } from "./generation.js";
import { generationLife, type PoolState, poolLife } from "./lifecycles.js";
import { notReady } from "./load-problems.js";
import type { Machine } from "./machine.js";
import { noTally, Probation, type Tally } from "./probation.js";
import { looksAtWorkers } from "./recycler.js";
import { type ReloadedBy, Reloads } from "./reloads.js";
import { Restarts, type WorkerCause, workerCauses } from "./restarts.js";
import type { RuntimeDirectory } from "./runtime-directory.js";
import { after, possible } from "./state-table.js";

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
  readonly runtime: Pick<RuntimeDirectory, "scoreboards" | "restore" | "newScoreboard" | "removeScoreboard">;
  readonly machine: Machine;
  /** Octets of a response that a worker may send beyond what was credited. */
  readonly responseMemory: number;
  /** Whether there are requests with a time limit of their own. */
  readonly ownLimits: boolean;
  /** Seconds that workers get to end what they execute. */
  readonly gracefulTimeout: number;
  readonly restarts: Restarts<WorkerCause>;
  /** Whether there is a front that workers can connect to. */
  connectable(): boolean;
}

/** What came of a reload. */
export interface ReloadOutcome {
  readonly pool: string;
  /** The one that was made. */
  readonly generation: number;
  /** Why the one before goes on serving; "" where the new one does. */
  readonly problem: string;
  /** May be "". */
  readonly traceback: string;
}

/** Milliseconds between two looks at a generation on probation. */
const probationStep = 500;
/** And between two looks at the age and memory of workers. */
const lookEvery = 250;

export class PoolProcess implements GenerationOwner {
  readonly #settings: PoolSettings;
  readonly #machine: Machine;
  readonly #owner: PoolOwner;
  #phase: PoolState = poolLife.first;
  /** All of which anything is left, the oldest first. */
  #generations: readonly Generation[] = [];
  #serving: Generation | undefined;
  /** The one that is to serve. */
  #next: Generation | undefined;
  /** The one to go back to while the present one is on probation. */
  #previous: Generation | undefined;
  #lastNumber = 0;
  #probation: Probation | undefined;
  #cancelProbation: (() => void) | undefined;
  #cancelBoot: (() => void) | undefined;
  #cancelLook: (() => void) | undefined;
  /** Whoever asked for a reload that is under way. */
  #waiting: ((outcome: ReloadOutcome) => void)[] = [];
  readonly reloads: Reloads;
  readonly restarts: Restarts<WorkerCause>;
  #frontListening = false;
  /** What `poolDown` told, until a worker is ready; "" otherwise. */
  #down = "";

  /** Starts the first generation. */
  constructor(settings: Omit<PoolSettings, "connectable" | "restarts">, owner: PoolOwner) {
    const { now } = settings.machine;
    this.reloads = new Reloads(now);
    this.restarts = new Restarts(workerCauses, now);
    this.#settings = { ...settings, restarts: this.restarts, connectable: () => this.#frontListening };
    this.#machine = settings.machine;
    this.#owner = owner;
    this.#begin();
    if (looksAtWorkers(settings.pool)) this.#cancelLook = this.#machine.later(lookEvery, () => this.#look());
  }

  get config(): PoolConfig {
    return this.#settings.pool;
  }
  get generations(): readonly Generation[] {
    return this.#generations;
  }
  /** Whether workers that lost their front are to come to the next. */
  get awaited(): boolean {
    return this.#generations.some(({ slots }) => slots.all.some(({ state }) => state === "lost"));
  }
  /** The number of the generation that serves, or is the first to. */
  get generation(): number {
    return this.#serving?.number ?? 1;
  }
  /** Undefined until the application has been loaded. */
  get facts(): Loaded | undefined {
    return (this.#serving ?? this.#next)?.facts;
  }
  /** The process id of the spawner of what serves; 0 where there is none. */
  get spawnerPid(): number {
    return (this.#serving ?? this.#next)?.spawnerPid ?? 0;
  }
  get serving(): boolean {
    return this.#phase === "serving";
  }
  get ended(): boolean {
    return this.#phase === "stopping" && this.#generations.length === 0;
  }

  // ---- what the supervisor tells

  /** Workers can connect. */
  frontListening(): void {
    this.#frontListening = true;
    for (const generation of this.#generations) generation.frontListening();
    if (this.#down !== "") this.#tellDown(this.#down, 1);
    this.#step();
  }

  /** Nobody listens for workers. Those there are connect to the next front, once they have executed what they have. */
  frontGone(): void {
    this.#frontListening = false;
    for (const generation of this.#generations) generation.frontGone();
  }

  /** A worker connected to the front. Nothing where it is another pool's. */
  workerReady(worker: number, pid: number): void {
    const own = this.#generations.filter((generation) => generation.has(pid));
    if (own.some((generation) => generation.toldToLeave(pid))) {
      // Told by the front before; the one it came to does not know.
      this.#owner.retireWorker(pid);
      return;
    }
    // That one was forked is told by another process, and may not be known yet.
    const asked = own.length > 0 ? own : this.#generations;
    if (!asked.some((generation) => generation.workerReady(worker, pid))) return;
    this.#down = "";
    for (const leaver of this.#serving?.succeeded(worker) ?? []) this.#owner.retireWorker(leaver);
    const leaving = this.#retire();
    if (leaving.length > 0) this.#owner.generationServes(this.config.name, this.generation, leaving);
    this.#step();
  }

  /** It answered its first request. */
  workerServed(worker: number, pid: number): void {
    for (const generation of this.#generations) generation.workerServed(worker, pid);
  }

  /** What a front found of a worker. Nothing where it is another pool's. */
  workerNews(news: WorkerNews | WorkerSpent): void {
    for (const generation of this.#generations) generation.workerNews(news);
  }

  /** Its workers print where their threads are. */
  tellStacks(): void {
    for (const generation of this.#generations) generation.tellStacks();
  }

  /** Loads the code anew beside what serves, which goes on where that does not succeed. A reload under way is overtaken. */
  reload(by: ReloadedBy): Promise<ReloadOutcome> {
    if (this.#phase !== "serving") {
      const doing = this.#phase === "starting" ? "still starting" : "stopping";
      return Promise.resolve(this.#outcome(this.generation, `The server is ${doing}.`));
    }
    this.#endProbation();
    if (this.#next !== undefined) {
      this.#log("info", `The reload under way (generation ${this.#next.number}) is given up for a newer one.`);
      this.#giveUp(this.#next);
    }
    const { number } = this.#begin();
    this.reloads.began(number, by);
    this.#log("info", `Reloading: generation ${number} is being loaded.`);
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  /** What ends from now on is not replaced. */
  stop(): void {
    if (possible(poolLife, this.#phase, "stop")) this.#phase = after(poolLife, this.#phase, "stop");
    this.#cancelBoot?.();
    this.#cancelLook?.();
    this.#cancelProbation?.();
    for (const generation of this.#generations) {
      generation.stop();
      // One that has never served has nothing to finish.
      if (generation === this.#next && generation !== this.#previous) generation.kill();
    }
    this.#settle(this.#outcome(this.#next?.number ?? this.generation, "The server is stopping."));
    this.#maybeDeserted();
  }

  /** While it stops nothing is replaced: where no worker is left, what waits for one is to be told. */
  #maybeDeserted(): void {
    if (this.#generations.some(({ slots }) => slots.alive > 0)) return;
    this.#owner.poolDown(this.config.name, "The server is stopping.", 1);
  }

  /** After `stop`: the front has gone, and workers end when their connection does. */
  end(): void {
    for (const generation of this.#generations) generation.end();
  }

  /** Stops, and ends all processes at once. */
  kill(): void {
    this.stop();
    for (const generation of this.#generations) generation.kill();
  }

  // ---- steps

  #begin(): Generation {
    const generation = new Generation(++this.#lastNumber, this.#settings, this);
    this.#generations = [...this.#generations, generation];
    this.#aim(generation);
    return generation;
  }

  /** This one is to serve, within the boot timeout. */
  #aim(generation: Generation): void {
    this.#next = generation;
    this.#cancelBoot?.();
    this.#cancelBoot = this.#machine.later(this.config.bootTimeout * 1000, () => {
      this.generationFailed(generation, notReady(this.config), "");
    });
  }

  /** Processes that may be made beyond those there are. */
  get #room(): number {
    const { workers, reloadOverlap } = this.config;
    const alive = this.#generations.reduce((sum, { slots }) => sum + slots.alive, 0);
    const beyond = reloadOverlap === "all" ? workers : reloadOverlap;
    return workers + (this.#serving === undefined ? 0 : beyond) - alive;
  }

  /** Does what can be done: spawns, promotes, sees off. */
  #step(): void {
    if (this.#phase === "stopping") {
      this.#maybeDeserted();
      return;
    }
    for (const generation of this.#generations) this.#seeOff(generation);
    if (!this.#frontListening) return;
    this.#recycle();
    // What serves comes first.
    this.#serving?.spawn(this.#room);
    this.#next?.spawn(this.#room);
    this.#advance();
  }

  /** One worker at a time has its place taken by another; during a reload all have. */
  #recycle(): void {
    const serving = this.#serving;
    if (serving === undefined || this.#next !== undefined) return;
    if (this.#generations.some((other) => other !== serving && other.slots.alive > 0)) return;
    serving.recycle();
  }

  /** Looks at workers every now and then. */
  #look(): void {
    for (const generation of this.#generations) generation.killOversized();
    this.#step();
    this.#cancelLook = this.#machine.later(lookEvery, () => this.#look());
  }

  /** The next generation goes on where as many of its workers as there may be are ready. */
  #advance(): void {
    const next = this.#next;
    if (next === undefined || next.state !== "booting") return;
    const { ready, unconnected } = next.slots;
    if (unconnected > 0 || ready === 0) return;
    if (ready < this.config.workers && (this.#serving === undefined || this.#room > 0)) return;
    next.happen("booted");
    const { healthPath } = this.config;
    // The first has none before it to go on serving, and one that served before needs no proof.
    if (healthPath === "" || this.#serving === undefined || next === this.#previous) this.#promote(next);
    else this.#check(next, healthPath);
  }

  async #check(next: Generation, path: string): Promise<void> {
    const problem = await this.#owner.checkGeneration(this.config.name, next.number, path);
    if (next !== this.#next || next.state !== "checking") return;
    if (problem === undefined) next.happen("lost");
    else if (problem === "") this.#promote(next);
    else this.generationFailed(next, `The health check failed: ${problem}.`, "");
  }

  #promote(next: Generation): void {
    const before = this.#serving;
    const wentBack = next === this.#previous;
    next.happen("passed");
    this.#cancelBoot?.();
    this.#next = undefined;
    this.#serving = next;
    if (before === undefined) {
      this.#phase = after(poolLife, this.#phase, "first serves");
      this.#owner.poolServing();
      return;
    }
    before.happen("superseded");
    this.#previous = undefined;
    this.#owner.generationServes(this.config.name, next.number, this.#retire());
    this.#log("info", `Generation ${next.number} serves.`);
    if (!wentBack) {
      this.reloads.ended(next.number, "serving", "", "");
      this.#beginProbation(before);
      this.#settle(this.#outcome(next.number, ""));
    }
    this.#step();
  }

  /** Those workers of older generations for which there are new ones leave; their process ids. */
  #retire(): readonly number[] {
    const serving = this.#serving;
    if (serving === undefined) return [];
    let staying = Math.max(0, this.config.workers - serving.slots.ready);
    const leaving: number[] = [];
    for (const generation of [...this.#generations].reverse()) {
      if (generation.state !== "draining") continue;
      const filled = generation.slots.ready + generation.slots.unconnected;
      const kept = Math.min(staying, filled);
      staying -= kept;
      leaving.push(...generation.leave(filled - kept));
    }
    return leaving;
  }

  #giveUp(generation: Generation): void {
    if (generation === this.#next) this.#next = undefined;
    if (generation === this.#previous) this.#previous = undefined;
    this.#cancelBoot?.();
    generation.happen("given up");
    generation.kill();
  }

  /** A generation that drains has no worker left. */
  #seeOff(generation: Generation): void {
    if (generation.state !== "draining" || generation.slots.alive > 0) return;
    // Workers that import the application themselves would import the newer code.
    if (generation === this.#previous && generation.facts?.preload === true) {
      generation.happen("drained");
      return;
    }
    if (generation === this.#previous) this.#previous = undefined;
    generation.happen("dismissed");
    generation.end();
  }
  // ---- probation

  #beginProbation(before: Generation): void {
    const { probation, workers } = this.config;
    if (probation === 0) return;
    this.#previous = before;
    this.#probation = new Probation(workers);
    const ends = this.#machine.now() + probation * 1000;
    const look = async (): Promise<void> => {
      const present = this.#probation;
      const tallies = await this.#owner.tallies(this.config.name);
      if (present === undefined || present !== this.#probation) return;
      const now = tallies.get(this.generation) ?? noTally;
      const why = present.look(now, tallies.get(before.number) ?? noTally);
      if (why !== "") this.#goBack(why);
      else if (this.#machine.now() < ends) this.#cancelProbation = this.#machine.later(probationStep, look);
      else this.#endProbation();
    };
    this.#cancelProbation = this.#machine.later(probationStep, look);
  }

  /** What serves has proved itself, or is not to be asked any more: the one before is not needed. */
  #endProbation(): void {
    this.#probation = undefined;
    this.#cancelProbation?.();
    const previous = this.#previous;
    if (previous === undefined || previous === this.#next) return;
    this.#previous = undefined;
    if (previous.state !== "kept") return;
    previous.happen("dismissed");
    previous.end();
  }

  /** The generation that serves is bad: the one before it takes over again. */
  #goBack(why: string): void {
    const bad = this.generation;
    this.#probation = undefined;
    this.#cancelProbation?.();
    const previous = this.#previous;
    if (
      previous === undefined ||
      previous.facts?.preload !== true ||
      !possible(generationLife, previous.state, "recalled")
    ) {
      this.#log("error", `Generation ${bad} fails: ${why}. The one before it is gone, so it goes on serving.`);
      this.#previous = undefined;
      return;
    }
    const then = `generation ${previous.number} takes over again (--probation)`;
    this.#log("error", `Generation ${bad} fails: ${why}; ${then}.`);
    this.reloads.ended(bad, "rolled back", `${why}.`, "");
    this.restarts.add("rollback", 0, 0, `generation ${bad} was given up: ${why}`);
    previous.happen("recalled");
    this.#aim(previous);
    this.#step();
  }

  // ---- what came of reloads

  #outcome(generation: number, problem: string, traceback = ""): ReloadOutcome {
    return { pool: this.config.name, generation, problem, traceback };
  }

  #settle(outcome: ReloadOutcome): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const tell of waiting) tell(outcome);
  }

  #log(level: "info" | "error", sentence: string): void {
    const { label } = this.#settings;
    log(level, label === "" ? "supervisor" : `supervisor ${label}`, sentence);
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

  // ---- what a generation tells

  generationChanged(): void {
    this.#step();
  }

  workerDied(generation: Generation): void {
    if (generation !== this.#serving || this.#probation === undefined) return;
    const why = this.#probation.died();
    if (why !== "") this.#goBack(why);
  }

  workersFailing(generation: Generation, why: string, delay: number): void {
    if (this.#phase === "serving" && generation === this.#serving) this.#tellDown(why, delay);
  }

  generationFailed(generation: Generation, problem: string, traceback: string): void {
    if (this.#phase === "stopping" || generation !== this.#next) return;
    const serving = this.#serving;
    if (serving === undefined) {
      this.stop();
      this.#owner.poolFailed(problem, traceback);
      return;
    }
    const { number } = generation;
    this.#giveUp(generation);
    const goesOn = `generation ${serving.number} goes on serving`;
    this.#log("error", `${traceback}Generation ${number} cannot serve, so ${goesOn}: ${problem}`);
    this.reloads.ended(number, "failed", problem, traceback);
    this.#settle(this.#outcome(number, `${problem} Generation ${serving.number} goes on serving.`, traceback));
  }

  wireRemoved(): void {
    this.#owner.wireRemoved();
  }

  generationEnded(generation: Generation): void {
    this.#generations = this.#generations.filter((each) => each !== generation);
    if (generation === this.#previous) this.#previous = undefined;
    if (this.#phase !== "stopping") this.#step();
    else if (this.#generations.length === 0) this.#owner.poolEnded();
  }
}
