// A Django site under ASGI, with Channels over a Redis server, through the whole server and real HTTP clients.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { run } from "../support/processes.js";
import { type Redis, startRedis } from "../support/redis.js";
import { asyncPython, removeFolder, root, temporaryFolder, unavailable } from "../support/tools.js";
import { startVivarium, type Vivarium } from "../support/vivarium.js";
import { processesThatAnswer, readLines, Visitor } from "./visitor.js";

const site = join(root, "test", "frameworks", "channels_site");

describe("a Django site under ASGI, with Channels over Redis", { skip: unavailable("venv-async", "redis") }, () => {
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
      PYTHONDONTWRITEBYTECODE: "1",
    };
    const { code, stderr } = await run(asyncPython(), ["manage.py", "migrate", "--verbosity", "0"], { cwd: site, env });
    assert.equal(code, 0, stderr);
    server = await startVivarium("configuration.asgi:application", {
      args: ["--chdir", site, "--python", asyncPython(), "--workers", "2"],
      env,
    });
  });
  after(async () => {
    await server.stop();
    await redis.stop();
    removeFolder(folder);
  });

  async function noticed(name: string): Promise<string> {
    const path = join(folder, name);
    for (let i = 0; i < 1500 && !existsSync(path); i += 1) await delay(20);
    return readFileSync(path, "utf8");
  }

  /** Hears a room's server-sent events: gives each as it comes, the first when the room was entered. */
  async function* hear(room: string, leaving: AbortSignal): AsyncGenerator<Record<string, unknown>> {
    const response = await fetch(`${server.url}/rooms/${room}/events`, { signal: leaving });
    let rest = "";
    for await (const piece of response.body ?? []) {
      rest += Buffer.from(piece).toString("utf8");
      const events = rest.split("\n\n");
      rest = events.pop() ?? "";
      for (const event of events) yield JSON.parse(event.replace(/^data: /, ""));
    }
  }

  test("a session and a login last over requests and processes", async () => {
    assert.equal((await processesThatAnswer(server.url, "/who", 40)).size, 2);
    const visitor = new Visitor(server.url);
    assert.equal((await visitor.get("/")).text, "Visit 1 of nobody");
    assert.equal((await visitor.post("/login", { name: "ada" })).status, 200);
    for (let visit = 2; visit <= 11; visit += 1) assert.equal((await visitor.get("/")).text, `Visit ${visit} of ada`);
  });

  test("an upload of 10 MiB, read by a view on a thread, is whole", async () => {
    const octets = randomBytes(10 * 1024 * 1024);
    const form = new FormData();
    form.set("comment", "naïve");
    form.set("file", new Blob([octets]), "ten.bin");
    const answer = await new Visitor(server.url).post("/upload", form);
    const sha256 = createHash("sha256").update(octets).digest("hex");
    assert.deepEqual(JSON.parse(answer.text), { size: octets.length, sha256, comment: "naïve" });
  });

  test("an asynchronous stream arrives line by line, an ordinary one whole", async () => {
    const visitor = new Visitor(server.url);
    const lines = await readLines(await visitor.fetch("/stream/key?word=line"), (_, number) =>
      writeFileSync(join(folder, `gate-key-${number + 1}`), ""),
    );
    assert.deepEqual(lines, ["line 0", "line 1", "line 2", "line 3", "line 4"]);
    const exported = (await visitor.get("/export")).text.split("\n");
    assert.deepEqual([exported.length, exported[9999]], [10_001, `9999;${"x".repeat(90)}`]);
  });

  test("Django cancels a view whose client has left", async () => {
    const leaving = new AbortController();
    const asked = fetch(`${server.url}/patient/key`, { signal: leaving.signal });
    await noticed("waiting-key");
    leaving.abort();
    await assert.rejects(asked);
    assert.equal(await noticed("left-key"), "cancelled");
  });

  test("what is said in a room is heard in all processes, over Redis", async () => {
    const leaving = new AbortController();
    const listeners = Array.from({ length: 8 }, () => hear("server-sent", leaving.signal));
    const entered = await Promise.all(listeners.map(async (each) => (await each.next()).value?.["pid"]));
    assert.equal(new Set(entered).size, 2);
    const visitor = new Visitor(server.url);
    for (const text of ["first", "Ünïcode ✓"]) {
      assert.equal((await visitor.post("/rooms/server-sent", { text })).status, 204);
      const heard = await Promise.all(listeners.map(async (each) => (await each.next()).value));
      assert.deepEqual(heard, Array(8).fill({ said: text }));
    }
    leaving.abort();
    await assert.rejects(Promise.all(listeners.map((each) => each.next())));
  });

  test("an exception is a page of Django's, its traceback in the log", async () => {
    assert.equal((await new Visitor(server.url).get("/broken")).status, 500);
    await server.process.line(/RuntimeError: broken on purpose/);
  });
});
