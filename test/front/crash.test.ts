// What becomes of requests whose worker dies, and of those for which there is no worker.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Body } from "../../src/exchange.js";
import type { WorkerPoolSettings } from "../../src/front/worker-pool.js";
import { type FakeWorker, PoolBench, until } from "./fake-worker.js";

function withPool(name: string, settings: Partial<WorkerPoolSettings>, act: (bench: PoolBench) => Promise<void>): void {
  test(name, async () => {
    const bench = new PoolBench(1, settings);
    try {
      await act(bench);
    } finally {
      await bench.close();
    }
  });
}

async function holding(worker: FakeWorker, path: string): Promise<number> {
  await until(() => [...worker.requests.values()].includes(path));
  return [...worker.requests].findLast(([, each]) => each === path)?.[0] ?? 0;
}

describe("a request whose worker dies while it executes it", () => {
  withPool("is run once more where its method may be, and no third time", { retry: ["PUT"] }, async (bench) => {
    const exchange = bench.ask("/x", "PUT");
    for (const number of [1, 2]) {
      const worker = await bench.worker(number);
      worker.begin(await holding(worker, "/x"));
      worker.die();
      await until(() => bench.pool.pool.members.length === 0);
      assert.deepEqual(exchange.told, number === 1 ? [] : ["cut"]);
    }
    const third = await bench.worker(3);
    const next = bench.ask("/next", "PUT");
    third.answer(await holding(third, "/next"), "next");
    await until(() => next.ended);
    assert.deepEqual([...third.requests.values()], ["/next"]);
  });

  withPool("is answered by the other worker as if nothing had happened", {}, async (bench) => {
    const exchange = bench.ask("/x");
    const first = await bench.worker(1);
    first.begin(await holding(first, "/x"));
    first.die();
    const second = await bench.worker(2);
    second.answer(await holding(second, "/x"), "x");
    await until(() => exchange.ended);
    assert.deepEqual(exchange.told, ["200 OK x"]);
    assert.deepEqual(bench.served, [2]);
  });

  for (const [what, settings, method, act] of [
    ["its method is not among them", { retry: ["GET"] }, "POST", () => undefined],
    ["there are none", { retry: [] }, "GET", () => undefined],
    [
      "its response has begun",
      { retry: ["GET"] },
      "GET",
      async (worker, id, begun) => {
        worker.answer(id, "one", { last: false });
        await until(() => begun.told.length > 0);
      },
    ],
    ["its client ended its side", { retry: ["GET"] }, "GET", (_, __, begun) => begun.endInput()],
  ] as const satisfies readonly (readonly [
    string,
    Partial<WorkerPoolSettings>,
    string,
    (worker: FakeWorker, id: number, begun: ReturnType<PoolBench["ask"]>) => unknown,
  ])[]) {
    withPool(`is not run again where ${what}`, settings, async (bench) => {
      const exchange = bench.ask("/x", method);
      const worker = await bench.worker(1);
      const id = await holding(worker, "/x");
      worker.begin(id);
      await act(worker, id, exchange);
      worker.die();
      await until(() => exchange.ended);
      assert.equal(exchange.told.at(-1), "cut");
      assert.equal(bench.pool.pool.queueLength, 0);
    });
  }

  withPool("is not run again where its client has left", {}, async (bench) => {
    const exchange = bench.ask("/x");
    const worker = await bench.worker(1);
    worker.begin(await holding(worker, "/x"));
    exchange.leave();
    worker.die();
    await until(() => bench.pool.pool.members.length === 0);
    assert.deepEqual([exchange.told, bench.pool.pool.queueLength], [[], 0]);
  });

  withPool("keeps the file of its body open until the worker that answers has it", {}, async (bench) => {
    let holders = 0;
    const body: Body = { kind: "file", fd: 0, size: 1, hold: () => holders++, release: () => holders-- };
    const exchange = bench.ask("/x", "GET", body);
    const first = await bench.worker(1);
    first.begin(await holding(first, "/x"));
    assert.equal(holders, 1);
    first.die();
    const second = await bench.worker(2);
    const id = await holding(second, "/x");
    assert.equal(holders, 1);
    second.answer(id, "x");
    await until(() => exchange.ended);
    assert.equal(holders, 0);
  });
});

describe("a pool that cannot take what comes", () => {
  withPool("lets so many wait, and refuses the next with the time to come again", { queue: 2 }, async (bench) => {
    const exchanges = ["/a", "/b", "/c"].map((path) => bench.ask(path));
    await until(() => exchanges[2]?.ended === true);
    assert.deepEqual(
      exchanges.map(({ told }) => told),
      [[], [], ["refused 503"]],
    );
    assert.equal(exchanges[2]?.fields, "Retry-After: 1\r\n");
    // One leaves: there is room for one.
    exchanges[0]?.leave();
    const [taken, refused] = [bench.ask("/d"), bench.ask("/e")];
    await until(() => refused.ended);
    assert.deepEqual([taken.told, refused.told], [[], ["refused 503"]]);
    const worker = await bench.worker(1);
    worker.answer(await holding(worker, "/b"), "b");
    worker.answer(await holding(worker, "/d"), "d");
    await until(() => worker.requests.size === 2 && exchanges[1]?.ended === true);
    assert.deepEqual([...worker.requests.values()], ["/b", "/d"]);
  });

  withPool("refuses what has waited too long, and executes it never", { queueTimeout: 0.001 }, async (bench) => {
    const exchange = bench.ask("/x");
    await until(() => {
      bench.deadlines.advance();
      return exchange.ended;
    });
    assert.deepEqual(exchange.told, ["refused 503"]);
    assert.match(exchange.fields, /^Retry-After: \d+\r\n$/);
    const worker = await bench.worker(1);
    const next = bench.ask("/next");
    worker.answer(await holding(worker, "/next"), "next");
    await until(() => next.ended);
    assert.deepEqual([...worker.requests.values()], ["/next"]);
  });

  withPool("refuses all at once while it is down, until a worker is there", {}, async (bench) => {
    const before = bench.ask("/before");
    bench.pool.down("Its workers die.", 2.5);
    const after = bench.ask("/after");
    await until(() => before.ended && after.ended);
    for (const { told, fields } of [before, after]) {
      assert.deepEqual([told, fields], [["refused 503"], "Retry-After: 3\r\n"]);
    }
    const worker = await bench.worker(1);
    // Old news: one is there.
    bench.pool.down("Its workers die.", 2.5);
    const next = bench.ask("/next");
    worker.answer(await holding(worker, "/next"), "next");
    await until(() => next.ended);
    assert.deepEqual(next.told, ["200 OK next"]);
  });
});
