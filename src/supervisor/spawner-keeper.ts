// Keeps a generation's spawner there: where it dies there is another, ever later where none gets to work.
import { log } from "../channels.js";
import { threadsMost } from "../config/config.js";
import type { Loaded, SpawnerListener } from "../spawn/spawner.js";
import { notReady } from "./load-problems.js";
import type { SpawnerHandle } from "./machine.js";
import type { PoolSettings } from "./pool-settings.js";
import { replacementDelay } from "./replacement.js";

/** A spawner that was told to end has so long, ms: more than it gives its workers (spawner.py, MERCY). */
const endWithin = 5000;

export class SpawnerKeeper {
  readonly #generation: number;
  readonly #settings: PoolSettings;
  readonly #listener: SpawnerListener;
  #spawner: SpawnerHandle | undefined;
  /** Undefined until the application has been loaded. */
  #facts: Loaded | undefined;
  /** How often in a row it died before it could work. */
  #failures = 0;
  #stopped = false;

  /** Starts the first, of which the pool decides how long it may load. */
  constructor(generation: number, settings: PoolSettings, listener: SpawnerListener) {
    this.#generation = generation;
    this.#settings = settings;
    this.#listener = listener;
    this.#start();
  }

  get facts(): Loaded | undefined {
    return this.#facts;
  }
  /** 0 where there is none. */
  get pid(): number {
    return this.#spawner?.pid ?? 0;
  }
  /** Undefined while none can fork. */
  get ready(): SpawnerHandle | undefined {
    return this.#facts === undefined || this.stuck ? undefined : this.#spawner;
  }
  /** Whether it does not answer. */
  get stuck(): boolean {
    return this.#spawner?.stuck === true;
  }
  get there(): boolean {
    return this.#spawner !== undefined;
  }

  #start(): SpawnerHandle {
    const { pool, wire, runtime, responseMemory, ownLimits, hangTimeout, machine } = this.#settings;
    const { scoreboards, path } = runtime;
    const generation = this.#generation;
    this.#facts = undefined;
    const spawner = machine.startSpawner(
      {
        pool,
        threads: threadsMost(pool),
        wire,
        scoreboards,
        runtime: path,
        responseMemory,
        ownLimits,
        generation,
        hangTimeout,
      },
      this.#listener,
    );
    this.#spawner = spawner;
    return spawner;
  }

  loaded(facts: Loaded): void {
    this.#facts = facts;
    this.#failures = 0;
  }

  /** The process has ended. */
  gone(): void {
    this.#spawner = undefined;
  }

  /** Starts another after a while: how long, ms. */
  replace(): number {
    const { pool, machine } = this.#settings;
    const delay = replacementDelay(this.#failures++);
    machine.later(delay, () => {
      if (this.#stopped) return;
      const spawner = this.#start();
      machine.later(pool.bootTimeout * 1000, () => {
        if (this.#spawner !== spawner || this.#facts !== undefined || this.#stopped) return;
        log("error", "supervisor", `${notReady(pool)} Its spawner is killed, and another tries.`);
        spawner.kill();
      });
    });
    return delay;
  }

  /** There will be no other. */
  stop(): void {
    this.#stopped = true;
  }

  /** Ends it once its workers have ended. `late` is called where that takes too long, as it still imports the application, or hangs. */
  end(late: () => void): void {
    const spawner = this.#spawner;
    spawner?.end();
    this.#settings.machine.later(endWithin, () => {
      if (this.#spawner === spawner) late();
    });
  }

  kill(): void {
    this.#spawner?.kill();
  }
}
