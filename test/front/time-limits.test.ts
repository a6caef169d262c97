import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { LimitSettings } from "../../src/front/time-limits.js";
import { type FakeWorker, PoolBench, type TestExchange, until } from "./fake-worker.js";

function withPool(name: string, settings: Partial<LimitSettings>, act: (bench: PoolBench) => Promise<void>): void {
  test(name, async () => {
    const bench = new PoolBench(4, settings);
    try {
      await act(bench);
    } finally {
      await bench.close();
    }
  });
}

/** The id that the worker has a request by. */
async function given(worker: FakeWorker, path: string): Promise<number> {
  await until(() => [...worker.requests.values()].includes(path));
  return [...worker.requests].find(([, each]) => each === path)?.[0] ?? 0;
}

/** Looks at the workers until it is so. */
async function looking(bench: PoolBench, condition: () => boolean): Promise<void> {
  await until(() => {
    bench.deadlines.advance();
    return condition();
  });
}

async function begun(bench: PoolBench, path: string): Promise<readonly [TestExchange, FakeWorker, number]> {
  const exchange = bench.ask(path);
  const worker = await bench.worker(1);
  const id = await given(worker, path);
  worker.begin(id);
  return [exchange, worker, id];
}

describe("time limits in the front", () => {
  withPool(
    "a request's path says which limit its worker is told: the longest counts, and only whole segments do",
    {
      requestTimeout: 9,
      limits: [
        { path: "/reports", requestTimeout: 300 },
        { path: "/reports/live", requestTimeout: 0 },
        { path: "/caf\u00e9", requestTimeout: 1.5 },
      ],
    },
    async (bench) => {
      const worker = await bench.worker(1);
      for (const path of ["/a", "/reports", "/reports/live/now", "/reports2", "/caf\u00c3\u00a9/x"]) {
        const exchange = bench.ask(path);
        const id = await given(worker, path);
        worker.answer(id, "");
        await until(() => exchange.ended);
      }
      const ids = [...worker.requests.keys()];
      assert.deepEqual(worker.orders, [`limit ${ids[1]} 300000`, `limit ${ids[2]} 0`, `limit ${ids[4]} 1500`]);
    },
  );

  withPool(
    "a late request is answered 504, and no longer occupies a worker that has another thread for it",
    {},
    async (bench) => {
      const [exchange, worker, id] = await begun(bench, "/late");
      worker.late(id, 0, "where it is");
      await until(() => exchange.ended);
      assert.deepEqual(exchange.told, ["refused 504"]);
      assert.equal(bench.pool.pool.members[0]?.outstanding, 1);
      worker.late(id, 2);
      await until(() => bench.pool.pool.members[0]?.outstanding === 0);
      // What it still sends is nobody's.
      worker.late(id, 4);
      const next = bench.ask("/next");
      worker.answer(await given(worker, "/next"), "next");
      await until(() => next.ended);
      assert.deepEqual([next.told, exchange.told, bench.news], [["200 OK next"], ["refused 504"], []]);
    },
  );

  withPool(
    "one whose thread does not come back is told of once, after the grace",
    { interruptGrace: 0 },
    async (bench) => {
      const [exchange, worker, id] = await begun(bench, "/late");
      worker.late(id, 0);
      await until(() => exchange.ended);
      await looking(bench, () => bench.news.length > 0);
      bench.deadlines.advance(20);
      assert.deepEqual(bench.news, ["stuck 1"]);
      // Its successor is there: it has nothing left but that request.
      bench.pool.retire(1001);
      const other = await bench.worker(2);
      await looking(bench, () => bench.news.length > 1);
      assert.deepEqual(bench.news, ["stuck 1", "retired 1"]);
      await until(() => worker.closed);
      const next = bench.ask("/next");
      other.answer(await given(other, "/next"), "next");
      await until(() => next.ended);
      assert.deepEqual(next.told, ["200 OK next"]);
    },
  );

  withPool("a worker that retires finishes what it has, and is given nothing more", {}, async (bench) => {
    const [exchange, worker, id] = await begun(bench, "/first");
    bench.pool.retire(1001);
    const second = bench.ask("/second");
    bench.deadlines.advance(5);
    assert.deepEqual([[...worker.requests.values()], bench.news], [["/first"], []]);
    worker.answer(id, "first");
    await looking(bench, () => bench.news.length > 0);
    assert.deepEqual([exchange.told, bench.news], [["200 OK first"], ["retired 1"]]);
    const other = await bench.worker(2);
    other.answer(await given(other, "/second"), "second");
    await until(() => second.ended);
  });

  withPool("an application that raises RequestTimeout by itself: 502, and its worker serves on", {}, async (bench) => {
    const [exchange, worker, id] = await begun(bench, "/raises");
    worker.late(id, 4);
    await until(() => exchange.ended);
    assert.deepEqual([exchange.told, bench.pool.pool.members[0]?.outstanding], [["cut"], 0]);
  });
});
