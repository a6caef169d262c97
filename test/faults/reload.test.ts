// Reloads of a running server: what clients see of them, and what the server has afterwards.
import assert from "node:assert/strict";
import { utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Load } from "../support/load.js";
import { type PromiseOptions, promised } from "../support/promises.js";
import { removeFolder, temporaryFolder } from "../support/tools.js";
import { vivarium } from "../support/vivarium.js";
import { request, type Server, until } from "./server.js";

/** Answers the version it was loaded as; what else it does is told by its path. */
const shop = `
import os, time
VERSION = open("version").read()
exec(open("code").read())

def app(environ, start_response):
    status = "200 OK"
    path = environ["PATH_INFO"]
    if path == "/health" and os.path.exists("ill"):
        status = "503 Service Unavailable"
    if path == "/fragile" and VERSION == "bad":
        status = "500 Internal Server Error"
    if path == "/deadly" and VERSION == "bad":
        os._exit(7)
    if path == "/stream":
        start_response(status, [("Content-Type", "text/plain")])
        return stream()
    if path == "/upload":
        environ["wsgi.input"].read()
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(VERSION)))])
    return [VERSION.encode()]

def stream():
    yield b"begun "
    while not os.path.exists("go"):
        time.sleep(0.01)
    yield VERSION.encode()
`;

/** What each reload says. */
const reloading = /^info supervisor: (Reloading: generation \d+ is being loaded|Generation \d+ serves)\.$/;

function shopOf(options: Partial<PromiseOptions> = {}): PromiseOptions {
  return {
    target: "shop.py:app",
    files: { "shop.py": shop, version: "1", code: "" },
    ...options,
    args: ["--workers", "2", ...(options.args ?? [])],
    expected: [reloading, ...(options.expected ?? [])],
  };
}

/** The file `name` of the application. */
function write(server: Server, name: string, text: string): void {
  writeFileSync(join(server.folder, name), text);
}

async function reload(server: Server): Promise<void> {
  const { code, stderr } = await vivarium(["reload", "--control", server.vivarium.control]);
  assert.equal(stderr, "");
  assert.equal(code, 0);
}

async function failedReload(server: Server, reason: RegExp): Promise<void> {
  const { code, stderr } = await vivarium(["reload", "--control", server.vivarium.control]);
  assert.equal(code, 1);
  assert.match(stderr, reason);
}

/** Waits until nothing of older generations is left. */
async function settled(server: Server): Promise<void> {
  await until(async () => {
    const { workers, pools } = await server.status();
    return workers.every(({ generation, state }) => generation === pools[0]?.generation && state === "ready");
  }, "workers of one generation alone are left");
}

/** Clients of whom each request is answered by one of the versions. */
function clients(server: Server, path = "/", connectionEach = false): Load {
  return new Load({ port: server.vivarium.port, clients: 8, connectionEach, ask: () => ({ path, right: "1" }) });
}

describe("a reload", () => {
  for (const connectionEach of [false, true]) {
    const how = connectionEach ? "a connection each" : "kept connections";
    test(`loses nothing, ten times under load, over ${how}`, async () => {
      await promised(shopOf({ args: ["--probation", "0"] }), async (server) => {
        const load = clients(server, "/", connectionEach);
        for (let round = 0; round < 10; round += 1) {
          await reload(server);
          const before = load.requests;
          await until(() => load.requests > before + 16, "clients are answered");
        }
        await load.stop();
        assert.deepEqual(load.wrong, {});
        assert.equal((await server.pool()).generation, 11);
        await settled(server);
      });
    });
  }

  test("has the new code serve, on connections that are open already as well", async () => {
    await promised(shopOf({ args: ["--probation", "0"] }), async (server) => {
      const kept = server.connection();
      kept.send(request("/"));
      assert.equal((await kept.response()).text, "1");
      write(server, "version", "2");
      await reload(server);
      for (let i = 0; i < 20; i += 1) {
        kept.send(request("/"));
        assert.equal((await kept.response()).text, "2");
        assert.equal(await server.text("/"), "2");
      }
      kept.close();
      await settled(server);
    });
  });

  test("lets a response and an upload that have begun finish by the code that began them", async () => {
    await promised(shopOf({ args: ["--probation", "0"] }), async (server) => {
      const stream = server.begin("/stream");
      await stream.received("begun");
      const upload = server.connection();
      upload.send("POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: 6\r\n\r\nabc");
      write(server, "version", "2");
      await reload(server);
      assert.equal(await server.text("/"), "2");
      // An upload is given to a worker when it is whole.
      upload.send("def");
      assert.equal((await upload.response()).text, "2");
      server.release("go");
      assert.equal((await stream.response()).text, "begun 1");
      stream.close();
      upload.close();
      await settled(server);
    });
  });

  test("during a reload ends with the newest code everywhere", async () => {
    await promised(
      shopOf({ args: ["--probation", "0"], expected: [/given up for a newer one\.$/] }),
      async (server) => {
        write(server, "version", "2");
        write(server, "code", "import time; time.sleep(0.5)");
        const first = vivarium(["reload", "--control", server.vivarium.control]);
        await server.logged(/generation 2 is being loaded/);
        write(server, "version", "3");
        await reload(server);
        assert.equal((await first).code, 0);
        for (let i = 0; i < 20; i += 1) assert.equal(await server.text("/"), "3");
        await settled(server);
      },
    );
  });

  test("one by one never has more than one worker more, and ends with the new code everywhere", async () => {
    const args = ["--workers", "3", "--reload-overlap", "1", "--probation", "0"];
    await promised(shopOf({ args }), async (server) => {
      const load = new Load({
        port: server.vivarium.port,
        clients: 4,
        ask: () => ({ path: "/", right: "1" }),
      });
      let most = 0;
      let done = false;
      const watching = (async () => {
        while (!done) most = Math.max(most, (await server.status()).workers.length);
      })();
      await reload(server);
      await settled(server);
      done = true;
      await watching;
      await load.stop();
      assert.deepEqual(load.wrong, {});
      assert.ok(most <= 4, `${most} workers`);
      assert.equal((await server.status()).workers.length, 3);
    });
  });

  test("follows SIGHUP, and the touch of a file", async () => {
    const touched = [/^info supervisor: \S+\/deployed was touched\.$/];
    const folder = temporaryFolder("deployed");
    const deployed = join(folder, "deployed");
    writeFileSync(deployed, "");
    const args = ["--probation", "0", "--touch-reload", deployed];
    await promised(shopOf({ args, expected: touched }), async (server) => {
      write(server, "version", "2");
      process.kill(server.vivarium.pid, "SIGHUP");
      await server.logged(/Generation 2 serves/);
      assert.equal(await server.text("/"), "2");
      write(server, "version", "3");
      const later = new Date(Date.now() + 5000);
      utimesSync(deployed, later, later);
      await server.logged(/Generation 3 serves/);
      assert.equal(await server.text("/"), "3");
      await settled(server);
    });
    removeFolder(folder);
  });
});

describe("a broken deploy changes nothing", () => {
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ["that does not import", "1/0", /ZeroDivisionError[\s\S]*Generation 1 goes on serving/],
    ["with a syntax error", "x(", /SyntaxError[\s\S]*Generation 1 goes on serving/],
    ["that exits", "import os; os._exit(3)", /ended with status 3[\s\S]*Generation 1 goes on serving/],
    ["that takes too long", "import time; time.sleep(30)", /not ready within 1 seconds \(--boot-timeout\)/],
  ];
  for (const [what, code, reason] of cases) {
    test(`${what}`, async () => {
      const expected = [/^error supervisor: [\s\S]*Generation 2 cannot serve, so generation 1 goes on serving:/];
      const args = what.includes("long") ? ["--boot-timeout", "1"] : [];
      await promised(shopOf({ args, expected }), async (server) => {
        const load = clients(server);
        write(server, "version", "2");
        write(server, "code", code);
        await failedReload(server, reason);
        const before = load.requests;
        await until(() => load.requests > before + 16, "clients are answered");
        await load.stop();
        assert.deepEqual(load.wrong, {});
        const { lastReload, generation } = await server.pool();
        assert.equal(generation, 1);
        assert.equal(lastReload?.outcome, "failed");
        assert.equal(lastReload?.generation, 2);
      });
    });
  }

  test("whose workers end before they are ready", async () => {
    const expected = [
      /^error supervisor: [\s\S]*Generation 2 cannot serve/,
      /^error supervisor: Worker \d \(pid \d+\) exited with status 5; another takes its place/,
    ];
    await promised(shopOf({ expected }), async (server) => {
      write(server, "code", "import os; os.register_at_fork(after_in_child=lambda: os._exit(5))");
      await failedReload(server, /Worker \d exited with status 5 before it was ready/);
      assert.equal(await server.text("/"), "1");
      await settled(server);
    });
  });

  test("that fails its health check", async () => {
    const expected = [
      /^error supervisor: Generation \d cannot serve, so generation \d goes on serving: The health check/,
    ];
    await promised(shopOf({ args: ["--health-path", "/health"], expected }), async (server) => {
      write(server, "version", "2");
      server.release("ill");
      await failedReload(server, /The health check failed: GET \/health was answered 503\. Generation 1 goes on/);
      assert.equal(await server.text("/"), "1");
    });
  });

  test("whose responses fail in its first seconds is rolled back", async () => {
    const expected = [/^error supervisor: Generation 2 fails: .* generation 1 takes over again \(--probation\)\.$/];
    await promised(shopOf({ expected }), async (server) => {
      write(server, "version", "bad");
      await reload(server);
      const load = new Load({
        port: server.vivarium.port,
        clients: 4,
        ask: () => ({ path: "/fragile", right: "1" }),
      });
      await server.logged(/Generation 1 serves/);
      const failed = load.counts["5xx"];
      const right = load.counts.right;
      await until(() => load.counts.right > right + 100, "clients are answered rightly");
      await load.stop();
      assert.ok(failed >= 10);
      const { lastReload, generation } = await server.pool();
      assert.equal(generation, 1);
      assert.equal(lastReload?.outcome, "rolled back");
      await settled(server);
    });
  });

  test("whose workers die in its first seconds is rolled back", async () => {
    const expected = [
      /^error supervisor: Generation 2 fails: 3 of its workers died; generation 1 takes over again \(--probation\)\.$/,
      /^error supervisor: Worker \d \(pid \d+\) exited with status 7; another takes its place/,
      /^(error|warning) pool: Worker \d \(pid \d+\) died while it executed GET \/deadly/,
    ];
    await promised(shopOf({ expected }), async (server) => {
      write(server, "version", "bad");
      await reload(server);
      const load = new Load({ port: server.vivarium.port, clients: 2, ask: () => ({ path: "/deadly", right: "1" }) });
      await server.logged(/Generation 1 serves/);
      const right = load.counts.right;
      await until(() => load.counts.right > right + 20, "clients are answered rightly");
      await load.stop();
      await settled(server);
    });
  });
});

describe("in embedded mode a reload", () => {
  const embedded = (options: Partial<PromiseOptions> = {}): PromiseOptions =>
    shopOf({ ...options, args: ["--embedded", ...(options.args ?? [])] });

  for (const connectionEach of [false, true]) {
    const how = connectionEach ? "a connection each" : "kept connections";
    test(`loses nothing, five times under load, over ${how}`, async () => {
      await promised(embedded(), async (server) => {
        const load = clients(server, "/", connectionEach);
        for (let round = 0; round < 5; round += 1) {
          await reload(server);
          const before = load.requests;
          await until(() => load.requests > before + 16, "clients are answered");
        }
        write(server, "version", "2");
        await load.stop();
        assert.deepEqual(load.wrong, {});
        await reload(server);
        for (let i = 0; i < 20; i += 1) assert.equal(await server.text("/"), "2");
        assert.equal((await server.pool()).generation, 7);
      });
    });
  }

  test("one by one ends with the new code everywhere", async () => {
    await promised(embedded({ args: ["--reload-overlap", "1"] }), async (server) => {
      write(server, "version", "2");
      await reload(server);
      for (let i = 0; i < 20; i += 1) assert.equal(await server.text("/"), "2");
    });
  });

  test("to code that does not load, or is not well, changes nothing", async () => {
    const expected = [/^error supervisor: [\s\S]*Generation 2 cannot serve, so generation 1 goes on serving:/];
    await promised(embedded({ args: ["--health-path", "/health"], expected }), async (server) => {
      const load = clients(server);
      write(server, "version", "2");
      write(server, "code", "1/0");
      await failedReload(server, /ZeroDivisionError[\s\S]*Generation 1 goes on serving/);
      write(server, "code", "");
      server.release("ill");
      await failedReload(server, /The health check failed: GET \/health was answered 503\. Generation 1 goes on/);
      const before = load.requests;
      await until(() => load.requests > before + 16, "clients are answered");
      await load.stop();
      assert.deepEqual(load.wrong, {});
      assert.equal((await server.pool()).lastReload?.outcome, "failed");
    });
  });
});
