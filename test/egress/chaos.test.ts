// Servers that do anything, clients that leave, and time that passes, left to chance by a seed: every request comes to an end,
// nobody gets another's answer, and nothing is left behind.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { UpstreamServer } from "../../src/config/config.js";
import type { Body } from "../../src/exchange.js";
import { random } from "../pool/random.js";
import {
  type Accepted,
  eventually,
  type FakeExchange,
  fakeServer,
  freePort,
  groupOf,
  serverAt,
  settle,
} from "./support.js";

type Chance = (bound: number) => number;

/** The id in a request's octets, by which answers are told apart. */
const idOf = /x.id[^0-9]*(\d+)/i;

/** What a server says to a request: most often the answer, else something else. */
function behave(connection: Accepted, request: string, chance: Chance, closes: boolean): void {
  const { socket } = connection;
  const id = idOf.exec(request)?.[1] ?? "";
  const body = `${id} ${"x".repeat(chance(4) === 0 ? chance(200_000) : chance(50))}.`;
  const close = closes || chance(5) === 0 ? "Connection: close\r\n" : "";
  const head = `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n${close}\r\n`;
  const whole = Buffer.from(head + body, "latin1");
  const cut = chance(whole.length);
  switch (chance(12)) {
    case 0:
      socket.destroy();
      return;
    case 1:
      socket.resetAndDestroy();
      return;
    case 2:
      socket.write(whole.subarray(0, cut), () => socket.destroy());
      return;
    case 3:
      socket.end("garbage\r\n\r\n");
      return;
    case 4: // says nothing, or no more
      socket.write(whole.subarray(0, chance(2) * cut));
      return;
    case 5: // without a word about it
      socket.end(whole);
      return;
    case 6: {
      const size = body.length.toString(16);
      socket.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${size}\r\n${body}\r\n`);
      setImmediate(() => socket.write("0\r\n\r\n"));
      return;
    }
    default:
      socket.write(whole.subarray(0, cut));
      setImmediate(() => {
        if (close === "") socket.write(whole.subarray(cut));
        else socket.end(whole.subarray(cut));
      });
  }
}

/** Serves what comes on a connection, one request after another. */
function serve(connection: Accepted, chance: Chance, closes: boolean): void {
  let at = 0;
  connection.socket.on("data", () => {
    const request = connection.received.slice(at);
    const ends = closes ? idOf.test(request) : request.includes("\r\n\r\n");
    const length = Number(/content-length: (\d+)/i.exec(request)?.[1] ?? 0);
    if (!ends || (!closes && request.length < request.indexOf("\r\n\r\n") + 4 + length)) return;
    at = connection.received.length;
    behave(connection, request, chance, closes);
  });
}

async function servers(context: TestContext, chance: Chance): Promise<UpstreamServer[]> {
  const all: UpstreamServer[] = [];
  for (let count = 1 + chance(3); count > 0; count -= 1) {
    const uwsgi = chance(3) === 0;
    const { port } = await fakeServer(context, (connection) => serve(connection, chance, uwsgi));
    all.push(serverAt(port, { protocol: uwsgi ? "uwsgi" : "http", weight: 1 + chance(2), backup: chance(5) === 0 }));
  }
  if (chance(3) === 0) all.push(serverAt(await freePort()));
  return all;
}

function bodyOf(method: string, chance: Chance): Body {
  if (!method.startsWith("P")) return { kind: "empty" };
  return { kind: "memory", bytes: Buffer.alloc(1 + chance(100_000), "b") };
}

for (let seed = 1; seed <= 8; seed += 1) {
  test(`whatever servers do (seed ${seed})`, async (context) => {
    const chance = random(seed);
    const all = await servers(context, chance);
    const { group, send, pass } = groupOf(context, all, { firstByteTimeout: 3, idleTimeout: 3, failTimeout: 1 });
    const exchanges: FakeExchange[] = [];
    const left = new Set<FakeExchange>();
    for (let id = 0; id < 120; id += 1) {
      const method = ["GET", "GET", "PUT", "POST"][chance(4)] ?? "GET";
      const exchange = send({ method, variables: { HTTP_X_ID: String(id) }, body: bodyOf(method, chance) });
      exchanges.push(exchange);
      if (chance(3) === 0) await new Promise((resolve) => setImmediate(resolve));
      const other = exchanges[chance(exchanges.length)];
      if (chance(10) === 0 && other !== undefined && !other.ended) {
        left.add(other);
        other.leave();
      }
      if (chance(20) === 0) pass(1);
    }
    for (let round = 0; round < 30 && exchanges.some(({ ended }) => !ended); round += 1) {
      await settle();
      pass(4);
    }
    await eventually(() => exchanges.every(({ ended }) => ended));
    let answered = 0;
    for (const [id, { outcome, whole, body, refused, wasCut }] of exchanges.entries()) {
      const about = `request ${id}: ${outcome.slice(0, 60)}`;
      if (whole) {
        answered += 1;
        assert.match(body, new RegExp(`^${id} x*\\.$`), about);
      } else if (refused !== undefined) assert.ok([502, 503, 504].includes(refused), about);
      else if (wasCut) assert.ok(`${id} `.startsWith(body.slice(0, String(id).length + 1)), about);
      else assert.ok(left.has(exchanges[id] ?? assert.fail()), about);
    }
    assert.ok(answered > 5, `${answered} answered`);
    for (const { outstanding, connections, url } of group.status().servers) {
      assert.deepEqual([outstanding, connections.busy], [0, 0], url);
    }
  });
}
