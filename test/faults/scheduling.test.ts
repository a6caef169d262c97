import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Connection } from "../conformance/wsgi/connection.js";
import { request, Server, until } from "./server.js";

const clients = 16;
const requestsEach = 40;

/** Many clients, each with a request after the other; gives what was not answered rightly. */
async function traffic(server: Server, connections: readonly Connection[]): Promise<string[]> {
  const wrong: string[] = [];
  await Promise.all(
    connections.map(async (connection, client) => {
      for (let n = 0; n < requestsEach; n += 1) {
        connection.send(request(`/fast-${client}-${n}`));
        const { text } = await connection.response();
        if (text !== `fast-${client}-${n}`) wrong.push(text);
      }
    }),
  );
  assert.equal((await server.front()).state, "ready");
  return wrong;
}

describe("a slow request among fast ones", () => {
  for (const [workers, threads, slow] of [
    ["2", "8", 1],
    ["2", "8", 8],
    ["1", "2", 1],
    ["2", "1", 1],
    ["2", "auto", 2],
  ] as const) {
    // The slow ones end only when every fast one was answered: had one waited behind them, none of them would end.
    test(`${workers} workers with ${threads} threads, ${slow} slow: no fast one waits for it`, async () => {
      const server = await Server.start({ args: ["--workers", workers, "--threads", threads] });
      try {
        const connections = Array.from({ length: clients }, () => server.connection());
        // What was learnt before: the application is fast, so requests are written ahead.
        assert.deepEqual(await traffic(server, connections), []);
        for (let round = 0; round < 3; round += 1) {
          const answers = traffic(server, connections);
          const waiting = Array.from({ length: slow }, (_, n) => server.begin(`/wait/slow-${round}-${n}`));
          assert.deepEqual(await answers, []);
          for (const [n, connection] of waiting.entries()) {
            server.release(`slow-${round}-${n}`);
            assert.equal((await connection.response()).text, "waited");
          }
        }
        const begun = server.record().filter((line) => line.startsWith("begin fast-"));
        assert.equal(begun.length, clients * requestsEach * 4);
      } finally {
        await server.stop();
      }
    });
  }

  test("pipelined with fast ones: those before it are answered at once, those behind it in order", async () => {
    const server = await Server.start({ args: ["--workers", "2", "--threads", "8"] });
    try {
      const connection = server.connection();
      connection.send(["/one", "/two", "/wait/slow", "/three"].map((path) => request(path)).join(""));
      assert.equal((await connection.response()).text, "one");
      assert.equal((await connection.response()).text, "two");
      server.release("slow");
      assert.equal((await connection.response()).text, "waited");
      assert.equal((await connection.response()).text, "three");
    } finally {
      await server.stop();
    }
  });
});

describe("an application that only waits", () => {
  test("is given as many requests at once as there are threads", async () => {
    const server = await Server.start({ args: ["--workers", "2", "--threads", "4"] });
    try {
      const waiting = Array.from({ length: 8 }, (_, n) => server.begin(`/wait/w-${n}`));
      // None of the eight ends before all have begun.
      await until(() => server.record().filter((line) => line.startsWith("begin w-")).length === 8, "all eight begin");
      for (let n = 0; n < 8; n += 1) server.release(`w-${n}`);
      for (const connection of waiting) assert.equal((await connection.response()).text, "waited");
    } finally {
      await server.stop();
    }
  });
});
