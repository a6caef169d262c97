import assert from "node:assert/strict";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type RunningProcess, start } from "../support/processes.js";
import { python, removeFolder, root, temporaryFolder } from "../support/tools.js";
import { vivarium } from "../support/vivarium.js";

const APPLICATION = `
def app(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'hello from ' + environ['SCRIPT_NAME'].encode()]
`;

describe("vivarium run, status and stop together", () => {
  let folder = "";
  let site = "";
  let environment: Readonly<Record<string, string>> = {};
  let server: RunningProcess;
  let url = "";

  before(async () => {
    folder = temporaryFolder("commands");
    site = join(folder, "site");
    mkdirSync(site);
    environment = { XDG_RUNTIME_DIR: folder };
    writeFileSync(join(site, "hello.py"), APPLICATION);
    const settings = `target = "hello:app"\nlisten = "127.0.0.1:0"\nworkers = 2\nmount = "/p"\npython = "${python()}"\n`;
    writeFileSync(join(site, "vivarium.toml"), settings);
    server = start(process.execPath, [join(root, "bin/vivarium.js"), "run"], { cwd: site, env: environment });
    [url = ""] = await server.line(/http:\/\/127\.0\.0\.1:\d+/u);
  });
  after(async () => {
    await server.stop();
    removeFolder(folder);
  });

  test("a vivarium.toml is enough to serve", async () => {
    const response = await fetch(`${url}/p/x`);
    assert.equal(await response.text(), "hello from /p");
  });

  test("status finds the server of this directory, and tells what it runs", async () => {
    const { code, stdout, stderr } = await vivarium(["status", "--json"], { cwd: site, env: environment });
    assert.deepEqual([code, stderr], [0, ""]);
    const status = JSON.parse(stdout);
    assert.equal(status.pid, server.pid);
    assert.deepEqual([status.pools[0].application, status.chdir, status.listen], ["hello:app", site, [`${url}/p`]]);
    assert.equal(status.workers.length, 2);
  });

  test("another server on its port is told who has it", async () => {
    const args = ["run", "hello:app", "--no-config", "--python", python(), "--listen", url];
    const { code, stderr } = await vivarium(args, { cwd: site, env: environment });
    assert.equal(code, 1);
    assert.match(
      stderr,
      new RegExp(`vivarium: Cannot listen on ${url}: port \\d+ is in use by [^\\n]+; stop that server`, "u"),
    );
    assert.ok(!stderr.includes("    at "), stderr);
  });

  test("stop ends it, with status 0 and no control socket left", async () => {
    const { code, stdout } = await vivarium(["stop"], { cwd: site, env: environment });
    assert.equal(code, 0);
    assert.equal(stdout, `hello:app (process ${server.pid}) has stopped.\n`);
    assert.deepEqual(await server.exited, { code: 0, signal: null });
    assert.deepEqual(readdirSync(join(folder, "vivarium")), []);
  });
});
