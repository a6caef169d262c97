// WebSockets of FastAPI, Starlette and Channels through the whole server, by Python's websockets library.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { type RunningProcess, run, start } from "../support/processes.js";
import { type Redis, startRedis } from "../support/redis.js";
import { asyncPython, removeFolder, root, temporaryFolder, unavailable } from "../support/tools.js";
import { startVivarium, type Vivarium, vivarium } from "../support/vivarium.js";

const folders = join(root, "test", "frameworks");
const quiet = { PYTHONDONTWRITEBYTECODE: "1" };

function client(what: string, server: Vivarium, path = ""): RunningProcess {
  const url = `${server.url.replace("http:", "ws:")}${path}`;
  return start(asyncPython(), [join(folders, "clients", "websockets_client.py"), what, url], { env: quiet });
}

/** What the client found, when it has ended. */
async function finds(what: string, server: Vivarium, path = ""): Promise<unknown> {
  const running = client(what, server, path);
  await running.exited;
  const line = running.stdout.trim().split("\n").at(-1) ?? "";
  assert.notEqual(line, "", running.stderr);
  return JSON.parse(line);
}

function serve(site: string, target: string, env: Record<string, string>, ...args: string[]): Promise<Vivarium> {
  return startVivarium(target, {
    args: ["--chdir", join(folders, site), "--python", asyncPython(), "--workers", "2", ...args],
    env: { ...quiet, ...env },
  });
}

for (const loop of ["uvloop", "asyncio"])
  describe(`WebSockets of FastAPI, on ${loop}`, { skip: unavailable("venv-async") }, () => {
    let folder = "";
    let server: Vivarium;
    before(async () => {
      folder = temporaryFolder("websockets");
      const env = { FASTAPI_SITE_FOLDER: folder };
      server = await serve("fastapi_site", "site_app:app", env, "--event-loop", loop, "--graceful-timeout", "1");
    });
    after(async () => {
      await server.stop();
      removeFolder(folder);
    });

    async function noticed(name: string): Promise<string> {
      const path = join(folder, name);
      for (let i = 0; i < 1500 && !existsSync(path); i += 1) await delay(20);
      return readFileSync(path, "utf8");
    }

    test("messages of text and octets, empty to large, whole and in pieces, come back; the close has its code and reason", async () => {
      assert.deepEqual(await finds("echo", server), { compressed: true, plain: true });
      assert.equal(await noticed("closed-compressed"), "4000 that was all ✓");
      assert.equal(await noticed("closed-plain"), "4000 that was all ✓");
    });

    test("200 connections at once, each with its own messages in order", async () => {
      assert.equal(await finds("many", server), 200);
    });

    test("an application hears that its client has left without a word", async () => {
      assert.equal(await finds("vanish", server), "left");
      assert.match(await noticed("closed-vanished"), /^1006 /);
    });

    test("a dependency lets in or refuses; subprotocol, fields, cookies and close code arrive", async () => {
      assert.deepEqual(await finds("guest", server), {
        welcome: { welcome: "ada", cookies: { one: "1" }, path: "/ws/guest" },
        subprotocol: "second",
        field: true,
        end: [4001, "that was all"],
        refused: 403,
        nowhere: 403,
      });
    });

    test("a reload closes those that stay with 1012, after the graceful timeout", async () => {
      const staying = client("stay", server, "/ws/echo");
      await staying.line(/connected/);
      const { code, stderr } = await vivarium(["reload", "--control", server.control]);
      assert.equal(code, 0, stderr);
      assert.equal(await finds("many", server), 200);
      await staying.exited;
      assert.match(staying.stdout, /\[1012, /);
    });
  });

describe("WebSockets of Starlette, below a prefix", { skip: unavailable("venv-async") }, () => {
  let server: Vivarium;
  before(async () => {
    const env = { STARLETTE_SITE_SECRET: randomBytes(16).toString("hex") };
    server = await serve("starlette_site", "site_app:app", env, "--mount", "/pre");
  });
  after(async () => {
    await server.stop();
  });

  test("an endpoint that is a class answers text, and closes for octets", async () => {
    assert.deepEqual(await finds("shout", server, "/pre"), ["QUIET", [1003, ""]]);
  });
});

describe("WebSockets of Channels, over Redis", { skip: unavailable("venv-async", "redis") }, () => {
  let folder = "";
  let redis: Redis;
  let server: Vivarium;
  before(async () => {
    folder = temporaryFolder("channels");
    redis = await startRedis();
    const env = {
      CHANNELS_SITE_FOLDER: folder,
      CHANNELS_SITE_SECRET: randomBytes(32).toString("hex"),
      CHANNELS_SITE_REDIS: redis.url,
    };
    const options = { cwd: join(folders, "channels_site"), env: { ...quiet, ...env } };
    const { code, stderr } = await run(asyncPython(), ["manage.py", "migrate", "--verbosity", "0"], options);
    assert.equal(code, 0, stderr);
    server = await serve("channels_site", "configuration.asgi:application", env);
  });
  after(async () => {
    await server.stop();
    await redis.stop();
    removeFolder(folder);
  });

  test("who is in a room hears all who are, in all processes; the closed one and other sites are refused", async () => {
    const others = Array(7).fill({ said: "somebody left (4002)" });
    assert.deepEqual(await finds("room", server), {
      entered: Array(8).fill({ entered: "room-library", name: null }),
      heard: Array(8).fill({ said: "Ünïcode ✓" }),
      left: others,
      closed: 403,
      elsewhere: 403,
    });
  });
});
