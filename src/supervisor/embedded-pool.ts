// The pool of embedded mode as the supervisor sees it: an application that the fronts themselves have inside.
import { log } from "../channels.js";
import { type PoolConfig, workerArea } from "../config/config.js";
import type { EmbeddedFacts } from "../front/messages.js";
import type { Loaded } from "../spawn/spawner.js";
import type { Fronts } from "./fronts.js";
import type { ServiceState } from "./lifecycles.js";
import type { Machine } from "./machine.js";
import { logOutput } from "./output.js";
import { type ReloadedBy, type ReloadOutcome, Reloads } from "./reloads.js";
import { Restarts, type WorkerCause, workerCauses } from "./restarts.js";

export class EmbeddedPool {
  readonly config: PoolConfig;
  /** No process but the fronts. */
  readonly spawnerPid = 0;
  readonly generations: readonly [] = [];
  readonly reloads: Reloads;
  /** There are no workers: what is replaced are the fronts. */
  readonly restarts: Restarts<WorkerCause>;
  #generation = 1;
  #facts: Loaded | undefined;
  /** What is under way: a reload asked for meanwhile follows it. */
  #reloading: Promise<unknown> = Promise.resolve();
  /** The last that was asked for: it serves all who asked while it had not begun. */
  #asked: Promise<ReloadOutcome> | undefined;

  constructor(config: PoolConfig, { now }: Machine) {
    this.config = config;
    this.reloads = new Reloads(now);
    this.restarts = new Restarts(workerCauses, now);
  }

  /** How often the code has been loaded. */
  get generation(): number {
    return this.#generation;
  }
  /** Undefined until a front has loaded the application. */
  get facts(): Loaded | undefined {
    return this.#facts;
  }

  /** Has fronts with the newer code take the place of those there are. */
  reload(fronts: Fronts, phase: ServiceState, by: ReloadedBy): Promise<ReloadOutcome> {
    if (phase !== "serving") {
      const problem = `The server is ${phase === "starting" ? "still starting" : "stopping"}.`;
      return Promise.resolve({ pool: this.config.name, generation: this.#generation, problem, traceback: "" });
    }
    this.#asked ??= this.#reloading.then(() => {
      this.#asked = undefined;
      return this.#reload(fronts, by);
    });
    this.#reloading = this.#asked;
    return this.#asked;
  }

  async #reload(fronts: Fronts, by: ReloadedBy): Promise<ReloadOutcome> {
    const { name: pool, healthPath, reloadOverlap } = this.config;
    const made = this.#generation + 1;
    this.reloads.began(made, by);
    log("info", "supervisor", `Reloading: generation ${made} is being loaded.`);
    const failure = await fronts.renew(healthPath, reloadOverlap);
    if (failure === undefined) {
      this.#generation = made;
      this.reloads.ended(made, "serving", "", "");
      log("info", "supervisor", `Generation ${made} serves.`);
      return { pool, generation: made, problem: "", traceback: "" };
    }
    const { problem, traceback } = failure;
    if (fronts.stopping) return { pool, generation: made, problem, traceback };
    const goesOn = `generation ${this.#generation} goes on serving`;
    this.reloads.ended(made, "failed", problem, traceback);
    log("error", "supervisor", `${traceback}Generation ${made} cannot serve, so ${goesOn}: ${problem}`);
    return { pool, generation: made, problem: `${problem} Generation ${this.#generation} goes on serving.`, traceback };
  }

  loaded(facts: EmbeddedFacts): void {
    this.#facts = { ...facts, preload: false, interface: "wsgi", eventLoop: "" };
  }

  /** Once the server serves: the front that could not load it ends, and is replaced. */
  loadFailed(front: number, problem: string, traceback: string): void {
    log("error", workerArea("", front), `${traceback}${problem}`);
  }

  /** What the application printed in a front. */
  output(front: number, lines: string): void {
    logOutput(workerArea("", front), lines);
  }
}
