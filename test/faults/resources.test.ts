// What there is not enough of: descriptors, memory, disk.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { describe, test } from "node:test";
import { Connection } from "../conformance/wsgi/connection.js";
import { promised } from "../support/promises.js";
import { startGateway } from "../support/vivarium.js";
import { application, request, type Server, until } from "./server.js";

/** The server and its processes may have so many descriptors. */
const descriptors = 128;
const through = ["sh", "-c", `ulimit -n ${descriptors}; exec "$@"`, "sh"];

const modes = [
  { mode: "daemon", args: ["--workers", "1", "--threads", "2"] },
  { mode: "embedded", args: ["--embedded", "--workers", "1"] },
] as const;

const short = new RegExp(
  `^warning ingress: Descriptors run short: this process may have ${descriptors} \\(ulimit -n, LimitNOFILE=\\)\\. ` +
    "Idle connections are closed for new ones; what there is no room for is answered 503\\.$",
);
const over =
  /^warning ingress: There are descriptors again: (?:1 idle connection was|\d+ idle connections were) closed, and 503 answered \d+ times, in [\d.]+ s\.$/;

/** A request whose last octet is still to come. */
const unfinished = `${request("/x", "Content-Length: 2\r\n", "POST")}a`;

/** Asks on a connection of its own, which stays open; whether it was answered rightly, and not 503. */
async function asks(server: Server): Promise<Connection | undefined> {
  const connection = server.begin("/x");
  const { status, text } = await connection.response();
  if (status === 200) assert.equal(text, "x");
  else assert.equal(status, 503);
  return status === 200 ? connection : undefined;
}

/** More than there can be. */
async function begunUploads(server: Server): Promise<Connection[]> {
  const uploads: Connection[] = [];
  for (let n = 0; n < descriptors; n += 1) {
    const upload = server.connection();
    upload.send(unfinished);
    uploads.push(upload);
  }
  await server.logged(/Descriptors run short/);
  return uploads;
}

for (const { mode, args } of modes) {
  describe(`with more connections than descriptors (${mode})`, () => {
    test("clients that come find room, as idle connections are closed for them, the longest idle first", () =>
      promised({ args, through, expected: [short, over] }, async (server) => {
        const first: Connection[] = [];
        for (let last = await asks(server); last !== undefined; last = await asks(server)) first.push(last);
        // Only what has been idle for a while is closed, so that no client is told so that is just asking.
        await until(async () => (await asks(server)) !== undefined, "one is admitted again");
        assert.equal(await first[0]?.ended(), true);
        const last = first.at(-1);
        last?.send(request("/still"));
        assert.equal((await last?.response())?.text, "still");
        await server.logged(/There are descriptors again/);
      }));

    test("where none is idle those that come are answered 503 at once, and what has begun is finished", () =>
      promised({ args, through, expected: [short, over] }, async (server) => {
        const uploads = await begunUploads(server);
        const late = await server.get("/late");
        assert.equal(late.status, 503);
        assert.match(late.text, /The server has as many connections as it can/);
        let right = 0;
        for (const upload of uploads) {
          upload.send("b");
          const response = await upload.response().catch(() => undefined);
          if (response?.status === 200) {
            assert.equal(response.text, "xab");
            right += 1;
          } else if (response !== undefined) assert.equal(response.status, 503);
          upload.close();
        }
        assert.ok(right > descriptors / 4, `${right} were served`);
        await server.logged(/There are descriptors again/);
        assert.equal(await server.text("/after"), "after");
      }));
  });
}

const mebibyte = 2 ** 20;

/** Octets of memory that the front has, and the most that it had. */
async function memoryOf(server: Server): Promise<{ readonly now: number; readonly most: number }> {
  const { pid } = await server.front();
  const text = readFileSync(`/proc/${pid}/status`, "latin1");
  const octets = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text)?.[1]) * 1024;
  return { now: octets("VmRSS"), most: octets("VmHWM") };
}

for (const { mode, args } of modes) {
  describe(`with more requests than memory (${mode})`, () => {
    // Together they send 312 MiB, none of them more than may be in memory of one request. A read brings up to 64 KiB of each.
    test("of 2,000 clients that upload at once the front keeps as much as it may, and all are answered", () =>
      promised(
        { target: application, args: [...args, "--request-memory-total", "8m", "--queue", "4000"] },
        async (server) => {
          assert.equal((await server.get("/upload")).status, 200);
          const before = await memoryOf(server);
          const most = Buffer.alloc(163_839, "a");
          const clients = Array.from({ length: 2000 }, () => server.connection());
          for (const client of clients) client.send(`${request("/upload", "Content-Length: 163840\r\n", "PUT")}`);
          for (const client of clients) client.send(most);
          await until(() => clients.every((client) => client.unsent === 0), "all has been sent");
          for (const client of clients) client.send("b");
          for (const client of clients) assert.match((await client.response()).text, /^163840 /);
          const after = await memoryOf(server);
          const grown = after.most - before.now;
          assert.ok(grown < 288 * mebibyte, `the front has grown by ${Math.round(grown / mebibyte)} MiB`);
        },
      ));
  });
}

describe("a gateway with more requests than descriptors", () => {
  test("what there is no connection to a server for is answered 503, and the server is not blamed", async () => {
    const held: ServerResponse[] = [];
    let holding = true;
    const behind = createServer((_, response) => {
      if (holding) held.push(response);
      else response.end("right");
    });
    behind.listen(0, "127.0.0.1");
    await once(behind, "listening");
    const address = behind.address();
    const port = typeof address === "object" ? address?.port : 0;
    const args = ["--fronts", "1", "--upstream", `http://127.0.0.1:${port}`, "--access-log", "off"];
    const gateway = await startGateway({ args, through });
    const clients = Array.from({ length: descriptors }, () => new Connection(gateway.port));
    try {
      for (const client of clients) client.send(request("/"));
      await gateway.process.line(/No descriptor is left for a connection \(ulimit -n, LimitNOFILE=\)\./);
      await gateway.process.line(/Descriptors run short/);
      holding = false;
      for (const response of held) response.end("right");
      const answers = await Promise.all(clients.map((client) => client.response().catch(() => undefined)));
      const statuses = answers.flatMap((answer) => (answer === undefined ? [] : [answer.status]));
      assert.deepEqual([...new Set(statuses)].sort(), [200, 503]);
      for (const client of clients) client.close();
      const client = new Connection(gateway.port);
      client.send(request("/"));
      assert.equal((await client.response()).text, "right");
      client.close();
      assert.doesNotMatch(gateway.output, /left out/);
    } finally {
      for (const client of clients) client.close();
      await gateway.stop();
      behind.closeAllConnections();
      behind.close();
    }
  });
});
