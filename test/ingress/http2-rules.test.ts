// What clients of HTTP/2 must not do, said in frames: RFC 9113, RFC 7541, and the attacks that servers have been taken down with.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { logLine } from "../../src/channels.js";
import type { Exchange } from "../../src/exchange.js";
import { ticks } from "../../src/net/deadline.js";
import {
  errors,
  type Fields,
  type FrameClient,
  flags,
  frame,
  get,
  headers,
  hpack,
  hpackInteger,
  post,
  preface,
  settings,
  uint32,
} from "../support/http2-frames.js";
import { ask, serveHttp2 } from "./http2-client.js";
import { answer, eventually, headOf, inTime, type Served, settle, variablesOf } from "./support.js";

/** These fields in place of those of the same name. */
function but(...changed: Fields): Fields {
  const names = changed.map(([name]) => name);
  return [...get.filter(([name]) => !names.includes(name)), ...changed].sort(
    ([one], [other]) => Number(other.startsWith(":")) - Number(one.startsWith(":")),
  );
}

function without(name: string): Fields {
  return get.filter(([each]) => each !== name);
}

/** An extended CONNECT (RFC 8441 §4), without a pseudo-header field of this name. */
function connect(protocol: string, missing = ""): Fields {
  const fields = but([":method", "CONNECT"]).filter(([name]) => name !== missing);
  return [[":protocol", protocol], ...fields];
}

describe("malformed requests", () => {
  const refused: Readonly<Record<string, Fields>> = {
    "a name in upper case": [...get, ["X-Upper", "1"]],
    Connection: [...get, ["connection", "close"]],
    "Keep-Alive": [...get, ["keep-alive", "5"]],
    "Proxy-Connection": [...get, ["proxy-connection", "close"]],
    "Transfer-Encoding": [...get, ["transfer-encoding", "chunked"]],
    Upgrade: [...get, ["upgrade", "websocket"]],
    "TE other than trailers": [...get, ["te", "trailers, deflate;q=0.5"]],
    "no :method": without(":method"),
    "no :scheme": without(":scheme"),
    "no :path": without(":path"),
    "an empty :path": but([":path", ""]),
    "a :path that is none": but([":path", "evil"]),
    "two :method": [[":method", "GET"], ...get],
    "two :path": [[":path", "/a"], ...get],
    "a pseudo-header field behind others": [get[0] ?? ["", ""], ["x-a", "1"], ...get.slice(1)],
    "a pseudo-header field of a response": [...get, [":status", "200"]],
    "a pseudo-header field that nobody knows": [[":evil", "1"], ...get],
    "neither :authority nor Host": without(":authority"),
    "a space in :authority": but([":authority", "a b"]),
    "two different Content-Length": [...get, ["content-length", "1"], ["content-length", "2"]],
    "a Content-Length that is no number": [...get, ["content-length", "1x"]],
    ":protocol with another method than CONNECT": [[":protocol", "websocket"], ...get],
    "an extended CONNECT without :scheme": connect("websocket", ":scheme"),
    "an extended CONNECT without :path": connect("websocket", ":path"),
    "an extended CONNECT without :authority": [...connect("websocket", ":authority"), ["host", "a.example"]],
  };
  for (const [what, fields] of Object.entries(refused)) {
    test(`${what}: the stream is reset, nothing is executed, the connection serves on`, async (t) => {
      const executed: string[] = [];
      const served = await serveHttp2(t, (exchange) => {
        executed.push(exchange.request.target);
        answer(exchange, "fine");
      });
      const client = await served.frames();
      client.begin(headers(1, fields), headers(3, but([":path", "/next"])));
      await eventually(() => client.whole(3));
      assert.equal(client.reset(1), errors.protocol);
      assert.deepEqual(executed, ["/next"]);
      assert.equal(client.goaway, undefined);
    });
  }

  const answered: readonly (readonly [status: number, what: string, fields: Fields])[] = [
    [400, "Host that differs from :authority", [...get, ["host", "b.example"]]],
    [400, "userinfo in :authority", but([":authority", "user@a.example"])],
    [400, "a malformed percent-encoding", but([":path", "/%zz"])],
    [400, "an encoded NUL", but([":path", "/%00"])],
    [400, "a fragment", but([":path", "/a#b"])],
    [
      501,
      "CONNECT",
      [
        [":method", "CONNECT"],
        [":authority", "a.example:443"],
      ],
    ],
    [501, "CONNECT for another :protocol than websocket", connect("connect-udp")],
    [501, "a method that is longer than any", but([":method", "M".repeat(65)])],
    [414, "a target beyond --max-target", but([":path", `/${"x".repeat(1000)}`])],
    [431, "fields beyond --max-fields", [...get, ...Array.from({ length: 33 }, () => ["x", ""] as const)]],
    [431, "a head beyond --max-head", [...get, ["x-large", "x".repeat(5000)]]],
    [413, "a Content-Length beyond --max-body", [...post, ["content-length", "100001"]]],
    [417, "an expectation that nobody can meet", [...get, ["expect", "the-inquisition"]]],
  ];
  for (const [status, what, fields] of answered) {
    test(`${what}: ${status}, as over HTTP/1.1`, async (t) => {
      const served = await serveHttp2(t, (exchange) => assert.fail(exchange.request.target), {
        maxTarget: 1000,
        maxFields: 32,
        maxHead: 4096,
        maxBody: 100_000,
      });
      const session = served.session();
      const client = await served.frames();
      client.begin(headers(1, fields, status !== 413));
      await eventually(() => client.whole(1));
      assert.match(client.body(1).toString(), new RegExp(`^${status} `));
      assert.equal(client.goaway, undefined);
      session.destroy();
    });
  }

  test("Host that agrees with :authority is one, and Host alone will do", async (t) => {
    const hosts: (string | undefined)[] = [];
    const served = await serveHttp2(t, (exchange) => {
      hosts.push(variablesOf(exchange).get("HTTP_HOST"));
      answer(exchange, "");
    });
    const client = await served.frames();
    client.begin(
      headers(1, [...get, ["host", "A.example"]]),
      headers(3, [...without(":authority"), ["host", "b.example"]]),
      headers(5, but([":method", "OPTIONS"], [":path", "*"])),
    );
    await eventually(() => client.whole(1) && client.whole(3) && client.whole(5));
    assert.deepEqual(hosts, ["a.example", "b.example", "a.example"]);
  });

  test("a field with octets that fields cannot have never gets to the application", async (t) => {
    const seen: string[] = [];
    const served = await serveHttp2(t, (exchange) => {
      seen.push(...[...variablesOf(exchange)].filter(([name]) => name.startsWith("HTTP_X")).flat());
      answer(exchange, "");
    });
    const client = await served.frames();
    const evil = ["a\r\nx-b: c", "a\nb", "a\rb", "a\0b", "a\x7fb"].map((value) => ["x-evil", value] as const);
    client.begin(headers(1, [...get, ...evil, ["x evil", "1"], ["x-evil:", "1"], ["x-good", "1"]]));
    await eventually(() => client.whole(1));
    assert.deepEqual(seen, ["HTTP_X_GOOD", "1"]);
  });

  test("a body of another length than Content-Length says is reset, and nobody takes it for whole", async (t) => {
    const served = await serveHttp2(t, (exchange) => assert.fail(exchange.request.target));
    const client = await served.frames();
    const long: Fields = [...post, ["content-length", "4"]];
    client.begin(
      headers(1, long, false),
      frame("data", flags.endStream, 1, "five!"),
      headers(3, long, false),
      frame("data", flags.endStream, 3, "two"),
      headers(5, [...get, ["content-length", "4"]]),
    );
    await eventually(() => [1, 3, 5].every((stream) => client.reset(stream) === errors.protocol));
    assert.equal(served.ingress.requests, 0);
  });

  test("a body beyond --max-body whose length nobody told is answered 413", async (t) => {
    for (const streams of [false, true]) {
      const served = await serveHttp2(
        t,
        (exchange) => exchange.request.stream?.start({ bodyReceived: () => {}, bodyEnded: () => assert.fail("whole") }),
        { maxBody: 1000, streams },
      );
      const client = await served.frames();
      client.begin(headers(1, post, false), frame("data", 0, 1, "x".repeat(600)));
      await settle();
      client.send(frame("data", 0, 1, "x".repeat(600)));
      await eventually(() => client.whole(1));
      assert.match(client.body(1).toString(), /^413 /);
      await inTime(served, () => client.reset(1) === errors.none);
    }
  });
});

/** Two looks at it are enough, and what the server closes by itself is closed before. */
async function closedSoon(served: Served): Promise<void> {
  for (let look = 0; look < 2; look += 1) served.deadlines.advance(ticks(0.5));
  await eventually(() => served.ingress.connections === 0);
}

describe("connection errors", () => {
  const fatal: Readonly<Record<string, readonly [code: number, ...frames: Buffer[]]>> = {
    "DATA on a stream that was never opened": [errors.protocol, frame("data", 0, 1, "x")],
    "DATA on stream 0": [errors.protocol, frame("data", 0, 0, "x")],
    "HEADERS on stream 0": [errors.protocol, frame("headers", 5, 0, hpack(get))],
    "HEADERS on an even stream": [errors.protocol, headers(2, get)],
    "a frame within a header block": [
      errors.protocol,
      frame("headers", 1, 1, hpack(get)),
      frame("ping", 0, 0, "12345678"),
    ],
    "CONTINUATION out of place": [errors.protocol, frame("continuation", 4, 1, hpack(get))],
    "PUSH_PROMISE from a client": [
      errors.protocol,
      headers(1, get),
      frame("pushPromise", 4, 1, Buffer.concat([uint32(2), hpack(get)])),
    ],
    "padding longer than its frame": [
      errors.protocol,
      headers(1, post, false),
      frame("data", flags.padded, 1, "\x08x"),
    ],
    "SETTINGS of a length that is no multiple of 6": [errors.frameSize, frame("settings", 0, 0, "12345")],
    "PING of another length than 8": [errors.frameSize, frame("ping", 0, 0, "1234567")],
    "a window beyond 2^31-1": [errors.flowControl, frame("windowUpdate", 0, 0, uint32(2 ** 31 - 1))],
    "a header block that is no HPACK": [errors.compression, frame("headers", 5, 1, Buffer.from([0x80]))],
    "a reference beyond HPACK's tables": [errors.compression, frame("headers", 5, 1, hpackInteger(200, 7, 0x80))],
    "a dynamic table larger than allowed": [
      errors.compression,
      frame("headers", 5, 1, Buffer.concat([hpackInteger(2 ** 20, 5, 0x20), hpack(get)])),
    ],
  };
  for (const [what, [code, ...frames]] of Object.entries(fatal)) {
    test(`${what}: GOAWAY, the connection is closed soon, and the server serves others`, async (t) => {
      const served = await serveHttp2(t, (exchange) => answer(exchange, "fine"));
      const client = await served.frames();
      client.begin(...frames);
      await eventually(() => client.goaway !== undefined);
      assert.equal(client.goaway, code);
      await closedSoon(served);
      assert.equal((await ask(served.session(), "/")).body, "fine");
    });
  }

  test("a request that is executed meanwhile is told that nobody waits for it", async (t) => {
    for (const answered of [true, false]) {
      const open: Exchange[] = [];
      let gone = 0;
      const served = await serveHttp2(t, (exchange) => {
        exchange.onGone = () => {
          gone += 1;
        };
        open.push(exchange);
      });
      const client = await served.frames();
      client.begin(headers(1, get), frame("ping", 0, 0, "1234567"));
      await eventually(() => client.goaway !== undefined && open.length === 1);
      if (answered) open[0]?.respond(headOf(200), Buffer.from("nobody hears"), true);
      await closedSoon(served);
      assert.equal(gone, answered ? 0 : 1);
    }
  });

  test("a connection that is only slow, or at rest, or half closed, is not closed with them", async (t) => {
    const open: Exchange[] = [];
    const served = await serveHttp2(t, (exchange) => open.push(exchange), { minRate: 0 });
    const session = served.session();
    const slow = await served.frames();
    slow.socket.pause();
    const unbounded = Buffer.concat([settings({ 4: 2 ** 31 - 1 }), frame("windowUpdate", 0, 0, uint32(2 ** 30))]);
    slow.send(Buffer.from(preface), unbounded, headers(1, get));
    await eventually(() => open.length === 1);
    open[0]?.respond(headOf(200), Buffer.alloc(2 ** 24), true);
    const half = await served.frames();
    half.begin(headers(1, get));
    await eventually(() => open.length === 2);
    half.socket.end();
    const first = ask(session, "/");
    await eventually(() => open.length === 3);
    for (let look = 0; look < 8; look += 1) {
      await settle();
      served.deadlines.advance(ticks(0.5));
    }
    for (const exchange of open.slice(1)) answer(exchange, "fine");
    assert.equal((await first).body, "fine");
    await eventually(() => half.whole(1));
    slow.socket.resume();
    await eventually(() => slow.whole(1));
    assert.equal(slow.body(1).length, 2 ** 24);
  });

  test("what is no frame at all behind the preface closes the connection", async (t) => {
    const served = await serveHttp2(t, (exchange) => answer(exchange, "fine"));
    const client = await served.frames();
    client.send(Buffer.from(`${preface}GET / HTTP/1.1\r\nHost: a\r\n\r\n`));
    await eventually(() => client.closed);
    await eventually(() => served.ingress.connections === 0);
  });
});

describe("floods", () => {
  /** What the log says of clients while a test runs. */
  function logged(t: { after(undo: () => void): void }): string[] {
    const lines: string[] = [];
    const listener = (line: unknown): void => void lines.push(JSON.stringify(line));
    logLine.subscribe(listener);
    t.after(() => logLine.unsubscribe(listener));
    return lines;
  }

  async function calmed(client: FrameClient): Promise<void> {
    await eventually(() => client.goaway !== undefined || client.closed);
    assert.equal(client.goaway, errors.calm);
  }

  test("rapid reset: a client that makes requests and takes them back at once is told to be calm", async (t) => {
    let begun = 0;
    const lines = logged(t);
    const served = await serveHttp2(t, () => {
      begun += 1;
    });
    const client = await served.frames();
    client.begin();
    for (let at = 0; at < 500; at += 1) {
      client.send(headers(1 + 2 * at, get), frame("resetStream", 0, 1 + 2 * at, uint32(errors.cancel)));
    }
    await calmed(client);
    assert.ok(begun <= 400, `${begun} requests were begun`);
    assert.match(lines.join("\n"), /A client \(127.0.0.1\) floods its HTTP\/2 connection: it is closed/);
    await eventually(() => served.ingress.connections === 0);
  });

  test("requests made to be reset by the server count as well", async (t) => {
    const served = await serveHttp2(t, () => {});
    const client = await served.frames();
    client.begin();
    const long: Fields = [...post, ["content-length", "1"]];
    for (let at = 0; at < 500; at += 1) {
      client.send(headers(1 + 2 * at, long, false), frame("data", 0, 1 + 2 * at, "long"));
    }
    await calmed(client);
  });

  test("a client that gives up requests now and then is not troubled", async (t) => {
    const served = await serveHttp2(t, () => {});
    const client = await served.frames();
    client.begin();
    for (let round = 0; round < 20; round += 1) {
      for (let at = round * 50; at < (round + 1) * 50; at += 1) {
        client.send(headers(1 + 2 * at, get), frame("resetStream", 0, 1 + 2 * at, uint32(errors.cancel)));
      }
      client.send(frame("ping", 0, 0, "12345678"));
      await eventually(() => client.of("ping").length === round + 1);
      served.deadlines.advance(8);
    }
    assert.equal(client.goaway, undefined);
  });

  test("PING and SETTINGS without end", async (t) => {
    for (const flood of [frame("ping", 0, 0, "12345678"), settings()]) {
      const served = await serveHttp2(t, () => {});
      const client = await served.frames();
      client.begin();
      for (let at = 0; at < 50; at += 1) client.send(...Array.from({ length: 20 }, () => flood));
      await calmed(client);
    }
  });

  test("DATA without octets", async (t) => {
    const served = await serveHttp2(t, () => {});
    const client = await served.frames();
    client.begin(headers(1, post, false), ...Array.from({ length: 300 }, () => frame("data", 0, 1)));
    await calmed(client);
    assert.equal(served.ingress.requests, 0);
  });

  test("CONTINUATION without end", async (t) => {
    const served = await serveHttp2(t, () => {});
    const client = await served.frames();
    const more = frame("continuation", 0, 1, hpack([["x", "y"]]));
    client.begin(frame("headers", flags.endStream, 1, hpack(get)), ...Array.from({ length: 100 }, () => more));
    await calmed(client);
  });

  test("a head that a few octets blow up: the stream is reset, and what came of it is not kept", async (t) => {
    const served = await serveHttp2(t, (exchange) => answer(exchange, "fine"), { maxHead: 16_384, maxFields: 64 });
    const client = await served.frames();
    // A field of 4000 octets in the dynamic table, and then 10,000 references of one octet to it (RFC 7541 §6.1).
    const large = Buffer.concat([
      Buffer.from([0x40]),
      hpackInteger(1, 7, 0),
      Buffer.from("x"),
      hpackInteger(4000, 7, 0),
    ]);
    const bomb = Buffer.concat([hpack(get), large, Buffer.alloc(4000, "y"), Buffer.alloc(10_000, 0xbe)]);
    client.begin(frame("headers", flags.endStream | flags.endHeaders, 1, bomb), headers(3, get));
    await eventually(() => client.whole(3));
    assert.equal(client.reset(1), errors.calm);
    assert.equal(served.ingress.requests, 1);
  });

  test("more streams at once than were agreed are refused, and who had agreed is told so", async (t) => {
    const open: Exchange[] = [];
    const served = await serveHttp2(t, (exchange) => open.push(exchange));
    const requests = Array.from({ length: 120 }, (_, at) => headers(1 + 2 * at, get));
    const hasty = await served.frames();
    hasty.begin(...requests);
    await eventually(() => hasty.of("resetStream").length === 20);
    assert.deepEqual([hasty.reset(201), open.length], [errors.refused, 100]);
    for (const exchange of open.splice(0)) answer(exchange, "fine");
    await eventually(() => hasty.whole(199));
    const faithless = await served.frames();
    faithless.begin(frame("settings", flags.ack, 0), ...requests);
    await eventually(() => faithless.closed);
    assert.deepEqual([faithless.goaway, open.length], [errors.protocol, 0]);
  });

  test("a window that stays closed: the stream is reset after --stall-timeout, others are served", async (t) => {
    const lines = logged(t);
    let gone = 0;
    const served = await serveHttp2(
      t,
      (exchange) => {
        exchange.onGone = () => {
          gone += 1;
        };
        const large = exchange.request.target === "/large";
        exchange.respond(headOf(200), Buffer.alloc(large ? 100_000 : 0), !large);
      },
      { stallTimeout: 10 },
    );
    const client = await served.frames();
    // SETTINGS_INITIAL_WINDOW_SIZE 0
    client.send(Buffer.from(preface), settings({ 4: 0 }), headers(1, but([":path", "/large"])), headers(3, get));
    await eventually(() => client.whole(3) && client.of("headers", 1).length === 1);
    served.deadlines.advance(ticks(9));
    await settle();
    assert.equal(client.reset(1), undefined);
    // So many looks as there are while a client that is just fast enough takes a frame.
    await eventually(() => {
      served.deadlines.advance(ticks(11));
      return client.reset(1) === errors.calm;
    });
    assert.equal(gone, 1);
    assert.match(
      lines.join("\n"),
      /took less than 500 octets a second of the response to \/large for 10 s.*its stream is closed/,
    );
    client.send(headers(5, get));
    await eventually(() => client.whole(5));
  });

  test("a client that takes slowly, and fast enough, gets all of it", async (t) => {
    const served = await serveHttp2(t, (exchange) => exchange.respond(headOf(200), Buffer.alloc(50_000), true), {
      stallTimeout: 10,
    });
    const client = await served.frames();
    client.send(Buffer.from(preface), settings({ 4: 6000 }), headers(1, get));
    for (let taken = 6000; taken < 50_000; taken += 6000) {
      await eventually(() => client.body(1).length === taken);
      served.deadlines.advance(ticks(10));
      await settle();
      client.send(frame("windowUpdate", 0, 1, uint32(6000)));
    }
    await eventually(() => client.whole(1));
    assert.equal(client.body(1).length, 50_000);
  });

  test("a client that reads nothing at all loses its connection", async (t) => {
    const served = await serveHttp2(t, (exchange) => exchange.respond(headOf(200), Buffer.alloc(30_000_000), true), {
      stallTimeout: 10,
      keepAlive: 10,
    });
    const client = await served.frames();
    client.socket.pause();
    client.send(Buffer.from(preface), settings({ 4: 2 ** 31 - 1 }), frame("windowUpdate", 0, 0, uint32(2 ** 30)));
    client.send(headers(1, get), headers(3, get));
    await eventually(() => served.ingress.requests === 2);
    await settle();
    await eventually(() => {
      served.deadlines.advance(ticks(11));
      return served.ingress.connections === 0;
    });
    await eventually(() => served.ingress.connections === 0);
  });
});
