// Reloads that meet something else on their way, in a simulated world (histories/world.ts).
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { PoolConfig } from "../../src/config/config.js";
import type { ReloadOutcome } from "../../src/supervisor/reloads.js";
import { Service } from "../../src/supervisor/service.js";
import { configuration } from "../python/fake-front.js";
import { type Code, simulatedPool, World } from "./histories/world.js";

class Scene {
  readonly world: World = new World(() => 0);
  readonly service: Service;
  readonly #pool: PoolConfig;
  #serving = false;

  constructor(differing: Partial<PoolConfig>) {
    const { world } = this;
    this.#pool = simulatedPool("one", differing);
    const config = { ...configuration("/run"), pools: [this.#pool], gracefulTimeout: 5, hangTimeout: 6 };
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
    this.service.startFronts([], undefined);
  }

  static async serving(differing: Partial<PoolConfig>): Promise<Scene> {
    const scene = new Scene(differing);
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
    assert.ok(world.time - before < 10_000, "it waited for the boot timeout");
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
    assert.match((await scene.reload()).problem, /was not ready within 10 seconds/);
    assert.ok(spent.alive);
    assert.equal(spent.retiredAt, undefined);
    scene.deploy({});
    await scene.until("it is replaced", () => !spent.alive && world.workers.size === 2 && scene.still);
  });
});
