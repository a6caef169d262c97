// Which generation of a pool's code serves, which is to, and to which one can be gone back: the way of a reload. A new one takes
// over when it is loaded, its workers are there and the health check is answered. Then the old one drains; its spawner is kept until
// the new one has proved itself, so that going back takes no more than forking workers again. The lives of a pool and of a
// generation are tables (lifecycles.ts).
import { log } from "../channels.js";
import type { Generation } from "./generation.js";
import { generationLife, type PoolState, poolLife } from "./lifecycles.js";
import { notReady } from "./load-problems.js";
import type { PoolSettings } from "./pool-settings.js";
import { noTally, type Tally } from "./probation.js";
import { type ReloadedBy, type ReloadOutcome, Reloads } from "./reloads.js";
import { after, possible } from "./state-table.js";
import { Trial } from "./trial.js";

export interface SuccessionOwner {
  /** A generation with this number, whose code is being loaded. */
  makeGeneration(number: number): Generation;
  /** Another serves, or is to: there may be something to do. */
  generationChanged(): void;
  /** The first one serves. Told once. */
  firstServes(): void;
  /** The first one cannot serve: there is none to go on with. */
  firstFailed(problem: string, traceback: string): void;
  /** Requests go to this one from now on; workers with these process ids get no more. */
  generationServes(generation: number, leaving: readonly number[]): void;
  /** What is wrong with it, or ""; undefined where no front could ask its workers for `path`. */
  checkGeneration(generation: number, path: string): Promise<string | undefined>;
  /** What generations have answered, by their numbers. */
  tallies(): Promise<ReadonlyMap<number, Tally>>;
}

export class Succession {
  readonly #settings: Pick<PoolSettings, "pool" | "label" | "machine" | "restarts">;
  readonly #owner: SuccessionOwner;
  readonly reloads: Reloads;
  #phase: PoolState = poolLife.first;
  /** All of which anything is left, the oldest first. */
  #generations: readonly Generation[] = [];
  #serving: Generation | undefined;
  /** The one that is to serve. */
  #next: Generation | undefined;
  /** The one to go back to while the present one is on probation. */
  #previous: Generation | undefined;
  #lastNumber = 0;
  #trial: Trial | undefined;
  #cancelBoot: (() => void) | undefined;

  constructor(settings: Pick<PoolSettings, "pool" | "label" | "machine" | "restarts">, owner: SuccessionOwner) {
    this.#settings = settings;
    this.#owner = owner;
    this.reloads = new Reloads(settings.machine.now);
  }

  get phase(): PoolState {
    return this.#phase;
  }
  get generations(): readonly Generation[] {
    return this.#generations;
  }
  get serving(): Generation | undefined {
    return this.#serving;
  }
  get next(): Generation | undefined {
    return this.#next;
  }
  /** The number of the one that serves, or is the first to. */
  get number(): number {
    return this.#serving?.number ?? 1;
  }
  /** Processes that may be made beyond those there are. */
  get room(): number {
    const { workers, reloadOverlap } = this.#settings.pool;
    const alive = this.#generations.reduce((sum, { slots }) => sum + slots.alive, 0);
    const beyond = reloadOverlap === "all" ? workers : reloadOverlap;
    return workers + (this.#serving === undefined ? 0 : beyond) - alive;
  }

  // ---- beginnings

  /** Makes the next generation, which is to serve. */
  begin(): Generation {
    const generation = this.#owner.makeGeneration(++this.#lastNumber);
    this.#generations = [...this.#generations, generation];
    this.#aim(generation);
    return generation;
  }

  /** Loads the code anew beside what serves, which goes on where that does not succeed. A reload under way is overtaken. */
  reload(by: ReloadedBy): Promise<ReloadOutcome> {
    if (this.#phase !== "serving") {
      const doing = this.#phase === "starting" ? "still starting" : "stopping";
      return Promise.resolve(this.#outcome(this.number, `The server is ${doing}.`));
    }
    this.#endProbation();
    if (this.#next !== undefined) {
      this.#log("info", `The reload under way (generation ${this.#next.number}) is given up for a newer one.`);
      this.#giveUp(this.#next);
    }
    const { number } = this.begin();
    this.reloads.began(number, by);
    this.#log("info", `Reloading: generation ${number} is being loaded.`);
    return this.reloads.outcome();
  }

  /** The one that serves cannot replace its workers: another is to serve. What comes of it is in the log. */
  spawnerStuck(generation: Generation): void {
    if (generation === this.#serving && this.#next === undefined) void this.reload("a spawner that hangs");
  }

  /** This one is to serve, within the boot timeout. */
  #aim(generation: Generation): void {
    const { pool, machine } = this.#settings;
    this.#next = generation;
    this.#cancelBoot?.();
    this.#cancelBoot = machine.later(pool.bootTimeout * 1000, () => this.failed(generation, notReady(pool), ""));
  }

  // ---- steps

  /** The next generation goes on where as many of its workers as there may be are ready. */
  advance(): void {
    const next = this.#next;
    if (next === undefined || next.state !== "booting") return;
    const { ready, unconnected } = next.slots;
    if (unconnected > 0 || ready === 0) return;
    const { workers, healthPath } = this.#settings.pool;
    if (ready < workers && (this.#serving === undefined || this.room > 0)) return;
    next.happen("booted");
    // The first has none before it to go on serving, and one that served before needs no proof.
    if (healthPath === "" || this.#serving === undefined || next === this.#previous) this.#promote(next);
    else void this.#check(next, healthPath);
  }

  async #check(next: Generation, path: string): Promise<void> {
    const problem = await this.#owner.checkGeneration(next.number, path);
    if (next !== this.#next || next.state !== "checking") return;
    if (problem === undefined) next.happen("lost");
    else if (problem === "") this.#promote(next);
    else this.failed(next, `The health check failed: ${problem}.`, "");
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
      this.#owner.firstServes();
      this.#owner.generationChanged();
      return;
    }
    before.happen("superseded");
    this.#previous = undefined;
    if (before.spawnerStuck) this.#settings.restarts.add("spawner", 0, before.spawnerPid, "the spawner hung");
    this.#owner.generationServes(next.number, this.retire());
    this.#log("info", `Generation ${next.number} serves.`);
    if (!wentBack) {
      this.reloads.ended(next.number, "serving", "", "");
      this.#beginProbation(next, before);
      this.reloads.settle(this.#outcome(next.number, ""));
    }
    this.#owner.generationChanged();
  }

  /** Those workers of older generations for which there are new ones leave; their process ids. */
  retire(): readonly number[] {
    const serving = this.#serving;
    if (serving === undefined) return [];
    let staying = Math.max(0, this.#settings.pool.workers - serving.slots.ready);
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

  // ---- ends

  /** It cannot be made: the one before goes on serving. */
  failed(generation: Generation, problem: string, traceback: string): void {
    if (this.#phase === "stopping" || generation !== this.#next) return;
    if (this.#serving === undefined) {
      this.#owner.firstFailed(problem, traceback);
      return;
    }
    const { number } = generation;
    this.#giveUp(generation);
    const goesOn = `generation ${this.number} goes on serving`;
    this.#log("error", `${traceback}Generation ${number} cannot serve, so ${goesOn}: ${problem}`);
    this.reloads.ended(number, "failed", problem, traceback);
    this.reloads.settle(this.#outcome(number, `${problem} Generation ${this.number} goes on serving.`, traceback));
  }

  #giveUp(generation: Generation): void {
    if (generation === this.#next) this.#next = undefined;
    if (generation === this.#previous) this.#previous = undefined;
    this.#cancelBoot?.();
    generation.happen("given up");
    generation.kill();
  }

  /** Those that drain and have no worker left end, or are kept. */
  seeOff(): void {
    for (const generation of this.#generations) {
      if (generation.state === "draining" && generation.slots.alive === 0) this.#drained(generation);
    }
  }

  #drained(generation: Generation): void {
    // Workers that import the application themselves would import the newer code.
    if (generation === this.#previous && generation.facts?.preload === true) {
      generation.happen("drained");
      return;
    }
    if (generation === this.#previous) this.#previous = undefined;
    generation.happen("dismissed");
    generation.end();
  }

  /** Nothing is left of it. */
  ended(generation: Generation): void {
    this.#generations = this.#generations.filter((each) => each !== generation);
    if (generation === this.#previous) this.#previous = undefined;
  }

  /** What ends from now on is not replaced. */
  stop(): void {
    if (possible(poolLife, this.#phase, "stop")) this.#phase = after(poolLife, this.#phase, "stop");
    this.#cancelBoot?.();
    this.#trial?.end();
    for (const generation of this.#generations) {
      generation.stop();
      // One that has never served has nothing to finish.
      if (generation === this.#next && generation !== this.#previous) generation.kill();
    }
    this.reloads.settle(this.#outcome(this.#next?.number ?? this.number, "The server is stopping."));
  }

  // ---- probation

  #beginProbation(present: Generation, before: Generation): void {
    const { pool, machine } = this.#settings;
    if (pool.probation === 0 || before.spawnerStuck) return;
    this.#previous = before;
    this.#trial = new Trial(pool, machine, {
      tallies: async () => {
        const tallies = await this.#owner.tallies();
        return [tallies.get(present.number) ?? noTally, tallies.get(before.number) ?? noTally];
      },
      bad: (why) => this.#goBack(why),
      passed: () => this.#endProbation(),
    });
  }

  /** A worker of it that was ready died. */
  workerDied(generation: Generation): void {
    if (generation === this.#serving) this.#trial?.died();
  }

  /** What serves has proved itself, or is not to be asked any more: the one before is not needed. */
  #endProbation(): void {
    this.#trial?.end();
    this.#trial = undefined;
    const previous = this.#previous;
    if (previous === undefined || previous === this.#next) return;
    this.#previous = undefined;
    if (previous.state !== "kept") return;
    previous.happen("dismissed");
    previous.end();
  }

  /** The generation that serves is bad: the one before it takes over again. */
  #goBack(why: string): void {
    const bad = this.number;
    this.#trial = undefined;
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
    this.#settings.restarts.add("rollback", 0, 0, `generation ${bad} was given up: ${why}`);
    previous.happen("recalled");
    this.#aim(previous);
    this.#owner.generationChanged();
  }

  #outcome(generation: number, problem: string, traceback = ""): ReloadOutcome {
    return { pool: this.#settings.pool.name, generation, problem, traceback };
  }

  #log(level: "info" | "error", sentence: string): void {
    const { label } = this.#settings;
    log(level, label === "" ? "supervisor" : `supervisor ${label}`, sentence);
  }
}
