import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import {
  answering,
  eventually,
  type FakeExchange,
  fakeServer,
  fileBody,
  groupOf,
  response,
  settle,
  type TestRequest,
} from "./support.js";

/** What a server receives of a request. */
async function sent(context: TestContext, request: TestRequest, config = {}): Promise<string> {
  const server = await fakeServer(
    context,
    answering(() => response("ok")),
  );
  const { send } = groupOf(context, [server.port], config);
  assert.equal(await send(request).end(), "200 whole ok");
  return server.accepted[0]?.received ?? "";
}

/** What a client is told of a response. The server closes behind it where it `closes`. */
async function told(context: TestContext, octets: string, method = "GET", closes = false): Promise<FakeExchange> {
  const server = await fakeServer(context, (connection) => {
    connection.socket.once("data", () => {
      connection.send(octets);
      if (closes) connection.socket.end();
    });
  });
  const exchange = groupOf(context, [server.port]).send({ method });
  await exchange.end();
  return exchange;
}

describe("a request over HTTP/1.1", () => {
  test("is made of its variables: target as sent, fields, the media type, Host", async (context) => {
    const variables = {
      REQUEST_URI: "/a%2Fb?x=%20y",
      PATH_INFO: "/a/b",
      HTTP_USER_AGENT: "test/1",
      HTTP_X_LONG_NAME: "",
      CONTENT_TYPE: "text/plain",
    };
    const octets = await sent(context, {
      method: "POST",
      variables,
      body: { kind: "memory", bytes: Buffer.from("hello") },
    });
    assert.equal(
      octets,
      "POST /a%2Fb?x=%20y HTTP/1.1\r\nHost: example.org\r\nUser-Agent: test/1\r\nX-Long-Name: \r\n" +
        "Content-Type: text/plain\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\n" +
        "X-Forwarded-Host: example.org\r\nX-Forwarded-Port: 8000\r\nContent-Length: 5\r\n\r\nhello",
    );
  });

  test("has no field that is about the client's connection", async (context) => {
    const variables = {
      HTTP_CONNECTION: "keep-alive, X-Secret, X-Forwarded-For",
      HTTP_X_SECRET: "1",
      HTTP_X_KEPT: "2",
      HTTP_KEEP_ALIVE: "timeout=5",
      HTTP_TE: "trailers",
      HTTP_TRAILER: "X",
      HTTP_UPGRADE: "websocket",
      HTTP_TRANSFER_ENCODING: "chunked",
      HTTP_PROXY_CONNECTION: "close",
      HTTP_EXPECT: "100-continue",
      HTTP_PROXY: "http://evil",
    };
    const octets = await sent(context, { variables });
    assert.equal(
      octets,
      "GET /hello HTTP/1.1\r\nHost: example.org\r\nX-Kept: 2\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\n" +
        "X-Forwarded-Host: example.org\r\nX-Forwarded-Port: 8000\r\n\r\n",
    );
  });

  test("without a REQUEST_URI has its path encoded; without a Host it names the server", async (context) => {
    const variables = {
      REQUEST_URI: "",
      SCRIPT_NAME: "/p",
      PATH_INFO: "/a b\xe9\n?#",
      QUERY_STRING: "q",
      HTTP_HOST: "",
      SERVER_PORT: "81",
    };
    const octets = await sent(context, { variables });
    assert.match(octets, /^GET \/p\/a%20b%E9%0A%3F%23\?q HTTP\/1\.1\r\nHost: example\.org:81\r\n/);
  });

  test("with octets in its REQUEST_URI that no request line can carry has them encoded", async (context) => {
    const octets = await sent(context, { variables: { REQUEST_URI: "/a b\xe9" } });
    assert.match(octets, /^GET \/a%20b%E9 HTTP/);
  });

  test("says that there is no body where the method makes one expect", async (context) => {
    assert.match(await sent(context, { method: "POST" }), /\r\nContent-Length: 0\r\n\r\n$/);
    assert.doesNotMatch(await sent(context, { method: "DELETE" }), /Content-Length/);
  });

  test("asks for the connection's end where none is kept", async (context) => {
    assert.match(await sent(context, {}, { keepAlive: 0 }), /\r\nConnection: close\r\n/);
  });

  for (const [what, request] of [
    ["a field with a line's end", { variables: { HTTP_X: "a\r\nEvil: 1" } }],
    ["a host with a line's end", { variables: { HTTP_HOST: "a\r\nEvil: 1" } }],
  ] as const) {
    test(`is not sent with ${what}`, async (context) => {
      const server = await fakeServer(context);
      const { send, group } = groupOf(context, [server.port]);
      assert.equal(await send(request).end(), "refused 400");
      assert.deepEqual([server.accepted.length, group.status().servers[0]?.failures], [0, 0]);
    });
  }

  test("to open a tunnel is not sent", async (context) => {
    const server = await fakeServer(context);
    assert.equal(await groupOf(context, [server.port]).send({ method: "CONNECT" }).end(), "refused 501");
  });

  test("brings a body from memory of any size", async (context) => {
    const bytes = Buffer.alloc(1_000_000, "0123456789");
    const octets = await sent(context, { method: "POST", body: { kind: "memory", bytes } });
    assert.equal(octets.slice(octets.indexOf("\r\n\r\n") + 4), bytes.toString("latin1"));
  });

  test("brings a body from its file, which is held until it was read", async (context) => {
    const body = fileBody(context, 3_000_000);
    const octets = await sent(context, { method: "PUT", body });
    assert.equal(octets.slice(octets.indexOf("\r\n\r\n") + 4), Buffer.alloc(3_000_000, "abcdefg").toString("latin1"));
    assert.equal(body.holders, 0);
  });

  test("whose file is shorter than it was is cut, and not completed with anything", async (context) => {
    const server = await fakeServer(context);
    const body = fileBody(context, 1000, 500);
    const exchange = groupOf(context, [server.port]).send({ method: "POST", body });
    assert.equal(await exchange.end(), "refused 502");
    const connection = await server.connection();
    await eventually(() => connection.closed || connection.ended);
    assert.equal(connection.received.split("\r\n\r\n")[1]?.length, 500);
    assert.equal(body.holders, 0);
  });

  test("whose body the server does not take waits, and is not read ahead without bound", async (context) => {
    const server = await fakeServer(context, (connection) => connection.socket.pause());
    const size = 30_000_000;
    const body = fileBody(context, size);
    const { send } = groupOf(context, [server.port]);
    const exchange = send({ method: "POST", body });
    const connection = await server.connection();
    await settle();
    assert.equal(body.holders, 1);
    connection.socket.resume();
    await eventually(() => connection.received.length > size);
    connection.send(response("got"));
    assert.equal(await exchange.end(), "200 whole got");
  });
});

describe("a response over HTTP/1.1", () => {
  test("has its fields passed on, but those about its connection", async (context) => {
    const exchange = await told(
      context,
      "HTTP/1.1 200 Fine\r\nServer: other\r\nDate: then\r\nConnection: X-Gone, keep-alive\r\nX-Gone: 1\r\nKeep-Alive: timeout=5\r\n" +
        "Set-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok",
    );
    assert.equal(exchange.outcome, "200 whole ok");
    assert.equal(
      exchange.fields,
      "Server: other\r\nDate: then\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 2\r\n",
    );
    assert.deepEqual([exchange.head?.reason, exchange.head?.contentLength, exchange.head?.hasDate], ["Fine", 2, true]);
  });

  test("comes without its chunks and trailers", async (context) => {
    const octets =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n2\r\nok\r\n1;x=y\r\n!\r\n0\r\nX: 1\r\n\r\n";
    const exchange = await told(context, octets);
    assert.deepEqual([exchange.outcome, exchange.fields, exchange.head?.contentLength], ["200 whole ok!", "", -1]);
  });

  test("without a length ends with its connection", async (context) => {
    const exchange = await told(context, "HTTP/1.0 200 OK\r\n\r\nall of it", "GET", true);
    assert.equal(exchange.outcome, "200 whole all of it");
  });

  test("is the final one: informational ones are left out", async (context) => {
    const octets = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
    assert.equal((await told(context, octets + response("ok"))).outcome, "200 whole ok");
  });

  test("to HEAD, and 204 and 304, have no body whatever their length says", async (context) => {
    const head = await told(context, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD");
    assert.deepEqual([head.outcome, head.head?.contentLength], ["200 whole ", 5]);
    assert.equal((await told(context, "HTTP/1.1 204 No Content\r\n\r\n")).outcome, "204 whole ");
    assert.equal((await told(context, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n")).outcome, "304 whole ");
  });

  test("before the request was sent whole is passed on, and the connection not used again", async (context) => {
    const server = await fakeServer(context, (connection) => {
      connection.socket.once("data", () => {
        connection.socket.pause();
        connection.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
      });
    });
    const { send, group } = groupOf(context, [server.port]);
    const body = fileBody(context, 30_000_000);
    assert.equal(await send({ method: "POST", body }).end(), "413 whole no");
    await eventually(() => body.holders === 0);
    assert.deepEqual(group.status().servers[0]?.connections, { busy: 0, idle: 0 });
  });
});

describe("connections over HTTP/1.1", () => {
  test("are used again, the last one first", async (context) => {
    const server = await fakeServer(
      context,
      answering((_, connection) => response(String(server.accepted.indexOf(connection)))),
    );
    const { send, group } = groupOf(context, [server.port]);
    const pair = [send(), send()];
    for (const exchange of pair) await exchange.end();
    assert.deepEqual(group.status().servers[0]?.connections, { busy: 0, idle: 2 });
    const first = await send().end();
    assert.equal(await send().end(), first);
    assert.equal(server.accepted.length, 2);
  });

  test("are no more than may be kept", async (context) => {
    const server = await fakeServer(
      context,
      answering(() => response("ok")),
    );
    const { send, group } = groupOf(context, [server.port], { keepAlive: 1 });
    const all = [send(), send(), send()];
    for (const exchange of all) await exchange.end();
    assert.equal(group.status().servers[0]?.connections.idle, 1);
    await eventually(() => server.accepted.filter(({ ended, closed }) => ended || closed).length === 2);
  });

  test("are not used again where the server says so, nor after octets that nobody asked for", async (context) => {
    for (const octets of [response("ok", "Connection: close\r\n"), `${response("ok")}HTTP/1.1 200 OK\r\n`]) {
      const server = await fakeServer(
        context,
        answering(() => octets),
      );
      const { send } = groupOf(context, [server.port]);
      await send().end();
      assert.equal(await send().end(), "200 whole ok");
      assert.equal(server.accepted.length, 2);
    }
  });

  test("that were closed while idle are not used", async (context) => {
    const server = await fakeServer(
      context,
      answering(() => response("ok")),
    );
    const { send, group } = groupOf(context, [server.port]);
    await send().end();
    server.accepted[0]?.socket.end();
    await eventually(() => group.status().servers[0]?.connections.idle === 0);
    assert.equal(await send().end(), "200 whole ok");
    assert.equal(server.accepted.length, 2);
  });

  test("that close as a request comes: it is sent again over a new one, if that does no harm", async (context) => {
    for (const [method, outcome] of [
      ["GET", "200 whole ok"],
      ["POST", "refused 502"],
    ] as const) {
      const server = await fakeServer(context, (connection) => {
        let requests = 0;
        connection.socket.on("data", () => {
          requests += 1;
          if (requests === 3) connection.socket.destroy();
          else connection.send(response("ok"));
        });
      });
      const { send, group } = groupOf(context, [server.port]);
      for (let at = 0; at < 2; at += 1) await send().end();
      assert.equal(await send({ method }).end(), outcome);
      const status = group.status().servers[0];
      assert.deepEqual([status?.failures, group.status().retries], [0, 0]);
    }
  });

  test("that were idle for long are not risked for a request that must not be sent twice", async (context) => {
    const server = await fakeServer(
      context,
      answering(() => response("ok")),
    );
    const { send, deadlines } = groupOf(context, [server.port]);
    await send().end();
    await send().end();
    await send({ method: "POST" }).end();
    assert.equal(server.accepted.length, 1);
    deadlines.advance(10);
    await send({ method: "POST" }).end();
    assert.equal(server.accepted.length, 2);
  });

  test("of a server that is not known to keep them are not risked for such a request at once", async (context) => {
    // As uWSGI's http-socket: it closes after each response, without having said so.
    const server = await fakeServer(context, (connection) => {
      connection.socket.once("data", () => {
        connection.send(response("ok"));
        connection.socket.end();
      });
    });
    const { send } = groupOf(context, [server.port]);
    for (let at = 0; at < 20; at += 1) {
      assert.equal(await send({ method: "GET" }).end(), "200 whole ok");
      assert.equal(await send({ method: "POST" }).end(), "200 whole ok");
    }
  });

  test("whose server may have left a large body unread are not risked for such a request at once", async (context) => {
    const server = await fakeServer(
      context,
      answering(() => response("ok")),
    );
    const { send, deadlines } = groupOf(context, [server.port]);
    for (let at = 0; at < 2; at += 1) await send().end();
    const large = { kind: "memory" as const, bytes: new Uint8Array(100_000) };
    await send({ method: "POST", body: large }).end();
    await send({ method: "POST" }).end();
    assert.equal(server.accepted.length, 2);
    await send({ method: "POST", body: large }).end();
    await send({ method: "GET" }).end();
    assert.equal(server.accepted.length, 2);
    await send({ method: "POST", body: large }).end();
    deadlines.advance(2);
    await send({ method: "POST" }).end();
    assert.equal(server.accepted.length, 2);
  });

  test("are closed after a minute of idleness", async (context) => {
    const server = await fakeServer(
      context,
      answering(() => response("ok")),
    );
    const { send, deadlines } = groupOf(context, [server.port]);
    await send().end();
    deadlines.advance(4 * 61 + 2);
    await eventually(() => server.accepted[0]?.ended === true || server.accepted[0]?.closed === true);
  });

  test("without a server that keeps them are closed by the server, not here", async (context) => {
    const server = await fakeServer(
      context,
      answering(() => response("ok")),
    );
    const { send, deadlines } = groupOf(context, [server.port], { keepAlive: 0 });
    await send().end();
    await settle();
    assert.equal(server.accepted[0]?.ended, false);
    deadlines.advance(12);
    await eventually(() => server.accepted[0]?.ended === true);
  });
});
