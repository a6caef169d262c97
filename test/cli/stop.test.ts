import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { startControlServer } from "../support/control-server.js";
import { alive } from "../support/processes.js";
import { removeFolder, temporaryFolder } from "../support/tools.js";
import { vivarium } from "../support/vivarium.js";

describe("vivarium stop", () => {
  let folder = "";
  before(() => {
    folder = temporaryFolder("stop");
  });
  after(() => removeFolder(folder));

  test("returns when the server has gone", async () => {
    const server = await startControlServer({ path: join(folder, "a.sock") });
    const { code, stdout, stderr } = await vivarium(["stop", "--control", "a.sock"], { cwd: folder });
    assert.equal(alive(server.pid), false);
    assert.deepEqual([code, stderr], [0, ""]);
    assert.equal(stdout, `guestbook:application (process ${server.pid}) has stopped.\n`);
    await server.stop();
  });

  test("says so when the server takes longer than --timeout, and leaves it be", async () => {
    const server = await startControlServer({ path: join(folder, "b.sock"), stops: false });
    const args = ["stop", "--control", "b.sock", "--timeout", "0.1"];
    const { code, stderr } = await vivarium(args, { cwd: folder });
    assert.equal(code, 1);
    assert.match(
      stderr,
      new RegExp(`still finishes requests after 0\\.1 seconds; wait on, or .*"kill ${server.pid}"\\.\n$`, "u"),
    );
    assert.equal(alive(server.pid), true);
    await server.stop();
  });

  test("without a server is one sentence and status 1", async () => {
    const { code, stderr } = await vivarium(["stop"], { cwd: folder, env: { XDG_RUNTIME_DIR: folder } });
    assert.equal(code, 1);
    assert.match(stderr, /^vivarium: No server of this user is running[^\n]*\.\n$/u);
  });

  test("leaves a server alone that runs in another directory, and says how to stop it", async () => {
    const runtime = join(folder, "runtime", "vivarium");
    mkdirSync(runtime, { recursive: true, mode: 0o700 });
    const path = join(runtime, `guestbook-${process.pid}.sock`);
    const server = await startControlServer({ path });
    const { code, stderr } = await vivarium(["stop"], {
      cwd: folder,
      env: { XDG_RUNTIME_DIR: join(folder, "runtime") },
    });
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^vivarium: No server is running in this directory\. [^\n]*vivarium stop --control [^\n]*\n$/u,
    );
    assert.ok(stderr.includes(path));
    assert.equal(alive(server.pid), true);
    await server.stop();
  });

  test("with a wrong --timeout is status 2", async () => {
    const { code, stderr } = await vivarium(["stop", "--timeout", "soon"], { cwd: folder });
    assert.equal(code, 2);
    assert.match(stderr, /^vivarium: --timeout must be a number of seconds .*, not "soon"\.\n$/u);
  });
});
