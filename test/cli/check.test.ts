import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Finished } from "../support/processes.js";
import { python, removeFolder, temporaryFolder } from "../support/tools.js";
import { vivarium } from "../support/vivarium.js";

const APPLICATION = "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'']\n";

/** An ASGI application that does so when it starts and shuts down, and says that its start-up is complete or has failed. */
function lifespan(outcome: string, atStart: string, atEnd: string, message = ""): string {
  return `
import asyncio
async def app(scope, receive, send):
    await receive()
    ${atStart}
    await send({"type": "lifespan.startup.${outcome}", "message": "${message}"})
    await receive()
    ${atEnd}
    await send({"type": "lifespan.shutdown.complete"})
`;
}

describe("vivarium check", () => {
  let folder = "";
  const check = (...args: readonly string[]): Promise<Finished> =>
    vivarium(["check", "--python", python(), ...args], { cwd: folder });

  before(() => {
    folder = temporaryFolder("check");
    const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);
    write("good.py", APPLICATION);
    write("chatty.py", `print("hello from the application")\n${APPLICATION}`);
    write(
      "threads.py",
      `import threading, time\nthreading.Thread(target=time.sleep, args=(0.2,)).start()\n${APPLICATION}`,
    );
    write("broken.py", "import nothing_of_this_name\n");
    write("ends.py", "import os\nos._exit(3)\n");
    write("slow.py", "import time\ntime.sleep(600)\n");
    write("other.toml", 'target = "good:app"\nworkers = 3\nthreads = 2\nlisten = "8123"\npreload = false\n');
  });
  after(() => removeFolder(folder));

  test("says what would run", async () => {
    const { code, stdout, stderr } = await check("good:app", "--workers", "2");
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(
      stdout,
      /^application good:app \(WSGI\)\naddress {5}http:\/\/127\.0\.0\.1:8000\nPython {6}3\.\d+\.\d+/u,
    );
    assert.match(stdout, /^workers {5}2, forked from one import of the application$/mu);
    assert.match(stdout, /^threads {5}up to 8 a worker, as measured$/mu);
    assert.match(stdout, /^preload {5}yes$/mu);
  });

  test("takes everything from a file", async () => {
    const { code, stdout } = await check("--config", "other.toml");
    assert.equal(code, 0);
    assert.match(stdout, /^address {5}http:\/\/127\.0\.0\.1:8123$/mu);
    assert.match(stdout, /^workers {5}3, each importing the application itself$/mu);
    assert.match(stdout, /^threads {5}up to 2 a worker$/mu);
    assert.match(stdout, /^settings {4}.*\/other\.toml$/mu);
  });

  test("says that threads started at import prevent forking", async () => {
    const { code, stdout } = await check("threads:app");
    assert.equal(code, 0);
    assert.match(stdout, /^workers .* each importing the application itself, as importing it starts threads$/mu);
    assert.match(stdout, /^preload {5}no$/mu);
  });

  test("what the application prints is not mixed up with the answer", async () => {
    const { code, stdout, stderr } = await check("chatty.py");
    assert.equal(code, 0);
    assert.equal(stderr, "hello from the application\n");
    assert.ok(!stdout.includes("hello"));
  });

  test("an application that does not load: its traceback, one sentence, status 1", async () => {
    const { code, stdout, stderr } = await check("broken:app");
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(stderr, /^Traceback \(most recent call last\):\n {2}File ".*broken\.py", line 1/u);
    assert.match(stderr, /\nvivarium: The application broken:app could not be imported: [^\n]+\.\n$/u);
    assert.ok(!stderr.includes(".js:"), stderr);
  });

  test("an application that ends Python, or takes too long, is one sentence", async () => {
    const ended = await check("ends:app");
    assert.equal(ended.code, 1);
    assert.equal(
      ended.stderr,
      "vivarium: The application ends:app ended Python (exit status 3) before it was ready.\n",
    );
    const late = await check("slow:app", "--boot-timeout", "0.3");
    assert.equal(late.code, 1);
    assert.equal(
      late.stderr,
      "vivarium: The application slow:app was not ready within 0.3 seconds (--boot-timeout).\n",
    );
  });

  test("an ASGI application starts and shuts down", async () => {
    writeFileSync(join(folder, "starts.py"), lifespan("complete", "print('starting')", "print('stopping')"));
    const { code, stdout, stderr } = await check("starts:app", "--event-loop", "asyncio");
    assert.deepEqual([code, stderr], [0, "starting\nstopping\n"]);
    assert.match(stdout, /^event loop {2}asyncio, in which it has started and shut down$/mu);
    assert.match(stdout, /^requests {4}up to 1000 at once in each worker$/mu);
    assert.ok(!stdout.includes("threads"), stdout);
    assert.match(stdout, /^application starts:app \(ASGI\)\n/u);
  });

  test("tasks that an ASGI application leaves behind are cancelled", async () => {
    const task = "scope['state']['task'] = asyncio.ensure_future(asyncio.Event().wait())";
    writeFileSync(join(folder, "leaves.py"), lifespan("complete", task, "pass"));
    const { code, stderr } = await check("leaves:app");
    assert.deepEqual([code, stderr], [0, ""]);
  });

  test("one that does not start is told, with its traceback where it gives one, and status 1", async () => {
    writeFileSync(join(folder, "refuses.py"), lifespan("failed", "pass", "pass", "no database"));
    const refused = await check("refuses:app");
    assert.deepEqual([refused.code, refused.stdout], [1, ""]);
    assert.equal(refused.stderr, "vivarium: The application did not start: it said no database.\n");
    writeFileSync(
      join(folder, "traces.py"),
      lifespan("failed", "pass", "pass", "Traceback:\\n  here\\nKeyError: 1\\n"),
    );
    const traced = await check("traces:app");
    assert.equal(
      traced.stderr,
      "Traceback:\n  here\nKeyError: 1\nvivarium: The application did not start: it said KeyError: 1.\n",
    );
  });

  test("one that never says whether it has started is given up", async () => {
    writeFileSync(join(folder, "waits.py"), lifespan("complete", "await asyncio.Event().wait()", "pass"));
    const { code, stderr } = await check("waits:app", "--boot-timeout", "1.5");
    assert.equal(code, 1);
    assert.equal(stderr, "vivarium: The application waits:app was not ready within 1.5 seconds (--boot-timeout).\n");
  });

  test("a wrong configuration is status 2", async () => {
    const { code, stderr } = await check("nowhere/app.py");
    assert.equal(code, 2);
    assert.match(stderr, /^vivarium: TARGET must be an existing file [^\n]*\n$/u);
  });
});
