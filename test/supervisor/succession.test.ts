// Reloads that meet something else on their way, in a simulated world (histories/world.ts).
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { PoolConfig } from "../../src/config/config.js";
import type { ReloadOutcome } from "../../src/supervisor/reloads.js";
import { Service } from "../../src/supervisor/service.js";
import { configuration } from "../python/fake-front.js";
import { type Code, type SimulatedFront, type SimulatedWorker, simulatedPool, World } from "./histories/world.js";

class Scene {
  readonly world: World = new World(() => 0);
  readonly service: Service;
  readonly #pool: PoolConfig;
  #serving = false;

  /** With `embedded` so many fronts have the application inside. */
  constructor(differing: Partial<PoolConfig>, embedded = 0) {
    const { world } = this;
    this.#pool = simulatedPool("one", differing);
    const config = {
      ...configuration("/run"),
      pools: [this.#pool],
      gracefulTimeout: 5,
      hangTimeout: 6,
      embedded: embedded > 0,
      fronts: Math.max(1, embedded),
    };
    this.service = new Service(
      { config, runtime: world.runtime, machine: world },
      {
        serving: () => {
          this.#serving = true;
        },
        failed: (problem) => assert.fail(problem),
        draining: () => {},
        ended: () => {},
      },
    );
    this.service.startPools();
    const python = { library: "", version: "3.12.0", executable: "" };
    this.service.startFronts([], embedded > 0 ? python : undefined);
  }

  static async serving(differing: Partial<PoolConfig>, embedded = 0): Promise<Scene> {
    const scene = new Scene(differing, embedded);
    await scene.until("it serves", () => scene.#serving && scene.still);
    return scene;
  }

  /** There are as many workers as are wanted, all of this version. */
  runs(version: number): boolean {
    const { workers, spawners } = this.world;
    const { length } = [...workers].filter(({ code, front }) => code.version === version && front !== undefined);
    return length === this.#pool.workers && workers.size === length && spawners.size === 1;
  }

  /** Nothing happens unless time passes. */
  get still(): boolean {
    return this.world.steps.length === 0;
  }

  deploy(differing: Partial<Code>): void {
    const version = this.world.code.version + 1;
    this.world.code = { version, load: "well", boot: "well", serves: "well", healthy: true, ...differing };
  }

  async until(what: string, reached: () => boolean): Promise<void> {
    const { world } = this;
    for (const end = world.time + 120_000; !reached(); ) {
      assert.ok(world.time < end, `it is not so that ${what}`);
      const { steps } = world;
      if (steps.length === 0) world.pass(world.idle);
      for (const step of steps) step();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async reload(): Promise<ReloadOutcome> {
    let outcome: ReloadOutcome | undefined;
    void this.service.reload("a test").then(([first]) => {
      outcome = first;
    });
    await this.until("the reload has ended", () => outcome !== undefined);
    assert.ok(outcome !== undefined);
    return outcome;
  }
}

describe("a reload while a worker that has served its time is being replaced", () => {
  test("has the room of its successor, which hangs while it boots", async () => {
    const scene = await Scene.serving({ workers: 2, preload: false });
    const { world } = scene;
    const [spent] = world.workers;
    assert.ok(spent !== undefined);
    scene.deploy({ boot: "hangs" });
    spent.front?.spent(spent);
    await scene.until("its successor hangs", () => world.workers.size === 3 && scene.still);
    scene.deploy({});
    const before = world.time;
    assert.equal((await scene.reload()).problem, "");
    assert.ok(world.time - before < 20_000, "it waited for the boot timeout");
    await scene.until("the newest code serves", () => scene.runs(3));
  });

  test("which fails leaves it in its place, to be replaced afterwards", async () => {
    const scene = await Scene.serving({ workers: 2, preload: false });
    const { world } = scene;
    const [spent] = world.workers;
    assert.ok(spent !== undefined);
    scene.deploy({ boot: "hangs" });
    spent.front?.spent(spent);
    await scene.until("its successor hangs", () => world.workers.size === 3 && scene.still);
    assert.match((await scene.reload()).problem, /was not ready within 20 seconds/);
    assert.ok(spent.alive);
    assert.equal(spent.retiredAt, undefined);
    scene.deploy({});
    await scene.until("it is replaced", () => !spent.alive && world.workers.size === 2 && scene.still);
  });
});

describe("a worker of which a front tells before its spawner does", () => {
  const early = async (): Promise<[Scene, SimulatedWorker]> => {
    const scene = await Scene.serving({ workers: 2 });
    const { workers, spawners, distant } = scene.world;
    const before = [...workers];
    for (const spawner of spawners) distant.add(spawner);
    // Its end is told by the spawner, too.
    const [spent] = workers;
    assert.ok(spent !== undefined);
    spent.front?.spent(spent);
    await scene.until("its successor is there", () => workers.size === 3 && scene.still);
    const worker = [...workers].find((each) => !before.includes(each));
    assert.ok(worker?.front !== undefined);
    assert.ok(spent.alive, "it has left before its successor was known");
    return [scene, worker];
  };

  test("is ready, has served and is replaced as soon as its spawner has told", async () => {
    const [scene, worker] = await early();
    const { workers, distant } = scene.world;
    worker.busy = 1;
    worker.answer();
    worker.front?.spent(worker);
    await scene.until("all that was heard", () => scene.still);
    assert.equal(workers.size, 3);
    distant.clear();
    await scene.until("both have left", () => !workers.has(worker) && workers.size === 2 && scene.still);
    assert.equal(scene.service.pools[0]?.restarts.status.causes.memory, 1);
  });

  test("is ready to the next front where the one that told is gone", async () => {
    const [scene, worker] = await early();
    const { workers, fronts, distant } = scene.world;
    for (const front of fronts) front.exit(null, "SIGSEGV");
    await scene.until("it has found the next", () => worker.front?.alive === true && scene.still);
    distant.clear();
    await scene.until("both serve", () => workers.size === 2 && workers.has(worker) && scene.still);
  });
});

describe("a spawner that hangs", () => {
  const hung = async (differing: Partial<PoolConfig> = {}): Promise<[Scene, workers: readonly SimulatedWorker[]]> => {
    const scene = await Scene.serving({ workers: 2, ...differing });
    const { spawners, workers } = scene.world;
    for (const spawner of spawners) spawner.hang();
    return [scene, [...workers]];
  };
  const last = ({ service }: Scene) => service.pools[0]?.reloads.last;

  test("is replaced by newer code's, and until then its workers serve", async () => {
    const [scene, before] = await hung();
    scene.deploy({});
    await scene.until("the newer code serves", () => scene.service.pools[0]?.generation === 2);
    for (const { busy, spawner } of before) assert.deepEqual([busy, spawner.alive], [0, true]);
    await scene.until("nothing of the older is left", () => scene.runs(2) && scene.still);
    assert.deepEqual([last(scene)?.by, last(scene)?.outcome], ["a spawner that hangs", "serving"]);
    assert.equal(scene.service.pools[0]?.restarts.status.causes.spawner, 1);
  });

  test("is found whose worker has died, of which nobody tells", async () => {
    const [scene, [first]] = await hung({ workers: 1 });
    first?.exit(0, 9);
    await scene.until("another worker serves", () => scene.service.pools[0]?.generation === 2 && scene.runs(1));
  });

  test("is found that was to fork the successor of a worker that has served its time, which has its place again", async () => {
    const [scene, [spent]] = await hung({ workers: 1 });
    assert.ok(spent !== undefined);
    spent.front?.spent(spent);
    const before = scene.world.time;
    await scene.until("newer code serves", () => scene.service.pools[0]?.generation === 2);
    assert.ok(scene.world.time - before < 20_000, "it waited for the boot timeout");
    await scene.until("nothing of the older is left", () => scene.runs(1));
  });

  test("has its workers serve on where newer code cannot, and is replaced as soon as it can", async () => {
    const [scene, before] = await hung();
    scene.deploy({ load: "fails" });
    await scene.until("newer code has failed twice", () => scene.service.pools[0]?.reloads.last?.generation === 3);
    assert.equal(last(scene)?.outcome, "failed");
    for (const { alive, retiredAt } of before) assert.deepEqual([alive, retiredAt], [true, undefined]);
    scene.deploy({});
    await scene.until("the newest code serves everywhere", () => scene.runs(3));
  });

  test("is ended where it was kept to go back to", async () => {
    const scene = await Scene.serving({ workers: 2, probation: 60 });
    scene.deploy({});
    await scene.reload();
    const [first] = scene.world.spawners;
    await scene.until("the one before is kept", () => scene.service.pools[0]?.generations[0]?.state === "kept");
    first?.hang();
    await scene.until("it is gone", () => first?.alive === false && scene.runs(2));
    assert.equal(scene.service.pools[0]?.generation, 2);
  });
});

describe("a reload of an embedded application", () => {
  /** Two fronts with newer code, of which one accepts clients and the other is about to. */
  const half = async (): Promise<[Scene, accepting: SimulatedFront, other: SimulatedFront]> => {
    const scene = await Scene.serving({ reloadOverlap: "all" }, 2);
    const { fronts } = scene.world;
    const old = [...fronts];
    scene.deploy({});
    void scene.service.reload("a test");
    const newer = (): readonly SimulatedFront[] => [...fronts].filter((front) => !old.includes(front));
    await scene.until(
      "they have loaded it",
      () => newer().length === 2 && newer().every(({ loaded, idle }) => loaded && !idle),
    );
    const [accepting, other] = newer();
    assert.ok(accepting !== undefined && other !== undefined);
    return [scene, accepting, other];
  };
  const serves = (scene: Scene, version: number, fronts: number): boolean => {
    const all = [...scene.world.fronts];
    return all.length === fronts && all.every(({ accepted, code }) => accepted && code.version === version);
  };

  test("of which one front dies when the other accepts clients: that one serves on, and another is made", async () => {
    const [scene, accepting, other] = await half();
    for (const step of accepting.steps) step();
    assert.equal(accepting.listening, true);
    other.exit(null, "SIGSEGV");
    await scene.until("two fronts serve newer code", () => serves(scene, 2, 2) && scene.still);
    assert.equal(accepting.alive, true);
    assert.deepEqual(scene.service.pools[0]?.reloads.last?.outcome, "serving");
    assert.equal(scene.service.fronts?.restarts.status.causes.died, 1);
  });

  test("of which all fronts die before one accepts clients: the old ones serve on", async () => {
    const [scene, accepting, other] = await half();
    accepting.exit(null, "SIGSEGV");
    other.exit(null, "SIGSEGV");
    await scene.until("it has failed", () => scene.service.pools[0]?.reloads.last?.outcome === "failed");
    assert.ok(serves(scene, 1, 2));
  });
});
