// A world for the service to decide in: a clock that stands until it is moved, and spawners, workers and fronts that do one step when
// they are told to. What processes say travels on its own: it is heard later than it was said, in order for each of them, in no
// order between them. They behave as python/vivarium_host and src/front do; what decides about them is the real code.
import type { PoolConfig } from "../../../src/config/config.js";
import type { FrontReport } from "../../../src/front/messages.js";
import type { SpawnerListener, SpawnSettings } from "../../../src/spawn/spawner.js";
import type { FrontListener, FrontSettings } from "../../../src/supervisor/front-process.js";
import type { FrontHandle, Machine, SpawnerHandle } from "../../../src/supervisor/machine.js";

/** What an application does when it is imported, when a worker starts, and when it serves. */
export interface Code {
  readonly version: number;
  readonly load: "well" | "fails" | "hangs" | "dies";
  readonly boot: "well" | "hangs" | "dies";
  readonly serves: "well" | "errors" | "dies";
  readonly healthy: boolean;
}

/** A pool of the world's code. */
export function simulatedPool(name: string, differing: Partial<PoolConfig> = {}): PoolConfig {
  return {
    name,
    target: name,
    workers: 1,
    threads: 1,
    interface: "wsgi",
    concurrency: 1,
    eventLoop: "auto",
    python: "python3",
    chdir: "/",
    preload: true,
    bootTimeout: 20,
    queue: 100,
    queueTimeout: 30,
    retry: [],
    requestTimeout: 0,
    interruptGrace: 1,
    maxRequests: 10,
    maxWorkerAge: 0,
    maxWorkerMemory: 0,
    maxWorkerMemoryHard: 0,
    logSlow: 0,
    healthPath: "",
    probation: 0,
    reloadOverlap: 1,
    ...differing,
  };
}

/** Something that can happen next. */
export type Step = () => void;

export class World implements Machine {
  time = 1_000_000_000_000;
  /** What the next import finds. */
  code: Code = { version: 1, load: "well", boot: "well", serves: "well", healthy: true };
  /** No process can be forked, no scoreboard written. */
  full = false;
  /** Somebody has removed the folder with the fronts' sockets. */
  removed = false;
  readonly spawners: Set<SimulatedSpawner> = new Set();
  readonly workers: Set<SimulatedWorker> = new Set();
  readonly fronts: Set<SimulatedFront> = new Set();
  readonly scoreboards: Set<string> = new Set();
  /** Of which there ever was a spawner. */
  readonly generations: Set<string> = new Set();
  /** Something was told to who waits for a promise. */
  promised = false;
  /** Called before a worker is killed by who decides. */
  onKill: (worker: SimulatedWorker) => void = () => {};
  /** And before a front is. */
  onFrontKill: (front: SimulatedFront) => void = () => {};
  #timers: { readonly at: number; readonly act: Step }[] = [];
  #lastPid = 100;
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  // ---- the machine

  readonly now = (): number => this.time;
  readonly random = (): number => this.#random();
  later(milliseconds: number, act: Step): () => void {
    const timer = { at: this.time + Math.max(1, milliseconds), act };
    const after = this.#timers.findIndex(({ at }) => at > timer.at);
    this.#timers.splice(after < 0 ? this.#timers.length : after, 0, timer);
    return () => {
      this.#timers = this.#timers.filter((each) => each !== timer);
    };
  }
  startSpawner(settings: SpawnSettings, listener: SpawnerListener): SpawnerHandle {
    return new SimulatedSpawner(this, settings, listener);
  }
  startFront(settings: FrontSettings, listener: FrontListener): FrontHandle {
    return new SimulatedFront(this, settings, listener);
  }
  signal(pid: number, signal: NodeJS.Signals): void {
    if (signal !== "SIGKILL") return;
    const worker = [...this.workers].find((each) => each.pid === pid);
    if (worker === undefined) return;
    this.onKill(worker);
    worker.exit(0, 9);
  }
  memory(pid: number): number {
    return [...this.workers].find((each) => each.pid === pid)?.memory ?? 0;
  }

  // ---- the folder

  readonly runtime = {
    path: "/run",
    scoreboards: "/run/scoreboards",
    wire: (pool: number): string => `/run/wire-${pool}`,
    restore: (): boolean => this.removed,
    newScoreboard: (generation: number, worker: number): void => {
      if (this.full) throw new Error("no space left on device");
      this.scoreboards.add(`${generation}-${worker}`);
    },
    removeScoreboard: (generation: number, worker: number): void => {
      this.scoreboards.delete(`${generation}-${worker}`);
    },
  };

  // ---- what tests do with it

  pid(): number {
    this.#lastPid += 1;
    return this.#lastPid;
  }

  /** All that processes could do now, or that could be heard of them. */
  get steps(): readonly Step[] {
    return [
      ...[...this.#said].flatMap(([speaker, step]) => (this.distant.has(speaker) ? [] : [step])),
      ...[...this.spawners, ...this.workers, ...this.fronts].flatMap((each) => each.steps),
    ];
  }

  get processes(): number {
    return this.spawners.size + this.workers.size + this.fronts.size;
  }

  /** Time passes; what was to be done by then is done. */
  pass(milliseconds: number): void {
    const until = this.time + milliseconds;
    for (let [next] = this.#timers; next !== undefined && next.at <= until; [next] = this.#timers) {
      this.#timers.shift();
      this.time = Math.max(this.time, next.at);
      next.act();
    }
    this.time = until;
  }

  /** Milliseconds to the next thing that somebody waits for. */
  get idle(): number {
    const [next] = this.#timers;
    return next === undefined ? 1000 : Math.max(0, next.at - this.time);
  }

  /** Processes of which nothing is heard for the time being. */
  readonly distant: Set<object> = new Set();
  readonly #said = new Map<object, Step>();

  /** Of what a process has said, the first is heard next. */
  heard(speaker: object, said: Step[]): void {
    const [first] = said;
    if (first === undefined) this.#said.delete(speaker);
    else {
      this.#said.set(speaker, () => {
        said.shift();
        first();
        this.heard(speaker, said);
      });
    }
  }

  /** Whether something of a process was said and not heard yet. */
  get unheard(): boolean {
    return this.#said.size > 0;
  }
}

abstract class SimulatedProcess {
  readonly world: World;
  readonly pid: number;
  alive = true;
  readonly #said: Step[] = [];
  /** What it will do, in order. */
  protected readonly work: Step[] = [];

  constructor(world: World) {
    this.world = world;
    this.pid = world.pid();
  }

  get steps(): readonly Step[] {
    return this.work.length === 0 ? [] : [() => this.work.shift()?.()];
  }

  protected say(words: Step): void {
    this.#said.push(words);
    this.world.heard(this, this.#said);
  }

  protected die(): void {
    this.alive = false;
    this.work.length = 0;
  }
}

export class SimulatedSpawner extends SimulatedProcess implements SpawnerHandle {
  readonly settings: SpawnSettings;
  readonly code: Code;
  readonly workers: Set<SimulatedWorker> = new Set();
  /** Of its generation. */
  readonly first: boolean;
  readonly #listener: SpawnerListener;
  #ending = false;

  constructor(world: World, settings: SpawnSettings, listener: SpawnerListener) {
    super(world);
    this.settings = settings;
    this.code = world.code;
    this.#listener = listener;
    const key = `${settings.pool.name} ${settings.generation}`;
    this.first = !world.generations.has(key);
    world.generations.add(key);
    world.spawners.add(this);
    this.work.push(() => this.#load());
  }

  #load(): void {
    const { preload } = this.settings.pool;
    const load = preload ? this.code.load : "well";
    this.#loaded = load === "well";
    if (load === "well") {
      this.say(() =>
        this.#listener.loaded({
          preload,
          python: "3.12.0",
          application: `v${this.code.version}`,
          interface: "wsgi",
          eventLoop: "",
        }),
      );
    } else if (load === "fails") {
      this.say(() => this.#listener.loadFailed("The application cannot be loaded.", ""));
      this.exit(1, null);
    } else if (load === "dies") this.exit(null, "SIGSEGV");
    // Whatever it is told it does not hear.
    else this.work.length = 0;
    this.#deaf = load === "hangs";
  }

  #deaf = false;
  #loaded = false;
  stuck = false;

  /** It is stopped, and is never heard of again. */
  hang(): void {
    this.#deaf = true;
    this.work.length = 0;
    if (this.#loaded) this.#missed();
  }

  #missed(): void {
    this.world.later(this.settings.hangTimeout * 1000, () => {
      if (!this.alive || this.#ending) return;
      this.stuck = true;
      this.#listener.stuck();
      this.#missed();
    });
  }

  #hear(command: Step): void {
    if (this.alive && !this.#deaf) this.work.push(command);
  }

  spawn(worker: number): void {
    this.#hear(() => {
      if (this.world.full) this.say(() => this.#listener.workerUnforked(worker, "no process left"));
      else {
        const forked = new SimulatedWorker(this.world, this, worker);
        this.say(() => this.#listener.workerForked(worker, forked.pid));
      }
    });
  }

  /** A worker of it ended. */
  reap({ number, pid }: SimulatedWorker, status: number, signal: number): void {
    if (!this.alive || this.#deaf) return;
    this.say(() => this.#listener.workerExited(number, pid, status, signal));
    if (this.#ending && this.workers.size === 0) this.exit(0, null);
  }

  end(): void {
    this.#hear(() => {
      this.#ending = true;
      if (this.workers.size === 0) this.exit(0, null);
      this.world.later(1000, () => {
        if (this.alive) for (const worker of this.workers) worker.exit(0, 9);
      });
    });
  }

  kill(): void {
    this.exit(null, "SIGKILL");
  }

  exit(status: number | null, signal: NodeJS.Signals | null): void {
    if (!this.alive) return;
    this.die();
    this.world.spawners.delete(this);
    this.say(() => this.#listener.exited(status, signal));
  }
}

export class SimulatedWorker extends SimulatedProcess {
  readonly number: number;
  readonly spawner: SimulatedSpawner;
  readonly code: Code;
  front: SimulatedFront | undefined;
  /** Requests that it executes. */
  busy = 0;
  /** None of these ends. */
  hung = false;
  memory = 0;
  /** It gets nothing more: since when. */
  retiredAt: number | undefined;
  served = false;
  /** Told of as hung, stuck, or spent. */
  reported = false;
  #looks = false;

  constructor(world: World, spawner: SimulatedSpawner, number: number) {
    super(world);
    this.number = number;
    this.spawner = spawner;
    // Those that import the application themselves have what is there then.
    this.code = spawner.settings.pool.preload ? spawner.code : world.code;
    world.workers.add(this);
    spawner.workers.add(this);
    this.work.push(() => this.#boot());
  }

  get pool(): string {
    return this.spawner.settings.pool.name;
  }
  get generation(): number {
    return this.spawner.settings.generation;
  }

  override get steps(): readonly Step[] {
    const next = this.#next;
    return next === undefined ? super.steps : [...super.steps, next];
  }

  get #next(): Step | undefined {
    if (this.#looks && this.busy === 0) {
      const front = [...this.world.fronts].find(({ open }) => open);
      if (front !== undefined && !this.world.removed) {
        return () => {
          this.#looks = false;
          front.connected(this);
        };
      }
      if (!this.world.scoreboards.has(`${this.generation}-${this.number}`)) return () => this.exit(0, 0);
    }
    if (this.front !== undefined && this.retiredAt !== undefined && this.busy === 0)
      return () => this.front?.part(this);
    return undefined;
  }

  #boot(): void {
    const { preload } = this.spawner.settings.pool;
    if (!preload && this.code.load !== "well") this.exit(3, 0);
    else if (this.code.boot === "dies") this.exit(0, 11);
    else this.#looks = this.code.boot === "well";
  }

  /** Its front has died. */
  lost(): void {
    this.front = undefined;
    this.retiredAt = undefined;
    this.#looks = true;
  }

  answer(): void {
    this.busy -= 1;
    if (this.code.serves === "dies") this.exit(0, 11);
    else this.front?.answered(this);
  }

  exit(status: number, signal: number): void {
    if (!this.alive) return;
    this.die();
    this.world.workers.delete(this);
    this.front?.workers.delete(this);
    this.spawner.workers.delete(this);
    this.spawner.reap(this, status, signal);
  }
}

export class SimulatedFront extends SimulatedProcess implements FrontHandle {
  readonly code: Code;
  readonly workers: Set<SimulatedWorker> = new Set();
  /** The generation that serves, of each pool. */
  readonly serving: Map<string, number>;
  /** Workers may connect to it. */
  open = false;
  /** It accepts clients. */
  listening = false;
  /** It has the application inside. */
  loaded = false;
  /** It has told that it accepts clients. */
  accepted = false;
  /** It was told to finish what it has, heard or not. */
  dismissed = false;
  /** Requests that it executes itself. */
  busy = 0;
  readonly whenGone: Promise<void>;
  readonly #settings: FrontSettings;
  readonly #listener: FrontListener;
  readonly #answers = new Map<string, { answers: number; errors: number }>();
  readonly #asked = new Set<() => void>();
  #gone: Step = () => {};
  #draining = false;
  #deaf = false;

  constructor(world: World, settings: FrontSettings, listener: FrontListener) {
    super(world);
    this.code = world.code;
    this.#settings = settings;
    this.#listener = listener;
    this.serving = new Map(
      settings.config.pools.map(({ name }, index) => [name, settings.pools[index]?.generation ?? 1]),
    );
    this.whenGone = new Promise((resolve) => {
      this.#gone = resolve;
    });
    world.fronts.add(this);
    this.work.push(() => (this.embedded ? this.#load() : this.#listen()));
  }

  get embedded(): boolean {
    return this.#settings.python !== undefined;
  }
  get idle(): boolean {
    return this.work.length === 0;
  }
  override get steps(): readonly Step[] {
    const ends = this.#draining && this.#quiet ? [() => this.#leave()] : [];
    return this.#deaf ? [] : [...super.steps, ...ends];
  }
  get #quiet(): boolean {
    return this.busy === 0 && [...this.workers].every(({ busy }) => busy === 0);
  }

  protected override say(words: Step): void {
    super.say(() => {
      this.world.promised ||= this.embedded;
      words();
    });
  }

  #load(): void {
    const { held } = this.#settings;
    const { load, healthy, version } = this.code;
    this.#deaf = load === "hangs";
    if (load === "dies") this.exit(null, "SIGSEGV");
    else if (load === "fails" || (held !== undefined && held.healthPath !== "" && !healthy)) {
      this.say(() => this.#listener.applicationFailed("The application cannot be loaded.", ""));
      this.exit(1, null);
    } else if (load === "well") {
      this.loaded = true;
      this.say(() => this.#listener.applicationLoaded({ python: "3.12.0", application: `v${version}` }));
      if (held === undefined) this.#listen();
    }
  }

  #listen(): void {
    if (this.#draining) return;
    this.open = !this.embedded;
    this.listening = true;
    this.world.removed = false;
    this.say(() => {
      this.accepted = true;
      this.#listener.frontListening();
    });
  }

  #leave(): void {
    for (const worker of [...this.workers]) worker.exit(0, 0);
    this.exit(0, null);
  }

  // ---- its workers

  connected(worker: SimulatedWorker): void {
    worker.front = this;
    this.workers.add(worker);
    this.say(() => this.#listener.workerReady(worker.number, worker.pid));
  }

  /** Whom it can give a request. */
  get takers(): readonly SimulatedWorker[] {
    if (!this.listening || this.#draining) return [];
    return [...this.workers].filter(
      ({ pool, generation, retiredAt, hung }) =>
        generation === this.serving.get(pool) && retiredAt === undefined && !hung,
    );
  }
  get takes(): boolean {
    return this.embedded && this.listening && !this.#draining;
  }

  answered(worker: SimulatedWorker): void {
    const { number, pid, code } = worker;
    const key = `${worker.pool} ${worker.generation}`;
    const { answers, errors } = this.#answers.get(key) ?? { answers: 0, errors: 0 };
    this.#answers.set(key, { answers: answers + 1, errors: errors + (code.serves === "errors" ? 1 : 0) });
    if (!worker.served) this.say(() => this.#listener.workerServed(number, pid));
    worker.served = true;
  }

  news(worker: SimulatedWorker, type: "worker-hung" | "worker-stuck"): void {
    worker.reported = true;
    this.say(() => this.#listener.workerNews({ type, worker: worker.number, pid: worker.pid }));
  }

  spent({ number, pid, served }: SimulatedWorker): void {
    const spent = { cause: served ? "memory" : "requests", amount: 10 } as const;
    this.say(() => this.#listener.workerNews({ type: "worker-spent", worker: number, pid, spent }));
  }

  /** `at`: when it was decided. */
  #retire(pid: number, at: number): void {
    for (const worker of this.workers) if (worker.pid === pid) worker.retiredAt ??= at;
  }

  /** A retired worker has nothing left. */
  part(worker: SimulatedWorker): void {
    const { number, pid } = worker;
    this.workers.delete(worker);
    worker.exit(0, 0);
    this.say(() => this.#listener.workerNews({ type: "worker-retired", worker: number, pid }));
  }

  // ---- what it is told

  #hear(message: Step): void {
    if (this.alive) this.work.push(message);
  }

  drain(): void {
    this.dismissed = true;
    this.#hear(() => {
      this.#draining = true;
    });
  }
  drainGently(): void {
    this.drain();
  }
  listen(): void {
    this.#hear(() => this.#listen());
  }
  end(): void {
    this.#hear(() => this.exit(0, null));
  }
  retire(pid: number): void {
    const { time } = this.world;
    this.#hear(() => this.#retire(pid, time));
  }
  endEvents(): void {}
  generationServes(pool: string, generation: number, leaving: readonly number[]): void {
    const { time } = this.world;
    this.#hear(() => {
      this.serving.set(pool, generation);
      for (const pid of leaving) this.#retire(pid, time);
    });
  }
  poolDown(): void {}
  reopenLogs(): void {}
  renewTls(): void {}
  makeRoom(): void {}

  checkGeneration(pool: string, generation: number): Promise<string | undefined> {
    const own = () => [...this.workers].filter((each) => each.pool === pool && each.generation === generation);
    return this.#ask(() => (own().length > 0 && own().every(({ code }) => code.healthy) ? "" : "it answered 500"));
  }
  drainServer(): Promise<undefined> {
    return Promise.resolve(undefined);
  }
  report(): Promise<FrontReport | undefined> {
    return this.#ask(() => ({
      connections: 0,
      webSockets: 0,
      requests: 0,
      workers: [],
      executing: [],
      upstreams: [],
      pools: this.#settings.config.pools.map(({ name }) => ({
        name,
        threads: 1,
        threadsMost: 1,
        interface: "wsgi" as const,
        eventLoop: "",
        queue: 0,
        wait: { longest: 0, count: 0, median: 0, most: 0 },
        refused: 0,
        down: "",
        writeAhead: 0,
        wall: 0,
        cpu: 0,
        answers: [...this.#answers].flatMap(([key, each]) => {
          const [pool, generation] = key.split(" ");
          return pool === name ? [{ generation: Number(generation), ...each }] : [];
        }),
      })),
    }));
  }

  #ask<Answer>(answer: () => Answer): Promise<Answer | undefined> {
    this.world.promised = true;
    if (!this.alive) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const gone = (): void => resolve(undefined);
      this.#asked.add(gone);
      this.#hear(() => {
        const found = answer();
        super.say(() => {
          this.world.promised = true;
          this.#asked.delete(gone);
          resolve(found);
        });
      });
    });
  }

  kill(): void {
    if (this.alive) this.world.onFrontKill(this);
    this.exit(null, "SIGKILL");
  }
  killStuck(): void {
    this.kill();
  }

  exit(status: number | null, signal: NodeJS.Signals | null): void {
    if (!this.alive) return;
    this.die();
    this.open = false;
    this.listening = false;
    this.world.fronts.delete(this);
    for (const worker of this.workers) worker.lost();
    super.say(() => {
      this.world.promised = true;
      for (const give of this.#asked) give();
      this.#gone();
      this.#listener.frontExited(status, signal);
    });
  }
}
