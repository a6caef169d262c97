import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { logLine, requestEnded } from "../../src/channels.js";
import type { Exchange } from "../../src/exchange.js";
import { ticks } from "../../src/net/deadline.js";
import { answer, eventually, headOf, hello, serve, settle, variablesOf } from "./support.js";

describe("requests and responses", () => {
  test("a request is answered, and the connection serves the next one", async (t) => {
    const served = await serve(t, (exchange) => answer(exchange, `you asked for ${exchange.request.target}`));
    const client = await served.connect();
    client.send(hello);
    await client.until("you asked for /hello");
    assert.match(client.received, /^HTTP\/1\.1 200 OK\r\nDate: .* GMT\r\nContent-Length: 20\r\n\r\nyou asked/);
    client.send("GET /again HTTP/1.1\r\nHost: example.org\r\n\r\n");
    await client.until("you asked for /again");
    assert.deepEqual([client.responses, served.ingress.requests, served.ingress.connections], [2, 2, 1]);
  });

  test("pipelined requests go to the handler one by one and are answered in order", async (t) => {
    const open: Exchange[] = [];
    const served = await serve(t, (exchange) => open.push(exchange));
    const client = await served.connect();
    client.send(...["/1", "/2", "/3"].map((target) => `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`));
    for (const expected of ["/1", "/2", "/3"]) {
      await eventually(() => open.length === 1);
      await settle();
      assert.deepEqual(
        open.map(({ request }) => request.target),
        [expected],
      );
      const exchange = open.pop();
      if (exchange !== undefined) answer(exchange, `[${expected}]`);
    }
    await client.until("[/3]");
    assert.deepEqual(client.received.match(/\[..\]/g), ["[/1]", "[/2]", "[/3]"]);
  });

  test("thousands of pipelined requests with immediate answers are all answered", async (t) => {
    const served = await serve(t, (exchange) => answer(exchange, "."));
    const client = await served.connect();
    client.send(hello.repeat(5000));
    await eventually(() => client.responses === 5000);
    assert.equal(served.ingress.requests, 5000);
  });

  test("a client that pipelines without bound is not read without bound", async (t) => {
    const open: Exchange[] = [];
    const served = await serve(t, (exchange) => open.push(exchange));
    const client = await served.connect();
    const flood = Buffer.from(hello.repeat(1000));
    const chunks = 600;
    for (let i = 0; i < chunks; i++) client.send(flood);
    await eventually(() => open.length === 1);
    await settle();
    assert.ok(client.socket.writableLength > 0, "the kernel took everything, so the server must have read it");
    const before = client.socket.writableLength;
    await settle();
    assert.equal(client.socket.writableLength, before);
  });

  test("a client that does not read its answers gets no further requests begun", async (t) => {
    const large = Buffer.alloc(4 * 1024 * 1024);
    const served = await serve(t, (exchange) => exchange.respond(headOf(200), large, true));
    const client = await served.connect();
    client.socket.pause();
    client.send(hello.repeat(100));
    await eventually(() => served.ingress.requests > 0);
    await settle();
    const begun = served.ingress.requests;
    assert.ok(begun < 20, `${begun} requests were begun`);
    client.socket.resume();
    await eventually(() => served.ingress.requests > begun);
  });

  test("HEAD has the fields and not the body", async (t) => {
    const served = await serve(t, (exchange) => answer(exchange, "text", { "Content-Length": "4" }));
    const client = await served.connect();
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", hello);
    await client.until(/text$/);
    assert.equal(client.received.match(/Content-Length: 4/g)?.length, 2);
    assert.equal(client.received.match(/text/g)?.length, 1);
  });

  test("a streamed response goes out chunk by chunk", async (t) => {
    let exchange: Exchange | undefined;
    const served = await serve(t, (begun) => {
      exchange = begun;
      begun.respond(headOf(200), undefined, false);
    });
    const client = await served.connect();
    client.send(hello);
    await client.until("Transfer-Encoding: chunked\r\n\r\n");
    exchange?.write(Buffer.from("one"), false);
    await client.until("3\r\none\r\n");
    exchange?.write(Buffer.from("two!"), false);
    await client.until("4\r\ntwo!\r\n");
    exchange?.write(Buffer.alloc(0), true);
    await client.until("\r\n0\r\n\r\n");
    assert.equal(exchange?.ended, true);
  });

  test("what has left for the client is told to the handler, HEAD included", async (t) => {
    for (const method of ["GET", "HEAD"]) {
      const flushed: number[] = [];
      const served = await serve(t, (exchange) => {
        exchange.onFlushed = (octets) => flushed.push(octets);
        exchange.respond(headOf(200), Buffer.from("12345"), false);
        exchange.write(Buffer.alloc(100_000), false);
      });
      const client = await served.connect();
      client.send(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`);
      await eventually(() => flushed.length === 2);
      assert.deepEqual(flushed, [5, 100_000]);
    }
  });

  test("a slow reader holds back onFlushed, so the handler can stop", async (t) => {
    let flushed = 0;
    const served = await serve(t, (exchange) => {
      exchange.onFlushed = (octets) => {
        flushed += octets;
      };
      exchange.respond(headOf(200), undefined, false);
      for (let i = 0; i < 64; i++) exchange.write(Buffer.alloc(1024 * 1024), false);
    });
    const client = await served.connect();
    client.socket.pause();
    client.send(hello);
    await settle();
    assert.ok(flushed < 64 * 1024 * 1024);
    client.socket.resume();
    await eventually(() => flushed === 64 * 1024 * 1024);
  });

  test("HTTP/1.0 is answered and closed, kept open only when asked and the length is known", async (t) => {
    const served = await serve(t, (exchange) => {
      if (exchange.request.target === "/known") answer(exchange, "known");
      else {
        exchange.respond(headOf(200), Buffer.from("un"), false);
        exchange.write(Buffer.from("known"), true);
      }
    });
    const closing = await served.connect();
    closing.send("GET /known HTTP/1.0\r\n\r\n");
    await closing.untilEnd();
    assert.match(closing.received, /Connection: close\r\n[\s\S]*\r\n\r\nknown$/);
    const kept = await served.connect();
    kept.send("GET /known HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    await kept.until("known");
    kept.send("GET /unknown HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    await kept.until("unknown");
    assert.match(kept.received, /Connection: keep-alive[\s\S]*Connection: close\r\n\r\nunknown$/);
    kept.socket.end();
    await eventually(() => kept.closed !== "");
  });

  test("a client that asks for close is answered and closed", async (t) => {
    const served = await serve(t, (exchange) => answer(exchange, "last"));
    const client = await served.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    await client.untilEnd();
    assert.match(client.received, /Connection: close\r\n[\s\S]*last$/);
    await eventually(() => served.ingress.connections === 0);
  });

  test("a request target without host, scheme or body is described by the socket", async (t) => {
    let variables = new Map<string, string>();
    const served = await serve(t, (exchange) => {
      variables = variablesOf(exchange);
      answer(exchange, "done");
    });
    const client = await served.connect();
    client.send("GET /a%20b?c=%20 HTTP/1.0\r\n\r\n");
    await client.until("done");
    assert.equal(variables.get("SERVER_NAME"), "127.0.0.1");
    assert.equal(variables.get("SERVER_PORT"), String(client.socket.remotePort));
    assert.equal(variables.get("REMOTE_ADDR"), "127.0.0.1");
    assert.equal(variables.get("REMOTE_PORT"), String(client.socket.localPort));
    assert.equal(variables.get("PATH_INFO"), "/a b");
    assert.equal(variables.get("QUERY_STRING"), "c=%20");
  });

  test("a unix socket is served too", async (t) => {
    let variables = new Map<string, string>();
    const served = await serve(
      t,
      (exchange) => {
        variables = variablesOf(exchange);
        answer(exchange, "done");
      },
      { trustedProxies: ["unix"] },
      true,
    );
    const client = await served.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n");
    await client.until("done");
    assert.equal(variables.get("REMOTE_ADDR"), "192.0.2.9");
  });
});

test("where Node has no bare handles, connections are served on a net.Socket", async (t) => {
  const bodies: string[] = [];
  const served = await serve(
    t,
    (exchange) => {
      const { body } = exchange.request;
      bodies.push(body.kind === "memory" ? Buffer.from(body.bytes).toString() : body.kind);
      exchange.respond(headOf(200), Buffer.from("one "), false);
      exchange.onFlushed = () => exchange.write(Buffer.from("two"), true);
    },
    {},
    false,
    "http",
    false,
  );
  const client = await served.connect();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe");
  await settle();
  client.send(`llo${hello}`);
  await eventually(() => client.received.split("two").length === 3);
  assert.deepEqual([client.responses, bodies], [2, ["hello", "empty"]]);
  client.socket.end();
  await client.untilEnd();
  await eventually(() => served.ingress.connections === 0);
});

test("a handler is told which peer was trusted to speak for the client, and of no other", async (t) => {
  for (const [trustedProxies, told] of [
    [["127.0.0.1"], "127.0.0.1"],
    [["10.0.0.1"], undefined],
  ] as const) {
    let peer: string | undefined = "nobody";
    const served = await serve(
      t,
      (exchange) => {
        peer = exchange.request.trustedPeer;
        answer(exchange, "done");
      },
      { trustedProxies },
    );
    const client = await served.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n");
    await client.until("done");
    assert.equal(peer, told);
  }
});

describe("the host that routing goes by", () => {
  const forwarded = "GET / HTTP/1.1\r\nHost: inner\r\nX-Forwarded-Host: shop.example\r\n\r\n";

  test("is the one that a trusted proxy says was asked for", async (t) => {
    const served = await serve(t, (exchange) => answer(exchange, "shop"), {
      host: "shop.example",
      trustedProxies: ["127.0.0.1"],
    });
    const client = await served.connect();
    client.send(forwarded);
    await client.until("shop");
    client.send(forwarded.replace("shop.example", "blog.example"));
    await client.until("404 Not Found");
  });

  test("is no other client's word", async (t) => {
    const served = await serve(t, (exchange) => answer(exchange, "shop"), { host: "shop.example" });
    const client = await served.connect();
    client.send(forwarded);
    await client.until("404 Not Found");
    client.send(forwarded.replace("Host: inner", "Host: shop.example"));
    await client.until("shop");
  });
});

describe("what is refused", () => {
  const malformed: readonly [name: string, request: string, status: number][] = [
    ["no request at all", "\x16\x03\x01\x02\r\n\r\n", 400],
    ["two framings", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400],
    ["percent-encoding without digits", "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400],
    ["an encoded NUL in the path", "GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n", 400],
    ["a target that is too long", `GET /${"x".repeat(9000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 414],
    ["a body that is too long", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999\r\n\r\n", 413],
    ["a later HTTP", "GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505],
  ];
  for (const [name, request, status] of malformed) {
    test(`${name}: ${status} and closed, unseen by the application`, async (t) => {
      const served = await serve(t, (exchange) => answer(exchange, "seen"));
      const client = await served.connect();
      client.send(request);
      await client.untilEnd();
      assert.match(client.received, new RegExp(`^HTTP/1\\.1 ${status} [\\s\\S]*Connection: close\r\n`));
      assert.equal(served.ingress.requests, 0);
      client.socket.end();
      await eventually(() => served.ingress.connections === 0);
    });
  }

  test("a malformed request behind a good one is answered after it", async (t) => {
    let open: Exchange | undefined;
    const served = await serve(t, (exchange) => {
      open = exchange;
    });
    const client = await served.connect();
    client.send(`${hello}BAD\r\n\r\n`);
    await eventually(() => open !== undefined);
    await settle();
    assert.equal(client.received, "");
    if (open !== undefined) answer(open, "good");
    await client.untilEnd();
    assert.match(client.received, /^HTTP\/1\.1 200 [\s\S]*goodHTTP\/1\.1 400 /);
  });

  test("a client that is still sending reads the refusal instead of a reset", async (t) => {
    const served = await serve(t, (exchange) => answer(exchange, "seen"), { maxBody: 1000 });
    const client = await served.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000000\r\n\r\n");
    for (let i = 0; i < 20; i++) client.send(Buffer.alloc(1_000_000));
    client.socket.end();
    await eventually(() => client.closed !== "");
    assert.equal(client.closed, "closed");
    assert.match(client.received, /^HTTP\/1\.1 413 /);
  });

  test("a client that never closes after a refusal is closed", async (t) => {
    const served = await serve(t, (exchange) => answer(exchange, "seen"));
    const client = await served.connect();
    client.send("BAD\r\n\r\n");
    await client.untilEnd();
    assert.equal(served.ingress.connections, 1);
    served.deadlines.advance(ticks(60));
    await eventually(() => served.ingress.connections === 0);
  });

  test("a path outside the mount is not found; what is under it is split", async (t) => {
    const places: (string | undefined)[] = [];
    const handler = (exchange: Exchange): void => {
      const variables = variablesOf(exchange);
      places.push(variables.get("SCRIPT_NAME"), variables.get("PATH_INFO"));
      answer(exchange, "seen");
    };
    const served = await serve(t, handler, { mount: "/p" });
    const client = await served.connect();
    client.send("GET /px HTTP/1.1\r\nHost: a\r\n\r\n");
    await client.until("404 Not Found");
    client.send("GET /%70/a HTTP/1.1\r\nHost: a\r\n\r\n");
    await client.until("seen");
    client.send("POST /q HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345");
    await client.untilEnd();
    assert.equal(client.received.match(/404 Not Found\r\n/g)?.length, 2);
    assert.deepEqual(places, ["/p", "/a"]);
  });

  test("a handler may refuse, with fields of its own", async (t) => {
    const served = await serve(t, (exchange) => exchange.refuse(503, "Too busy.", "Retry-After: 1\r\n"));
    const client = await served.connect();
    client.send(hello);
    await client.until("Too busy.");
    assert.match(client.received, /^HTTP\/1\.1 503 Service Unavailable\r\n[\s\S]*\r\nRetry-After: 1\r\n/);
  });

  test("a handler that throws costs its request a 500 and is logged", async (t) => {
    const lines: string[] = [];
    const listen = (message: unknown): void => void lines.push(JSON.stringify(message));
    logLine.subscribe(listen);
    t.after(() => logLine.unsubscribe(listen));
    const served = await serve(t, (exchange) => {
      if (exchange.request.target === "/hello") throw new Error("a mistake");
      answer(exchange, "alive");
    });
    const client = await served.connect();
    client.send(hello);
    await client.until("500 Internal Server Error");
    client.send("GET /other HTTP/1.1\r\nHost: a\r\n\r\n");
    await client.until("alive");
    assert.match(lines.join("\n"), /GET \/hello failed.*a mistake/);
    assert.doesNotMatch(client.received, /a mistake/);
  });
});

describe("bodies", () => {
  test("the handler sees a request only when its body is whole", async (t) => {
    const seen: string[] = [];
    const served = await serve(t, (exchange) => {
      const { body } = exchange.request;
      seen.push(body.kind === "memory" ? Buffer.from(body.bytes).toString() : body.kind);
      answer(exchange, "done");
    });
    const client = await served.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345");
    await settle();
    assert.deepEqual(seen, []);
    client.send("67890");
    await client.until("done");
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    await eventually(() => client.responses === 2);
    assert.deepEqual(seen, ["1234567890", "empty"]);
  });

  test("a chunked body arrives whole, with its length known", async (t) => {
    let variables = new Map<string, string>();
    let text = "";
    const served = await serve(t, (exchange) => {
      variables = variablesOf(exchange);
      const { body } = exchange.request;
      text = body.kind === "memory" ? Buffer.from(body.bytes).toString() : "";
      answer(exchange, "done");
    });
    const client = await served.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    client.send("4\r\ndefg\r\n0\r\n\r\n");
    await client.until("done");
    assert.equal(text, "abcdefg");
    assert.equal(variables.get("CONTENT_LENGTH"), "7");
    assert.equal(variables.has("HTTP_TRANSFER_ENCODING"), false);
  });

  test("100 (Continue) is sent to a client that waits for it, and to no other", async (t) => {
    const served = await serve(t, (exchange) => answer(exchange, "done"), { maxBody: 100 });
    const head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    const waits = await served.connect();
    waits.send(head);
    await waits.until("HTTP/1.1 100 Continue\r\n\r\n");
    waits.send("abc");
    await waits.until("done");
    const hasBegun = await served.connect();
    hasBegun.send(`${head}abc`);
    await hasBegun.until("done");
    assert.doesNotMatch(hasBegun.received, /100 Continue/);
    const tooLarge = await served.connect();
    tooLarge.send(head.replace("3", "300"));
    await tooLarge.until("HTTP/1.1 413 ");
    assert.doesNotMatch(tooLarge.received, /100 Continue/);
  });

  test("a large chunked upload passes whole through a file", async (t) => {
    const { readFileSync } = await import("node:fs");
    const piece = Buffer.alloc(50_000, "0123456789");
    const expected = createHash("sha256");
    const served = await serve(t, (exchange) => {
      const { body } = exchange.request;
      if (body.kind !== "file") return exchange.refuse(500, body.kind);
      const path = `/proc/self/fd/${body.fd}`;
      answer(exchange, createHash("sha256").update(readFileSync(path)).digest("hex"));
    });
    const client = await served.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (let i = 0; i < 200; i++) {
      client.send(`${piece.length.toString(16)}\r\n`, piece, "\r\n");
      expected.update(piece);
    }
    client.send("0\r\n\r\n");
    await client.until(expected.digest("hex"));
  });
});

describe("clients that leave", () => {
  /** A server whose exchanges stay open, and what happens to them. */
  async function open(t: Parameters<typeof serve>[0]) {
    const events: string[] = [];
    const exchanges: Exchange[] = [];
    const served = await serve(t, (exchange) => {
      exchanges.push(exchange);
      exchange.onGone = () => events.push("gone");
      exchange.onInputEnd = () => events.push("input ended");
    });
    return { events, exchanges, served, client: await served.connect() };
  }

  test("a reset while a request executes is noticed at once", async (t) => {
    const { client, events, exchanges } = await open(t);
    client.send(hello);
    await eventually(() => exchanges.length === 1);
    client.socket.resetAndDestroy();
    await eventually(() => events.includes("gone"));
    assert.equal(exchanges[0]?.ended, true);
    exchanges[0]?.respond(headOf(200), Buffer.from("nobody hears"), true);
    exchanges[0]?.cut();
  });

  test("a half-closed client is told of, and still reads its answer", async (t) => {
    const { client, events, exchanges, served } = await open(t);
    client.send(hello);
    await eventually(() => exchanges.length === 1);
    client.socket.end();
    await eventually(() => events.length > 0);
    assert.deepEqual([events, exchanges[0]?.inputEnded, exchanges[0]?.ended], [["input ended"], true, false]);
    exchanges[0]?.refuse(503, "Dropped.");
    await eventually(() => client.closed !== "");
    assert.match(client.received, /503 Service Unavailable\r\n[\s\S]*Connection: close[\s\S]*Dropped/);
    assert.deepEqual(events, ["input ended"]);
    await eventually(() => served.ingress.connections === 0);
  });

  test("requests pipelined before the client closed its side are all answered", async (t) => {
    const { client, exchanges } = await open(t);
    client.send(`${hello}${hello}`);
    client.socket.end();
    await eventually(() => exchanges[0]?.inputEnded === true);
    for (const index of [0, 1]) {
      await eventually(() => exchanges.length === index + 1);
      assert.equal(exchanges[index]?.inputEnded, true);
      const exchange = exchanges[index];
      if (exchange !== undefined) answer(exchange, `answer ${index}`);
    }
    await eventually(() => client.closed !== "");
    assert.match(client.received, /answer 0[\s\S]*answer 1$/);
  });

  test("one that leaves in mid-request leaves nothing", async (t) => {
    for (const part of ["GET / HT", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123"]) {
      const { client, exchanges, served } = await open(t);
      client.send(part);
      await settle();
      client.socket.end();
      await eventually(() => served.ingress.connections === 0);
      assert.equal(exchanges.length, 0);
      assert.equal(client.received, "");
    }
  });

  test("one that leaves while it is being written to is gone", async (t) => {
    const { client, events, exchanges } = await open(t);
    client.send(hello);
    await eventually(() => exchanges.length === 1);
    const [exchange] = exchanges;
    exchange?.respond(headOf(200), Buffer.from("first"), false);
    await client.until("first");
    client.socket.destroy();
    for (let i = 0; i < 10_000 && !events.includes("gone"); i++) {
      exchange?.write(Buffer.alloc(1000), false);
      await settle();
    }
    assert.ok(events.includes("gone"));
  });
});

describe("responses that cannot be finished", () => {
  test("before the head a plain 502 takes its place", async (t) => {
    const served = await serve(t, (exchange) => exchange.cut());
    const client = await served.connect();
    client.send(hello);
    await client.until("HTTP/1.1 502 Bad Gateway\r\n");
    client.send(hello);
    await eventually(() => client.responses === 2);
  });

  test("after it the connection ends without the end of the body", async (t) => {
    const served = await serve(t, (exchange) => {
      exchange.respond(headOf(200), Buffer.from("begun"), false);
      exchange.cut();
    });
    const client = await served.connect();
    client.send(hello);
    await client.untilEnd();
    assert.match(client.received, /\r\n\r\n5\r\nbegun\r\n$/);
  });

  test("where only the end of the connection ends the body, it is reset", async (t) => {
    let open: Exchange | undefined;
    const served = await serve(t, (exchange) => {
      open = exchange;
      exchange.respond(headOf(200), Buffer.from("begun"), false);
    });
    const client = await served.connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    await client.until("begun");
    open?.cut();
    await eventually(() => client.closed !== "");
    assert.equal(client.closed, "reset");
  });

  test("a body shorter than its Content-Length cuts the connection, a longer one is cut off; both are logged", async (t) => {
    const lines: string[] = [];
    const listen = (message: unknown): void => void lines.push(JSON.stringify(message));
    logLine.subscribe(listen);
    t.after(() => logLine.unsubscribe(listen));
    const served = await serve(t, (exchange) =>
      answer(exchange, "12345", { "Content-Length": exchange.request.target.slice(1) }),
    );
    const longer = await served.connect();
    longer.send("GET /3 HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2));
    await eventually(() => longer.responses === 2);
    assert.equal(longer.received.match(/\r\n\r\n123(?=HTTP|$)/g)?.length, 2);
    const shorter = await served.connect();
    shorter.send("GET /8 HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2));
    await shorter.untilEnd();
    assert.equal(shorter.responses, 1);
    assert.match(
      lines.join("\n"),
      /GET \/3 was 2 octets longer than its Content-Length[\s\S]*GET \/8 ended after 5 octets/,
    );
  });
});

describe("time", () => {
  test("an idle connection is closed silently after keep-alive, and not before", async (t) => {
    const served = await serve(t, (exchange) => answer(exchange, "done"), { keepAlive: 100, headTimeout: 10 });
    const client = await served.connect();
    client.send(hello);
    await client.until("done");
    const received = client.received;
    served.deadlines.advance(ticks(90));
    await settle();
    assert.equal(client.closed, "");
    served.deadlines.advance(ticks(20));
    await eventually(() => client.ended);
    assert.equal(client.received, received);
  });

  test("a connection that sends nothing is closed silently after the head's time", async (t) => {
    const served = await serve(t, (exchange) => answer(exchange, "done"), { headTimeout: 10 });
    const client = await served.connect();
    await eventually(() => served.ingress.connections === 1);
    served.deadlines.advance(ticks(10));
    await client.untilEnd();
    assert.equal(client.received, "");
  });

  test("a head that drips in gets 408, however often it drips", async (t) => {
    const served = await serve(t, (exchange) => answer(exchange, "done"), { headTimeout: 10 });
    const client = await served.connect();
    for (const part of ["GET / HTTP/1.1\r\n", "Host: a\r\n", "X: y\r\n"]) {
      client.send(part);
      await settle();
      served.deadlines.advance(ticks(3));
    }
    served.deadlines.advance(ticks(3));
    await client.untilEnd();
    assert.match(client.received, /^HTTP\/1\.1 408 /);
  });

  test("a request may execute as long as it likes", async (t) => {
    const open: Exchange[] = [];
    const served = await serve(t, (exchange) => open.push(exchange));
    const client = await served.connect();
    client.send(hello);
    await eventually(() => open.length === 1);
    served.deadlines.advance(ticks(100_000));
    await settle();
    open[0]?.respond(headOf(200), Buffer.from("part"), false);
    await client.until("part");
    served.deadlines.advance(ticks(100_000));
    open[0]?.write(Buffer.from("late"), true);
    await client.until("late");
  });
});

describe("draining", () => {
  test("idle connections close at once, busy ones after their response", async (t) => {
    const open: Exchange[] = [];
    const served = await serve(t, (exchange) => open.push(exchange));
    const [idle, busy] = [await served.connect(), await served.connect()];
    await eventually(() => served.ingress.connections === 2);
    served.deadlines.advance(ticks(1));
    busy.send(hello);
    await eventually(() => open.length === 1 && served.ingress.connections === 2);
    let drained = false;
    const draining = served.ingress.drain().then(() => {
      drained = true;
    });
    await idle.untilEnd();
    await settle();
    assert.deepEqual([drained, busy.closed], [false, ""]);
    const [exchange] = open;
    if (exchange !== undefined) answer(exchange, "finished");
    await busy.untilEnd();
    busy.socket.end();
    await draining;
    assert.match(busy.received, /Connection: close\r\n[\s\S]*finished$/);
    assert.equal(served.ingress.connections, 0);
  });

  test("a connection that was used a moment ago gets its next request answered, or closes soon", async (t) => {
    const served = await serve(t, (exchange) => answer(exchange, "hello"));
    const [next, none] = [await served.connect(), await served.connect()];
    next.send(hello);
    await next.until(/hello$/);
    await eventually(() => served.ingress.connections === 2);
    const drained = served.ingress.drain();
    await settle();
    assert.equal(served.ingress.connections, 2);
    next.send(hello);
    await next.untilEnd();
    next.socket.end();
    assert.match(next.received, /Connection: close\r\n[\s\S]*hello$/);
    served.deadlines.advance(ticks(0.25));
    await none.untilEnd();
    await drained;
  });

  test("before the end connections that wait are accepted, and what they sent is answered", async (t) => {
    const served = await serve(t, (exchange) => answer(exchange, "hello"));
    const clients = await Promise.all(Array.from({ length: 20 }, () => served.connect()));
    for (const client of clients) client.send(hello);
    await served.ingress.windUp();
    assert.equal(served.ingress.connections, 20);
    const drained = served.ingress.drain();
    for (const client of clients) await client.untilEnd();
    for (const client of clients) {
      client.socket.end();
      assert.match(client.received, /hello$/);
    }
    await drained;
  });

  test("with no connection it is done at once", async (t) => {
    const served = await serve(t, (exchange) => answer(exchange, ""));
    await served.ingress.drain();
    assert.equal(served.ingress.connections, 0);
  });

  test("destroying closes everything, and exchanges see their client gone", async (t) => {
    let gone = 0;
    const served = await serve(t, (exchange) => {
      exchange.onGone = () => {
        gone += 1;
      };
    });
    const client = await served.connect();
    client.send(hello);
    await eventually(() => served.ingress.requests === 1);
    served.ingress.destroy();
    await client.untilEnd();
    assert.equal(gone, 1);
  });
});

describe("what is told of requests", () => {
  test("each that ended, refused or left alone included", async (t) => {
    const told: unknown[] = [];
    const listen = (message: unknown): void => void told.push(message);
    requestEnded.subscribe(listen);
    t.after(() => requestEnded.unsubscribe(listen));
    const served = await serve(t, (exchange) => {
      if (exchange.request.target === "/hello") answer(exchange, "hello");
    });
    const client = await served.connect();
    client.send("GET /hello HTTP/1.1\r\nHost: a\r\nREFERER: http://b/\r\nUser-Agent: test\r\n\r\n");
    await client.until("hello");
    client.send("GET /stay HTTP/1.1\r\nHost: a\r\n\r\n");
    await eventually(() => served.ingress.requests === 2);
    client.socket.resetAndDestroy();
    await eventually(() => told.length === 2);
    const malformed = await served.connect();
    malformed.send("BAD\r\n\r\n");
    await malformed.untilEnd();
    const octets = malformed.received.split("\r\n\r\n")[1]?.length ?? 0;
    const measured = JSON.stringify(told, (key, value) => (key === "milliseconds" ? value > 0 : value));
    const common = { remoteAddress: "127.0.0.1", method: "GET", protocol: "HTTP/1.1", referer: "", userAgent: "" };
    assert.deepEqual(JSON.parse(measured), [
      {
        ...common,
        target: "/hello",
        status: 200,
        octets: 5,
        milliseconds: true,
        referer: "http://b/",
        userAgent: "test",
      },
      { ...common, target: "/stay", status: 0, octets: 0, milliseconds: true },
      { ...common, method: "", target: "", protocol: "", status: 400, octets, milliseconds: false },
    ]);
  });
});
