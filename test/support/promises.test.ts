// The tools of the tests of promises are held to what they say: what they miss, every such test would miss.
import assert from "node:assert/strict";
import { createServer, type Server, type Socket } from "node:net";
import { describe, test } from "node:test";
import { Load, type LoadOptions } from "./load.js";
import { freePort } from "./ports.js";
import { logLines, promised } from "./promises.js";

/** A server that answers each request with these octets, and then perhaps ends the connection. */
async function withServer(answer: (socket: Socket) => void, act: (port: number) => Promise<void>): Promise<void> {
  const server: Server = createServer((socket) => {
    socket.on("data", () => answer(socket));
    socket.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  try {
    await act(typeof address === "object" && address !== null ? address.port : 0);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

/** What one client counts of its first request. */
async function first(port: number, options: Partial<LoadOptions> = {}): Promise<Load> {
  const load = new Load({ port, clients: 1, ask: () => ({ path: "/", right: "yes" }), ...options });
  await load.stop();
  return load;
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";

describe("a client that never retries", () => {
  for (const [outcome, answer] of [
    ["right", (socket) => socket.write(`${ok}yes`)],
    [
      "right",
      (socket) => socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nye\r\n1\r\ns\r\n0\r\n\r\n"),
    ],
    ["right", (socket) => socket.end("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nyes")],
    ["wrong content", (socket) => socket.write(`${ok}not`)],
    ["wrong content", (socket) => socket.write("HTTP/1.1 302 Found\r\nContent-Length: 3\r\n\r\nyes")],
    ["4xx", (socket) => socket.write("HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nyes")],
    ["5xx", (socket) => socket.write("HTTP/1.1 503 No\r\nContent-Length: 3\r\n\r\nyes")],
    ["reset", (socket) => socket.end("HTTP/1.1 200 OK\r\n")],
    ["reset", (socket) => socket.resetAndDestroy()],
    ["truncated", (socket) => socket.end(`${ok}ye`)],
    ["truncated", (socket) => socket.end("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nye\r\n1\r\n")],
  ] as const satisfies readonly (readonly [string, (socket: Socket) => unknown])[]) {
    test(`counts as ${outcome}: ${String(answer).replace(/^.*=> /, "")}`, () =>
      withServer(answer, async (port) => {
        const load = await first(port);
        assert.deepEqual([load.requests, load.counts[outcome]], [1, 1]);
        assert.equal(load.failures.length, outcome === "right" ? 0 : 1);
      }));
  }

  test("counts as timed out what is not answered, and as refused where nobody listens", async () => {
    await withServer(
      () => undefined,
      async (port) => assert.deepEqual((await first(port, { patience: 10 })).wrong, { "timed out": 1 }),
    );
    assert.deepEqual((await first(await freePort())).wrong, { refused: 1 });
  });

  test("uses its connection again, or one for each request", async () => {
    for (const connectionEach of [false, true]) {
      const sockets = new Set<Socket>();
      await withServer(
        (socket) => {
          sockets.add(socket);
          socket.write(`${ok}yes`);
        },
        async (port) => {
          const load = new Load({ port, clients: 2, ask: () => ({ path: "/", right: "yes" }), connectionEach });
          while (load.requests < 20) await new Promise((resolve) => setImmediate(resolve));
          await load.stop();
          assert.deepEqual(load.wrong, {});
          assert.equal(sockets.size, connectionEach ? load.requests : 2);
        },
      );
    }
  });
});

describe("the log of a server under test", () => {
  test("is read line by line, without the start screen, and with what belongs to a message", () => {
    const output = `vivarium 0.1 is serving after 100 ms

  address      http://127.0.0.1:1

  Ctrl-C stops it; so does "vivarium stop".
2026-01-02 03:04:05.678 [error] worker 1: Traceback
  File "x.py", line 1
ValueError
2026-01-02 03:04:05.678 [info] supervisor: Stopping.
`;
    assert.deepEqual(logLines(output), [
      'error worker 1: Traceback\n  File "x.py", line 1\nValueError',
      "info supervisor: Stopping.",
    ]);
  });

  test("fails a test that did not expect a line", async () => {
    const expected = [/^error supervisor: Worker 1 \(pid \d+\) exited with status 7; another takes its place/];
    const act = (): Promise<void> =>
      promised({ args: ["--workers", "1"], expected }, async (server) => {
        await server.get("/die?die");
        await server.get("/on");
      });
    await assert.rejects(act(), /died while it executed GET \/die/);
  });
});
