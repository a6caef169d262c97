// More requests than the workers can take, from clients that never retry.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, test } from "node:test";
import { values } from "../conformance/wsgi/connection.js";
import { type Ask, Load } from "../support/load.js";
import { promised } from "../support/promises.js";
import { removeFolder, temporaryFolder } from "../support/tools.js";
import { request, type Server, until } from "./server.js";

/** Request and answer of a client's, known from all others. */
function asks(query: string): (client: number, number: number) => Ask {
  return (client, number) => ({ path: `/${client}-${number}${query}`, right: `${client}-${number}` });
}

const overloaded = (option: string): RegExp =>
  new RegExp(`^warning pool: The server is overloaded: .* \\(${option}\\)\\. What is too much is answered 503\\.$`);
const over = /^warning pool: The overload of the application is over: \d+ requests? (?:was|were) answered 503 in /;

/** Waits until so many requests wait for a worker. */
async function queued(server: Server, length: number): Promise<void> {
  await until(async () => (await server.pool()).queue === length, `${length} requests wait`);
}

/** Requests that execute until they are released, one for each thread there is. */
async function occupy(server: Server, threads: number): Promise<void> {
  for (let n = 0; n < threads; n += 1) {
    server.begin(`/busy-${n}?note&wait=go`);
    await server.recorded(`busy-${n}`);
  }
}

describe("more clients than the queue has room for", () => {
  test("as many as may wait their turn, the others are told at once when to come again, and then all is as before", () =>
    promised(
      {
        args: ["--workers", "2", "--threads", "8", "--queue", "100"],
        expected: [overloaded("--queue"), over],
      },
      async (server) => {
        const load = new Load({ port: server.vivarium.port, clients: 400, ask: asks("?sleep=20") });
        await until(() => load.counts.right > 500 && load.counts["5xx"] > 500, "many are answered, many are not");
        await load.stop();
        assert.deepEqual(Object.keys(load.wrong), ["5xx"]);
        for (const { status, received } of load.failures) {
          assert.equal(status, 503);
          assert.match(received, /\r\nRetry-After: (?:[1-9]|[12]\d|30)\r\n/);
          assert.match(received, /\n\nRequest id: [0-9a-f]{16}\n$/);
        }
        const after = new Load({ port: server.vivarium.port, clients: 16, ask: asks("?sleep=1") });
        await until(() => after.requests > 200, "others are answered");
        await after.stop();
        assert.deepEqual(after.wrong, {});
      },
    ));

  test("with room enough nobody is refused", () =>
    promised({ args: ["--workers", "2", "--threads", "8"] }, async (server) => {
      const load = new Load({ port: server.vivarium.port, clients: 500, ask: asks("?sleep=5"), connectionEach: true });
      await until(() => load.requests > 1500, "many are answered");
      await load.stop();
      assert.deepEqual(load.wrong, {});
    }));
});

describe("more clients at once than a front comes to accept", () => {
  test("wait in the backlog, beyond what Node would let wait by itself, and are answered", () =>
    promised({ args: ["--workers", "1", "--threads", "2"] }, async (server) => {
      const fronts = (await server.status()).fronts.map(({ pid }) => pid);
      for (const pid of fronts) process.kill(pid, "SIGSTOP");
      const sockets = Array.from({ length: 1000 }, () => connect({ port: server.vivarium.port, host: "127.0.0.1" }));
      try {
        // A client that finds no place in the backlog has no connection until the front accepts again.
        const signal = AbortSignal.timeout(20_000);
        await Promise.all(sockets.map((socket) => once(socket, "connect", { signal })));
      } finally {
        for (const pid of fronts) process.kill(pid, "SIGCONT");
      }
      for (const socket of sockets) socket.write("GET /here HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
      for (const answer of await Promise.all(sockets.map(text)))
        assert.match(answer, /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\nhere$/s);
    }));
});

describe("while every worker has its hands full", () => {
  test("a request that waits too long is answered 503, and is never executed", () =>
    promised(
      {
        args: ["--workers", "1", "--threads", "2", "--queue-timeout", "0.3"],
        expected: [overloaded("--queue-timeout"), over],
      },
      async (server) => {
        await occupy(server, 2);
        const waiting = [1, 2, 3].map((n) => server.begin(`/late-${n}?note`));
        for (const connection of waiting) {
          const response = await connection.response();
          assert.equal(response.status, 503);
          assert.equal(values(response, "Retry-After").length, 1);
        }
        server.release("go");
        assert.equal(await server.text("/next?note"), "next");
        assert.deepEqual(server.record().sort(), ["busy-0", "busy-1", "next"]);
      },
    ));

  test("the request of a client that leaves meanwhile is never executed", () =>
    promised({ args: ["--workers", "1", "--threads", "2"] }, async (server) => {
      await occupy(server, 2);
      const waiting = [1, 2, 3].map((n) => server.begin(`/left-${n}?note`));
      await queued(server, 3);
      for (const connection of waiting) connection.leave();
      await queued(server, 0);
      server.release("go");
      assert.equal(await server.text("/next?note"), "next");
      assert.deepEqual(server.record().sort(), ["busy-0", "busy-1", "next"]);
    }));

  test("files and the status are answered", async () => {
    const folder = temporaryFolder("public");
    mkdirSync(join(folder, "public"));
    writeFileSync(join(folder, "public/x.txt"), "a file");
    try {
      await promised(
        {
          args: ["--workers", "1", "--threads", "1", "--queue", "1", "--static", `/static=${join(folder, "public")}`],
          expected: [overloaded("--queue"), over],
        },
        async (server) => {
          await occupy(server, 1);
          const waiting = server.begin("/waiting");
          await queued(server, 1);
          assert.equal((await server.get("/more")).status, 503);
          assert.equal(await server.text("/static/x.txt"), "a file");
          const pool = await server.pool();
          assert.equal(pool.queue, 1);
          server.release("go");
          assert.equal((await waiting.response()).text, "waiting");
        },
      );
    } finally {
      removeFolder(folder);
    }
  });

  test("with --queue 0 nothing waits", () =>
    promised(
      { args: ["--workers", "1", "--threads", "1", "--queue", "0"], expected: [overloaded("--queue"), over] },
      async (server) => {
        assert.equal(await server.text("/one"), "one");
        await occupy(server, 1);
        const connection = server.connection();
        connection.send(request("/two"));
        assert.equal((await connection.response()).status, 503);
        server.release("go");
      },
    ));
});
