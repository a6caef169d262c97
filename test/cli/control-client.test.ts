import assert from "node:assert/strict";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { ask, findServer } from "../../src/cli/control-client.js";
import { type ControlServerOptions, startControlServer } from "../support/control-server.js";
import type { RunningProcess } from "../support/processes.js";
import { removeFolder, temporaryFolder } from "../support/tools.js";

let folder = "";
let runtime = "";
let environment: Readonly<Record<string, string>> = {};
let counted = 0;
const started: RunningProcess[] = [];

before(() => {
  folder = temporaryFolder("client");
});
beforeEach(() => {
  counted += 1;
  runtime = join(folder, `run-${counted}`, "vivarium");
  mkdirSync(runtime, { recursive: true, mode: 0o700 });
  environment = { XDG_RUNTIME_DIR: join(folder, `run-${counted}`) };
});
after(async () => {
  await Promise.all(started.map((server) => server.stop()));
  removeFolder(folder);
});

async function serve(name: string, options: Omit<ControlServerOptions, "path"> = {}): Promise<RunningProcess> {
  const server = await startControlServer({ path: name.startsWith("/") ? name : join(runtime, name), ...options });
  started.push(server);
  return server;
}

const find = (cwd = "/", control?: string): ReturnType<typeof findServer> => findServer({ cwd, environment, control });

describe("the server that is meant", () => {
  test("is the only one there is", async () => {
    const server = await serve("guestbook-1.sock");
    const found = await find();
    assert.equal(found.status.pid, server.pid);
    assert.equal(found.path, join(runtime, "guestbook-1.sock"));
  });

  test("of several is the one that runs in the current directory", async () => {
    await serve("a-1.sock", { status: { chdir: "/" } });
    const here = await serve("b-2.sock", { status: { chdir: folder } });
    assert.equal((await find(folder)).status.pid, here.pid);
  });

  test("is not guessed: several are listed with what to do", async () => {
    await serve("a-1.sock", { status: { name: "one:app" } });
    await serve("b-2.sock", { status: { name: "two:app" } });
    await assert.rejects(find(), (error: Error & { code?: string }) => {
      assert.equal(error.code, "ERR_CONTROL_SEVERAL");
      assert.match(error.message, /^2 servers are running; say which by one of these:\n/u);
      assert.match(error.message, /--control \S+\/a-1\.sock {3}one:app, http:\/\/127\.0\.0\.1:8000/u);
      assert.match(error.message, /--control \S+\/b-2\.sock {3}two:app/u);
      return true;
    });
  });

  test("is not one that was killed: its socket is removed", async () => {
    const dead = await serve("dead-1.sock");
    const alive = await serve("alive-2.sock");
    await dead.stop("SIGKILL");
    assert.ok(existsSync(join(runtime, "dead-1.sock")));
    assert.equal((await find()).status.pid, alive.pid);
    assert.ok(!existsSync(join(runtime, "dead-1.sock")));
  });

  test("is the one --control names, wherever that is", async () => {
    await serve("a-1.sock");
    const named = await serve(join(folder, "named.sock"));
    assert.equal((await find(folder, "named.sock")).status.pid, named.pid);
  });

  test("is the one whose control the vivarium.toml here names", async () => {
    await serve("a-1.sock");
    const site = join(folder, "site");
    mkdirSync(site);
    writeFileSync(join(site, "vivarium.toml"), 'target = "a:b"\ncontrol = "site.sock"');
    const named = await serve(join(site, "site.sock"));
    assert.equal((await find(site)).status.pid, named.pid);
  });

  test("is nobody where none runs", async () => {
    await assert.rejects(find(), { code: "ERR_CONTROL_NONE", message: /^No server of this user is running/u });
    await assert.rejects(find("/", join(folder, "none.sock")), {
      code: "ERR_CONTROL_NONE",
      message: /nobody answers at/u,
    });
    environment = { XDG_RUNTIME_DIR: join(folder, "never-made") };
    await assert.rejects(find(), { code: "ERR_CONTROL_NONE" });
  });

  test("is looked for only in a directory that is the user's own", async () => {
    const { chmodSync } = await import("node:fs");
    await serve("a-1.sock");
    chmodSync(runtime, 0o777);
    await assert.rejects(find(), { code: "ERR_CONTROL_DIRECTORY" });
  });

  test("must answer with a status", async () => {
    await serve("a-1.sock", { answer: '{"version":"9"}\n' });
    await assert.rejects(find(), { code: "ERR_CONTROL_ANSWER", message: /may be of another version/u });
  });

  test("that does not answer does not hide another that does", async () => {
    await serve("a-1.sock", { answer: "" });
    const other = await serve("b-2.sock");
    assert.equal((await find()).status.pid, other.pid);
  });
});

describe("an answer", () => {
  test("that is not JSON, or none, is told", async () => {
    await serve("a-1.sock", { answer: "hello\n" });
    await serve("b-2.sock", { answer: "" });
    const rejected = { code: "ERR_CONTROL_ANSWER" };
    await assert.rejects(ask(join(runtime, "a-1.sock"), { command: "status" }), {
      ...rejected,
      message: /other than JSON/u,
    });
    await assert.rejects(ask(join(runtime, "b-2.sock"), { command: "status" }), {
      ...rejected,
      message: /without an answer/u,
    });
  });

  test("keeps what a newer server tells beyond what is known", async () => {
    const { exampleStatus } = await import("../support/control-server.js");
    const newer = JSON.stringify({ ...exampleStatus, generation: 7 });
    await serve("a-1.sock", { answer: `${newer}\n` });
    assert.deepEqual((await find()).raw, JSON.parse(newer));
  });
});
