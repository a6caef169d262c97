// Clients that send a body or take a response slowly, over each protocol. Time passes when a test says so.
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { type LogLine, logLine } from "../../src/channels.js";
import type { ListenProtocol } from "../../src/config/config.js";
import type { Handler } from "../../src/exchange.js";
import { ticks } from "../../src/net/deadline.js";
import { encodeRequest as encodeFastCgi, encodeInput } from "../../src/protocol/fastcgi/request-encoder.js";
import { encodeRequest as encodeScgi } from "../../src/protocol/scgi/request-encoder.js";
import { encodeRequest as encodeUwsgi } from "../../src/protocol/uwsgi/request-encoder.js";
import { answer, type Client, eventually, headOf, type Served, serve, settle } from "./support.js";

interface Door {
  readonly protocol: ListenProtocol;
  /** A request to /slow with a body of this length, or none: what comes before the body. */
  request(length?: number): readonly Uint8Array[];
  /** Octets of that body. */
  body(octets: Buffer): readonly Uint8Array[];
  readonly tooLate: RegExp;
}

function variables(length: number | undefined): string {
  const pairs = {
    REQUEST_METHOD: length === undefined ? "GET" : "POST",
    REQUEST_URI: "/slow",
    SERVER_PROTOCOL: "HTTP/1.1",
    REMOTE_ADDR: "127.0.0.1",
    HTTP_HOST: "a",
    ...(length === undefined ? {} : { CONTENT_LENGTH: `${length}` }),
  };
  return Object.entries(pairs)
    .map(([name, value]) => `${name}\0${value}`)
    .join("\0");
}

function parts(octets: Uint8Array | readonly Uint8Array[]): readonly Uint8Array[] {
  return octets instanceof Uint8Array ? [octets] : octets;
}

const doors: readonly Door[] = [
  {
    protocol: "http",
    request: (length) => [
      Buffer.from(
        length === undefined
          ? "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"
          : `POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`,
      ),
    ],
    body: (octets) => [octets],
    tooLate: /^HTTP\/1\.1 408 [\s\S]*body arrives too slowly/,
  },
  {
    protocol: "fastcgi",
    request: (length) => parts(encodeFastCgi(1, true, variables(length), undefined, length === undefined)),
    body: (octets) => parts(encodeInput(1, octets, false)),
    tooLate: /Status: 408 [\s\S]*body arrives too slowly/,
  },
  {
    protocol: "scgi",
    request: (length) => [encodeScgi(variables(length), length ?? 0)],
    body: (octets) => [octets],
    tooLate: /^Status: 408 [\s\S]*body arrives too slowly/,
  },
  {
    protocol: "uwsgi",
    request: (length) => [encodeUwsgi(variables(length))],
    body: (octets) => [octets],
    tooLate: /^HTTP\/1\.1 408 [\s\S]*body arrives too slowly/,
  },
];

/** What is logged until the test ends. */
function logged(context: TestContext): string[] {
  const lines: string[] = [];
  const listen = (message: unknown): void => {
    const { level, message: text } = message as LogLine;
    lines.push(`${level}: ${text}`);
  };
  logLine.subscribe(listen);
  context.after(() => logLine.unsubscribe(listen));
  return lines;
}

const megabyte = 2 ** 20;

for (const { protocol, request, body, tooLate } of doors) {
  const start = (context: TestContext, handler: Handler, minRate = 500): Promise<Served> =>
    serve(context, handler, { stallTimeout: 30, minRate }, false, protocol);

  describe(`over ${protocol}, a request's body`, () => {
    const done: Handler = (exchange) => answer(exchange, "done");

    /** Sends pieces of it, so many seconds apart. */
    async function drip(served: Served, client: Client, times: number, octets: number, seconds: number): Promise<void> {
      for (let time = 0; time < times; time += 1) {
        client.send(...body(Buffer.alloc(octets, "x")));
        await settle();
        served.deadlines.advance(ticks(seconds) - (seconds < 30 ? 1 : 0));
        await settle();
      }
    }

    test("may take as long as it likes while it moves fast enough; slower it gets 408, and the log says so", async (t) => {
      const lines = logged(t);
      const served = await start(t, done);
      const client = await served.connect();
      client.send(...request(200_000));
      await settle();
      await drip(served, client, 8, 16_000, 30);
      assert.equal(client.received, "");
      await drip(served, client, 61, 470, 1);
      await client.until(tooLate);
      assert.deepEqual(lines, [
        "info: A client (127.0.0.1) sent less than 500 octets a second of the body of its request to /slow for 30 s (--min-rate, --stall-timeout): it is answered 408.",
      ]);
    });

    test("that stops gets 408, however much of it came at once", async (t) => {
      const served = await start(t, done);
      const client = await served.connect();
      client.send(...request(2_000_000), ...body(Buffer.alloc(1_000_000)));
      await settle();
      served.deadlines.advance(ticks(30));
      await settle();
      assert.equal(client.received, "");
      served.deadlines.advance(ticks(30));
      await client.until(tooLate);
    });

    test("may drip in with --min-rate 0, as long as it does not stop", async (t) => {
      const served = await start(t, done, 0);
      const client = await served.connect();
      client.send(...request(9));
      await settle();
      await drip(served, client, 5, 1, 30);
      assert.equal(client.received, "");
      served.deadlines.advance(ticks(30));
      await client.until(tooLate);
    });
  });

  describe(`over ${protocol}, a response`, () => {
    /** Asks for a long response, of which it takes nothing at first. */
    async function asked(context: TestContext, left: () => void): Promise<[Served, Client]> {
      const served = await start(context, (exchange) => {
        exchange.onGone = left;
        exchange.respond(headOf(200), Buffer.alloc(32 * megabyte), false);
      });
      const client = await served.connect();
      client.socket.pause();
      client.send(...request());
      await eventually(() => served.ingress.requests === 1);
      await settle();
      return [served, client];
    }

    test("of which a client takes nothing is given up, and the log says so", async (t) => {
      const lines = logged(t);
      let gone = false;
      const [served] = await asked(t, () => {
        gone = true;
      });
      served.deadlines.advance(ticks(30));
      await settle();
      assert.equal(gone, false);
      await eventually(() => {
        served.deadlines.advance(ticks(30));
        return gone;
      });
      assert.equal(served.ingress.connections, 0);
      assert.deepEqual(lines, [
        "info: A client (127.0.0.1) took less than 500 octets a second of the response to /slow for 30 s (--min-rate, --stall-timeout): its connection is closed.",
      ]);
    });

    test("goes on for as long as a client takes some, though the kernel asks for no more for long", async (t) => {
      const [served, client] = await asked(t, () => undefined);
      for (let times = 0; times < 10; times += 1) {
        const wanted = client.received.length + megabyte / 4;
        client.socket.resume();
        await eventually(() => client.received.length >= wanted);
        client.socket.pause();
        await settle();
        served.deadlines.advance(ticks(30));
        await settle();
      }
      assert.equal(served.ingress.connections, 1);
    });

    test("that is whole is waited for in the same way, also when the server stops", async (t) => {
      const lines = logged(t);
      const served = await start(t, (exchange) => exchange.respond(headOf(200), Buffer.alloc(32 * megabyte), true));
      const client = await served.connect();
      client.socket.pause();
      client.send(...request());
      await eventually(() => served.ingress.requests === 1);
      await settle();
      const drained = served.ingress.drain();
      served.deadlines.advance(ticks(10));
      await settle();
      assert.equal(served.ingress.connections, 1);
      await eventually(() => {
        served.deadlines.advance(ticks(30));
        return served.ingress.connections === 0;
      });
      await drained;
      assert.match(lines.join("\n"), /^info: A client \(127\.0\.0\.1\) took less than 500 octets a second/);
    });
  });
}

test("over FastCGI, a request whose body stalls gets 408 while others on its connection go on", async (t) => {
  const served = await serve(t, (exchange) => answer(exchange, "done"), {}, false, "fastcgi");
  const client = await served.connect();
  client.send(...parts(encodeFastCgi(1, true, variables(9), Buffer.from("x"), false)));
  client.send(...parts(encodeFastCgi(2, true, variables(1_000_000), undefined, false)));
  await settle();
  // What it answers to that was read behind all before it.
  const values = Buffer.from("\x01\x09\0\0\0\x11\0\0\x0f\0FCGI_MPXS_CONNS", "latin1");
  for (let times = 0; times < 4; times += 1) {
    client.send(...parts(encodeInput(2, Buffer.alloc(60_000), false)), values);
    await eventually(() => client.received.match(/FCGI_MPXS_CONNS/g)?.length === times + 1);
    served.deadlines.advance(ticks(30));
    await settle();
  }
  assert.equal(client.received.match(/Status: 408 /g)?.length, 1);
  assert.equal(served.ingress.connections, 1);
});

test("over FastCGI, parameters that drip in close their connection after the head's time", async (t) => {
  const served = await serve(t, (exchange) => answer(exchange, "done"), { headTimeout: 10 }, false, "fastcgi");
  const client = await served.connect();
  const [octets = Buffer.alloc(0)] = parts(encodeFastCgi(1, true, variables(undefined), undefined, true));
  for (let at = 0; at < 8; at += 1) {
    client.send(octets.subarray(at * 4, at * 4 + 4));
    await settle();
    served.deadlines.advance(ticks(3));
    await settle();
  }
  await client.untilEnd();
  assert.equal(client.received, "");
});

test("of many slow clients the first is told of, and then their number", async (t) => {
  const lines = logged(t);
  const served = await serve(t, (exchange) => answer(exchange, "done"), { stallTimeout: 1 });
  const clients = await Promise.all([1, 2, 3].map(() => served.connect()));
  for (const client of clients) client.send("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx");
  await eventually(() => served.ingress.connections === 3);
  await settle();
  served.deadlines.advance(ticks(1));
  for (const client of clients) await client.untilEnd();
  assert.equal(lines.length, 1);
  for (let minutes = 0; minutes < 3; minutes += 1) served.deadlines.advance(ticks(60));
  assert.deepEqual(lines.slice(1), [
    "info: Slow clients of the last 60 s: 2 more sent a request's body and 0 more took a response too slowly (--min-rate, --stall-timeout).",
  ]);
});
