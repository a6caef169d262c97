import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { request, Server, until } from "../faults/server.js";
import { accepts } from "../support/ports.js";
import { descendants, start, waitUntilGone } from "../support/processes.js";
import { root } from "../support/tools.js";
import { vivarium } from "../support/vivarium.js";

describe("stopping", () => {
  for (const signal of ["SIGTERM", "SIGINT", "SIGQUIT"] as const) {
    test(`${signal}: running requests are answered, streams finished, idle connections closed; exit status 0`, async () => {
      const server = await Server.start({ args: ["--workers", "2", "--threads", "4"] });
      const idle = server.begin("/idle");
      assert.equal((await idle.response()).text, "idle");
      const slow = server.begin("/wait/slow");
      const stream = server.begin("/stream/stream");
      await server.recorded("begin slow");
      await stream.received("one");
      server.vivarium.process.kill(signal);
      await server.logged(/Stopping: running requests finish first/);
      assert.equal(await idle.ended(), true);
      // Whoever comes now is refused, not kept waiting.
      await until(async () => !(await accepts(server.vivarium.port)), "new connections are refused");
      assert.equal(server.vivarium.process.exit, undefined);
      server.release("slow");
      const answer = await slow.response();
      assert.deepEqual([answer.status, answer.text, answer.whole], [200, "waited", true]);
      assert.equal(await slow.ended(), true);
      server.release("stream");
      const streamed = await stream.response();
      assert.deepEqual([streamed.text, streamed.whole], ["onetwothreefourfivesixseveneightnine", true]);
      assert.deepEqual(await server.vivarium.process.exited, { code: 0, signal: null });
      assert.deepEqual(server.record().filter((line) => line === "atexit").length >= 2, true, server.record().join());
      await server.stop();
    });
  }

  test("what workers print as they end is in the log", async () => {
    const source = `import atexit
atexit.register(print, "good night")
def app(environ, start_response):
    start_response("200 OK", [])
    return [b""]
`;
    const server = await Server.start({ target: "night:app", files: { "night.py": source }, args: ["--workers", "2"] });
    await server.stop();
    for (const worker of [1, 2]) assert.match(server.output, new RegExp(`worker ${worker}: good night$`, "m"));
  });

  test("requests that still wait for a worker are executed before the end", async () => {
    const server = await Server.start({ args: ["--workers", "1", "--threads", "1"] });
    const slow = server.begin("/wait/slow");
    await server.recorded("begin slow");
    const waiting = ["a", "b", "c"].map((name) => server.begin(`/${name}`));
    await until(async () => (await server.front()).requests === 4, "four requests have arrived");
    server.vivarium.process.kill("SIGTERM");
    await server.logged(/Stopping/);
    server.release("slow");
    assert.equal((await slow.response()).text, "waited");
    const texts = await Promise.all(waiting.map(async (connection) => (await connection.response()).text));
    assert.deepEqual(texts, ["a", "b", "c"]);
    assert.equal((await server.vivarium.process.exited).code, 0);
    await server.stop();
  });

  test("a second signal stops at once", async () => {
    const server = await Server.start();
    const slow = server.begin("/wait/never");
    await server.recorded("begin never");
    server.vivarium.process.kill("SIGTERM");
    await server.logged(/Stopping: running requests finish first/);
    await delay(300); // sooner it would be taken for an echo of the first
    server.vivarium.process.kill("SIGTERM");
    assert.deepEqual(await server.vivarium.process.exited, { code: 0, signal: null });
    assert.match(server.output, /Stopping at once/);
    await assert.rejects(slow.response());
    await server.stop();
  });

  test("a signal that comes twice, as Ctrl-C does through npm, lets running requests finish", async () => {
    const server = await Server.start();
    const slow = server.begin("/wait/slow");
    await server.recorded("begin slow");
    server.vivarium.process.kill("SIGINT");
    server.vivarium.process.kill("SIGTERM");
    await server.logged(/Stopping: running requests finish first/);
    server.release("slow");
    assert.equal((await slow.response()).text, "waited");
    assert.deepEqual(await server.vivarium.process.exited, { code: 0, signal: null });
    await server.stop();
  });

  test("requests that take longer than --graceful-timeout are given up", async () => {
    const server = await Server.start({ args: ["--graceful-timeout", "1", "--access-log", "-"] });
    server.begin("/wait/never");
    await server.recorded("begin never");
    server.vivarium.process.kill("SIGTERM");
    assert.deepEqual(await server.vivarium.process.exited, { code: 0, signal: null });
    assert.match(server.output, /Requests still run after 1 s \(--graceful-timeout\); they are ended/);
    assert.match(server.output, /"GET \/wait\/never HTTP\/1\.1" 499 /);
    await server.stop();
  });

  test("a client that does not read its response does not hold up the end longer than the graceful timeout", async () => {
    const server = await Server.start({ args: ["--graceful-timeout", "1"] });
    const reader = server.begin("/mebibytes/64");
    await reader.received("HTTP/1.1 200");
    reader.stopReading();
    server.vivarium.process.kill("SIGTERM");
    assert.equal((await server.vivarium.process.exited).code, 0);
    await server.stop();
  });

  test("a stop while the application is still imported ends it", async () => {
    const starting = start(process.execPath, [
      `${root}/bin/vivarium.js`,
      ...["run", "slow:app", "--listen", "http://127.0.0.1:0", "--chdir", `${root}/test/supervisor/slow_import`],
    ]);
    await starting.line(/importing/);
    const family = descendants(starting.pid);
    starting.kill("SIGTERM");
    assert.equal((await starting.exited).signal, null);
    assert.deepEqual(await waitUntilGone(family), []);
  });

  test("vivarium stop does as TERM does", async () => {
    const server = await Server.start();
    const slow = server.begin("/wait/slow");
    await server.recorded("begin slow");
    const stopping = vivarium(["stop", "--control", server.vivarium.control]);
    await server.logged(/Stopping/);
    server.release("slow");
    assert.equal((await slow.response()).text, "waited");
    const { code, stderr } = await stopping;
    assert.equal(code, 0, stderr);
    assert.equal(server.vivarium.process.exit?.code ?? (await server.vivarium.process.exited).code, 0);
    assert.equal(existsSync(server.vivarium.control), false);
    await server.stop();
  });

  test("a connection that is kept alive is told that it closes", async () => {
    const server = await Server.start();
    const connection = server.begin("/wait/slow");
    await server.recorded("begin slow");
    server.vivarium.process.kill("SIGTERM");
    await server.logged(/Stopping/);
    await until(async () => !(await accepts(server.vivarium.port)), "the front has heard of it too");
    connection.send(request("/behind"));
    server.release("slow");
    const { fields } = await connection.response();
    assert.ok(
      fields.some(([name, value]) => name.toLowerCase() === "connection" && value === "close"),
      JSON.stringify(fields),
    );
    assert.equal((await server.vivarium.process.exited).code, 0);
    await server.stop();
  });
});
