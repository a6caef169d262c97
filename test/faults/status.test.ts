// The status while things go wrong: it shows each as it happens, and tells afterwards what has happened.
import assert from "node:assert/strict";
import { mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import * as v from "valibot";
import { statusSchema } from "../../src/cli/status-schema.js";
import type { PoolStatus, Status, WorkerStatus } from "../../src/supervisor/status.js";
import { fieldsOf } from "../support/full-status.js";
import { promisesApplication } from "../support/promises.js";
import { documentedFields } from "../support/status-fields.js";
import { python } from "../support/tools.js";
import { vivarium } from "../support/vivarium.js";
import { Server, type ServerOptions, until } from "./server.js";

async function served(options: ServerOptions, act: (server: Server) => Promise<void>): Promise<void> {
  const server = await Server.start(options);
  try {
    await act(server);
  } finally {
    await server.stop("SIGKILL");
  }
}

/** The status when `condition` is true of it. What it has is documented, whatever happens. */
async function seen(
  server: Server,
  what: string,
  condition: (status: Status, pool: PoolStatus) => boolean,
): Promise<Status> {
  let status = await server.status();
  await until(async () => {
    status = await server.status();
    const [pool] = status.pools;
    return pool !== undefined && condition(status, pool);
  }, what).catch((error: Error) => assert.fail(`${error.message}: ${JSON.stringify(status, undefined, 1)}`));
  assert.deepEqual(v.safeParse(statusSchema, status).issues, undefined);
  const fields = documentedFields();
  assert.deepEqual(
    fieldsOf(status).filter((field) => !fields.includes(field)),
    [],
  );
  return status;
}

/** What people see. */
async function screen(server: Server): Promise<string> {
  const { stdout, stderr } = await vivarium(["status", "--control", server.vivarium.control]);
  assert.equal(stderr, "");
  return stdout;
}

function poolOf({ pools }: Status): PoolStatus {
  const [pool] = pools;
  assert.ok(pool !== undefined);
  return pool;
}

function targets(workers: readonly Pick<WorkerStatus, "executing">[]): readonly string[] {
  return workers.flatMap(({ executing }) => executing.map(({ target }) => target)).sort();
}

/** The last worker that was replaced, of as many as there are causes in `causes`. */
function lastRestart(
  status: Status,
  causes: Partial<PoolStatus["restarts"]["causes"]>,
): PoolStatus["restarts"]["last"] {
  const { restarts } = poolOf(status);
  const counted = Object.fromEntries(Object.entries(restarts.causes).filter(([, count]) => count > 0));
  assert.deepEqual(counted, causes);
  assert.equal(
    restarts.total,
    Object.values(counted).reduce((sum, count) => sum + count, 0),
  );
  return restarts.last;
}

describe("what is executed", () => {
  test("is told of every thread; what is written ahead, or waits, is not executed", () =>
    served({ args: ["--workers", "2", "--threads", "1"] }, async (server) => {
      // It is known as fast, so that requests are written ahead.
      for (let i = 0; i < 100; i++) await server.text("/fast");
      server.begin("/wait/one?of=two");
      server.begin("/wait/two");
      await server.recorded("begin one");
      await server.recorded("begin two");
      const behind = ["/a", "/b", "/c"].map((path) => server.begin(path));
      const status = await seen(server, "three wait", (_, { queue, wait }) => queue === 3 && wait.longest > 0.01);
      assert.deepEqual(targets(status.workers), ["/wait/one?of=two", "/wait/two"]);
      assert.deepEqual(
        status.workers.map(({ busy, executing: [request] }) => [busy, request?.method, request?.client]),
        [
          [1, "GET", "waiting"],
          [1, "GET", "waiting"],
        ],
      );
      assert.ok(status.workers.every(({ executing }) => executing.every(({ seconds }) => seconds >= 0)));
      assert.match(
        await screen(server),
        /^queue {7}3 requests, the longest for [^;]+; \d+ requests given to workers in the last 10 s had\s+waited [\s\S]*GET \/wait\/two {2}/mu,
      );
      for (const name of ["one", "two"]) server.release(name);
      for (const connection of behind) await connection.response();
      const after = await seen(server, "all is done", (_, { queue }) => queue === 0);
      assert.deepEqual(targets(after.workers), []);
      assert.ok(poolOf(after).wait.most >= poolOf(status).wait.longest);
    }));

  test("for longer than it may is told as such, until a thread that does not come back has its worker replaced", () =>
    served(
      {
        target: promisesApplication,
        args: ["--workers", "1", "--threads", "2", "--request-timeout", "0.2", "--interrupt-grace", "0.5"],
      },
      async (server) => {
        const connection = server.begin("/stubborn?stubborn=go");
        assert.equal((await connection.response()).status, 504);
        const late = await seen(
          server,
          "it is late",
          ({ workers }) => workers[0]?.executing[0]?.client === "timed out",
        );
        assert.deepEqual(targets(late.workers), ["/stubborn?stubborn=go"]);
        const leaving = await seen(server, "it is to go", ({ workers }) =>
          workers.some(({ replaced }) => replaced === "timeout"),
        );
        assert.deepEqual(targets(leaving.workers), ["/stubborn?stubborn=go"]);
        server.release("go");
        const gone = await seen(server, "it is gone", (_, { restarts }) => restarts.total === 1);
        assert.equal(lastRestart(gone, { timeout: 1 })?.pid, late.workers[0]?.pid);
      },
    ));

  test("for a client that has left is told as such", () =>
    served({ args: ["--workers", "1"] }, async (server) => {
      const connection = server.begin("/wait/left");
      await server.recorded("begin left");
      connection.leave();
      await seen(server, "it has left", ({ workers }) => workers[0]?.executing[0]?.client === "gone");
    }));
});

describe("reloads", () => {
  const code = `
import os, time
open("loading", "w").close()
while os.path.exists("hold"):
    time.sleep(0.01)
exec(open("code").read())
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"ok"]
`;

  test("are told while they are under way, and what came of the last", () =>
    served({ target: "app.py:app", files: { "app.py": code, code: "" }, args: ["--workers", "2"] }, async (server) => {
      const first = await seen(server, "it serves", () => true);
      assert.deepEqual([poolOf(first).reload, poolOf(first).lastReload], [null, null]);
      const hold = join(server.folder, "hold");
      mkdirSync(hold);
      const reload = vivarium(["reload", "--control", server.vivarium.control]);
      const during = poolOf(await seen(server, "it loads", (_, { generations }) => generations.length === 2));
      assert.deepEqual([during.generation, during.reload?.generation, during.reload?.by], [1, 2, "vivarium reload"]);
      assert.deepEqual(
        during.generations.map(({ number, state }) => [number, state]),
        [
          [1, "serving"],
          [2, "loading"],
        ],
      );
      assert.match(
        await screen(server),
        /^reload {6}generation 2, loading, 0 workers there; asked for \d+ s ago \(vivarium reload\)$/mu,
      );
      rmdirSync(hold);
      assert.equal((await reload).code, 0);
      const after = poolOf(await seen(server, "it is over", (_, pool) => pool.reload === null));
      const { at, startedAt, took, ...rest } = after.lastReload ?? { at: "", startedAt: "", took: 0 };
      const outcome = { generation: 2, by: "vivarium reload", outcome: "serving", problem: "", traceback: "" };
      assert.deepEqual(rest, outcome);
      assert.ok(took > 0 && Math.abs(Date.parse(at) - Date.parse(startedAt) - 1000 * took) < 5);
      assert.equal(startedAt, during.reload?.startedAt);

      writeFileSync(join(server.folder, "code"), "x = (");
      server.vivarium.process.kill("SIGHUP");
      const failed = poolOf(await seen(server, "it failed", (_, { lastReload }) => lastReload?.generation === 3));
      assert.deepEqual([failed.generation, failed.reload, failed.restarts.total], [2, null, 0]);
      const { by, outcome: what, problem = "", traceback = "" } = failed.lastReload ?? {};
      assert.deepEqual([by, what], ["SIGHUP", "failed"]);
      assert.match(problem, /could not be imported: SyntaxError/u);
      assert.match(traceback, /^Traceback[\s\S]*SyntaxError: /u);
      assert.match(
        await screen(server),
        /^generation {2}2; the reload \d+ s ago \(SIGHUP, generation 3\) failed after /mu,
      );
    }));

  test("that are rolled back count as restarts", () =>
    served({ target: "app.py:app", files: { "app.py": code, code: "" }, args: ["--workers", "1"] }, async (server) => {
      writeFileSync(
        join(server.folder, "code"),
        "os.register_at_fork(after_in_child=lambda: die())\ndef die():\n import threading\n threading.Timer(0.2, os._exit, [7]).start()",
      );
      await vivarium(["reload", "--control", server.vivarium.control]);
      const status = await seen(server, "it is rolled back", (_, { generation, lastReload }) => {
        return lastReload?.outcome === "rolled back" && generation === 1;
      });
      const { rollback, died } = poolOf(status).restarts.causes;
      assert.deepEqual([rollback, died >= 3], [1, true]);
      assert.match(poolOf(status).lastReload?.problem ?? "", /^3 of its workers died\.$/u);
    }));
});

describe("restarts", () => {
  test("of workers that are killed, of all with their spawner, and of the front", () =>
    served({ args: ["--workers", "2"] }, async (server) => {
      const [victim] = (await server.status()).workers;
      assert.ok(victim !== undefined);
      process.kill(victim.pid, "SIGKILL");
      const died = await seen(
        server,
        "it is replaced",
        ({ workers }, { restarts }) => restarts.total === 1 && workers.length === 2,
      );
      const { at, ...last } = lastRestart(died, { died: 1 }) ?? { at: "" };
      assert.deepEqual(last, { cause: "died", id: victim.id, pid: victim.pid, why: "was killed by SIGKILL" });
      assert.ok(Date.parse(at) >= Date.parse(victim.startedAt));
      assert.match(
        await screen(server),
        /^restarts {4}1 worker was replaced \(died 1\); the last \d+ s ago \(died\): worker \d \(pid \d+\) was killed\s+by SIGKILL$/mu,
      );

      const spawner = poolOf(died).spawner.pid;
      process.kill(spawner, "SIGKILL");
      const without = await seen(
        server,
        "there is another",
        ({ workers }, { restarts }) => restarts.total === 2 && workers.length === 2,
      );
      const end = lastRestart(without, { died: 1, spawner: 1 });
      assert.deepEqual([end?.id, end?.pid, end?.why], [0, spawner, "the spawner ended by SIGKILL"]);

      await seen(server, "they are ready", ({ workers }) => workers.every(({ state }) => state === "ready"));
      const { pid } = await server.front();
      process.kill(pid, "SIGKILL");
      const back = await seen(server, "there is another front", ({ fronts, workers }) => {
        return fronts[0]?.state === "ready" && workers.every(({ state }) => state === "ready");
      });
      const { at: _, ...front } = back.frontRestarts.last ?? {};
      assert.deepEqual(front, { cause: "died", id: 1, pid, why: "was killed by SIGKILL" });
      assert.deepEqual([back.frontRestarts.total, back.frontRestarts.causes.died], [1, 1]);
      assert.equal(poolOf(back).restarts.total, 2);
    }));

  test("of a worker that still executes what a front gave it that died", () =>
    served({ args: ["--workers", "1", "--threads", "1"] }, async (server) => {
      server.begin("/wait/x");
      await server.recorded("begin x");
      process.kill((await server.front()).pid, "SIGKILL");
      const leaving = await seen(server, "another takes its place", ({ workers }) => {
        return workers.some(({ replaced }) => replaced === "front") && workers.some(({ replaced }) => replaced === "");
      });
      server.release("x");
      const gone = await seen(server, "it is gone", (_, { restarts }) => restarts.total === 1);
      const left = leaving.workers.find(({ replaced }) => replaced === "front");
      assert.equal(lastRestart(gone, { front: 1 })?.pid, left?.pid);
    }));

  test("of workers that have served their time, or have far too much memory", () =>
    served(
      {
        target: promisesApplication,
        args: ["--workers", "1", "--max-requests", "5", "--max-worker-memory-hard", "300"],
      },
      async (server) => {
        for (let i = 0; i < 6; i++) await server.text(`/${i}`);
        const spent = await seen(
          server,
          "one is replaced",
          ({ workers }, { restarts }) => restarts.total === 1 && workers.length === 1,
        );
        assert.match(lastRestart(spent, { requests: 1 })?.why ?? "", /^exited with status 0$/u);
        server.begin("/large?leak=400000&wait=never");
        const killed = await seen(server, "it is killed", (_, { restarts }) => restarts.total >= 2);
        assert.equal(poolOf(killed).restarts.causes.memoryHard >= 1, true);
        assert.equal(poolOf(killed).restarts.causes.died, 0);
      },
    ));

  test("of a worker that hangs", () =>
    served({ args: ["--workers", "1", "--hang-timeout", "1"] }, async (server) => {
      const [worker] = (await server.status()).workers;
      server.begin("/gil/x", "");
      await server.recorded("begin x");
      const status = await seen(server, "it is replaced", (_, { restarts }) => restarts.total >= 1);
      assert.deepEqual(poolOf(status).restarts.causes.died, 0);
      assert.ok(poolOf(status).restarts.causes.hang >= 1);
      assert.ok(worker !== undefined);
    }));

  test("of workers that never get ready: those that are missing are told, and why requests are refused", () =>
    served(
      {
        target: "app.py:app",
        files: {
          "app.py":
            "import os\nif os.path.exists('broken'): os._exit(5)\ndef app(environ, start_response):\n start_response('200 OK', [])\n return [b'ok']\n",
        },
        args: ["--workers", "2", "--no-preload"],
      },
      async (server) => {
        server.release("broken");
        for (const { pid } of (await server.status()).workers) process.kill(pid, "SIGKILL");
        // Each is tried again and again: what is looked for is there between two attempts, which come ever more slowly.
        const status = await seen(server, "none is there, nor will be soon", ({ workers }, { down, missing }) => {
          const waiting = missing.filter(({ failures, againIn }) => failures > 1 && againIn > 0);
          return down !== "" && waiting.length === 2 && workers.length === 0;
        });
        const { missing, restarts, generation } = poolOf(status);
        assert.deepEqual(
          missing.map(({ id }) => id),
          [1, 2],
        );
        assert.ok(restarts.causes.boot >= 2 && restarts.causes.died === 2);
        assert.equal(restarts.last?.why, "exited with status 5");
        assert.equal(generation, 1);
        assert.equal((await server.get("/")).status, 503);
        const refused = await seen(server, "it is counted", (_, pool) => pool.refused === 1);
        assert.match(poolOf(refused).down, /^The application's processes end as soon as they have started/u);
        await until(
          async () => /^ +\d +- {2}empty, next in .*, \d+ failures in a row/mu.test(await screen(server)),
          "people see it",
        );
      },
    ));
});

test("embedded: responses that go on, fronts that were replaced, and reloads", () =>
  served({ args: ["--embedded", "--python", python(), "--workers", "1"] }, async (server) => {
    const stream = server.begin("/ticks");
    const status = await seen(server, "it goes on", ({ fronts }) => fronts[0]?.executing.length === 1);
    assert.deepEqual(targets(status.fronts), ["/ticks"]);
    assert.match(await screen(server), /^executing for {2}front {2}request[\s\S]*GET \/ticks/mu);
    stream.close();
    await seen(server, "it has ended", ({ fronts }) => fronts[0]?.executing.length === 0);
    const { pid } = await server.front();
    process.kill(pid, "SIGKILL");
    const after = await seen(
      server,
      "there is another",
      ({ fronts }) => fronts[0]?.state === "ready" && fronts[0].pid !== pid,
    );
    const { at: _, ...last } = after.frontRestarts.last ?? {};
    assert.deepEqual(last, { cause: "died", id: 1, pid, why: "was killed by SIGKILL" });
    assert.match(await screen(server), /^ {12}1 front was replaced \(died 1\); the last /mu);
    server.vivarium.process.kill("SIGHUP");
    const renewed = await seen(server, "it is renewed", (_, { lastReload }) => lastReload?.outcome === "serving");
    assert.deepEqual([poolOf(renewed).generation, poolOf(renewed).lastReload?.by], [2, "SIGHUP"]);
    assert.equal(renewed.frontRestarts.total, 1);
  }));
