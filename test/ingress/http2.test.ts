import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, constants } from "node:http2";
import { createConnection } from "node:net";
import { after, before, describe, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { logLine, type RequestEnded, requestEnded } from "../../src/channels.js";
import type { Exchange } from "../../src/exchange.js";
import { lingerTicks } from "../../src/ingress/http1-phases.js";
import { TlsDoor } from "../../src/ingress/tls.js";
import { ticks } from "../../src/net/deadline.js";
import { readIdentity } from "../../src/net/tls-identity.js";
import { makeCertificate } from "../support/certificates.js";
import { flags, frame, get, headers, post } from "../support/http2-frames.js";
import { removeFolder, temporaryFolder } from "../support/tools.js";
import { answerOf, ask, serveHttp2 } from "./http2-client.js";
import { answer, eventually, headOf, hello, inTime, openFilesIn, serve, settle, variablesOf } from "./support.js";

describe("requests and responses", () => {
  test("a request is answered, and a second one on the same connection", async (t) => {
    const served = await serveHttp2(t, (exchange) => answer(exchange, `you asked for ${exchange.request.target}`));
    const session = served.session();
    const first = await ask(session, "/hello?x=1");
    assert.deepEqual([first.status, first.body, first.code], [200, "you asked for /hello?x=1", 0]);
    assert.equal(first.headers["content-length"], "24");
    assert.match(String(first.headers["date"]), / GMT$/);
    assert.equal((await ask(session, "/again")).body, "you asked for /again");
    assert.deepEqual([served.ingress.requests, served.ingress.connections], [2, 1]);
  });

  test("the same port answers HTTP/1.1, also where its first octets come one by one", async (t) => {
    const served = await serveHttp2(t, (exchange) => answer(exchange, exchange.request.method));
    const client = await served.connect();
    client.send(hello);
    await client.until(/GET$/);
    const slow = await served.connect();
    for (const octet of "PRI / HTTP/1.1\r\nHost: a\r\n\r\n") {
      slow.send(octet);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await slow.until(/PRI$/);
    assert.equal(served.ingress.connections, 2);
  });

  test("what is neither, the connection is closed; what is HTTP/1 gone wrong, is told so", async (t) => {
    const served = await serveHttp2(t, (exchange) => answer(exchange, "never"));
    const neither = ["INVALID CONNECTION PREFACE\r\n\r\n", "EHLO a.example\n"];
    const wrong = [
      "GET / http/1.1\r\n\r\n",
      "\r\nGET\r\n\r\n",
      `${"x".repeat(300)}\r\n\r\n`,
      "PRI * HTTP/2.0\r\n\r\nno",
    ];
    for (const octets of [...neither, ...wrong]) {
      const client = await served.connect();
      client.send(octets);
      await client.untilEnd();
      assert.match(client.received, neither.includes(octets) ? /^$/ : /^HTTP\/1.1 (400|501|505) /, octets.slice(0, 30));
    }
  });

  test("without the option the preface is no request", async (t) => {
    const served = await serve(t, (exchange) => answer(exchange, "never"));
    const client = await served.connect();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    await client.until(/^HTTP\/1.1 (400|505) /);
  });

  test("a preface that comes in pieces is one", async (t) => {
    const served = await serveHttp2(t, (exchange) => answer(exchange, "yes"));
    const client = await served.frames();
    for (const part of ["P", "RI * HTTP/2.0\r\n", "\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"]) {
      client.send(Buffer.from(part, "latin1"));
      await settle();
    }
    await eventually(() => client.of("settings").length === 2);
  });

  test("many requests at once are executed at once, and answered in any order", async (t) => {
    const open: Exchange[] = [];
    const served = await serveHttp2(t, (exchange) => open.push(exchange));
    const session = served.session();
    const answers = Array.from({ length: 50 }, (_, number) => ask(session, `/${number}`));
    await eventually(() => open.length === 50);
    for (const exchange of open.reverse()) answer(exchange, exchange.request.target);
    assert.deepEqual(
      (await Promise.all(answers)).map(({ body }) => body),
      Array.from({ length: 50 }, (_, number) => `/${number}`),
    );
  });

  test("the application sees the variables that it sees over HTTP/1.1", async (t) => {
    const seen: Map<string, string>[] = [];
    const fields: (readonly string[] | undefined)[] = [];
    const served = await serveHttp2(t, (exchange) => {
      seen.push(variablesOf(exchange));
      fields.push(exchange.request.fields);
      answer(exchange, "");
    });
    const session = served.session();
    const sent = {
      ":authority": "shop.example:8080",
      cookie: ["a=1", "b=2"],
      "x-many": ["1", "2"],
      proxy: "evil",
      te: "trailers",
    };
    await ask(session, "/caf%C3%A9/x?q=%20", sent);
    await ask(session, "/caf%C3%A9/x?q=%20", sent);
    const [first, second] = seen;
    const expected: Readonly<Record<string, string | undefined>> = {
      SERVER_PROTOCOL: "HTTP/2",
      REQUEST_METHOD: "GET",
      PATH_INFO: "/caf\xc3\xa9/x",
      REQUEST_URI: "/caf%C3%A9/x?q=%20",
      QUERY_STRING: "q=%20",
      HTTP_HOST: "shop.example:8080",
      SERVER_NAME: "shop.example",
      SERVER_PORT: String(served.port),
      HTTP_COOKIE: "a=1; b=2",
      HTTP_X_MANY: "1, 2",
      HTTP_PROXY: undefined,
      CONTENT_LENGTH: undefined,
      REMOTE_ADDR: "127.0.0.1",
      "wsgi.url_scheme": "http",
    };
    assert.deepEqual(Object.fromEntries(Object.keys(expected).map((name) => [name, first?.get(name)])), expected);
    assert.deepEqual(second, first);
    assert.deepEqual(fields[0]?.slice(0, 2), ["host", "shop.example:8080"]);
    assert.equal(fields[0], fields[1], "what is made of the fields could not be kept");
  });

  test("a request's body arrives whole, small ones in memory and large ones in a file", async (t) => {
    const kinds: string[] = [];
    const served = await serveHttp2(t, (exchange) => {
      const { body } = exchange.request;
      kinds.push(body.kind);
      const length = body.kind === "memory" ? body.bytes.length : body.kind === "file" ? body.size : 0;
      answer(exchange, `${length} ${variablesOf(exchange).get("CONTENT_LENGTH")}`);
    });
    const session = served.session();
    assert.equal((await ask(session, "/", { ":method": "POST" }, "x".repeat(1000))).body, "1000 1000");
    assert.equal((await ask(session, "/", { ":method": "POST" }, Buffer.alloc(3_000_000))).body, "3000000 3000000");
    assert.equal((await ask(session, "/", { ":method": "POST", "content-length": 0 })).body, "0 0");
    assert.deepEqual(kinds, ["memory", "file", "empty"]);
    // It is closed beside the answer, by another thread.
    await eventually(() => openFilesIn(served.tempDir).length === 0);
  });

  test("a response's fields keep their values apart where a list would not do", async (t) => {
    const served = await serveHttp2(t, (exchange) => {
      const fields = "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nVary: Accept\r\nVary: Cookie\r\nX-Latin: caf\xe9\r\n";
      const head = { ...headOf(200), fields: Buffer.from(fields, "latin1") };
      exchange.respond(head, Buffer.from("x"), true);
    });
    const { headers } = await ask(served.session(), "/");
    assert.deepEqual(headers["set-cookie"], ["a=1", "b=2"]);
    assert.equal(headers["vary"], "Accept, Cookie");
    assert.equal(headers["x-latin"], "caf\xe9");
    assert.equal(headers["connection"], undefined);
  });

  test("responses without a body have none, whatever the handler gives", async (t) => {
    const ended: boolean[] = [];
    const served = await serveHttp2(t, (exchange) => {
      const flushed: number[] = [];
      exchange.onFlushed = (octets) => {
        flushed.push(octets);
        if (flushed.length < 3) exchange.write(Buffer.from("more"), flushed.length === 2);
        ended.push(exchange.ended);
      };
      exchange.onGone = () => assert.fail("the client did not leave");
      exchange.respond(headOf(exchange.request.target === "/204" ? 204 : 200), Buffer.from("text"), false);
    });
    const session = served.session();
    const head = await ask(session, "/", { ":method": "HEAD" });
    assert.deepEqual([head.status, head.body, head.headers["content-length"]], [200, "", undefined]);
    const none = await ask(session, "/204");
    assert.deepEqual([none.status, none.body, none.headers["content-length"]], [204, "", undefined]);
    await eventually(() => ended.length === 4);
    assert.deepEqual(ended, [false, true, false, true]);
  });

  test("HEAD tells the length that GET would have had", async (t) => {
    const served = await serveHttp2(t, (exchange) => answer(exchange, "12345"));
    assert.equal((await ask(served.session(), "/", { ":method": "HEAD" })).headers["content-length"], "5");
  });

  test("the access log is told of a request as over HTTP/1.1", async (t) => {
    const told: RequestEnded[] = [];
    const listener = (message: unknown): void => void told.push(message as RequestEnded);
    requestEnded.subscribe(listener);
    t.after(() => requestEnded.unsubscribe(listener));
    const served = await serveHttp2(t, (exchange) => answer(exchange, "12345"));
    await ask(served.session(), "/a?b", { referer: "http://r.example/", "user-agent": "test" });
    const { milliseconds, ...rest } = told[0] ?? assert.fail("nothing was told");
    assert.ok(milliseconds >= 0);
    assert.deepEqual(rest, {
      remoteAddress: "127.0.0.1",
      method: "GET",
      target: "/a?b",
      protocol: "HTTP/2",
      status: 200,
      octets: 5,
      referer: "http://r.example/",
      userAgent: "test",
    });
  });
});

describe("streams", () => {
  test("a response goes out as it comes, with trailers behind it", async (t) => {
    let exchange: Exchange | undefined;
    const served = await serveHttp2(t, (begun) => {
      exchange = begun;
      begun.respond(headOf(200), undefined, false);
    });
    const stream = served.session().request({ ":path": "/" });
    const answered = answerOf(stream);
    await once(stream, "response");
    exchange?.write(Buffer.from("one"), false);
    assert.equal(String((await once(stream, "data"))[0]), "one");
    exchange?.write(Buffer.from("two"), false);
    assert.equal(exchange?.takesTrailers, true);
    exchange?.end(Buffer.from("Grpc-Status: 0\r\n"));
    assert.equal(exchange?.ended, true);
    const { body, trailers, code } = await answered;
    assert.deepEqual([body, trailers["grpc-status"], code], ["onetwo", "0", 0]);
  });

  test("early hints come before the response", async (t) => {
    const served = await serveHttp2(t, (exchange) => {
      assert.equal(exchange.takesHints, true);
      exchange.inform(103, Buffer.from("Link: </a.css>; rel=preload\r\nLink: </b.js>; rel=preload\r\n"));
      answer(exchange, "page");
    });
    const { interim, body } = await ask(served.session(), "/");
    assert.deepEqual(
      [interim[0]?.[":status"], interim[0]?.["link"], body],
      [103, "</a.css>; rel=preload, </b.js>; rel=preload", "page"],
    );
  });

  test("a slow reader of one stream holds back onFlushed of that one only", async (t) => {
    let flushed = 0;
    const served = await serveHttp2(t, (exchange) => {
      if (exchange.request.target === "/small") {
        answer(exchange, "small");
        return;
      }
      exchange.onFlushed = (octets) => {
        flushed += octets;
        exchange.write(Buffer.alloc(100_000), false);
      };
      exchange.respond(headOf(200), Buffer.alloc(100_000), false);
    });
    const session = served.session();
    const slow = session.request({ ":path": "/large" });
    slow.pause();
    await once(slow, "response");
    await settle();
    const before = flushed;
    await settle();
    assert.equal(flushed, before);
    assert.ok(before <= 200_000, `${before} octets left for a client that reads none`);
    assert.equal((await ask(session, "/small")).body, "small");
    slow.resume();
    await eventually(() => flushed > before + 1_000_000);
    slow.close(constants.NGHTTP2_CANCEL);
  });

  test("a client that gives a request up is told to its handler, and the connection serves on", async (t) => {
    let gone = 0;
    const open: Exchange[] = [];
    const served = await serveHttp2(t, (exchange) => {
      exchange.onGone = () => {
        gone += 1;
      };
      open.push(exchange);
    });
    const session = served.session();
    const stream = session.request({ ":path": "/" });
    stream.on("error", () => {});
    await eventually(() => open.length === 1);
    stream.close(constants.NGHTTP2_CANCEL);
    await eventually(() => gone === 1);
    assert.equal(open[0]?.ended, true);
    const next = ask(session, "/next");
    await eventually(() => open.length === 2);
    if (open[1] !== undefined) answer(open[1], "next");
    assert.equal((await next).body, "next");
    session.destroy();
    await eventually(() => served.ingress.connections === 0);
    assert.equal(gone, 1);
  });

  test("a connection that is lost takes its requests with it", async (t) => {
    let gone = 0;
    const served = await serveHttp2(t, (exchange) => {
      exchange.onGone = () => {
        gone += 1;
      };
      if (exchange.request.target === "/begun") exchange.respond(headOf(200), Buffer.from("part"), false);
    });
    const client = await served.frames();
    client.begin(headers(1, get), headers(3, [...get.filter(([name]) => name !== ":path"), [":path", "/begun"]]));
    await eventually(() => served.ingress.requests === 2);
    client.socket.resetAndDestroy();
    await eventually(() => gone === 2 && served.ingress.connections === 0);
  });

  test("a response that cannot be finished is reset, and nobody takes it for whole", async (t) => {
    const served = await serveHttp2(t, (exchange) => {
      exchange.respond(headOf(200), Buffer.from("part"), false);
      exchange.onFlushed = () => exchange.cut();
    });
    const session = served.session();
    assert.equal((await ask(session, "/")).code, constants.NGHTTP2_INTERNAL_ERROR);
    assert.equal(served.ingress.connections, 1);
  });

  test("a body shorter than its Content-Length is reset, a longer one cut to it; both are logged", async (t) => {
    const lines: string[] = [];
    const listener = (line: unknown): void => void lines.push(JSON.stringify(line));
    logLine.subscribe(listener);
    t.after(() => logLine.unsubscribe(listener));
    const served = await serveHttp2(t, (exchange) => {
      const long = exchange.request.target === "/long";
      exchange.respond(headOf(200, { "Content-Length": "6" }), Buffer.from("four"), false);
      exchange.write(Buffer.from(long ? "-and-more" : ""), true);
    });
    const session = served.session();
    assert.equal((await ask(session, "/short")).code, constants.NGHTTP2_INTERNAL_ERROR);
    const long = await ask(session, "/long");
    assert.deepEqual([long.code, long.body], [0, "four-a"]);
    assert.match(lines.join("\n"), /GET \/short ended after 4 octets, before its Content-Length/);
    assert.match(lines.join("\n"), /GET \/long was 7 octets longer than its Content-Length/);
  });

  test("a handler that throws is answered 500", async (t) => {
    const served = await serveHttp2(t, () => {
      throw new Error("broken");
    });
    const { status, body } = await ask(served.session(), "/");
    assert.equal(status, 500);
    assert.match(body, /Request id: [0-9a-f]{16}/);
  });
});

describe("bodies that stream", () => {
  test("a handler that takes a body while it arrives has it with back-pressure", async (t) => {
    let received = 0;
    let ended = false;
    let exchange: Exchange | undefined;
    const served = await serveHttp2(
      t,
      (begun) => {
        exchange = begun;
        begun.request.stream?.start({
          bodyReceived: (octets) => {
            received += octets.length;
          },
          bodyEnded: () => {
            ended = true;
          },
        });
      },
      { streams: true },
    );
    const stream = served.session().request({ ":path": "/", ":method": "POST", "content-length": 2_000_000 });
    const answered = answerOf(stream);
    stream.end(Buffer.alloc(2_000_000));
    await eventually(() => received > 0);
    assert.equal(exchange?.request.stream?.length, 2_000_000);
    await settle();
    assert.ok(received < 400_000, `${received} octets were read that nobody had taken`);
    let taken = 0;
    while (!ended) {
      const more = received - taken;
      taken = received;
      if (more > 0) exchange?.request.stream?.credit(more);
      await settle();
    }
    assert.equal(received, 2_000_000);
    if (exchange !== undefined) answer(exchange, "thanks");
    assert.equal((await answered).body, "thanks");
  });

  test("a body that came with its head is in memory", async (t) => {
    const kinds: string[] = [];
    const served = await serveHttp2(
      t,
      (exchange) => {
        const { body, stream } = exchange.request;
        kinds.push(stream === undefined ? body.kind : "stream");
        answer(exchange, body.kind === "memory" ? Buffer.from(body.bytes).toString() : "");
      },
      { streams: true },
    );
    const client = await served.frames();
    client.begin(headers(1, post, false), frame("data", flags.endStream, 1, "small"));
    await eventually(() => client.whole(1));
    assert.deepEqual([kinds, client.body(1).toString()], [["memory"], "small"]);
    assert.equal(served.ingress.memory.used, 0);
  });

  test("an answer before the end of the body stands, and the rest is not wanted", async (t) => {
    const served = await serveHttp2(
      t,
      (exchange) => {
        exchange.request.stream?.start({ bodyReceived: () => {}, bodyEnded: () => {} });
        answer(exchange, "enough");
      },
      { streams: true },
    );
    const session = served.session();
    const stream = session.request({ ":path": "/", ":method": "POST" });
    stream.write(Buffer.alloc(100_000));
    const answered = answerOf(stream);
    await once(stream, "end");
    assert.equal(stream.closed, false, "the client was told not to send before it had its answer");
    await inTime(served, () => stream.closed);
    const { status, body, code } = await answered;
    assert.deepEqual([status, body, code], [200, "enough", constants.NGHTTP2_NO_ERROR]);
    assert.equal(session.destroyed, false);
  });

  test("100 (Continue) is sent when the body is wanted", async (t) => {
    for (const streams of [false, true]) {
      const served = await serveHttp2(
        t,
        (exchange) => {
          const { stream } = exchange.request;
          stream?.start({ bodyReceived: () => {}, bodyEnded: () => answer(exchange, "got it") });
          stream?.credit(0);
          if (stream === undefined) answer(exchange, "got it");
        },
        { streams },
      );
      const stream = served.session().request({ ":path": "/", ":method": "POST", expect: "100-continue" });
      const answered = answerOf(stream);
      await once(stream, "continue");
      stream.end("body");
      const { interim, body } = await answered;
      assert.deepEqual([interim.length, body], [1, "got it"]);
    }
  });
});

describe("over TLS", () => {
  let folder = "";
  before(() => {
    folder = temporaryFolder("http2");
  });
  after(() => removeFolder(folder));

  function doorWith(http2: boolean): TlsDoor {
    const { cert, key, names } = readIdentity(makeCertificate(folder, "localhost"));
    const ticketKeys = Buffer.alloc(48, "k").toString("base64");
    const material = { identities: [{ cert, key, names }], clientCa: "", ticketKeys };
    return new TlsDoor({ clientCert: "required", minVersion: "1.2" }, material, http2);
  }

  test("a client that offers HTTP/2 has it, one that does not has HTTP/1.1", async (t) => {
    const config = { tls: doorWith(true), http2: "tls", proxies: ["127.0.0.1"] } as const;
    const served = await serve(
      t,
      (exchange) => {
        const variables = variablesOf(exchange);
        const names = ["SERVER_PROTOCOL", "wsgi.url_scheme", "HTTPS", "SSL_PROTOCOL", "REMOTE_ADDR", "SERVER_PORT"];
        answer(exchange, names.map((name) => variables.get(name)).join(" "));
      },
      config,
      false,
      "https",
    );
    for (const [offered, protocol] of [
      ["h2", "HTTP/2"],
      ["http/1.1", "HTTP/1.1"],
    ] as const) {
      const carrier = createConnection({ port: served.port, host: "127.0.0.1" });
      t.after(() => carrier.destroy());
      await once(carrier, "connect");
      carrier.write("PROXY TCP4 192.0.2.7 192.0.2.1 40000 443\r\n");
      const socket = connectTls({ socket: carrier, rejectUnauthorized: false, ALPNProtocols: [offered] });
      t.after(() => socket.destroy());
      await once(socket, "secureConnect");
      assert.equal(socket.alpnProtocol, offered);
      const expected = `${protocol} https on TLSv1.3 192.0.2.7 443`;
      if (offered === "h2") {
        const session = connect("https://localhost", { createConnection: () => socket });
        assert.equal((await ask(session, "/")).body, expected);
        // Looked at meanwhile, it is found to be in order.
        for (let look = 0; look < 4; look += 1) {
          served.deadlines.advance(ticks(0.5));
          await settle();
        }
        assert.equal((await ask(session, "/", { ":method": "POST" }, Buffer.alloc(1_000_000))).body, expected);
        session.destroy();
      } else {
        let received = "";
        socket.on("data", (chunk: Buffer) => {
          received += chunk.toString("latin1");
        });
        socket.write(hello);
        await eventually(() => received.includes(expected));
        socket.destroy();
      }
      await eventually(() => served.ingress.connections === 0);
    }
  });

  test("with --http2 off nobody is offered it", async (t) => {
    const served = await serve(t, () => {}, { tls: doorWith(false), http2: "off" }, false, "https");
    const socket = connectTls({ port: served.port, rejectUnauthorized: false, ALPNProtocols: ["h2", "http/1.1"] });
    await once(socket, "secureConnect");
    assert.equal(socket.alpnProtocol, "http/1.1");
    socket.destroy();
  });
});

describe("time", () => {
  test("an idle connection is closed after the keep-alive time, with a word", async (t) => {
    const served = await serveHttp2(t, (exchange) => answer(exchange, "done"), { keepAlive: 20, headTimeout: 10 });
    const session = served.session();
    await ask(session, "/");
    served.deadlines.advance(ticks(19));
    await settle();
    assert.equal(session.closed, false);
    const [code] = await Promise.all([
      new Promise((resolve) => session.once("goaway", resolve)),
      served.deadlines.advance(ticks(2)),
    ]);
    assert.equal(code, constants.NGHTTP2_NO_ERROR);
    await eventually(() => served.ingress.connections === 0);
  });

  test("a connection that says nothing is closed after the head's time, before and after the preface", async (t) => {
    for (const sent of ["", "PRI * HTT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]) {
      const served = await serveHttp2(t, (exchange) => answer(exchange, "done"), { headTimeout: 10 });
      const client = await served.connect();
      client.send(sent);
      await settle();
      served.deadlines.advance(ticks(9));
      await settle();
      assert.equal(client.closed, "");
      served.deadlines.advance(ticks(2));
      await client.untilEnd();
      await eventually(() => served.ingress.connections === 0);
    }
  });

  test("a connection on which a head does not come to its end is given up as an idle one is", async (t) => {
    const served = await serveHttp2(t, () => assert.fail("it is not whole"), { keepAlive: 20, headTimeout: 10 });
    const client = await served.frames();
    client.begin(frame("headers", flags.endStream, 1, headers(1, get).subarray(9)));
    await eventually(() => client.of("settings").length === 2);
    await settle();
    served.deadlines.advance(ticks(20));
    await eventually(() => client.goaway === 0);
    served.deadlines.advance(lingerTicks);
    await eventually(() => client.closed && served.ingress.connections === 0);
  });

  test("a request that is executed is waited for, however long", async (t) => {
    const open: Exchange[] = [];
    const served = await serveHttp2(t, (exchange) => open.push(exchange), { keepAlive: 5, headTimeout: 5 });
    const answered = ask(served.session(), "/");
    await eventually(() => open.length === 1);
    served.deadlines.advance(ticks(1000));
    await settle();
    if (open[0] !== undefined) answer(open[0], "at last");
    assert.equal((await answered).body, "at last");
  });

  test("a body that comes too slowly is answered 408, and the connection serves on", async (t) => {
    const served = await serveHttp2(t, (exchange) => answer(exchange, "done"), { stallTimeout: 10 });
    const session = served.session();
    const stream = session.request({ ":path": "/", ":method": "POST" });
    stream.write("little");
    const answered = answerOf(stream);
    await eventually(() => served.ingress.connections === 1);
    await settle();
    served.deadlines.advance(ticks(11));
    await once(stream, "end");
    await inTime(served, () => stream.closed);
    assert.equal((await answered).status, 408);
    assert.equal((await ask(session, "/")).body, "done");
  });
});

describe("the end of a connection", () => {
  test("when the server stops, what runs is finished, and an idle connection closed", async (t) => {
    const open: Exchange[] = [];
    const served = await serveHttp2(t, (exchange) => open.push(exchange));
    const busy = served.session();
    const idle = served.session();
    const answered = ask(busy, "/");
    await eventually(() => open.length === 1);
    await eventually(() => served.ingress.connections === 2);
    served.deadlines.advance(ticks(1));
    const goaway = new Promise((resolve) => busy.once("goaway", resolve));
    const drained = served.ingress.drain();
    assert.equal(await goaway, constants.NGHTTP2_NO_ERROR);
    await eventually(() => idle.closed || idle.destroyed);
    if (open[0] !== undefined) answer(open[0], "finished");
    assert.equal((await answered).body, "finished");
    await drained;
  });

  test("of requests that come when the server has stopped the client knows that they were not begun", async (t) => {
    const open: Exchange[] = [];
    const served = await serveHttp2(t, (exchange) => open.push(exchange));
    const client = await served.frames();
    client.begin(headers(1, get));
    await eventually(() => open.length === 1);
    const drained = served.ingress.drain();
    await eventually(() => client.goaway === 0);
    client.send(headers(3, get));
    await settle();
    if (open[0] !== undefined) answer(open[0], "finished");
    await eventually(() => client.whole(1));
    await eventually(() => client.closed);
    assert.deepEqual([client.of("goaway").at(-1)?.payload.readUInt32BE(0), open.length], [1, 1]);
    client.socket.destroy();
    await drained;
  });

  test("an idle connection may send one more request when the server is replaced gently", async (t) => {
    const served = await serveHttp2(t, (exchange) => answer(exchange, "served"));
    const client = await served.frames();
    client.begin(headers(1, get));
    await eventually(() => client.whole(1));
    served.deadlines.advance(ticks(10));
    const drained = served.ingress.drain(true);
    await settle();
    assert.equal(client.goaway, undefined);
    client.send(headers(3, get));
    await eventually(() => client.whole(3) && client.closed);
    assert.deepEqual([client.goaway, client.body(3).toString()], [0, "served"]);
    client.socket.destroy();
    await drained;
  });

  test("a client that only ends its side of the connection gets its answer", async (t) => {
    const open: Exchange[] = [];
    const served = await serveHttp2(t, (exchange) => open.push(exchange));
    const client = await served.frames();
    client.begin(headers(1, get));
    await eventually(() => open.length === 1);
    client.socket.end();
    await eventually(() => open[0]?.inputEnded === true);
    if (open[0] !== undefined) answer(open[0], "still here");
    await eventually(() => client.whole(1));
    assert.equal(client.body(1).toString(), "still here");
    await eventually(() => served.ingress.connections === 0);
  });
});
