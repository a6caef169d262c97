import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { pythons } from "../support/tools.js";
import { workerTests } from "./fake-front.js";

for (const { version, path } of pythons()) {
  describe(`a worker on Python ${version}`, () => {
    const withWorker = workerTests({ python: path });

    withWorker("says who it is, and notes what it has begun", { threads: 3 }, async (front) => {
      assert.ok(front.facts?.preload === true && front.facts.python.startsWith(`${version}.`));
      assert.deepEqual(front.greeting, {
        worker: 1,
        pid: front.workerPid,
        threads: 3,
        generation: 1,
        interface: "wsgi",
        eventLoop: "",
      });
      assert.equal(front.begun, 0);
      front.send({ id: 1, path: "/one" }, { id: 2, path: "/two" }, { id: 3, path: "/three" });
      front.flush();
      const answers = await front.over(1, 2, 3);
      assert.deepEqual(
        answers.map(({ status, body, state }) => [status, body, state]),
        ["one", "two", "three"].map((body) => [200, body, "whole"]),
      );
      assert.deepEqual(front.finished, [1, 2, 3]);
      assert.equal(front.begun, 3);
    });

    withWorker("tells how long a request took", {}, async (front) => {
      front.send({ id: 1, path: "/wait/a", handOver: true });
      front.flush();
      await front.recorded("begin a");
      front.release("a");
      const [answer] = await front.over(1);
      assert.ok(answer !== undefined && answer.wall > 0 && answer.cpu <= answer.wall + 1000, JSON.stringify(answer));
    });

    withWorker("hands the lead over before it executes what will wait", { threads: 3 }, async (front) => {
      front.send(
        { id: 1, path: "/wait/a", handOver: true },
        { id: 2, path: "/wait/b", handOver: true },
        { id: 3, path: "/thread", handOver: true },
      );
      front.flush();
      const [third] = await front.over(3);
      assert.match(third?.body ?? "", /^vivarium-thread-[12]$/);
      assert.deepEqual(front.finished, [3]);
      front.release("b");
      await front.over(2);
      front.release("a");
      await front.over(1);
      assert.deepEqual(front.finished, [3, 2, 1]);
    });

    withWorker("answers that are ready, and requests behind a slow one, do not wait for it", {}, async (front) => {
      front.send(
        { id: 1, path: "/one" },
        { id: 2, path: "/wait/a" },
        { id: 3, path: "/three" },
        { id: 4, path: "/wait/b" },
        { id: 5, path: "/five" },
      );
      front.flush();
      // The slow ones go on only when all the others were received.
      await front.over(1, 3, 5);
      front.release("b");
      await front.over(4);
      front.release("a");
      await front.over(2);
      assert.equal(front.begun, 5);
    });

    withWorker("with all threads taken it gives back what was written ahead", { threads: 2 }, async (front) => {
      front.send(
        { id: 1, path: "/wait/a" },
        { id: 2, path: "/wait/b" },
        { id: 3, path: "/three" },
        { id: 4, path: "/four" },
      );
      front.flush();
      const answers = await front.over(3, 4);
      assert.deepEqual(
        answers.map(({ state }) => state),
        ["returned", "returned"],
      );
      // The newest first: whoever puts each before all others has them in order.
      assert.deepEqual(front.finished, [4, 3]);
      for (const name of ["a", "b"]) front.release(name);
      await front.over(1, 2);
      assert.deepEqual(front.record().toSorted(), ["begin a", "begin b"]);
    });

    withWorker(
      "with all threads taken for no longer than usual, it keeps what it has in hand",
      { threads: 2 },
      async (front) => {
        const taken = async (ids: readonly number[], begun: number, milliseconds: number): Promise<void> => {
          front.send(...ids.map((id) => ({ id, path: `/wait/${id}`, handOver: true })));
          front.flush();
          for (const id of ids.slice(0, begun)) await front.recorded(`begin ${id}`);
          await delay(milliseconds);
          for (const id of ids) front.release(String(id));
          await front.over(...ids);
        };
        // It learns what is usual from a few dozen of 100 ms, one at a time: then it gives back after 8 x 100 / 2 ms.
        for (let id = 1; id <= 36; id += 1) await taken([id], 1, 100);
        await taken([61, 62, 63], 2, 80);
        assert.equal(front.answer(63).state, "whole");
      },
    );

    withWorker(
      "with one thread: an answer that is ready arrives, the rest is given back",
      { threads: 1 },
      async (front) => {
        front.send({ id: 1, path: "/one" }, { id: 2, path: "/wait/a" }, { id: 3, path: "/three" });
        front.flush();
        const answers = await front.over(1, 3);
        assert.deepEqual(
          answers.map(({ state }) => state),
          ["whole", "returned"],
        );
        assert.equal(front.begun, 2);
        front.send({ id: 4, path: "/four" });
        front.flush();
        await front.over(4);
        assert.equal(front.answer(4).state, "returned");
        front.release("a");
        await front.over(2);
        front.send({ id: 5, path: "/five" });
        front.flush();
        await front.over(5);
        assert.equal(front.answer(5).state, "whole");
        assert.deepEqual(front.record(), ["begin one", "begin a", "begin five"]);
      },
    );

    withWorker("a request whose client left before its turn is dropped", {}, async (front) => {
      front.send({ id: 1, path: "/one" }, { id: 2, path: "/two" }, { id: 3, path: "/three" });
      front.cancel(2);
      front.flush();
      const answers = await front.over(1, 2, 3);
      assert.deepEqual(
        answers.map(({ state }) => state),
        ["whole", "dropped", "whole"],
      );
      assert.deepEqual(front.record(), ["begin one", "begin three"]);
      // Of a request that is over nobody cares any more.
      front.cancel(1);
      front.send({ id: 4, path: "/four" });
      front.flush();
      assert.equal((await front.over(4))[0]?.state, "whole");
    });

    for (const threads of [1, 2]) {
      const among = `with ${threads} thread${threads === 1 ? "" : "s"}`;

      withWorker(
        `${among}: chunks go as they come, and the next write fails once the client left`,
        { threads },
        async (front) => {
          front.send({ id: 1, path: "/stream/a" });
          front.flush();
          await front.until(() => front.answer(1).body === "one", "the first chunk comes");
          front.cancel(1);
          front.flush();
          front.release("a");
          const [answer] = await front.over(1);
          assert.equal(answer?.state, "failed");
          await front.recorded("a closed");
          assert.ok(!front.record().includes("a gives nine"), front.record().join());
          front.send({ id: 2, path: "/stream/a" });
          front.flush();
          assert.equal((await front.over(2))[0]?.body, "onetwothreefourfivesixseveneightnine");
        },
      );

      for (const path of ["/blocks/16", "/block/1048576"]) {
        withWorker(`${among}: ${path} waits for credit`, { threads, responseMemory: 100_000 }, async (front) => {
          front.send({ id: 1, path });
          front.flush();
          const received = (): number => front.answer(1).body.length;
          await front.until(() => received() === 100_000, "as much as there is room for");
          for (const more of [1, 50_000, 300_000]) {
            const before = received();
            front.credit(1, more);
            front.flush();
            await front.until(() => received() === before + more, `${more} octets more`);
          }
          front.credit(1, 2 ** 20);
          front.flush();
          const [answer] = await front.over(1);
          assert.deepEqual([answer?.state, answer?.body.length], ["whole", 2 ** 20]);
        });
      }

      withWorker(`${among}: where memory is little, credit is waited for early`, { threads }, async (front) => {
        front.send({ id: 1, path: "/block/1048576", littleMemory: true });
        front.flush();
        await front.until(() => front.answer(1).body.length === 65_536, "as much as there is room for");
        front.credit(1, 2 ** 20);
        front.flush();
        assert.equal((await front.over(1))[0]?.body.length, 2 ** 20);
        front.send({ id: 2, path: "/block/1048576" });
        front.flush();
        assert.equal((await front.over(2))[0]?.body.length, 2 ** 20);
      });

      withWorker(
        `${among}: who waits for credit learns that the client left`,
        { threads, responseMemory: 1000 },
        async (front) => {
          front.send({ id: 1, path: "/blocks/16" });
          front.flush();
          await front.until(() => front.answer(1).body.length === 1000, "as much as there is room for");
          front.cancel(1);
          front.flush();
          assert.equal((await front.over(1))[0]?.state, "failed");
          assert.equal(front.answer(1).body.length, 1000);
        },
      );
    }

    withWorker(
      "a response that waits for credit holds up no other",
      { threads: 2, responseMemory: 1000 },
      async (front) => {
        front.send({ id: 1, path: "/blocks/16", handOver: true });
        front.flush();
        await front.until(() => front.answer(1).body.length === 1000, "as much as there is room for");
        for (let id = 2; id < 200; id += 1) {
          front.send({ id, path: `/${id}` });
          front.flush();
          assert.equal((await front.over(id))[0]?.state, "whole");
        }
        assert.equal(front.answer(1).body.length, 1000);
        front.credit(1, 2 ** 20);
        front.flush();
        assert.equal((await front.over(1))[0]?.state, "whole");
      },
    );

    withWorker(
      "what was read by a thread that waits for credit is rescued from behind a slow request too",
      { threads: 2, responseMemory: 1000 },
      async (front) => {
        front.send({ id: 1, path: "/blocks/16", handOver: true }, { id: 2, path: "/wait/a" });
        front.flush();
        await front.until(() => front.answer(1).body.length === 1000, "as much as there is room for");
        await front.recorded("begin a");
        // The first thread reads now, and will; the second has to wait for it, and the watcher goes to sleep meanwhile.
        front.release("a");
        await front.over(2);
        await delay(300);
        front.send({ id: 3, path: "/wait/b" }, { id: 4, path: "/four" });
        front.flush();
        assert.equal((await front.over(4))[0]?.state, "returned");
        front.release("b");
        await front.over(3);
      },
    );

    withWorker("serves with the threads it has where the system gives no more", { threads: 3 }, async (front) => {
      front.send({ id: 1, path: "/nothreads" });
      front.flush();
      await front.over(1);
      front.send({ id: 2, path: "/two", handOver: true }, { id: 3, path: "/wait/a" }, { id: 4, path: "/four" });
      front.flush();
      const [second, fourth] = await front.over(2, 4);
      assert.deepEqual([second?.state, fourth?.state], ["whole", "returned"]);
      front.release("a");
      await front.over(3);
      assert.equal(front.workerEnded, undefined);
    });

    withWorker("a process that the application forked does not keep a dead worker's connection", {}, async (front) => {
      front.send({ id: 1, path: "/fork/go" });
      front.flush();
      try {
        await front.until(() => front.workerEnded !== undefined, "the worker ends");
        await front.until(() => front.workerGone, "its connection ends");
      } finally {
        front.release("go");
        await front.until(() => front.printed.includes("forked process ends"), "the forked process ends");
      }
    });

    withWorker("an endless stream ends when the front has gone, long before it needs credit", {}, async (front) => {
      const { greeting } = front;
      front.send({ id: 1, path: "/ticks" });
      front.flush();
      await front.until(() => front.answer(1).body !== "", "it begins");
      front.disconnect();
      await front.until(() => front.greetings === 2, "it says hello to the next front");
      assert.deepEqual(front.greeting, greeting);
      assert.equal(front.workerEnded, undefined);
    });

    for (const threads of [1, 3]) {
      withWorker(
        `when the front has gone it finishes what it executes, tells nobody, and serves the next: ${threads} threads`,
        { threads },
        async (front) => {
          for (let round = 1; round <= 3; round += 1) {
            const name = `round-${round}`;
            front.send({ id: 1, path: "/one" }, { id: 2, path: `/wait/${name}`, handOver: true });
            front.flush();
            await front.recorded(`begin ${name}`);
            // Written ahead to one thread; others would begin it.
            if (threads === 1) front.send({ id: 3, path: "/wait/never" });
            front.flush();
            front.disconnect();
            assert.equal(front.greetings, round);
            front.release(name);
            await front.until(() => front.greetings === round + 1, "it says hello to the next front");
            assert.equal(front.begun, 0);
            front.send({ id: 1, path: "/after" });
            front.flush();
            const [after] = await front.over(1);
            assert.equal(after?.body, "after");
            assert.deepEqual(front.finished, [1]);
            assert.equal(front.begun, 1);
          }
          assert.ok(!front.record().includes("begin never"));
        },
      );
    }

    withWorker(
      "when the front has gone and the server with it, it exits as Python does",
      { threads: 2 },
      async (front) => {
        front.send({ id: 1, path: "/wait/a", handOver: true });
        front.flush();
        await front.recorded("begin a");
        front.removeScoreboard();
        front.disconnect();
        front.release("a");
        await front.until(() => front.workerEnded !== undefined, "the worker ends");
        assert.deepEqual(front.workerEnded, { status: 0, signal: 0 });
        assert.equal(front.record().at(-1), "atexit");
        assert.equal(front.greetings, 1);
      },
    );

    withWorker("answers whatever the application did to its streams", {}, async (front) => {
      const body = Buffer.from(join(front.folder, "1-1"));
      front.send({ id: 1, path: "/stderr" }, { id: 2, path: "/detach", body, inFile: true }, { id: 3, path: "/three" });
      front.flush();
      const answers = await front.over(1, 2, 3);
      assert.deepEqual(
        answers.map(({ status }) => status),
        [500, 200, 200],
      );
    });

    withWorker("reads a body from memory, and one that stands in a file", {}, async (front) => {
      const octets = Buffer.alloc(300_000, "0123456789");
      const digest = `300000 ${createHash("sha256").update(octets).digest("hex")}`;
      const file = join(front.folder, "upload");
      writeFileSync(file, octets);
      front.send(
        { id: 1, path: "/body", body: octets },
        { id: 2, path: "/body", body: Buffer.from(file), inFile: true },
      );
      front.send({ id: 3, path: "/body" }, { id: 4, path: "/body", body: Buffer.from(`${file}-none`), inFile: true });
      front.flush();
      const [memory, filed, none, lost] = await front.over(1, 2, 3, 4);
      assert.deepEqual([memory?.body, filed?.body], [digest, digest]);
      assert.match(none?.body ?? "", /^0 /);
      assert.equal(lost?.status, 500);
    });

    withWorker(
      "when the front is done it answers what it has, then exits as Python does",
      { threads: 2 },
      async (front) => {
        front.send({ id: 1, path: "/wait/a", handOver: true }, { id: 2, path: "/two" });
        front.flush();
        front.end();
        await front.over(2);
        assert.equal(front.workerEnded, undefined);
        front.release("a");
        const [answer] = await front.over(1);
        assert.equal(answer?.body, "waited");
        await front.until(() => front.workerEnded !== undefined, "the worker ends");
        assert.deepEqual(front.workerEnded, { status: 0, signal: 0 });
        assert.equal(front.record().at(-1), "atexit");
      },
    );

    withWorker("what it prints arrives, by whichever way it was printed", {}, async (front) => {
      front.send({ id: 1, path: "/print" });
      front.flush();
      await front.over(1);
      await front.until(
        () => ["printed", "an error", "written"].every((line) => front.printed.includes(`1: ${line}\n`)),
        "three lines",
      );
    });

    withWorker("its last words arrive before the news of its end, though the line has none", {}, async (front) => {
      front.send({ id: 1, path: "/print" }, { id: 2, path: "/die" });
      front.flush();
      await front.until(() => front.workerEnded !== undefined, "the worker ends");
      assert.deepEqual(front.workerEnded, { status: 7, signal: 0 });
      assert.ok(front.printed.includes("1: printed\n"), front.printed);
      assert.ok(front.printed.endsWith("1: last words, without an end\n"), front.printed);
      assert.equal(front.begun, 2);
    });
  });
}
