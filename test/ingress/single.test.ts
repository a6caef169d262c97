import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { logLine, requestEnded } from "../../src/channels.js";
import type { ListenProtocol } from "../../src/config/config.js";
import type { Exchange, Handler } from "../../src/exchange.js";
import type { IngressConfig } from "../../src/ingress/ingress.js";
import { ticks } from "../../src/net/deadline.js";
import { encodeRequest as encodeScgi } from "../../src/protocol/scgi/request-encoder.js";
import { encodeRequest as encodeUwsgi } from "../../src/protocol/uwsgi/request-encoder.js";
import { answer, eventually, headOf, openFilesIn, type Served, serve, settle, variablesOf } from "./support.js";

type Variables = Readonly<Record<string, string>>;

const stock: Variables = {
  REQUEST_METHOD: "GET",
  REQUEST_URI: "/hello?a=b",
  QUERY_STRING: "a=b",
  PATH_INFO: "/hello",
  SERVER_PROTOCOL: "HTTP/1.1",
  REMOTE_ADDR: "192.0.2.7",
  REMOTE_PORT: "4711",
  SERVER_NAME: "example.org",
  SERVER_PORT: "443",
  HTTPS: "on",
  HTTP_HOST: "example.org",
};

interface Door {
  readonly protocol: ListenProtocol;
  /** The octets of a request up to its body. `length` -1: none is said, as far as the protocol lets. */
  request(variables?: Variables, length?: number): Uint8Array;
  /** How the head of a response with status 200 and no fields begins. */
  readonly ok: string;
  readonly status: RegExp;
  /** Octets that are not in the protocol. */
  readonly foreign: string;
}

function joined(variables: Variables): string {
  return Object.entries(variables)
    .map(([name, value]) => `${name}\0${value}`)
    .join("\0");
}

const doors: readonly Door[] = [
  {
    protocol: "scgi",
    request: (variables = {}, length = -1) => encodeScgi(joined({ ...stock, ...variables }), Math.max(length, 0)),
    ok: "Status: 200 OK\r\n",
    status: /^Status: (\d+) /,
    foreign: "GET / HTTP/1.1\r\n\r\n",
  },
  {
    protocol: "uwsgi",
    request: (variables = {}, length = -1) =>
      encodeUwsgi(
        joined({ ...stock, ...variables, ...(length < 0 ? { CONTENT_LENGTH: "" } : { CONTENT_LENGTH: `${length}` }) }),
      ),
    ok: "HTTP/1.1 200 OK\r\n",
    status: /^HTTP\/1\.1 (\d+) /,
    foreign: "GET / HTTP/1.1\r\n\r\n",
  },
];

/** The sentences logged until the test ends. */
function logged(context: { after(action: () => void): void }): string[] {
  const sentences: string[] = [];
  const note = (line: unknown) => {
    if (typeof line === "object" && line !== null && "message" in line) sentences.push(String(line.message));
  };
  logLine.subscribe(note);
  context.after(() => logLine.unsubscribe(note));
  return sentences;
}

for (const [door, bare] of doors.flatMap((each) => [[each, true] as const, [each, false] as const])) {
  const { request, protocol } = door;
  const name = bare ? protocol : `${protocol} on a net.Socket`;
  const start = (
    context: Parameters<typeof serve>[0],
    handler: Handler,
    config: Partial<IngressConfig> & { readonly mount?: string } = {},
    unixSocket = false,
  ): Promise<Served> => serve(context, handler, config, unixSocket, protocol, bare);

  describe(`${name}: requests and responses`, () => {
    test("a request is answered, and the connection closed", async (t) => {
      const seen: Map<string, string>[] = [];
      const served = await start(t, (exchange) => {
        seen.push(variablesOf(exchange));
        answer(exchange, "hello");
      });
      const client = await served.connect();
      client.send(request());
      await client.untilEnd();
      assert.equal(client.received, `${door.ok}Content-Length: 5\r\n\r\nhello`);
      assert.equal(client.closed, "");
      const [variables] = seen;
      assert.equal(variables?.get("PATH_INFO"), "/hello");
      assert.equal(variables?.get("QUERY_STRING"), "a=b");
      assert.equal(variables?.get("REMOTE_ADDR"), "192.0.2.7");
      assert.equal(variables?.get("wsgi.url_scheme"), "https");
      assert.equal(variables?.get("CONTENT_LENGTH"), undefined);
      await eventually(() => served.ingress.connections === 0);
      assert.equal(served.ingress.requests, 1);
    });

    test("a unix socket is served too", async (t) => {
      const served = await start(t, (exchange) => answer(exchange, "hello"), {}, true);
      const client = await served.connect();
      client.send(request());
      await client.untilEnd();
      assert.match(client.received, /\r\n\r\nhello$/);
    });

    test("octet by octet a request is the same", async (t) => {
      const served = await start(t, (exchange) => answer(exchange, exchange.request.target));
      const client = await served.connect();
      client.socket.setNoDelay(true);
      for (const octet of request()) {
        client.send(Uint8Array.of(octet));
        if (octet === 0x2c) await settle();
      }
      await client.until(/\/hello\?a=b$/);
    });

    test("a body of known length arrives whole", async (t) => {
      const exchanges: Exchange[] = [];
      const served = await start(t, (exchange) => exchanges.push(exchange));
      const client = await served.connect();
      client.send(request({ REQUEST_METHOD: "POST" }, 10), "hello");
      await settle();
      assert.equal(exchanges.length, 0);
      client.send("world");
      await eventually(() => exchanges.length === 1);
      const [exchange] = exchanges;
      assert.ok(exchange?.request.body.kind === "memory");
      assert.equal(Buffer.from(exchange.request.body.bytes).toString(), "helloworld");
      assert.equal(variablesOf(exchange).get("CONTENT_LENGTH"), "10");
    });

    test("a large body goes through a file, of which nothing is left", async (t) => {
      const octets = Buffer.alloc(3_000_000, "0123456789");
      const exchanges: Exchange[] = [];
      const served = await start(t, (exchange) => exchanges.push(exchange));
      const client = await served.connect();
      client.send(request({ REQUEST_METHOD: "POST" }, octets.length), octets);
      await eventually(() => exchanges.length === 1);
      const [exchange] = exchanges;
      assert.ok(exchange?.request.body.kind === "file" && exchange.request.body.size === octets.length);
      answer(exchange, "taken");
      await client.until("taken");
      await eventually(() => openFilesIn(served.tempDir).length === 0);
    });

    test("an empty body is said to be empty, where the method gives it a meaning", async (t) => {
      const lengths: (string | undefined)[] = [];
      const served = await start(t, (exchange) => {
        lengths.push(variablesOf(exchange).get("CONTENT_LENGTH"));
        answer(exchange, "");
      });
      const client = await served.connect();
      client.send(request({ REQUEST_METHOD: "POST" }, 0));
      await client.untilEnd();
      assert.deepEqual(lengths, ["0"]);
    });

    test("HEAD has the fields and not the body", async (t) => {
      const served = await start(t, (exchange) => answer(exchange, "hello"));
      const client = await served.connect();
      client.send(request({ REQUEST_METHOD: "HEAD" }));
      await client.untilEnd();
      assert.equal(client.received, `${door.ok}Content-Length: 5\r\n\r\n`);
    });

    test("a streamed response goes out piece by piece, and its handler is told what left", async (t) => {
      const exchanges: Exchange[] = [];
      const served = await start(t, (exchange) => exchanges.push(exchange));
      const client = await served.connect();
      client.send(request());
      await eventually(() => exchanges.length === 1);
      const [exchange] = exchanges;
      let flushed = 0;
      if (exchange === undefined) return;
      exchange.onFlushed = (octets) => {
        flushed += octets;
      };
      exchange.respond(headOf(200), Buffer.from("one "), false);
      await client.until(`${door.ok}\r\none `);
      exchange.write(Buffer.from("two "), false);
      await client.until("two ");
      await eventually(() => flushed === 8);
      exchange.write(Buffer.from("three"), true);
      await client.untilEnd();
      assert.equal(client.received, `${door.ok}\r\none two three`);
    });

    test("a response larger than the kernel takes at once arrives whole", async (t) => {
      const body = Buffer.alloc(20_000_000, "0123456789");
      const served = await start(t, (exchange) => exchange.respond(headOf(200), body, true));
      const client = await served.connect();
      client.socket.pause();
      client.send(request());
      await eventually(() => served.ingress.requests === 1);
      await settle();
      client.socket.resume();
      await eventually(() => client.ended || client.closed !== "");
      const digest = (text: string) => createHash("sha256").update(text, "latin1").digest("hex");
      const received = client.received.slice(client.received.indexOf("\r\n\r\n") + 4);
      assert.equal(digest(received), digest(body.toString("latin1")));
    });

    test("a slow reader holds back onFlushed", async (t) => {
      let flushed = 0;
      const exchanges: Exchange[] = [];
      const served = await start(t, (exchange) => exchanges.push(exchange));
      const client = await served.connect();
      client.socket.pause();
      client.send(request());
      await eventually(() => exchanges.length === 1);
      const [exchange] = exchanges;
      if (exchange === undefined) return;
      exchange.onFlushed = (octets) => {
        flushed += octets;
      };
      exchange.respond(headOf(200), undefined, false);
      for (let piece = 0; piece < 40; piece++) exchange.write(Buffer.alloc(1_000_000), false);
      await settle();
      assert.ok(flushed < 40_000_000, `${flushed} octets left while the client reads nothing`);
      client.socket.resume();
      await eventually(() => flushed === 40_000_000);
      exchange.write(Buffer.alloc(0), true);
      await client.untilEnd();
    });

    test("what follows the request is not read as another", async (t) => {
      const served = await start(t, (exchange) => setImmediate(() => answer(exchange, "one")));
      const client = await served.connect();
      client.send(request(), request());
      await client.untilEnd();
      assert.equal(served.ingress.requests, 1);
    });
  });

  describe(`${name}: refusals`, () => {
    test("what is not in the protocol closes the connection, with one line in the log", async (t) => {
      const sentences = logged(t);
      const served = await start(t, () => assert.fail("there is no request"));
      const other = await served.connect();
      const client = await served.connect();
      client.send(door.foreign);
      await client.untilEnd();
      assert.equal(client.received, "");
      assert.equal(sentences.length, 1);
      assert.match(sentences[0] ?? "", /connection from 127\.0\.0\.1 was closed/);
      assert.equal(other.closed, "");
      assert.equal(served.ingress.connections, 1);
    });

    const tooMany = Object.fromEntries(Array.from({ length: 5 }, (_, at) => [`HTTP_X_${at}`, ""]));
    for (const [what, variables, length, status, config] of [
      ["a request without a method", { REQUEST_METHOD: "" }, -1, "400", {}],
      ["a malformed target", { REQUEST_URI: "/%zz" }, -1, "400", {}],
      ["a target too long", { REQUEST_URI: "/12345678" }, -1, "414", { maxTarget: 8 }],
      ["variables too large", { HTTP_A: "a".repeat(1000) }, -1, "431", { maxHead: 1000 }],
      ["too many fields", tooMany, -1, "431", { maxFields: 4 }],
      ["a body too large", { REQUEST_METHOD: "POST" }, 101, "413", { maxBody: 100 }],
      ["a path outside the mount", {}, -1, "404", { mount: "/app" }],
      ["a path outside the mount, with a body", { REQUEST_METHOD: "POST" }, 5, "404", { mount: "/app" }],
    ] as const) {
      test(`${what}: ${status} and closed, unseen by the application`, async (t) => {
        const records: unknown[] = [];
        const note = (record: unknown) => records.push(record);
        requestEnded.subscribe(note);
        t.after(() => requestEnded.unsubscribe(note));
        const served = await start(t, () => assert.fail("the application must not see this"), config);
        const client = await served.connect();
        client.send(request(variables, length));
        await client.untilEnd();
        assert.equal(door.status.exec(client.received)?.[1], status);
        client.socket.end();
        await eventually(() => served.ingress.connections === 0);
        assert.equal(records.length, 1);
      });
    }

    test("one that is still sending reads the refusal instead of a reset", async (t) => {
      const served = await start(t, () => assert.fail("the application must not see this"), { maxBody: 100 });
      const client = await served.connect();
      client.send(request({ REQUEST_METHOD: "POST" }, 4_000_000), Buffer.alloc(4_000_000));
      await client.untilEnd();
      assert.equal(door.status.exec(client.received)?.[1], "413");
      assert.equal(client.closed, "");
    });

    test("a chunked body that grows beyond the limit is refused", async (t) => {
      const served = await start(t, () => assert.fail("the application must not see this"), { maxBody: 4 });
      const client = await served.connect();
      const variables = { REQUEST_METHOD: "POST", HTTP_TRANSFER_ENCODING: "chunked" };
      // Not SCGI's encoder, which always says a length.
      const whole = Buffer.from(request(variables)).toString("latin1");
      client.send(protocol === "scgi" ? withoutLength(whole) : whole, "5\r\nhello\r\n0\r\n\r\n");
      await client.untilEnd();
      assert.equal(door.status.exec(client.received)?.[1], "413");
    });
  });

  describe(`${name}: chunked bodies`, () => {
    test("a chunked body arrives whole, with its length known", async (t) => {
      const exchanges: Exchange[] = [];
      const served = await start(t, (exchange) => exchanges.push(exchange));
      const client = await served.connect();
      const whole = Buffer.from(request({ REQUEST_METHOD: "POST", HTTP_TRANSFER_ENCODING: "chunked" })).toString(
        "latin1",
      );
      client.send(protocol === "scgi" ? withoutLength(whole) : whole, "5\r\nhello\r\n", "1\r\n!\r\n0\r\n\r\n");
      await eventually(() => exchanges.length === 1);
      const [exchange] = exchanges;
      assert.ok(exchange?.request.body.kind === "memory");
      assert.equal(Buffer.from(exchange.request.body.bytes).toString(), "hello!");
      assert.equal(variablesOf(exchange).get("CONTENT_LENGTH"), "6");
    });
  });

  describe(`${name}: clients that leave, and responses that are cut`, () => {
    test("one that leaves in mid-request leaves nothing", async (t) => {
      const served = await start(t, () => assert.fail("the request is not whole"));
      const client = await served.connect();
      client.send(request({ REQUEST_METHOD: "POST" }, 1_000_000), Buffer.alloc(500_000));
      await settle();
      client.socket.end();
      await eventually(() => served.ingress.connections === 0);
      await eventually(() => openFilesIn(served.tempDir).length === 0);
    });

    test("a reset while a request executes is noticed at once", async (t) => {
      const exchanges: Exchange[] = [];
      let gone = 0;
      const served = await start(t, (exchange) => {
        exchange.onGone = () => {
          gone += 1;
        };
        exchanges.push(exchange);
      });
      const client = await served.connect();
      client.send(request());
      await eventually(() => exchanges.length === 1);
      client.socket.resetAndDestroy();
      await eventually(() => gone === 1);
      assert.equal(exchanges[0]?.ended, true);
    });

    test("the end of the client's side is told, and its answer still sent", async (t) => {
      const exchanges: Exchange[] = [];
      const served = await start(t, (exchange) => exchanges.push(exchange));
      const client = await served.connect();
      client.send(request());
      client.socket.end();
      await eventually(() => exchanges[0]?.inputEnded === true);
      if (exchanges[0] !== undefined) answer(exchanges[0], "hello");
      await client.until(/hello$/);
    });

    test("before the head a plain 502 takes the place of a response that is cut", async (t) => {
      const served = await start(t, (exchange) => exchange.cut());
      const client = await served.connect();
      client.send(request());
      await client.untilEnd();
      assert.equal(door.status.exec(client.received)?.[1], "502");
    });

    test("after it the connection is reset", async (t) => {
      const exchanges: Exchange[] = [];
      const served = await start(t, (exchange) => exchanges.push(exchange));
      const client = await served.connect();
      client.send(request());
      await eventually(() => exchanges.length === 1);
      exchanges[0]?.respond(headOf(200), Buffer.from("half of "), false);
      await client.until("half of ");
      exchanges[0]?.cut();
      await eventually(() => client.closed === "reset");
    });

    test("a body shorter than its Content-Length is cut, a longer one cut off; both are logged", async (t) => {
      const sentences = logged(t);
      const served = await start(t, (exchange) => {
        exchange.respond(headOf(200, { "Content-Length": "5" }), Buffer.from(exchange.request.target.slice(1)), true);
      });
      const longer = await served.connect();
      longer.send(request({ REQUEST_URI: "/1234567", PATH_INFO: "/1234567" }));
      await longer.untilEnd();
      assert.match(longer.received, /\r\n\r\n12345$/);
      const shorter = await served.connect();
      shorter.send(request({ REQUEST_URI: "/123", PATH_INFO: "/123" }));
      await shorter.untilEnd();
      // Octets and a reset that arrive together are octets and an end to libuv; nginx sees the reset.
      assert.match(shorter.received, /Content-Length: 5\r\n\r\n123$|^$/);
      assert.equal(sentences.length, 2);
      assert.match(sentences[1] ?? "", /ended after 3 octets, before its Content-Length; the connection was cut/);
    });
  });

  describe(`${name}: time, and the end`, () => {
    test("a connection that sends nothing is closed silently", async (t) => {
      const served = await start(t, () => assert.fail("there is no request"), { headTimeout: 10 });
      const client = await served.connect();
      await eventually(() => served.ingress.connections === 1);
      served.deadlines.advance(ticks(10));
      await client.untilEnd();
      assert.equal(client.received, "");
    });

    test("variables that drip in get 408", async (t) => {
      const served = await start(t, () => assert.fail("there is no whole request"), { headTimeout: 10 });
      const whole = request({ REQUEST_METHOD: "POST" }, 5);
      const dripping = await served.connect();
      dripping.send(whole.subarray(0, 20));
      await eventually(() => served.ingress.connections === 1);
      await settle();
      served.deadlines.advance(ticks(10));
      await dripping.untilEnd();
      assert.equal(door.status.exec(dripping.received)?.[1], "408");
    });

    test("a stop closes connections without a request at once, and waits for the others", async (t) => {
      const exchanges: Exchange[] = [];
      const served = await start(t, (exchange) => exchanges.push(exchange));
      const idle = await served.connect();
      const busy = await served.connect();
      busy.send(request());
      await eventually(() => exchanges.length === 1 && served.ingress.connections === 2);
      served.deadlines.advance(ticks(1));
      const drained = served.ingress.drain();
      await idle.untilEnd();
      assert.equal(busy.ended, false);
      if (exchanges[0] !== undefined) answer(exchanges[0], "hello");
      await busy.until(/hello$/);
      await drained;
    });

    test("each request that ended is told of once, with the client that the front names", async (t) => {
      const records: { remoteAddress: string; status: number; octets: number; target: string }[] = [];
      const note = (record: unknown) => records.push(record as (typeof records)[number]);
      requestEnded.subscribe(note);
      t.after(() => requestEnded.unsubscribe(note));
      const served = await start(t, (exchange) => answer(exchange, "hello"));
      const client = await served.connect();
      client.send(request());
      await client.untilEnd();
      assert.equal(records.length, 1);
      const { remoteAddress, status, octets, target } = records[0] ?? assert.fail();
      assert.deepEqual(
        { remoteAddress, status, octets, target },
        {
          remoteAddress: "192.0.2.7",
          status: 200,
          octets: 5,
          target: "/hello?a=b",
        },
      );
    });
  });
}

/** An SCGI request with an empty CONTENT_LENGTH. */
function withoutLength(request: string): string {
  const headers = request.slice(request.indexOf(":") + 1, -1).replace("CONTENT_LENGTH\x000\0", "CONTENT_LENGTH\0\0");
  return `${headers.length}:${headers},`;
}

describe("uwsgi: modifiers", () => {
  test("a ping is answered as uWSGI does", async (t) => {
    const served = await serve(t, () => assert.fail("there is no request"), {}, false, "uwsgi");
    const client = await served.connect();
    client.send("\x64\0\0\0");
    await client.untilEnd();
    assert.equal(client.received, "\x64\0\0\x01");
  });

  test("another modifier is refused, and the log says which", async (t) => {
    const sentences = logged(t);
    const served = await serve(t, () => assert.fail("there is no request"), {}, false, "uwsgi");
    const client = await served.connect();
    client.send("\x05\0\0\0");
    await client.untilEnd();
    assert.deepEqual([client.received, sentences.length], ["", 1]);
    assert.match(sentences[0] ?? "", /modifier1 5; only 0 is served/);
  });

  test("variables that tell uWSGI what to load do not reach the application", async (t) => {
    const seen: string[] = [];
    const served = await serve(
      t,
      (exchange) => {
        seen.push(exchange.request.variables);
        answer(exchange, "");
      },
      {},
      false,
      "uwsgi",
    );
    const client = await served.connect();
    const size = (text: string) => String.fromCharCode(text.length & 255, text.length >> 8) + text;
    const packet = Object.entries({ ...stock, UWSGI_FILE: "/etc/passwd", UWSGI_SCHEME: "http" })
      .map(([name, value]) => size(name) + size(value))
      .join("");
    client.send(`\0${size(packet).slice(0, 2)}\0${packet}`);
    await client.untilEnd();
    assert.equal(seen.length, 1);
    assert.doesNotMatch(seen[0] ?? "", /UWSGI_|passwd/);
  });
});
