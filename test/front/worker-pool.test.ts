import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import type { WorkerPoolSettings } from "../../src/front/worker-pool.js";
import { outflow } from "../../src/net/client-socket.js";
import { littleResponse } from "../../src/net/response-memory.js";
import { responseFlag } from "../../src/python/wire/frames.js";
import { type FakeWorker, PoolBench, until } from "./fake-worker.js";

function withPool(
  name: string,
  threads: number,
  act: (bench: PoolBench) => Promise<void>,
  settings: Partial<WorkerPoolSettings> = {},
): void {
  test(name, async () => {
    const bench = new PoolBench(threads, settings);
    try {
      await act(bench);
    } finally {
      await bench.close();
    }
  });
}

async function holding(worker: FakeWorker, ...paths: readonly string[]): Promise<number[]> {
  await until(() => paths.every((path) => [...worker.requests.values()].includes(path)));
  return paths.map((path) => [...worker.requests].find(([, each]) => each === path)?.[0] ?? 0);
}

describe("a pool with workers", () => {
  withPool("passes an answer on, whole or piece by piece", 8, async (bench) => {
    const whole = bench.ask("/whole");
    const worker = await bench.worker(1);
    const [first = 0] = await holding(worker, "/whole");
    worker.answer(first, "hello", { fields: "Content-Length: \t5\r\n", flags: responseFlag.hasLength });
    await until(() => whole.ended);
    assert.deepEqual(whole.told, ["200 OK (5) hello"]);
    const pieces = bench.ask("/pieces");
    const [second = 0] = await holding(worker, "/pieces");
    worker.answer(second, "one", { last: false });
    worker.data(second, "two", false);
    worker.data(second, "", true);
    await until(() => pieces.ended);
    assert.equal(pieces.told.join(" "), "200 OK one +two +");
    const failing = bench.ask("/failing");
    const [third = 0] = await holding(worker, "/failing");
    worker.answer(third, "one", { last: false });
    worker.fail(third);
    await until(() => failing.ended);
    assert.deepEqual(failing.told, ["200 OK one", "cut"]);
  });

  withPool("what a dead worker had begun is cut, what it had not begun goes to another, in order", 1, async (bench) => {
    const first = await bench.worker(1);
    await bench.learn(first);
    const exchanges = ["/a", "/b", "/c", "/d"].map((path) => bench.ask(path, "POST"));
    const [, begun = 0] = await holding(first, "/a", "/b", "/c", "/d");
    first.begin(begun);
    const [, , left, half] = exchanges;
    left?.leave();
    half?.endInput();
    const more = bench.ask("/e");
    await holding(first, "/e");
    first.die();
    const second = await bench.worker(2);
    const [id = 0] = await holding(second, "/e");
    second.answer(id, "e");
    await until(() => more.ended);
    assert.deepEqual(
      exchanges.map(({ told }) => told),
      [["cut"], ["cut"], [], ["refused 503"]],
    );
    assert.deepEqual([...second.requests.values()], ["/e"]);
  });

  withPool(
    "a worker's scoreboard is its own, though a successor has another of the same number already",
    1,
    async (bench) => {
      const first = await bench.worker(1);
      const executing = bench.ask("/executing", "POST");
      const [id = 0] = await holding(first, "/executing");
      first.begin(id);
      // As the supervisor does for the successor: the name goes to a new file.
      rmSync(`${bench.folder}/1-1`);
      writeFileSync(`${bench.folder}/1-1`, Buffer.alloc(64));
      first.die();
      await until(() => executing.ended);
      assert.deepEqual(executing.told, ["cut"]);
    },
  );

  withPool(
    "what was given back goes to another worker; not if its client left, or ended its side",
    1,
    async (bench) => {
      const first = await bench.worker(1);
      await bench.learn(first);
      const exchanges = ["/slow", "/b", "/c", "/d"].map((path) => bench.ask(path));
      const [, ...behind] = await holding(first, "/slow", "/b", "/c", "/d");
      const [, , left, half] = exchanges;
      left?.leave();
      half?.endInput();
      for (const id of behind.toReversed()) first.giveBack(id);
      await until(() => bench.pool.pool.queueLength === 1);
      const second = await bench.worker(2);
      await holding(second, "/b");
      assert.deepEqual([...second.requests.values()], ["/b"]);
      assert.deepEqual(half?.told, ["refused 503"]);
      assert.ok(first.orders.some((order) => order.startsWith("cancel ")));
    },
  );

  withPool(
    "a client that leaves while its request waits takes it out; one that is executed is cancelled",
    1,
    async (bench) => {
      const waiting = bench.ask("/waiting");
      waiting.leave();
      const worker = await bench.worker(1);
      const executing = bench.ask("/executing");
      const [id = 0] = await holding(worker, "/executing");
      executing.leave();
      await until(() => worker.orders.length === 1);
      assert.deepEqual(worker.orders, [`cancel ${id}`]);
      worker.fail(id);
      const next = bench.ask("/next");
      const [after = 0] = await holding(worker, "/next");
      worker.drop(after);
      await until(() => bench.pool.pool.members[0]?.outstanding === 0);
      assert.deepEqual([executing.told, waiting.told, next.told], [[], [], []]);
      assert.deepEqual([...worker.requests.values()], ["/executing", "/next"]);
    },
  );

  withPool(
    "what has left for the client is credited, all of it in the end but less than a quarter",
    1,
    async (bench) => {
      const worker = await bench.worker(1);
      const exchange = bench.ask("/stream");
      const [id = 0] = await holding(worker, "/stream");
      worker.answer(id, "one", { last: false });
      await until(() => exchange.told.length === 1);
      for (let n = 0; n < 100; n += 1) exchange.onFlushed?.(33);
      const credited = (): number => worker.orders.reduce((sum, order) => sum + Number(order.split(" ")[2]), 0);
      await until(() => credited() > 3300 - 250);
      assert.ok(credited() <= 3300);
    },
  );

  withPool(
    "while slow clients have more memory than they may, workers are told to wait for them early, and are given credit in small steps",
    4,
    async (bench) => {
      const worker = await bench.worker(1);
      const before = bench.ask("/before");
      const [early = 0] = await holding(worker, "/before");
      outflow.unsent += 1001;
      try {
        const exchange = bench.ask("/stream");
        const [id = 0] = await holding(worker, "/stream");
        assert.deepEqual(worker.little, [id]);
        for (const each of [early, id]) worker.answer(each, "one", { last: false });
        await until(() => before.told.length === 1 && exchange.told.length === 1);
        for (const each of [before, exchange]) each.onFlushed?.(littleResponse / 4);
        await until(() => worker.orders.length > 0);
        assert.deepEqual(worker.orders, [`credit ${id} ${littleResponse / 4}`]);
      } finally {
        outflow.unsent -= 1001;
      }
      bench.ask("/after");
      await holding(worker, "/after");
      assert.equal(worker.little.length, 1);
    },
    { responseMemory: 2 ** 20, responseMemoryTotal: 1000 },
  );

  withPool("at the end each link is closed behind what was written to it", 1, async (bench) => {
    const worker = await bench.worker(1);
    const exchange = bench.ask("/last");
    bench.pool.end();
    const [id = 0] = await holding(worker, "/last");
    await until(() => worker.closed);
    worker.answer(id, "bye");
    await until(() => exchange.ended);
    assert.deepEqual(exchange.told, ["200 OK bye"]);
  });
});

describe("a pool whose workers are to be replaced", () => {
  test("says so when one has answered as many requests as it may, once, and gives it more until it is retired", async () => {
    const bench = new PoolBench(1, { maxRequests: 4 });
    try {
      const worker = await bench.worker(1);
      for (let i = 1; i <= 6; i += 1) {
        const exchange = bench.ask(`/${i}`);
        const [id = 0] = await holding(worker, `/${i}`);
        worker.answer(id, "");
        await until(() => exchange.ended);
        assert.deepEqual(bench.news, i < 4 ? [] : ["spent 1 requests 4"]);
      }
      bench.pool.retire(1001);
      assert.deepEqual(bench.news, ["spent 1 requests 4", "retired 1"]);
    } finally {
      await bench.close();
    }
  });

  withPool(
    "gives one with too much memory nothing more while there is another, and the latest where all have",
    1,
    async (bench) => {
      const [first, second] = [await bench.worker(1), await bench.worker(2)];
      const workers = [first, second];
      /** Which of them gets a request; it answers. */
      const asked = async (path: string): Promise<number> => {
        const exchange = bench.ask(path);
        const has = (worker: FakeWorker): number | undefined =>
          [...worker.requests].find(([, each]) => each === path)?.[0];
        await until(() => workers.some((worker) => has(worker) !== undefined));
        const number = workers.findIndex((worker) => has(worker) !== undefined);
        workers[number]?.answer(has(workers[number] ?? first) ?? 0, "");
        await until(() => exchange.ended);
        return number + 1;
      };
      const both = new Set([await asked("/a"), await asked("/b"), await asked("/c")]);
      assert.deepEqual([...both].sort(), [1, 2]);
      first.retire(300 * 1024);
      await until(() => bench.news.length === 1);
      for (const path of ["/d", "/e", "/f"]) assert.equal(await asked(path), 2);
      second.retire(300 * 1024);
      await until(() => bench.news.length === 2);
      for (const path of ["/g", "/h", "/i"]) assert.equal(await asked(path), 2);
      // Not for long, for the successors may have to wait.
      bench.deadlines.advance(8);
      assert.deepEqual([...new Set([await asked("/1"), await asked("/2"), await asked("/3")])].sort(), [1, 2]);
      second.die();
      await until(() => bench.pool.pool.members.length === 1);
      assert.equal(await asked("/j"), 1);
      const third = await bench.worker(3);
      workers.push(third);
      first.retire(400 * 1024);
      await until(() => bench.news.length === 3);
      for (const path of ["/k", "/l", "/m"]) assert.equal(await asked(path), 3);
      bench.pool.retire(1003);
      assert.equal(await asked("/n"), 1);
    },
  );

  withPool("says so when one has too much memory", 1, async (bench) => {
    const worker = await bench.worker(1);
    worker.retire(300 * 1024);
    await until(() => bench.news.length > 0);
    assert.deepEqual(bench.news, ["spent 1 memory 300"]);
  });
});
