import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Load } from "../support/load.js";
import { alive, descendants, waitUntilGone } from "../support/processes.js";
import { promised } from "../support/promises.js";
import { pythons, removeFolder, temporaryFolder } from "../support/tools.js";
import { application, frontOf, request, Server, statusAt, until } from "./server.js";

/** Waits until so many workers are ready, none of which has one of these process ids. */
async function ready(server: Server, workers: number, notThese: readonly number[] = []): Promise<void> {
  await until(async () => {
    const status = await server.status();
    const fresh = status.workers.filter(({ state, pid }) => state === "ready" && !notThese.includes(pid));
    return frontOf(status).state === "ready" && fresh.length === workers;
  }, `${workers} workers are ready`);
}

describe("a worker that dies", () => {
  test("takes the request it executes with it and nothing else, and is replaced", async () => {
    const server = await Server.start({ args: ["--workers", "2", "--threads", "1"] });
    try {
      // A fast application, so that requests are written ahead.
      const before = server.connection();
      for (let i = 0; i < 40; i += 1) {
        before.send("GET /fast HTTP/1.1\r\nHost: test\r\n\r\n");
        assert.equal((await before.response()).text, "fast");
      }
      const slow = ["/wait/slow-1", "/wait/slow-2"].map((path) => {
        const connection = server.connection();
        connection.send(request(path, "", "POST"));
        return connection;
      });
      await server.recorded("begin slow-1");
      await server.recorded("begin slow-2");
      const behind = Array.from({ length: 30 }, (_, n) => server.begin(`/behind-${n}`));
      await until(async () => (await server.front()).requests === 72, "all have arrived");
      const pids = (await server.status()).workers.map(({ pid }) => pid);
      for (const pid of pids) process.kill(pid, "SIGKILL");
      for (const connection of slow) assert.equal((await connection.response()).status, 502);
      const texts = await Promise.all(behind.map(async (connection) => (await connection.response()).text));
      assert.deepEqual(
        texts,
        behind.map((_, n) => `behind-${n}`),
      );
      // Each was executed once.
      assert.equal(server.record().filter((line) => line.startsWith("begin behind-")).length, 30);
      await ready(server, 2, pids);
      await server.logged(/Worker [12] \(pid \d+\) was killed by SIGKILL; another takes its place/);
      await server.logged(
        /Worker [12] \(pid \d+\) died while it executed POST \/wait\/slow-[12] \(request id [0-9a-f]{16}\); it is answered 502\./,
      );
    } finally {
      await server.stop();
    }
  });

  test("a response that has begun is cut, so that the client knows", async () => {
    const server = await Server.start({ args: ["--workers", "1"] });
    try {
      const stream = server.begin("/stream/never");
      await stream.received("one");
      const [worker] = (await server.status()).workers;
      assert.ok(worker !== undefined);
      process.kill(worker.pid, "SIGKILL");
      const { status, whole } = await stream.response();
      assert.deepEqual([status, whole], [200, false]);
      assert.equal(await server.text("/next"), "next");
    } finally {
      await server.stop();
    }
  });

  test("an application that ends its process: 502, its last words in the log, and the next request is answered", async () => {
    const server = await Server.start({ args: ["--workers", "1"] });
    try {
      for (let times = 0; times < 3; times += 1) {
        assert.equal((await server.get("/die")).status, 502);
        assert.equal(await server.text("/alive"), "alive");
      }
      await server.logged(/worker 1: last words, without an end$/m);
      await server.logged(/Worker 1 \(pid \d+\) exited with status 7/);
    } finally {
      await server.stop();
    }
  });

  test("workers that die again and again are replaced ever more slowly, while others serve on", async () => {
    const source = `import os, sys
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"served"]
number = os.open("count", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
os.write(number, b"x")
if os.fstat(number).st_size > 1:
    os._exit(5)
`;
    const server = await Server.start({
      target: "crash:app",
      files: { "crash.py": source.replace("> 1", "> 2") },
      args: ["--workers", "2", "--no-preload"],
    });
    try {
      const [first] = (await server.status()).workers;
      assert.ok(first !== undefined);
      process.kill(first.pid, "SIGKILL");
      const delays = (): number[] =>
        [...server.output.matchAll(/exited with status 5; another takes its place in ([\d.]+) s/g)].map(([, s]) =>
          Number(s),
        );
      for (const count of [1, 2, 3]) {
        await until(() => delays().length >= count, `it died ${count} times`);
        assert.equal(await server.text("/"), "served");
      }
      const [one = 0, two = 0, three = 0] = delays();
      assert.ok(0.1 <= one && one < two && two < three && three <= 1.2, `${one}, ${two}, ${three}`);
    } finally {
      await server.stop();
    }
  });
});

describe("the spawner dies", () => {
  test("it and its workers are replaced, and requests are answered again", async () => {
    const server = await Server.start({ args: ["--workers", "2"] });
    try {
      const { spawner } = await server.pool();
      const pids = (await server.status()).workers.map(({ pid }) => pid);
      process.kill(spawner.pid, "SIGKILL");
      await ready(server, 2, pids);
      assert.deepEqual(await waitUntilGone([spawner.pid, ...pids]), []);
      assert.equal(await server.text("/again"), "again");
      await server.logged(/The spawner ended \(SIGKILL\)/);
    } finally {
      assert.equal((await server.stop()).code, 0);
    }
  });
});

describe("the spawner is stopped", () => {
  test("its workers serve on until newer ones do, no request is lost, and nothing of it is left", async () => {
    const expected = [
      /^error supervisor: The spawner \(pid \d+\) has not answered for 2 s \(--hang-timeout\): the application is loaded anew, and its workers serve until then\.$/,
      /^info supervisor: Reloading: generation 2 is being loaded\.$/,
      /^info supervisor: Generation 2 serves\.$/,
    ];
    await promised({ args: ["--workers", "2", "--hang-timeout", "2"], expected }, async (server) => {
      const pool = await server.pool();
      const clients = new Load({
        port: server.vivarium.port,
        clients: 4,
        ask: (client, number) => ({ path: `/${client}-${number}`, right: `${client}-${number}` }),
      });
      process.kill(pool.spawner.pid, "SIGSTOP");
      await server.logged(/Generation 2 serves\./);
      assert.deepEqual(await waitUntilGone([pool.spawner.pid]), []);
      await clients.stop();
      assert.deepEqual(clients.wrong, {});
      assert.ok(clients.requests > 0);
    });
  });
});

describe("the spawner dies and the application does not load any more", () => {
  test("it is tried ever more slowly, each time with the reason, and served again once it loads", async () => {
    const good = "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'good']\n";
    const server = await Server.start({
      args: ["--workers", "2"],
      target: "site_app:app",
      files: { "site_app.py": good },
    });
    const file = join(server.folder, "site_app.py");
    try {
      writeFileSync(file, "import nothing_of_this_name\n");
      process.kill((await server.pool()).spawner.pid, "SIGKILL");
      await server.logged(/(?:could not be imported: ModuleNotFoundError[\s\S]*){2}/);
      writeFileSync(file, good);
      await ready(server, 2);
      assert.equal(await server.text("/"), "good");
    } finally {
      assert.equal((await server.stop()).code, 0);
    }
  });
});

describe("the front dies", () => {
  test("another takes its place on the same port; who connects meanwhile is answered", async () => {
    const server = await Server.start({ args: ["--workers", "2"] });
    try {
      for (let times = 0; times < 2; times += 1) {
        const { pid } = await server.front();
        process.kill(pid, "SIGKILL");
        await until(() => !alive(pid), "the front is gone");
        // Nobody accepts now; the connection waits in the backlog.
        assert.equal(await server.text("/again"), "again");
        assert.notEqual((await server.front()).pid, pid);
        await ready(server, 2);
      }
      await server.logged(/The front ended \(SIGKILL\); another takes its place/);
    } finally {
      assert.equal((await server.stop()).code, 0);
    }
  });
});

describe("the front is stuck", () => {
  test("it is killed after --hang-timeout and replaced; who connects meanwhile is answered", async () => {
    const server = await Server.start({ args: ["--workers", "2", "--hang-timeout", "1"] });
    try {
      const { pid } = await server.front();
      process.kill(pid, "SIGSTOP");
      assert.equal(await server.text("/again"), "again");
      assert.notEqual((await server.front()).pid, pid);
      await ready(server, 2);
      await server.logged(/The front has not answered for 1 s \(--hang-timeout\); it is killed\./);
      await server.logged(/The front ended \(SIGKILL\); another takes its place/);
    } finally {
      assert.equal((await server.stop()).code, 0);
    }
  });
});

describe("the front dies while its workers execute what does not end", () => {
  test("they are ended after --graceful-timeout, and the new front gets others", async () => {
    const server = await Server.start({ args: ["--workers", "1", "--graceful-timeout", "0.2"] });
    try {
      server.begin("/wait/never");
      await server.recorded("begin never");
      process.kill((await server.front()).pid, "SIGKILL");
      assert.equal(await server.text("/again"), "again");
      await server.logged(/Worker 1 \(pid \d+\) still executes what the front that ended gave it: it is ended/);
    } finally {
      assert.equal((await server.stop()).code, 0);
    }
  });
});

describe("the folder for temporary files is cleaned", () => {
  test("workers are replaced all the same", async () => {
    const temporary = temporaryFolder("tmp");
    const server = await Server.start({ env: { TMPDIR: temporary }, args: ["--workers", "1"] });
    try {
      removeFolder(temporary);
      const pids = (await server.status()).workers.map(({ pid }) => pid);
      for (const pid of pids) process.kill(pid, "SIGKILL");
      await ready(server, 1, pids);
      assert.equal(await server.text("/again"), "again");
    } finally {
      assert.equal((await server.stop()).code, 0);
      removeFolder(temporary);
    }
  });
});

describe("the spawner dies and Python is gone for a while", () => {
  test("it is tried again until it is back, and a stop meanwhile is one", async () => {
    const folder = temporaryFolder("python");
    const python = join(folder, "python");
    const real = pythons().at(-1)?.path ?? "python3";
    const script = (): void => writeFileSync(python, `#!/bin/sh\nexec ${real} "$@"\n`, { mode: 0o700 });
    script();
    const server = await Server.start({ args: ["--workers", "1", "--python", python] });
    const loseSpawner = async (): Promise<void> => {
      removeFolder(folder);
      process.kill((await server.pool()).spawner.pid, "SIGKILL");
      await server.logged(/(?:cannot be started: there is no such program[\s\S]*){2}/);
    };
    try {
      await loseSpawner();
      mkdirSync(folder);
      script();
      await ready(server, 1);
      assert.equal(await server.text("/again"), "again");
      await loseSpawner();
    } finally {
      assert.equal((await server.stop()).code, 0);
      removeFolder(folder);
    }
  });
});

describe("the supervisor is killed outright", () => {
  for (const [name, act] of [
    ["at rest", async () => {}],
    [
      "while requests are executed",
      async (server: Server) => {
        server.begin("/wait/never");
        server.begin("/stream/never");
        await server.recorded("begin never");
      },
    ],
  ] as const) {
    test(`${name}: no process is left, and no folder`, async () => {
      const temporary = temporaryFolder("tmp");
      const server = await Server.start({ env: { TMPDIR: temporary }, args: ["--workers", "3"] });
      const runtime = (): string[] => readdirSync(temporary).filter((entry) => entry.startsWith("vivarium-run-"));
      assert.equal(runtime().length, 1);
      await act(server);
      const family = descendants(server.vivarium.pid);
      assert.ok(family.length >= 5, family.join());
      process.kill(server.vivarium.pid, "SIGKILL");
      assert.deepEqual(await waitUntilGone(family), []);
      assert.deepEqual(runtime(), []);
      // What it left of its control socket is in nobody's way.
      const { control } = server.vivarium;
      const next = await Server.start({ target: application, args: ["--control", control] });
      assert.equal((await statusAt(control)).pid, next.vivarium.pid);
      await next.stop();
      await server.stop();
      removeFolder(temporary);
    });
  }
});

describe("the log", () => {
  test("has every line of a worker with its number, however it was printed", async () => {
    const server = await Server.start({ args: ["--workers", "1"] });
    try {
      assert.equal(await server.text("/print"), "said");
      for (const line of ["printed", "an error", "written"]) {
        await server.logged(new RegExp(`\\[info\\] worker 1: ${line}$`, "m"));
      }
      assert.equal(existsSync(join(server.folder, "record")), false);
    } finally {
      await server.stop();
    }
  });
});
