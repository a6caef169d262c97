import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe } from "node:test";
import { pythons, root } from "../support/tools.js";
import { type Answer, type FakeFront, workerTests } from "./fake-front.js";

/** The line of the tests' application that holds this text. */
function lineOf(text: string): number {
  const lines = readFileSync(join(root, "test/python/worker_app.py"), "utf8").split("\n");
  return lines.findIndex((line) => line.includes(text)) + 1;
}

for (const { version, path } of pythons()) {
  describe(`a worker on Python ${version} whose requests have a time limit`, () => {
    const withWorker = workerTests({ python: path, requestTimeout: 0.05 });
    const ask = (front: FakeFront, ...paths: readonly string[]): void => {
      const first = front.answers.size + 1;
      front.send(...paths.map((each, n) => ({ id: first + n, path: each, handOver: true })));
      front.flush();
    };

    /** What becomes of a request that the worker takes: while it has yet to notice that a thread has come back, it gives others back. */
    const taken = async (front: FakeFront, path: string): Promise<Answer> => {
      for (;;) {
        const id = front.answers.size + 1;
        ask(front, path);
        const [answer] = await front.over(id);
        if (answer !== undefined && answer.state !== "returned") return answer;
      }
    };

    withWorker("says where one is that takes longer, interrupts it, and goes on", {}, async (front) => {
      ask(front, "/spin/a");
      const [late] = await front.over(1);
      assert.equal(late?.state, "over");
      assert.equal(late.late[0], "late");
      assert.equal(late.late.at(-1), "over");
      // Whichever line of the loop it was in; nothing of this package, and not how the thread was started.
      assert.match(late.stack, /^ {2}File ".*worker_app\.py", line \d+, in app\n {4}spin\(name\)\n {2}File /);
      assert.match(late.stack, /, in spin\n/);
      assert.doesNotMatch(late.stack, /vivarium_host|threading\.py/);
      assert.deepEqual(front.record(), ["begin a", "a was left by RequestTimeout"]);
      assert.equal((await taken(front, "/next")).body, "next");
      assert.equal(front.printed, "");
    });

    withWorker("wakes the main thread from the system call it waits in", { threads: 1 }, async (front) => {
      const asleep = await taken(front, "/sleep/a");
      const reading = await taken(front, "/read/b");
      for (const { state, late } of [asleep, reading]) assert.deepEqual([state, late], ["over", ["late", "over"]]);
      const line = lineOf("time.sleep(3600)");
      assert.equal(
        asleep.stack,
        `  File "${join(root, "test/python/worker_app.py")}", line ${line}, in app\n    time.sleep(3600)\n`,
      );
      assert.deepEqual(front.record(), ["begin a", "a woke up", "begin b"]);
      assert.equal((await taken(front, "/pid")).body, String(front.workerPid));
    });

    withWorker("gives the place of a thread that cannot be woken to another", { threads: 2 }, async (front) => {
      // The first is the main thread's, which is woken; the other is not.
      ask(front, "/stubborn/a", "/read/b");
      await front.until(
        () => [1, 2].every((id) => front.answer(id).late.includes("replaced")),
        "both threads are replaced",
      );
      ask(front, "/wait/c", "/wait/d");
      await front.recorded("begin c");
      await front.recorded("begin d");
      front.release("c");
      front.release("d");
      const answers = await front.over(3, 4);
      assert.deepEqual(
        answers.map(({ body }) => body),
        ["waited", "waited"],
      );
      // A thread that comes back after all says so, and ends.
      front.release("a");
      writeFileSync(join(front.folder, "b-pipe"), "x");
      await front.over(1, 2);
      assert.ok(front.record().includes("a has caught RequestTimeout"));
      assert.match((await taken(front, "/thread")).body, /^vivarium-thread-[23]$/);
    });

    withWorker("does not run two at once where there is to be one", { threads: 1 }, async (front) => {
      ask(front, "/stubborn/a");
      await front.recorded("a has caught RequestTimeout");
      ask(front, "/b");
      assert.equal((await front.over(2))[0]?.state, "returned");
      front.release("a");
      await front.over(1);
      assert.deepEqual(front.answer(1).late, ["late", "over"]);
      assert.equal((await taken(front, "/c")).body, "c");
    });

    withWorker("calls close(), and sends no more of a response that has begun", {}, async (front) => {
      ask(front, "/closing/a");
      const [late] = await front.over(1);
      assert.deepEqual([late?.status, late?.body, late?.state], [200, "one", "over"]);
      assert.deepEqual(front.record(), ["begin a", "a closed"]);
    });

    withWorker("the limit of a single request counts, and 0 is none", { ownLimits: true }, async (front) => {
      front.send(
        { id: 1, path: "/wait/a", handOver: true, limit: 0 },
        { id: 2, path: "/wait/b", handOver: true, limit: 86_400_000 },
        { id: 3, path: "/spin/c", handOver: true },
      );
      front.flush();
      assert.equal((await front.over(3))[0]?.state, "over");
      front.release("a");
      front.release("b");
      const answers = await front.over(1, 2);
      assert.deepEqual(
        answers.map(({ state, late }) => [state, late]),
        [
          ["whole", []],
          ["whole", []],
        ],
      );
    });

    withWorker(
      "with no limit but for single requests, their number does not matter",
      { requestTimeout: 0, ownLimits: true },
      async (front) => {
        for (let sent = 0; sent < 6000; sent += 500) {
          const ids = Array.from({ length: 500 }, (_, n) => sent + n + 1);
          front.send(...ids.map((id) => ({ id, path: "/thread", limit: 86_400_000 })));
          front.flush();
          await front.over(...ids);
        }
        front.send({ id: 6001, path: "/spin/a", limit: 50 }, { id: 6002, path: "/wait/b" });
        front.flush();
        assert.equal((await front.over(6001))[0]?.state, "over");
        front.release("b");
        assert.equal((await front.over(6002))[0]?.state, "whole");
      },
    );

    withWorker(
      "while it waits for the client, a request's time stands still",
      { responseMemory: 1024 },
      async (front) => {
        ask(front, "/block/4096", "/spin/a");
        await front.over(2);
        front.credit(1, 4096);
        front.flush();
        const [answer] = await front.over(1);
        assert.deepEqual([answer?.state, answer?.body.length, answer?.late], ["whole", 4096, []]);
      },
    );

    withWorker("tells of a slow request once, and lets it be", { requestTimeout: 0, logSlow: 0.05 }, async (front) => {
      ask(front, "/wait/a", "/wait/b");
      await front.until(() => [1, 2].every((id) => front.answer(id).late.length > 0), "both are told of");
      const beat = front.beat;
      await front.until(() => front.beat > beat + 5, "it has looked several times more");
      front.release("a");
      front.release("b");
      for (const { state, body, late, stack } of await front.over(1, 2)) {
        assert.deepEqual([state, body, late], ["whole", "waited", ["slow"]]);
        assert.match(stack, /, in wait\n/);
      }
    });

    withWorker("shows that it is well while it executes, whatever that is", { requestTimeout: 0 }, async (front) => {
      ask(front, "/wait/a", "/spin/b");
      await front.recorded("begin b");
      const before = front.beat;
      await front.until(() => front.beat > before + 10, "the beat goes on");
      front.release("a");
      front.release("b");
      await front.over(1, 2);
    });

    withWorker("shows no sign of life while something holds the GIL, but tells its stacks", {}, async (front) => {
      ask(front, "/gil/a");
      await front.recorded("begin a");
      process.kill(front.workerPid, "SIGUSR2");
      await front.until(() => /worker_app\.py", line \d+ in app/.test(front.printed), "its stacks are in the log");
      process.kill(front.workerPid, "SIGKILL");
    });

    // What ends at about its limit meets the watcher in every way there is; nothing of it may touch another request.
    for (const threads of [1, 3]) {
      withWorker(
        `an interruption hits the request that is late and no other: ${threads} threads`,
        { threads },
        async (front) => {
          const late = (): boolean => [...front.answers.values()].some(({ state }) => state === "over");
          // Which of them are late is chance, and on a busy machine most are returned.
          for (let round = 0; round < 30 || (round < 300 && !late()); round += 1) {
            const first = front.answers.size + 1;
            const ids = Array.from({ length: 12 }, (_, n) => first + n);
            front.send(
              ...ids.map((id, n) => {
                const handOver = n % 3 === 0;
                return n % 2 === 0
                  ? { id, path: "/about/50", handOver }
                  : { id, path: `/fast-${id}`, handOver, limit: 86_400_000 };
              }),
            );
            front.flush();
            for (const { id, state, body, late } of await front.over(...ids)) {
              const about = (id - first) % 2 === 0;
              assert.match(
                `${state} ${body}`,
                about ? /^(whole about|over |returned )$/ : /^(whole fast-\d+|returned )$/,
              );
              if (!about) assert.deepEqual(late, []);
            }
          }
          assert.ok(late(), "none was late");
          for (let times = 0; times < threads; times += 1) {
            assert.equal((await taken(front, "/pid")).body, String(front.workerPid));
          }
          assert.equal(front.printed, "");
        },
      );
    }
  });
}
