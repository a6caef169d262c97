// Several pools in one server.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import type { Status } from "../../src/supervisor/status.js";
import { frontOf, statusAt, until } from "../faults/server.js";
import { descendants, waitUntilGone } from "../support/processes.js";
import { python, removeFolder, temporaryFolder } from "../support/tools.js";
import { startVivarium, type Vivarium, vivarium } from "../support/vivarium.js";

/** Says its name, and its process; dies when asked to. */
const application = (name: string): string => `import os, sys
print("imported", flush=True)
def app(environ, start_response):
    if environ["PATH_INFO"] == "/die":
        os._exit(7)
    if environ["PATH_INFO"] == "/say":
        print("said", flush=True)
    start_response("200 OK", [])
    return [("${name} %s %d" % (environ["SCRIPT_NAME"], os.getpid())).encode()]
`;

const SETTINGS = `access-log = "off"
[pool.shop]
target = "shop:app"
chdir = "shop"
workers = 2
[pool.blog]
target = "blog:app"
chdir = "blog"
workers = 1
threads = 1
[[mount]]
pool = "shop"
[[mount]]
path = "/blog"
pool = "blog"
`;

let folder = "";
before(() => {
  folder = temporaryFolder("pools");
  for (const name of ["shop", "blog"]) {
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, `${name}.py`), application(name));
  }
  writeFileSync(join(folder, "vivarium.toml"), SETTINGS);
});
after(() => removeFolder(folder));

describe("two pools in one server", () => {
  let server: Vivarium;
  beforeEach(async () => {
    server = await startVivarium(undefined, { cwd: folder });
  });
  afterEach(async () => {
    await server.stop();
  });
  const text = async (path: string): Promise<string> => await (await fetch(`${server.url}${path}`)).text();
  const status = (): Promise<Status> => statusAt(server.control);
  const workers = async (): Promise<readonly (readonly [number, string, string])[]> =>
    (await status()).workers.map(({ id, pool, state }) => [id, pool, state]);
  const all = [
    [1, "shop", "ready"],
    [2, "shop", "ready"],
    [3, "blog", "ready"],
  ];
  const pidOf = async (worker: number): Promise<number> => {
    const { pid = 0 } = (await status()).workers.find(({ id }) => id === worker) ?? {};
    assert.notEqual(pid, 0);
    return pid;
  };

  test("each application answers at its place; workers are numbered through", async () => {
    assert.match(await text("/"), /^shop {2}\d+$/u);
    assert.match(await text("/blog/x"), /^blog \/blog \d+$/u);
    assert.deepEqual(await workers(), all);
    const { pools, mounts, name } = await status();
    assert.equal(name, "shop:app, blog:app");
    assert.deepEqual(
      mounts.map(({ path, tries }) => [path, tries]),
      [
        ["", ["pool shop"]],
        ["/blog", ["pool blog"]],
      ],
    );
    assert.deepEqual(
      pools.map((pool) => [pool.name, pool.application, pool.chdir, pool.threadsMost]),
      [
        ["shop", "shop:app", join(folder, "shop"), 8],
        ["blog", "blog:app", join(folder, "blog"), 1],
      ],
    );
    assert.equal(new Set(pools.map((pool) => pool.spawner.pid)).size, 2);
    const requests = (await status()).workers.filter(({ pool }) => pool === "blog").map((worker) => worker.requests);
    assert.deepEqual(requests, [1]);
  });

  test("the screen shows both, and where they are", () => {
    const { output, url } = server;
    assert.match(output, new RegExp(`^ {2}address {6}${url}$`, "mu"));
    assert.match(output, /^ {2}mounts {7}\/ {6}pool shop\n {15}\/blog {2}pool blog$/mu);
    assert.match(output, /^ {2}pools {8}shop: shop:app, Python 3\.\d+\.\d+ \(.+\)\n {17}2 processes, threads as the/mu);
    assert.match(output, /^ {15}blog: blog:app, Python 3\.\d+\.\d+ \(.+\)\n {17}1 process, 1 thread$/mu);
  });

  test("the log names the pool of what an application prints", async () => {
    await text("/blog/say");
    await server.process.line(/\[info\] blog worker 3: said/u);
    assert.match(server.output, /\[info\] shop spawner: imported/u);
    assert.match(server.output, /\[info\] blog spawner: imported/u);
  });

  test("a worker that dies is replaced under its number, and the other pool does not notice", async () => {
    const before = [await pidOf(1), await pidOf(2), await pidOf(3)];
    process.kill(before[2] ?? 0, "SIGKILL");
    await server.process.line(/blog worker 3 \(pid \d+\) was killed by SIGKILL; another takes its place/u);
    await until(async () => JSON.stringify(await workers()) === JSON.stringify(all), "three workers are ready");
    assert.deepEqual([await pidOf(1), await pidOf(2)], before.slice(0, 2));
    assert.notEqual(await pidOf(3), before[2]);
    assert.match(await text("/blog"), /^blog \/blog /u);
  });

  test("a worker that dies of its request is told with its pool; that request is answered 502", async () => {
    const response = await fetch(`${server.url}/blog/die`, { method: "POST" });
    assert.equal(response.status, 502);
    await server.process.line(
      /blog worker 3 \(pid \d+\) died while it executed POST \/blog\/die \(request id \w+\); it is answered 502/u,
    );
    assert.match(await text("/"), /^shop /u);
  });

  test("a spawner that dies is replaced with its workers, and no others", async () => {
    const before = await status();
    const [shop, blog] = before.pools;
    const others = [await pidOf(1), await pidOf(2)];
    process.kill(blog?.spawner.pid ?? 0, "SIGKILL");
    await server.process.line(/The spawner of blog ended \(SIGKILL\); it and its workers are replaced/u);
    await until(async () => JSON.stringify(await workers()) === JSON.stringify(all), "three workers are ready");
    assert.deepEqual([await pidOf(1), await pidOf(2)], others);
    const now = await status();
    assert.equal(now.pools[0]?.spawner.pid, shop?.spawner.pid);
    assert.notEqual(now.pools[1]?.spawner.pid, blog?.spawner.pid);
    assert.match(await text("/blog"), /^blog /u);
  });

  test("a front that dies is replaced, and the workers of both with it", async () => {
    const front = frontOf(await status());
    process.kill(front.pid, "SIGKILL");
    assert.match(await text("/"), /^shop /u);
    assert.match(await text("/blog"), /^blog /u);
    await until(async () => JSON.stringify(await workers()) === JSON.stringify(all), "three workers are ready");
  });
});

describe("a server of two pools of which one cannot start", () => {
  const run = async (broken: string): Promise<{ code: number | null; stderr: string; left: readonly number[] }> => {
    writeFileSync(join(folder, "broken.py"), broken);
    const settings = SETTINGS.replace('"blog:app"', '"broken.py:app"').replace('chdir = "blog"', 'chdir = "."');
    writeFileSync(join(folder, "broken.toml"), settings);
    const family = descendants(process.pid);
    const args = ["run", "--config", join(folder, "broken.toml"), "--python", python(), "--listen", "127.0.0.1:0"];
    const { code, stderr } = await vivarium([...args, "--control", join(folder, "control")], { cwd: folder });
    return { code, stderr, left: await waitUntilGone(descendants(process.pid).filter((pid) => !family.includes(pid))) };
  };

  test("does not start: traceback, one sentence, status 1, and no process is left", async () => {
    const { code, stderr, left } = await run("1 / 0\n");
    assert.equal(code, 1);
    assert.match(stderr, /ZeroDivisionError: division by zero\n/u);
    assert.match(stderr, /\nvivarium: The application broken\.py:app could not be [^\n]+\.\n/u);
    assert.deepEqual(left, []);
  });

  test("says which of them ended Python", async () => {
    const { code, stderr } = await run("import os\nos._exit(9)\n");
    assert.equal(code, 1);
    assert.match(stderr, /vivarium: Python ended with status 9 while it imported the application of blog\.$/mu);
  });

  test("vivarium check says so before", async () => {
    writeFileSync(join(folder, "broken.py"), "1 / 0\n");
    const toml = readFileSync(join(folder, "broken.toml"), "utf8");
    assert.match(toml, /broken\.py/u);
    const check = await vivarium(["check", "--config", join(folder, "broken.toml"), "--python", python()]);
    assert.deepEqual([check.code, check.stdout], [1, ""]);
    assert.match(check.stderr, /vivarium: The application broken\.py:app could not be imported/u);
  });
});

test("vivarium check shows every pool, where it is mounted, and that all load", async () => {
  const { code, stdout, stderr } = await vivarium(["check", "--python", python()], { cwd: folder });
  assert.deepEqual([code, stderr], [0, "imported\nimported\n"]);
  assert.match(stdout, /^mounts {6}\/ {6}pool shop\n {12}\/blog {2}pool blog\n/mu);
  assert.match(stdout, /^pool {8}shop\n {2}application shop:app \(WSGI\)\n/mu);
  assert.match(stdout, /^pool {8}blog\n(.*\n){2} {2}workers {3}1, forked/mu);
  assert.match(stdout, /^The applications load; this would run\.$/mu);
});
