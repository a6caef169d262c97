// A server that is told to stop, whatever it is doing: what runs is finished, nobody's request is lost, and nothing is left.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Load } from "../support/load.js";
import { descendants, waitUntilGone } from "../support/processes.js";
import { type PromiseOptions, promised } from "../support/promises.js";
import { vivarium } from "../support/vivarium.js";
import { request, type Server, until } from "./server.js";

const modes = [
  ["workers", ["--workers", "2", "--threads", "4"]],
  ["embedded", ["--embedded", "--workers", "2"]],
] as const;

/** Has `act` end the server, which must exit with 0 and leave no process. */
function ends(options: PromiseOptions, act: (server: Server) => Promise<void>): Promise<void> {
  return promised(options, async (server) => {
    const family = new Set(descendants(server.vivarium.pid));
    const looking = setInterval(() => {
      for (const pid of descendants(server.vivarium.pid)) family.add(pid);
    }, 20);
    try {
      await act(server);
      assert.deepEqual(await server.vivarium.process.exited, { code: 0, signal: null });
    } finally {
      clearInterval(looking);
    }
    assert.deepEqual(await waitUntilGone([...family]), []);
  });
}

function term(server: Server): void {
  server.vivarium.process.kill("SIGTERM");
}

const stopping = /Stopping: running requests finish first/;

describe("a server that is told to stop", () => {
  for (const [mode, args] of modes) {
    for (const connectionEach of [false, true]) {
      const how = connectionEach ? "a connection each" : "kept connections";
      test(`${mode}, under load, over ${how}: each request is answered, or its client was refused before it sent one`, () =>
        ends({ args }, async (server) => {
          const load = new Load({
            port: server.vivarium.port,
            clients: 16,
            connectionEach,
            ask: (client, number) => ({ path: `/${client}-${number}`, right: `${client}-${number}` }),
          });
          await until(() => load.counts.right > 500, "clients are answered");
          term(server);
          await server.vivarium.process.exited;
          await load.stop();
          assert.deepEqual(Object.keys(load.wrong), ["refused"]);
        }));
    }

    test(`${mode}: what runs and what waits is answered, a connection on which nothing runs is closed meanwhile`, () =>
      ends({ args }, async (server) => {
        const idle = server.begin("/idle");
        assert.equal((await idle.response()).text, "idle");
        const running = Array.from({ length: 24 }, (_, n) => server.begin(`/${n}?note&wait=go`));
        const executed = mode === "embedded" ? 1 : 2;
        await until(() => server.record().length >= executed, "some are executed");
        term(server);
        await server.logged(stopping);
        // The process of an embedded application that has it may be executing.
        if (mode === "workers") assert.equal(await idle.ended(), true);
        server.release("go");
        for (const [n, connection] of running.entries()) {
          const { status, text, fields } = await connection.response();
          assert.deepEqual([status, text], [200, `${n}`]);
          // What executes an embedded application hears of the stop when it has.
          if (mode === "embedded") continue;
          const closes = fields.some(([name, value]) => name.toLowerCase() === "connection" && value === "close");
          assert.ok(closes, JSON.stringify(fields));
        }
        assert.equal(await idle.ended(), true);
        assert.equal(server.record().length, 24);
      }));

    test(`${mode}: streams and uploads are finished`, () =>
      ends({ args, target: "shop.py:app", files: { "shop.py": shop } }, async (server) => {
        const stream = server.begin("/stream");
        await stream.received("begun");
        const upload = server.connection();
        upload.send("POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: 6\r\n\r\nabc");
        // It has been read: otherwise nothing would show that anything of it has arrived.
        await until(async () => {
          const { fronts } = await server.status();
          return fronts.reduce((sum, { connections }) => sum + connections, 0) === 2;
        }, "both are accepted");
        term(server);
        await server.logged(stopping);
        upload.send("def");
        assert.equal((await upload.response()).text, "abcdef");
        server.release("go");
        const { text, whole } = await stream.response();
        assert.deepEqual([text.replace(/\.+/, ""), whole], ["begun ended", true]);
      }));

    test(`${mode}: a second signal ends it at once`, () =>
      ends({ args, expected: [/^info supervisor: Stopping at once\.$/] }, async (server) => {
        const running = server.begin("/running?note&wait=never");
        await until(() => server.record().length === 1, "it is executed");
        term(server);
        await server.logged(stopping);
        await delay(300); // sooner it would be taken for an echo of the first
        term(server);
        await assert.rejects(running.response());
      }));

    test(`${mode}: a signal to the whole group of processes, as service managers send, is one signal`, () =>
      ends({ args, detached: true }, async (server) => {
        const running = Array.from({ length: 4 }, (_, n) => server.begin(`/${n}?note&wait=go`));
        await until(() => server.record().length >= 1, "some are executed");
        process.kill(-server.vivarium.pid, "SIGTERM");
        await server.logged(stopping);
        server.release("go");
        for (const [n, connection] of running.entries()) assert.equal((await connection.response()).text, `${n}`);
      }));

    test(`${mode}, while newer code is being loaded: what runs is answered, the newer code is given up`, () =>
      ends(
        {
          args,
          target: "shop.py:app",
          files: { "shop.py": shop },
          expected: [/^info supervisor: Reloading: generation 2 is being loaded\.$/],
        },
        async (server) => {
          const stream = server.begin("/stream");
          await stream.received("begun");
          server.release("slow");
          const reload = vivarium(["reload", "--control", server.vivarium.control]);
          await server.logged(/generation 2 is being loaded/);
          await until(() => server.record().includes("loading"), "it is being loaded");
          term(server);
          await server.logged(stopping);
          server.release("go");
          assert.match((await stream.response()).text, /^begun \.*ended$/);
          assert.notEqual((await reload).code, 0);
        },
      ));
  }

  test("while its workers die again and again: it ends", () => {
    const expected = [
      /^error supervisor: Worker \d \(pid \d+\) exited with status 7; another takes its place/,
      /^(error|warning) pool: Worker \d \(pid \d+\) died while it executed GET/,
      /^error supervisor: No worker is there, and they die again and again: requests are answered 503\.$/,
    ];
    return ends({ args: ["--workers", "2"], expected }, async (server) => {
      const load = new Load({ port: server.vivarium.port, clients: 4, ask: () => ({ path: "/?die", right: "" }) });
      await until(() => load.counts["5xx"] > 4, "workers have died");
      term(server);
      await server.vivarium.process.exited;
      await load.stop();
    });
  });

  test("and whose only worker dies then: what waits for it is answered 503, and it ends", () => {
    const expected = [/^error pool: Worker 1 \(pid \d+\) died while it executed POST/];
    return ends({ args: ["--workers", "1", "--threads", "1"], expected }, async (server) => {
      const executed = server.connection();
      executed.send(request("/executed?note&wait=never", "Content-Length: 0\r\n", "POST"));
      await until(() => server.record().length === 1, "it is executed");
      const waiting = [1, 2, 3].map((n) => server.begin(`/${n}?note`));
      await until(async () => (await server.front()).requests === 4, "all have arrived");
      const [worker] = (await server.status()).workers;
      term(server);
      await server.logged(stopping);
      process.kill(worker?.pid ?? 0, "SIGKILL");
      assert.equal((await executed.response()).status, 502);
      for (const connection of waiting) assert.equal((await connection.response()).status, 503);
      assert.deepEqual(server.record(), ["executed"]);
    });
  });

  test("while its fronts die again and again: it ends", () => {
    const expected = [/^error supervisor: The front ended \(SIGKILL\); another takes its place\.$/];
    return ends({ args: ["--workers", "2"], expected }, async (server) => {
      let stopped = false;
      const killing = (async () => {
        while (!stopped) {
          const { pid } = await server.front().catch(() => ({ pid: 0 }));
          try {
            if (pid !== 0) process.kill(pid, "SIGKILL");
          } catch {
            // It has died since.
          }
        }
      })();
      await server.logged(/(?:The front ended[^\n]*[\s\S]*){3}/);
      term(server);
      await server.vivarium.process.exited;
      stopped = true;
      await killing;
    });
  });
});

const shop = `
import os, time

def record(event):
    with open("record", "a") as file:
        file.write(event + "\\n")

if os.path.exists("slow"):
    record("loading")
    time.sleep(60)

def app(environ, start_response):
    if environ["PATH_INFO"] == "/upload":
        body = environ["wsgi.input"].read()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
    start_response("200 OK", [])
    return stream()

def stream():
    yield b"begun "
    while not os.path.exists("go"):
        time.sleep(0.01)
        yield b"."
    yield b"ended"
`;
