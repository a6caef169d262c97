import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { FakeFront, type FrontOptions } from "../python/fake-front.js";
import { alive, waitUntilGone } from "../support/processes.js";
import { pythons, removeFolder, temporaryFolder } from "../support/tools.js";

const GOOD = "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'good']\n";

for (const { version, path } of [pythons()[0], pythons().at(-1)].filter((found) => found !== undefined)) {
  describe(`a spawner on Python ${version}`, () => {
    /** With a module `site_module` of this source; ends all of it afterwards. */
    const withModule = async (
      source: string,
      options: Omit<FrontOptions, "python">,
      act: (front: FakeFront) => Promise<void>,
    ): Promise<void> => {
      const folder = temporaryFolder("spawner");
      writeFileSync(join(folder, "site_module.py"), source);
      const front = new FakeFront({ python: path, chdir: folder, target: "site_module:app", ...options });
      try {
        await act(front);
      } finally {
        await front.close();
        removeFolder(folder);
      }
    };

    test("tells what it has loaded", async () => {
      await withModule(GOOD, {}, async (front) => {
        await front.until(() => front.facts !== undefined, "it is loaded");
        const { preload, python, application } = front.facts ?? {};
        assert.deepEqual([preload, application], [true, "site_module:app"]);
        assert.ok(python?.startsWith(`${version}.`));
      });
    });

    test("an application that cannot be loaded is told with its traceback, and it ends", async () => {
      await withModule("1 / 0\n", {}, async (front) => {
        await front.until(() => front.failure !== undefined, "it fails");
        assert.match(front.failure?.problem ?? "", /could not be imported: ZeroDivisionError: division by zero\.$/);
        assert.match(front.failure?.traceback ?? "", /^Traceback [\s\S]+site_module\.py", line 1, in <module>\n/u);
        await front.until(() => front.spawnerEnded, "it ends");
        assert.equal(front.facts, undefined);
      });
    });

    test("imports anew in each worker where importing starts threads", async () => {
      const source = `import threading, time, os\nOWN = os.getpid()\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"%d %d" % (OWN == os.getpid(), threading.active_count())]
`;
      await withModule(source, {}, async (front) => {
        await front.until(() => front.facts !== undefined, "it is loaded");
        assert.equal(front.facts?.preload, false);
        front.fork(1);
        await front.until(() => front.greeting !== undefined, "the worker says hello");
        front.send({ id: 1, path: "/" });
        front.flush();
        const [answer] = await front.over(1);
        // Its own thread, the main one and the watcher.
        assert.equal(answer?.body, "1 3");
      });
    });

    test("without preloading, a worker that cannot load the application says why and exits with status 3", async () => {
      await withModule("1 / 0\n", { preload: false }, async (front) => {
        await front.until(() => front.facts !== undefined, "the spawner is ready");
        front.fork(1);
        await front.until(() => front.workerEnded !== undefined, "the worker ends");
        assert.deepEqual(front.workerEnded, { status: 3, signal: 0 });
        assert.match(
          front.printed,
          /1: \x1fZeroDivisionError: division by zero\n1: \x1fThe application .* could not be imported/,
        );
      });
    });

    test("a worker that is killed is told with its signal", async () => {
      await withModule(GOOD, {}, async (front) => {
        await front.until(() => front.facts !== undefined, "it is loaded");
        front.fork(1);
        await front.until(() => front.greeting !== undefined, "the worker says hello");
        process.kill(front.workerPid, "SIGKILL");
        await front.until(() => front.workerEnded !== undefined, "the worker ends");
        assert.deepEqual(front.workerEnded, { status: 0, signal: 9 });
      });
    });

    test("ends its workers when nobody commands it any more, those that do not end by themselves too", async () => {
      const source = `import time\n${GOOD.replace("    start", "    time.sleep(600)\n    start")}`;
      await withModule(source, {}, async (front) => {
        await front.until(() => front.facts !== undefined, "it is loaded");
        front.fork(1);
        await front.until(() => front.greeting !== undefined, "the worker says hello");
        front.send({ id: 1, path: "/" });
        front.flush();
        await front.until(() => front.begun === 1, "it executes");
        assert.ok(alive(front.workerPid));
        await front.close();
        assert.deepEqual(await waitUntilGone([front.workerPid]), []);
      });
    });

    test("a worker that cannot be forked is told with the reason, and those there are serve on", async () => {
      const source = `import errno, os
fork = os.fork
def fork_unless_full():
    if os.path.exists("full"):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return fork()
os.fork = fork_unless_full
${GOOD}`;
      await withModule(source, {}, async (front) => {
        await front.until(() => front.facts !== undefined, "it is loaded");
        front.fork(1);
        await front.until(() => front.greeting !== undefined, "the worker says hello");
        writeFileSync(join(front.chdir, "full"), "");
        front.fork(2);
        await front.until(() => front.unforked !== undefined, "it says so");
        assert.equal(front.unforked, "Resource temporarily unavailable");
        front.send({ id: 1, path: "/" });
        front.flush();
        assert.equal((await front.over(1))[0]?.body, "good");
      });
    });

    test("forks workers whatever the application has put in place of its streams", async () => {
      const source = `import codecs, sys\nsys.stdout = None\nsys.stderr = codecs.getwriter("utf8")(sys.stderr.buffer)\n${GOOD}`;
      await withModule(source, {}, async (front) => {
        await front.until(() => front.facts !== undefined, "it is loaded");
        front.fork(1);
        await front.until(() => front.greeting !== undefined, "the worker says hello");
        front.send({ id: 1, path: "/" });
        front.flush();
        assert.equal((await front.over(1))[0]?.body, "good");
      });
    });

    test("what it prints without a line end is passed on", async () => {
      const source = `import sys, time\nsys.stdout.write("." * 20000)\nsys.stdout.flush()\ntime.sleep(600)\n`;
      await withModule(source, {}, async (front) => {
        try {
          await front.until(() => front.printed.includes("0: ...."), "it arrives");
        } finally {
          process.kill(front.spawnerPid, "SIGKILL");
        }
      });
    });

    test("one that is stopped is told to be stuck, again and again; one that goes on is not, and forks", async () => {
      await withModule(GOOD, { hangTimeout: 0.5 }, async (front) => {
        await front.until(() => front.facts !== undefined, "it is loaded");
        process.kill(front.spawnerPid, "SIGSTOP");
        await front.until(() => front.stuckTold >= 2, "it is told to be stuck, twice");
        assert.equal(front.spawnerStuck, true);
        front.fork(1);
        process.kill(front.spawnerPid, "SIGCONT");
        await front.until(() => front.greeting !== undefined, "the worker says hello");
        // It was asked before it forked.
        assert.equal(front.spawnerStuck, false);
      });
    });

    test("signals meant for the supervisor end neither spawner nor worker", async () => {
      await withModule(GOOD, {}, async (front) => {
        await front.until(() => front.facts !== undefined, "it is loaded");
        front.fork(1);
        await front.until(() => front.greeting !== undefined, "the worker says hello");
        for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
          process.kill(front.workerPid, signal);
          process.kill(front.spawnerPid, signal);
        }
        for (let id = 1; id < 20; id += 1) {
          front.send({ id, path: "/" });
          front.flush();
          assert.equal((await front.over(id))[0]?.body, "good");
        }
      });
    });

    test("what a program started by the application prints after its worker died still arrives", async () => {
      const source = `import os, subprocess
def app(environ, start_response):
    subprocess.Popen(["sh", "-c", "while [ ! -e go ]; do sleep 0.01; done; echo later"])
    os._exit(4)
`;
      await withModule(source, {}, async (front) => {
        await front.until(() => front.facts !== undefined, "it is loaded");
        front.fork(1);
        await front.until(() => front.greeting !== undefined, "the worker says hello");
        front.send({ id: 1, path: "/" });
        front.flush();
        await front.until(() => front.workerEnded !== undefined, "the worker ends");
        writeFileSync(join(front.chdir, "go"), "");
        await front.until(() => front.printed.includes("1: later\n"), "its program's output");
      });
    });
  });
}
