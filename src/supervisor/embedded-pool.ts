// The pool of embedded mode as the supervisor sees it: an application that the fronts themselves have inside.
import { log } from "../channels.js";
import { type PoolConfig, workerArea } from "../config/config.js";
import type { EmbeddedFacts } from "../front/messages.js";
import type { Loaded } from "../spawn/spawner.js";
import { logOutput } from "./output.js";

export class EmbeddedPool {
  readonly config: PoolConfig;
  /** No process but the fronts. */
  readonly spawnerPid = 0;
  readonly generations: readonly [] = [];
  readonly generation = 1;
  readonly lastReload = undefined;
  #facts: Loaded | undefined;

  constructor(config: PoolConfig) {
    this.config = config;
  }

  /** Undefined until a front has loaded the application. */
  get facts(): Loaded | undefined {
    return this.#facts;
  }

  loaded(facts: EmbeddedFacts): void {
    this.#facts = { ...facts, preload: false };
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
