import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { UpstreamServer } from "../../src/config/config.js";
import { encodeOutput } from "../../src/protocol/fastcgi/response-encoder.js";
import { octetsOf } from "../protocol/fastcgi/vectors.js";
import { type Asked, application, send } from "./fastcgi-server.js";
import { eventually, fakeServer, fileBody, freePort, groupOf, logged, serverAt, settle } from "./support.js";

const at = (port: number): UpstreamServer =>
  serverAt(port, { url: `fastcgi://127.0.0.1:${port}`, protocol: "fastcgi" });

const page = (text: string) => `Status: 200 OK\r\nContent-Type: text/plain\r\n\r\n${text}`;
const ok = (asked: Asked) => asked.answer(page("ok"));

const memory = (text: string) => ({ kind: "memory", bytes: Buffer.from(text, "latin1") }) as const;

describe("a request over FastCGI", () => {
  test("is sent with its variables and its body, and its response told", async (context) => {
    const server = await application(context, (asked) =>
      asked.answer("Status: 201 Created\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello"),
    );
    const exchange = groupOf(context, [at(server.port)]).send({
      method: "POST",
      variables: { HTTP_X_LONG: "x".repeat(200_000), CONTENT_LENGTH: "3" },
      body: memory("abc"),
    });
    assert.equal(await exchange.end(), "201 whole hello");
    assert.equal(exchange.fields, "X-A: b\r\nContent-Length: 5\r\n");
    const [asked] = server.asked;
    assert.equal(asked?.variables.get("REQUEST_METHOD"), "POST");
    assert.equal(asked?.variables.get("REQUEST_URI"), "/hello");
    assert.equal(asked?.variables.get("HTTP_X_LONG")?.length, 200_000);
    assert.equal(asked?.body, "abc");
    assert.equal(asked?.id, 1);
    assert.equal(asked?.keepConnection, true);
  });

  test("has a body from a file, which is released", async (context) => {
    const server = await application(context, ok);
    const body = fileBody(context, 1_000_000);
    const exchange = groupOf(context, [at(server.port)]).send({ method: "PUT", body });
    assert.equal(await exchange.end(), "200 whole ok");
    assert.equal(server.asked[0]?.body.length, 1_000_000);
    assert.equal(body.holders, 0);
  });

  test("gets its response as it comes, whatever the records", async (context) => {
    const server = await application(context, (asked) => {
      for (const octet of page("hello")) asked.write(octet);
      asked.end(0);
    });
    assert.equal(
      await groupOf(context, [at(server.port)])
        .send()
        .end(),
      "200 whole hello",
    );
  });

  test("that is a HEAD gets no body", async (context) => {
    const server = await application(context, ok);
    assert.equal(
      await groupOf(context, [at(server.port)])
        .send({ method: "HEAD" })
        .end(),
      "200 whole ",
    );
  });

  test("gets a whole response from a server that exits with a status", async (context) => {
    const server = await application(context, (asked) => asked.answer(page("ok"), 255));
    assert.equal(
      await groupOf(context, [at(server.port)])
        .send()
        .end(),
      "200 whole ok",
    );
  });

  test("leaves what the application writes to STDERR in the log", async (context) => {
    const lines = logged(context);
    const server = await application(context, (asked) => {
      asked.errors("one line\nano");
      asked.errors("ther\x1b[31m\n\nr\u00e9st");
      ok(asked);
    });
    assert.equal(
      await groupOf(context, [at(server.port)])
        .send()
        .end(),
      "200 whole ok",
    );
    const name = `127.0.0.1:${server.port}`;
    assert.deepEqual(
      lines.map((line) => line.replace(/fastcgi:\/\/\S+/, name)),
      ["one line", "another [31m", "r\u00e9st"].map((text) => `warning upstream: ${name} says: ${text}`),
    );
  });
});

describe("connections", () => {
  test("are kept, and used one request after the other", async (context) => {
    const server = await application(context, ok);
    const { send: request, group } = groupOf(context, [at(server.port)]);
    for (let count = 0; count < 5; count += 1) assert.equal(await request().end(), "200 whole ok");
    assert.equal(server.accepted.length, 1);
    assert.deepEqual(group.status().servers[0]?.connections, { busy: 0, idle: 1 });
  });

  test("are as many as there are requests at once", async (context) => {
    const held: Asked[] = [];
    const server = await application(context, (asked) => held.push(asked));
    const { send: request } = groupOf(context, [at(server.port)]);
    const exchanges = [request(), request(), request()];
    await eventually(() => held.length === 3);
    held.forEach(ok);
    for (const exchange of exchanges) assert.equal(await exchange.end(), "200 whole ok");
    assert.equal(server.accepted.length, 3);
  });

  test("are closed by the server after each request where none are to be kept", async (context) => {
    const server = await application(context, ok);
    const { send: request, group } = groupOf(context, [at(server.port)], { keepAlive: 0 });
    for (let count = 0; count < 3; count += 1) assert.equal(await request().end(), "200 whole ok");
    assert.equal(server.asked[2]?.keepConnection, false);
    assert.equal(server.accepted.length, 3);
    assert.deepEqual(group.status().servers[0]?.connections, { busy: 0, idle: 0 });
  });

  test("that a server closes in spite of FCGI_KEEP_CONN lose no request", async (context) => {
    const server = await application(context, ok, { closes: true });
    const { send: request } = groupOf(context, [at(server.port)]);
    for (let count = 0; count < 8; count += 1) {
      assert.equal(await request({ method: "POST", body: memory("x") }).end(), "200 whole ok");
      await settle();
    }
    // and the server is not asked any more
    assert.equal(server.asked.at(-1)?.keepConnection, false);
  });

  test("closed while idle cost a request that may be repeated nothing", async (context) => {
    const server = await application(context, ok);
    const { send: request, group } = groupOf(context, [at(server.port)]);
    assert.equal(await request().end(), "200 whole ok");
    server.accepted[0]?.socket.destroy();
    const exchange = request();
    assert.equal(await exchange.end(), "200 whole ok");
    assert.equal(group.status().servers[0]?.failures, 0);
  });
});

describe("what the server does wrong", () => {
  test("no connection", async (context) => {
    assert.equal(
      await groupOf(context, [at(await freePort())])
        .send()
        .end(),
      "refused 502",
    );
  });

  test("a connection that ends before the head, and one that ends in the body", async (context) => {
    const before = await application(context, (asked) => asked.connection.socket.end());
    assert.equal(
      await groupOf(context, [at(before.port)])
        .send()
        .end(),
      "refused 502",
    );
    const within = await application(context, (asked) => {
      asked.write(page("hel"));
      asked.connection.socket.end();
    });
    assert.equal(
      await groupOf(context, [at(within.port)])
        .send()
        .end(),
      "200 cut hel",
    );
  });

  test("a connection that ends behind the length announced, without END_REQUEST", async (context) => {
    const server = await application(context, (asked) => {
      asked.write("Status: 200 OK\r\nContent-Length: 5\r\n\r\nhello");
      asked.connection.socket.end();
    });
    assert.equal(
      await groupOf(context, [at(server.port)])
        .send()
        .end(),
      "200 whole hello",
    );
  });

  test("an end before the length announced", async (context) => {
    const server = await application(context, (asked) =>
      asked.answer("Status: 200 OK\r\nContent-Length: 9\r\n\r\nhello"),
    );
    assert.equal(
      await groupOf(context, [at(server.port)])
        .send()
        .end(),
      "200 cut hello",
    );
  });

  test("more than the length announced", async (context) => {
    const lines = logged(context);
    const server = await application(context, (asked) =>
      asked.answer("Status: 200 OK\r\nContent-Length: 5\r\n\r\nhello, world"),
    );
    assert.equal(
      await groupOf(context, [at(server.port)])
        .send()
        .end(),
      "200 whole hello",
    );
    assert.match(lines.join(), /longer than its Content-Length/);
  });

  test("an end without a response", async (context) => {
    const server = await application(context, (asked) => asked.end(0));
    assert.equal(
      await groupOf(context, [at(server.port)])
        .send({ method: "POST" })
        .end(),
      "refused 502",
    );
  });

  test("a head that is none", async (context) => {
    const server = await application(context, (asked) => asked.answer("HTTP/1.1 200 OK\r\n\r\n"));
    assert.equal(
      await groupOf(context, [at(server.port)])
        .send({ method: "POST" })
        .end(),
      "refused 502",
    );
  });

  test("another protocol", async (context) => {
    const server = await fakeServer(context, (connection) => connection.send("HTTP/1.1 400 Bad Request\r\n\r\n"));
    assert.equal(
      await groupOf(context, [at(server.port)])
        .send({ method: "POST" })
        .end(),
      "refused 502",
    );
  });

  test("refusing for overload: another server is asked, whatever the method", async (context) => {
    const full = await application(context, (asked) => asked.end(2));
    const free = await application(context, ok);
    const { send: request } = groupOf(context, [at(full.port), { ...at(free.port), backup: true }]);
    assert.equal(await request({ method: "POST", body: memory("x") }).end(), "200 whole ok");
    assert.equal(full.asked.length, 1);
    const { send: only } = groupOf(context, [at(full.port)]);
    assert.equal(await only().end(), "refused 503");
  });

  test("refusing the role of a Responder", async (context) => {
    const server = await application(context, (asked) => asked.end(3));
    assert.equal(
      await groupOf(context, [at(server.port)])
        .send()
        .end(),
      "refused 502",
    );
  });

  test("cutting a response with a protocol status", async (context) => {
    const server = await application(context, (asked) => {
      asked.write(page("hel"));
    });
    const exchange = groupOf(context, [at(server.port)]).send();
    await eventually(() => exchange.body === "hel");
    server.asked[0]?.end(2);
    assert.equal(await exchange.end(), "200 cut hel");
  });

  test("not answering in time, and stopping in the middle", async (context) => {
    const held: Asked[] = [];
    const server = await application(context, (asked) => held.push(asked));
    const { send: request, pass } = groupOf(context, [at(server.port)], { firstByteTimeout: 10, idleTimeout: 5 });
    const silent = request();
    await eventually(() => held.length === 1);
    await settle();
    pass(11);
    assert.equal(await silent.end(), "refused 504");
    const stops = request();
    await eventually(() => held.length === 2);
    held[1]?.write(page("hel"));
    await eventually(() => stops.body === "hel");
    pass(6);
    assert.equal(await stops.end(), "200 cut hel");
    await eventually(() => server.accepted.every((connection) => connection.ended));
  });
});

describe("a client that leaves", () => {
  test("closes the connection where requests have one each", async (context) => {
    const held: Asked[] = [];
    const server = await application(context, (asked) => held.push(asked));
    const exchange = groupOf(context, [at(server.port)]).send();
    await eventually(() => held.length === 1);
    exchange.leave();
    await eventually(() => server.accepted[0]?.ended === true);
  });
});

describe("back-pressure", () => {
  test("a slow client's response is not read on", async (context) => {
    const server = await application(context, (asked) => {
      send(asked.connection, encodeOutput(1, [Buffer.from(page("")), Buffer.alloc(30_000_000, "x")], true));
    });
    const { send: request } = groupOf(context, [at(server.port)], {}, { responseMemory: 100_000 });
    const exchange = request();
    exchange.takes = false;
    await eventually(() => exchange.body.length > 0);
    await settle();
    assert.ok(exchange.body.length < 2_000_000, `${exchange.body.length} octets were told`);
    exchange.takes = true;
    exchange.onFlushed?.(exchange.body.length);
    await exchange.end();
    assert.equal(exchange.body.length, 30_000_000);
    assert.equal(exchange.whole, true);
  });
});

describe("many requests on a connection", () => {
  test("go over one where the server says that it can", async (context) => {
    const held: Asked[] = [];
    const server = await application(context, (asked) => held.push(asked), { multiplexes: 1 });
    const { send: request } = groupOf(context, [at(server.port)], { multiplex: 2000 });
    const exchanges = Array.from({ length: 1000 }, (_, index) =>
      request({ variables: { QUERY_STRING: String(index) }, body: memory(`<${index}>`) }),
    );
    await eventually(() => held.length === 1000);
    for (const asked of held.reverse()) asked.write(page(`${asked.variables.get("QUERY_STRING")}`));
    for (const asked of held) asked.answer(asked.body);
    for (const [index, exchange] of exchanges.entries()) {
      assert.equal(await exchange.end(), `200 whole ${index}<${index}>`);
    }
    assert.equal(server.accepted.length, 1);
    assert.equal((await request({ variables: { QUERY_STRING: "1" } }).outcome.length) >= 0, true);
  });

  test("are no more than the configuration allows", async (context) => {
    const held: Asked[] = [];
    const server = await application(context, (asked) => held.push(asked), { multiplexes: 1 });
    const { send: request } = groupOf(context, [at(server.port)], { multiplex: 3 });
    const exchanges = Array.from({ length: 7 }, () => request());
    await eventually(() => held.length === 7);
    assert.equal(server.accepted.length, 3);
    held.forEach(ok);
    for (const exchange of exchanges) assert.equal(await exchange.end(), "200 whole ok");
  });

  for (const [what, options] of [
    ["says that it cannot", { multiplexes: 0 }],
    ["does not answer the question", {}],
  ] as const) {
    test(`are one at a time where the server ${what}`, async (context) => {
      const held: Asked[] = [];
      const server = await application(context, (asked) => held.push(asked), options);
      const { send: request, pass } = groupOf(context, [at(server.port)], { multiplex: 10 });
      const exchanges = [request(), request({ method: "POST", body: memory("x") })];
      await server.connection();
      await settle();
      pass(2);
      await eventually(() => held.length === 2);
      assert.notEqual(held[0]?.connection, held[1]?.connection);
      held.forEach(ok);
      for (const exchange of exchanges) assert.equal(await exchange.end(), "200 whole ok");
    });
  }

  test("are one at a time where the server closes the connection over the question", async (context) => {
    const server = await application(context, ok);
    const picky = await fakeServer(context, (connection) => {
      connection.socket.on("data", (chunk) => {
        if (chunk[1] === 9) connection.socket.destroy();
        else send(connection, encodeOutput(1, [Buffer.from(page("picky"))], true));
      });
    });
    assert.equal(
      await groupOf(context, [at(picky.port)], { multiplex: 10 })
        .send()
        .end(),
      "200 whole picky",
    );
    assert.equal(server.asked.length, 0);
  });

  test("fail where there is no server to ask", async (context) => {
    const { send: request } = groupOf(context, [at(await freePort())], { multiplex: 10 });
    const exchanges = [request(), request()];
    for (const exchange of exchanges) assert.equal(await exchange.end(), "refused 502");
  });

  test("move where the server refuses a second one after all", async (context) => {
    const held: Asked[] = [];
    const server = await application(
      context,
      (asked) => {
        if (held.some(({ connection }) => connection === asked.connection)) asked.end(1);
        else held.push(asked);
      },
      { multiplexes: 1 },
    );
    const { send: request } = groupOf(context, [at(server.port)], { multiplex: 10 });
    const exchanges = [request(), request({ method: "POST", body: memory("x") }), request()];
    await eventually(() => held.length === 3);
    held.forEach(ok);
    for (const exchange of exchanges) assert.equal(await exchange.end(), "200 whole ok");
    assert.equal(server.accepted.length, 3);
  });

  test("are told of a client that leaves, the others go on", async (context) => {
    const held: Asked[] = [];
    const server = await application(context, (asked) => held.push(asked), { multiplexes: 1 });
    const { send: request } = groupOf(context, [at(server.port)], { multiplex: 10 });
    const [leaver, stayer] = [request(), request()];
    await eventually(() => held.length === 2);
    leaver.leave();
    await eventually(() => held[0]?.aborted === true);
    held[0]?.answer("Status: 200 OK\r\n\r\ntoo late");
    if (held[1] !== undefined) ok(held[1]);
    assert.equal(await stayer.end(), "200 whole ok");
    const next = request();
    await eventually(() => held.length === 3);
    if (held[2] !== undefined) ok(held[2]);
    assert.equal(await next.end(), "200 whole ok");
    assert.equal(server.accepted.length, 1);
  });

  test("one that is not answered in time is given up alone", async (context) => {
    const held: Asked[] = [];
    const server = await application(context, (asked) => held.push(asked), { multiplexes: 1 });
    const { send: request, pass } = groupOf(context, [at(server.port)], { multiplex: 10, firstByteTimeout: 10 });
    const first = request();
    await eventually(() => held.length === 1);
    pass(6);
    const second = request();
    await eventually(() => held.length === 2);
    pass(6);
    assert.equal(await first.end(), "refused 504");
    await eventually(() => held[0]?.aborted === true);
    held[1]?.answer(page("second"));
    assert.equal(await second.end(), "200 whole second");
    assert.equal(server.accepted.length, 1);
  });

  test("all fail with their connection", async (context) => {
    const held: Asked[] = [];
    const server = await application(context, (asked) => held.push(asked), { multiplexes: 1 });
    const { send: request } = groupOf(context, [at(server.port)], { multiplex: 10 });
    const exchanges = [request({ method: "POST" }), request({ method: "POST" })];
    await eventually(() => held.length === 2);
    held[0]?.write(page("hel"));
    await eventually(() => exchanges[0]?.body === "hel");
    server.accepted[0]?.socket.resetAndDestroy();
    assert.equal(await exchanges[0]?.end(), "200 cut hel");
    assert.equal(await exchanges[1]?.end(), "refused 502");
  });
});

describe("a slow client among others on a connection", () => {
  const large = Buffer.alloc(3_000_000, "x");

  test("does not stop them while there is room for its response", async (context) => {
    const held: Asked[] = [];
    const server = await application(context, (asked) => held.push(asked), { multiplexes: 1 });
    const { send: request } = groupOf(context, [at(server.port)], { multiplex: 10 }, { responseMemory: 4_000_000 });
    const [slow, other] = [request(), request()];
    slow.takes = false;
    await eventually(() => held.length === 2);
    held[0]?.write(page(large.toString("latin1")));
    held[0]?.write(large.toString("latin1"));
    held[1]?.answer(page("other"));
    assert.equal(await other.end(), "200 whole other");
    slow.takes = true;
    slow.onFlushed?.(slow.body.length);
    held[0]?.answer("");
    await slow.end();
    assert.equal(slow.body.length, 2 * large.length);
  });

  test("stops them for a while, and is then given up; its server is not to blame", async (context) => {
    const held: Asked[] = [];
    const server = await application(context, (asked) => held.push(asked), { multiplexes: 1 });
    const {
      send: request,
      pass,
      group,
    } = groupOf(context, [at(server.port)], { multiplex: 10 }, { responseMemory: 100_000 });
    const [slow, other] = [request(), request()];
    slow.takes = false;
    await eventually(() => held.length === 2);
    for (let count = 0; count < 5; count += 1) held[0]?.write(count === 0 ? page(large.toString()) : large.toString());
    held[1]?.answer(page("other"));
    await eventually(() => slow.body.length > 100_000);
    await settle();
    assert.equal(other.ended, false);
    pass(6);
    assert.equal(await other.end(), "200 whole other");
    assert.match(await slow.end(), /^200 cut x/);
    await eventually(() => held[0]?.aborted === true);
    assert.equal(group.status().servers[0]?.failures, 0);
    assert.equal(server.accepted.length, 1);
  });

  test("gets no neighbours while it holds the connection", async (context) => {
    const held: Asked[] = [];
    const server = await application(context, (asked) => held.push(asked), { multiplexes: 1 });
    const { send: request } = groupOf(context, [at(server.port)], { multiplex: 10 }, { responseMemory: 100_000 });
    const slow = request();
    slow.takes = false;
    await eventually(() => held.length === 1);
    held[0]?.write(page(large.toString()));
    await eventually(() => slow.body.length > 100_000);
    const other = request();
    await eventually(() => held.length === 2);
    held[1]?.answer(page("other"));
    assert.equal(await other.end(), "200 whole other");
    assert.equal(server.accepted.length, 2);
  });
});

test("records that make no sense close the connection", async (context) => {
  const server = await application(context, (asked) => {
    asked.write(page("hel"));
    setImmediate(() => send(asked.connection, octetsOf('END_REQUEST 1 "x"\n')));
  });
  assert.equal(
    await groupOf(context, [at(server.port)])
      .send()
      .end(),
    "200 cut hel",
  );
});
