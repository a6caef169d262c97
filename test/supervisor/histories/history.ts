// A random history of a service in a simulated world: what happens is drawn from a seed, and after every event it is looked whether
// what must never be is, and at the end whether all that must come does.
//
// Safety, after every event:
//   - of a pool at most one generation serves, and a front that has heard everything gives requests to that one;
//   - there are never more workers than may be, nor more than one that has served its time and waits for its successor;
//   - a generation that failed never serves, nor one whose code does not load or is not healthy;
//   - no worker that serves well is killed, none that was told to leave before the graceful timeout is over;
//     nor is a front with an application inside that accepts clients and was not told to leave;
//   - the service knows of every process.
// Progress, from any state, once the environment behaves:
//   - the code that serves does so in every slot, and nothing of any other generation is left;
//   - who has served its time is replaced;
//   - a reload brings the newest code everywhere, and whoever asked for one is told what came of it;
//   - told to stop, the service ends, and with it every process.
import assert from "node:assert/strict";
import type { Config, PoolConfig } from "../../../src/config/config.js";
import { PoolProcess } from "../../../src/supervisor/pool-process.js";
import type { ReloadOutcome } from "../../../src/supervisor/reloads.js";
import { Service, type ServiceOwner } from "../../../src/supervisor/service.js";
import { Random } from "../../fuzz/random.js";
import { configuration } from "../../python/fake-front.js";
import { type SimulatedFront, type SimulatedWorker, simulatedPool, World } from "./world.js";

/** What happens, and a number by which it is chosen to whom. */
export type Event = readonly [kind: Kind, choice: number];
type Kind = (typeof kinds)[number][0];

const gracefulTimeout = 5;

/** In each history, how likely each is. */
const kinds = [
  ["step", 300],
  ["steps", 60],
  ["pass", 40],
  ["wait", 40],
  ["request", 60],
  ["answer", 50],
  ["deploy", 12],
  ["reload", 20],
  ["worker dies", 14],
  ["worker hangs", 6],
  ["worker stuck", 6],
  ["worker spent", 14],
  ["worker grows", 5],
  ["spawner dies", 6],
  ["spawner hangs", 5],
  ["front dies", 8],
  ["folder removed", 3],
  ["full", 4],
  ["room", 4],
  ["stop", 2],
  ["kill", 1],
] as const;
const weights = kinds.reduce((sum, [, weight]) => sum + weight, 0);

function draw(random: Random): Event {
  let at = random.below(weights);
  const found = kinds.find(([, weight]) => {
    at -= weight;
    return at < 0;
  });
  return [found?.[0] ?? "step", random.below(2 ** 30)];
}

export function events(seed: number, count: number): readonly Event[] {
  const random = new Random(seed);
  return Array.from({ length: count }, () => draw(random));
}

export class History implements ServiceOwner {
  readonly #world: World;
  readonly #service: Service;
  readonly #config: Config;
  readonly #embedded: boolean;
  readonly #fromServing: boolean;
  #began = false;
  #failed = false;
  #ended = false;
  #stopAsked = false;
  #killed = false;
  #versions = 1;
  /** Reloads that were asked for and not answered. */
  #waiting = 0;
  readonly #outcomes: ReloadOutcome[] = [];
  /** Workers that a front found to have served their time, and that front: the next may have to find it anew. */
  readonly #spent = new Map<number, SimulatedFront>();
  /** And to be stuck: any number of these may wait for a successor. */
  readonly #stuck = new Set<number>();
  readonly #retired = new Map<number, number>();
  /** Fronts. */
  readonly #wronglyKilled: number[] = [];

  constructor(seed: number) {
    const random = new Random(seed * 31 + 7);
    this.#world = new World(() => random.below(1000) / 1000);
    this.#embedded = random.chance(25);
    this.#config = this.#draw(random);
    this.#world.onKill = (worker) => this.#lookAtKill(worker);
    this.#world.onFrontKill = (front) => this.#lookAtFrontKill(front);
    this.#service = new Service({ config: this.#config, runtime: this.#world.runtime, machine: this.#world }, this);
    this.#fromServing = random.chance(75);
    if (random.chance(8)) this.#deploy(random.below(2 ** 30));
    this.#service.startPools();
    this.#service.startFronts([], this.#embedded ? { library: "", version: "3.12.0", executable: "" } : undefined);
  }

  /** What was drawn for it. */
  get about(): string {
    const { pools, fronts } = this.#config;
    const each = pools.map(
      ({ workers, preload, reloadOverlap, healthPath, probation, maxWorkerAge }) =>
        `${workers} workers, overlap ${reloadOverlap}, preload ${preload}, health "${healthPath}", probation ${probation}, age ${maxWorkerAge}`,
    );
    return `${this.#embedded ? `embedded, ${fronts} fronts: ` : ""}${each.join("; ")}`;
  }

  #draw(random: Random): Config {
    const pool = (name: string): PoolConfig =>
      simulatedPool(name, {
        workers: 1 + random.below(3),
        preload: random.chance(75),
        maxWorkerAge: random.chance(15) ? 40 : 0,
        maxWorkerMemoryHard: random.chance(30) ? 100 : 0,
        healthPath: random.chance(50) ? "/health" : "",
        probation: random.chance(70) ? 3 : 0,
        reloadOverlap: random.of<"all" | number>(["all", 1, 2]),
      });
    return {
      ...configuration("/run"),
      gracefulTimeout,
      hangTimeout: 3,
      embedded: this.#embedded,
      fronts: this.#embedded ? 1 + random.below(3) : 1,
      pools: this.#embedded || random.chance(70) ? [pool("one")] : [pool("one"), pool("two")],
    };
  }

  // ---- what the service tells

  serving(): void {
    this.#began = true;
  }
  failed(): void {
    assert.ok(!this.#began, "a service that served has failed");
    this.#failed = true;
  }
  draining(): void {}
  ended(): void {
    assert.ok(!this.#ended, "it has ended twice");
    this.#ended = true;
  }

  // ---- what happens

  async run(happening: readonly Event[]): Promise<void> {
    // Most of what is of interest happens to a service that serves.
    if (this.#fromServing) await this.#until("it serves", 30, () => this.#began || this.#failed);
    for (const [kind, choice] of happening) {
      await this.#settled(() => this.#happen(kind, choice));
    }
    await this.#behave();
  }

  async #settled(act: () => void): Promise<void> {
    act();
    // Whoever waited for a promise gets its turn; in embedded mode time alone may keep one.
    this.#world.promised ||= this.#embedded;
    while (this.#world.promised) {
      this.#world.promised = false;
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#look();
  }

  #happen(kind: Kind, choice: number): void {
    const world = this.#world;
    const one = <Each>(of: Iterable<Each>): Each | undefined => {
      const all = [...of];
      return all[choice % Math.max(1, all.length)];
    };
    const worker = one(world.workers);
    const connected = one([...world.workers].filter(({ front, hung }) => front !== undefined && !hung));
    switch (kind) {
      case "step":
        one(world.steps)?.();
        return;
      case "steps":
        for (let left = choice % 12; left > 0; left -= 1) world.steps[choice % Math.max(1, world.steps.length)]?.();
        return;
      case "pass":
        world.pass(choice % 50);
        return;
      case "wait":
        world.pass(choice % 10 === 0 ? choice % 12_000 : world.idle);
        return;
      case "request":
        this.#request(choice);
        return;
      case "answer":
        this.#answer(choice);
        return;
      case "deploy":
        this.#deploy(choice);
        return;
      case "reload":
        this.#reload();
        return;
      case "worker dies":
        worker?.exit(0, 9);
        return;
      case "worker hangs":
        if (connected !== undefined) {
          connected.hung = true;
          connected.busy += 1;
          connected.front?.news(connected, "worker-hung");
        }
        return;
      case "worker stuck":
        if (connected !== undefined) {
          connected.busy += 1;
          connected.front?.news(connected, "worker-stuck");
          this.#stuck.add(connected.pid);
        }
        return;
      case "worker spent":
        if (connected?.front !== undefined) {
          this.#spent.set(connected.pid, connected.front);
          connected.front.spent(connected);
        }
        return;
      case "worker grows":
        if (worker !== undefined) worker.memory = 200 * 2 ** 20;
        return;
      case "spawner dies":
        one(world.spawners)?.exit(null, "SIGKILL");
        return;
      case "spawner hangs":
        one(world.spawners)?.hang();
        return;
      case "front dies":
        this.#frontDies(one(world.fronts));
        return;
      case "folder removed":
        for (const { pid } of world.workers) this.#stuck.add(pid);
        world.removed = true;
        world.scoreboards.clear();
        return;
      case "full":
        world.full = true;
        return;
      case "room":
        world.full = false;
        return;
      case "stop":
        if (this.#began || choice % 3 === 0) this.#stop();
        return;
      case "kill":
        if (choice % 4 !== 0) return;
        this.#killed = true;
        this.#stopAsked = true;
        this.#service.kill();
        return;
    }
  }

  /** Workers that still execute what it gave them then make room for others, too, any number of them. */
  #frontDies(front: SimulatedFront | undefined): void {
    for (const { pid } of this.#world.workers) this.#stuck.add(pid);
    front?.exit(null, "SIGSEGV");
  }

  #request(choice: number): void {
    const fronts = [...this.#world.fronts];
    const front = fronts[choice % Math.max(1, fronts.length)];
    if (front?.takes === true) front.busy += 1;
    const takers = front?.takers ?? [];
    const worker = takers[choice % Math.max(1, takers.length)];
    if (worker === undefined) return;
    const { healthPath, preload } = worker.spawner.settings.pool;
    // Of the first generation it is not asked, and of workers or spawners that import the application again only once.
    if (healthPath !== "" && worker.generation > 1 && preload && worker.spawner.first) {
      assert.ok(worker.code.healthy, `generation ${worker.generation} serves, which is not healthy`);
    }
    const failed = this.#outcomes.find(
      ({ pool, generation, problem }) =>
        pool === worker.pool && generation === worker.generation && problem.endsWith("goes on serving."),
    );
    assert.equal(failed, undefined, "a generation that failed serves");
    worker.busy += 1;
  }

  #answer(choice: number): void {
    const busy = [...this.#world.workers].filter((worker) => worker.busy > 0 && !worker.hung);
    busy[choice % Math.max(1, busy.length)]?.answer();
    const fronts = [...this.#world.fronts].filter((front) => front.busy > 0);
    const front = fronts[choice % Math.max(1, fronts.length)];
    if (front !== undefined) front.busy -= 1;
  }

  #deploy(choice: number): void {
    const random = new Random(choice);
    this.#versions += 1;
    this.#world.code = {
      version: this.#versions,
      load: random.of(["well", "well", "well", "well", "fails", "hangs", "dies"]),
      boot: random.of(["well", "well", "well", "well", "hangs", "dies"]),
      serves: random.of(["well", "well", "errors", "dies"]),
      healthy: random.chance(80),
    };
  }

  #deployWell(): void {
    this.#versions += 1;
    this.#world.code = { version: this.#versions, load: "well", boot: "well", serves: "well", healthy: true };
  }

  #reload(): void {
    this.#waiting += 1;
    this.#world.promised = true;
    void this.#service.reload("a test").then((outcomes) => {
      this.#waiting -= 1;
      this.#outcomes.push(...outcomes);
    });
  }

  #stop(): void {
    this.#stopAsked = true;
    this.#service.stop();
  }

  // ---- safety

  get #pools(): readonly PoolProcess[] {
    return this.#service.pools.filter((pool) => pool instanceof PoolProcess);
  }

  #look(): void {
    const phases = { starting: false, serving: false, stopping: true, ended: true };
    if (this.#stopAsked || this.#failed) assert.ok(phases[this.#service.phase], `it is ${this.#service.phase}`);
    for (const pool of this.#pools) {
      this.#lookAtNumbers(pool);
      this.#lookAtFronts(pool);
      this.#lookForForgotten(pool);
    }
    for (const { pid, retiredAt } of this.#world.workers) {
      if (retiredAt !== undefined && !this.#retired.has(pid)) this.#retired.set(pid, retiredAt);
    }
    assert.deepEqual(this.#wronglyKilled, [], "fronts serve well, and are killed");
    if (this.#ended) assert.equal(this.#world.processes, 0, "it has ended, and processes are left");
  }

  #lookAtNumbers({ config, generations, serving: began }: PoolProcess): void {
    const serving = generations.filter(({ state }) => state === "serving");
    assert.ok(serving.length <= 1, "two generations serve");
    const { workers, reloadOverlap, name } = config;
    const beyond = !this.#began && !began ? 0 : reloadOverlap === "all" ? workers : reloadOverlap;
    const own = [...this.#world.workers].filter(({ pool }) => pool === name);
    assert.ok(own.length <= workers + beyond, `${own.length} workers of ${workers} and ${beyond}`);
    // Of the end of others a spawner that hangs has not told.
    const alive = new Set(own.map(({ pid }) => pid));
    const recycled = serving.flatMap(({ slots }) =>
      slots.leaving.filter(({ pid, told }) => !told && alive.has(pid) && this.#spent.has(pid) && !this.#stuck.has(pid)),
    );
    assert.ok(recycled.length <= 1, `${recycled.length} workers have served their time and wait for a successor`);
  }

  #lookAtFronts({ config, generation }: PoolProcess): void {
    if (this.#service.phase !== "serving") return;
    for (const front of this.#world.fronts) {
      if (!front.idle || !front.listening) continue;
      assert.equal(front.serving.get(config.name), generation, "a front gives requests to another generation");
    }
  }

  /** Whether the service knows of every process, or will hear of it. */
  #lookForForgotten({ generations, config }: PoolProcess): void {
    for (const spawner of this.#world.spawners) {
      if (spawner.settings.pool !== config) continue;
      assert.ok(
        generations.some(({ spawnerPid }) => spawnerPid === spawner.pid),
        `the spawner of generation ${spawner.settings.generation} is forgotten`,
      );
    }
    if (this.#world.unheard) return;
    for (const { pid, pool, generation, spawner } of this.#world.workers) {
      if (pool !== config.name) continue;
      const known = generations.some(({ slots }) => [...slots.all, ...slots.leaving].some((each) => each.pid === pid));
      assert.ok(known && spawner.alive, `worker ${pid} of generation ${generation} is forgotten`);
    }
  }

  /** Somebody decided to kill a worker. */
  #lookAtKill(worker: SimulatedWorker): void {
    const { pid, generation, front, memory, reported, spawner } = worker;
    if (this.#killed || this.#failed || this.#service.phase !== "serving") return;
    if (reported || !spawner.alive || front === undefined || memory > 0) return;
    const of = this.#pools.find(({ config }) => config.name === worker.pool);
    const state = of?.generations.find(({ number }) => number === generation)?.state;
    // One that never served executes nothing for anybody.
    if (state === undefined || state === "ending" || state === "booting" || state === "checking") return;
    const retired = this.#retired.get(pid) ?? worker.retiredAt;
    const inSlot = of?.generations.some(({ slots }) =>
      slots.all.some((slot) => slot.pid === pid && slot.state === "ready"),
    );
    assert.ok(inSlot !== true || state !== "serving", `worker ${pid} serves well, and is killed`);
    if (retired === undefined || worker.busy === 0) return;
    assert.ok(this.#world.time - retired >= gracefulTimeout * 1000, `worker ${pid} is killed before its time is over`);
  }

  #lookAtFrontKill({ pid, accepted, dismissed, takes }: SimulatedFront): void {
    if (this.#killed || this.#failed || this.#service.phase !== "serving") return;
    // Who waits for a promise would be told if this were thrown, and not the test.
    if (accepted && !dismissed && takes) this.#wronglyKilled.push(pid);
  }

  // ---- progress

  /** Lets everything happen until `reached`, for so many seconds. */
  async #until(what: string, seconds: number, reached: () => boolean): Promise<void> {
    const world = this.#world;
    const end = world.time + seconds * 1000;
    while (!reached()) {
      assert.ok(world.time < end, `it is not so that ${what} after ${seconds} s:\n${this.state}`);
      const { steps } = world;
      await this.#settled(() => {
        if (steps.length === 0) world.pass(world.idle);
        else for (const step of steps) step();
      });
      // What can end does.
      for (const worker of world.workers) while (worker.busy > 0 && !worker.hung && !worker.reported) worker.answer();
      for (const front of world.fronts) front.busy = 0;
    }
  }

  async #behave(): Promise<void> {
    this.#world.full = false;
    this.#deployWell();
    if (!this.#stopAsked && !this.#failed) {
      await this.#until("the service serves, or cannot", 120, () => this.#began || this.#failed);
    }
    if (!this.#stopAsked && !this.#failed) {
      await this.#until("whoever asked for a reload is answered", 120, () => this.#waiting === 0);
      await this.#until("who has served its time is replaced", 120, () => !this.#overdue);
      await this.#reloadWell();
      this.#stop();
    }
    await this.#until("the service has ended", 60, () => this.#ended);
    assert.equal(this.#waiting, 0, "who asked for a reload was never told what came of it");
    assert.equal(this.#world.scoreboards.size, 0, "scoreboards are left");
  }

  /** Whether somebody serves on who has served its time. */
  get #overdue(): boolean {
    return [...this.#world.workers].some(({ pid, front }) => front !== undefined && this.#spent.get(pid) === front);
  }

  async #reloadWell(): Promise<void> {
    const version = this.#versions;
    this.#outcomes.length = 0;
    this.#reload();
    await this.#until("the newest code serves everywhere", 120, () => this.#newest(version));
    assert.deepEqual(
      this.#outcomes.map(({ problem }) => problem),
      this.#config.pools.map(() => ""),
    );
  }

  /** Every slot has a worker, or a front, with this code, and there is nothing else. */
  #newest(version: number): boolean {
    const { spawners, workers, fronts } = this.#world;
    if (this.#waiting > 0 || this.#world.unheard) return false;
    if (fronts.size !== this.#config.fronts || ![...fronts].every(({ listening }) => listening)) return false;
    if (this.#embedded) return [...fronts].every(({ code }) => code.version === version);
    const wanted = this.#pools.reduce((sum, { config }) => sum + config.workers, 0);
    return (
      spawners.size === this.#pools.length &&
      workers.size === wanted &&
      [...workers].every(
        ({ code, front, retiredAt }) => code.version === version && front && retiredAt === undefined,
      ) &&
      this.#pools.every(({ generations: [only, ...others] }) => only?.state === "serving" && others.length === 0)
    );
  }

  /** All that is known, for who looks for a mistake. */
  get state(): string {
    const pools = this.#pools.map(({ config, generations }) => {
      const each = generations.map(({ number, state, spawnerPid, slots }) => {
        const all = slots.all.map((slot) => `${slot.number} ${slot.state} ${slot.pid}`);
        const leaving = slots.leaving.map((slot) => `${slot.number} ${slot.told ? "told" : "untold"} ${slot.pid}`);
        return `  ${number} ${state}, spawner ${spawnerPid}: ${all.join(", ")}; leaving: ${leaving.join(", ")}`;
      });
      return `${config.name}:\n${each.join("\n")}`;
    });
    const workers = [...this.#world.workers].map(
      ({ pid, number, generation, code, front, busy, hung, retiredAt }) =>
        `  ${pid}: ${number} of ${generation}, v${code.version}, front ${front?.pid}, ${busy} requests${hung ? ", hung" : ""}${retiredAt ? ", retired" : ""}`,
    );
    const fronts = [...this.#world.fronts].map(
      ({ pid, code, listening, busy }) =>
        `  ${pid}: v${code.version}, ${listening ? "" : "not "}listening, ${busy} requests`,
    );
    const spawners = [...this.#world.spawners].map(({ pid, code }) => `  ${pid}: v${code.version}`);
    const found = ["spawners", ...spawners, "workers", ...workers, "fronts", ...fronts];
    const problems = this.#outcomes.map(({ generation, problem }) => `  reload ${generation}: ${problem}\n`).join("");
    return `${this.#service.phase}, ${this.#waiting} wait\n${problems}${pools.join("\n")}\n${found.join("\n")}`;
  }
}

/** What is wrong with this history, or undefined. */
export async function mistake(seed: number, happening: readonly Event[]): Promise<unknown> {
  try {
    await new History(seed).run(happening);
    return undefined;
  } catch (error) {
    return error;
  }
}

/** As few of these events as still show a mistake. */
export async function shrunk(seed: number, happening: readonly Event[]): Promise<readonly Event[]> {
  let least = happening;
  for (let part = Math.ceil(least.length / 2); part >= 1; part = part === 1 ? 0 : Math.ceil(part / 2)) {
    for (let from = 0; from < least.length; ) {
      const fewer = [...least.slice(0, from), ...least.slice(from + part)];
      if ((await mistake(seed, fewer)) === undefined) from += part;
      else least = fewer;
    }
  }
  return least;
}

/** One history; where it fails, a short one that fails, too, is told. */
export async function follow(seed: number, count: number): Promise<void> {
  const happening = events(seed, count);
  const found = await mistake(seed, happening);
  if (found === undefined) return;
  const short = await shrunk(seed, happening);
  const why = (await mistake(seed, short)) ?? found;
  const told = short.map(([kind, choice]) => `${kind} ${choice}`).join(", ");
  throw new Error(
    `History ${seed} fails (${new History(seed).about}). ${why instanceof Error ? why.message : why}\nIn short: [${told}]`,
    { cause: why },
  );
}
