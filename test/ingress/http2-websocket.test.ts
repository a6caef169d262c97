// WebSockets on streams of HTTP/2 (RFC 8441).
import assert from "node:assert/strict";
import { type ClientHttp2Session, type ClientHttp2Stream, constants } from "node:http2";
import { describe, type TestContext, test } from "node:test";
import { deflateRawSync } from "node:zlib";
import { ticks } from "../../src/net/deadline.js";
import { errors, flags, frame as h2Frame, headers, settings, uint32 } from "../support/http2-frames.js";
import { frame, opcodes, WebSocketClient } from "../support/websocket-client.js";
import { askSocket, openSocket, type StreamClient } from "../support/websocket-stream.js";
import type { Accepted } from "./accepted.js";
import { answerOf, ask, type Http2Served, serveHttp2 } from "./http2-client.js";
import { eventually, headOf, inTime, settle, variablesOf } from "./support.js";
import { type Handle, type Sockets, Taker, webSocketSuite } from "./websocket-suite.js";

interface Http2Sockets extends Http2Served, Sockets<ClientHttp2Stream> {
  /** On the connection of all that are asked for without one. */
  pair(session?: ClientHttp2Session): Promise<readonly [StreamClient, Accepted]>;
}

/** Accepts all, or what `handle` does. */
async function sockets(
  context: TestContext,
  config: Parameters<typeof serveHttp2>[2] = {},
  handle?: Handle,
): Promise<Http2Sockets> {
  const taker = new Taker(handle);
  const served = await serveHttp2(context, taker.handler, { ...config, upgrades: true });
  let shared: ClientHttp2Session | undefined;
  const connection = (): ClientHttp2Session => {
    shared ??= served.session();
    return shared;
  };
  return {
    ...served,
    accepted: taker.accepted,
    async begin(...frames) {
      const client = new WebSocketClient(await askSocket(connection()), "HTTP/2");
      for (const octets of frames) client.send(octets);
      return client;
    },
    async pair(session = connection()) {
      const { client } = await openSocket(session);
      return [client, taker.last];
    },
    async over({ socket }, how) {
      await closed(socket);
      assert.equal(socket.rstCode, how === "cut" ? errors.cancel : errors.none);
      assert.equal((await ask(connection(), "/next")).body, "ordinary /next");
    },
  };
}

function closed(stream: ClientHttp2Stream): Promise<void> {
  return eventually(() => stream.closed && stream.destroyed);
}

webSocketSuite({ name: "HTTP/2", protocol: "HTTP/2", given: 20, sockets });

describe("an extended CONNECT for a WebSocket", () => {
  test("is a GET to the handler, which accepts with a subprotocol and fields: 200", async (t) => {
    const served = await sockets(t, {}, (each) => {
      assert.deepEqual(each.upgrade.protocols, ["chat", "superchat"]);
      each.accept(Buffer.from("Sec-WebSocket-Protocol: superchat\r\nX-Told: yes\r\nContent-Length: 5\r\n"));
    });
    const asked = { "sec-websocket-protocol": "chat, superchat", origin: "https://example.org", cookie: "a=1" };
    const { client, headers: answered } = await openSocket(served.session(), "/chat?room=1", asked);
    assert.deepEqual([answered["sec-websocket-protocol"], answered["x-told"]], ["superchat", "yes"]);
    for (const name of ["upgrade", "connection", "sec-websocket-accept", "content-length"]) {
      assert.equal(answered[name], undefined);
    }
    const exchange = served.accepted[0]?.exchange;
    assert.ok(exchange !== undefined);
    const variables = variablesOf(exchange);
    const names = ["REQUEST_METHOD", "REQUEST_URI", "SERVER_PROTOCOL", "HTTP_HOST", "HTTP_ORIGIN", "HTTP_COOKIE"];
    assert.deepEqual(
      names.map((name) => variables.get(name)),
      ["GET", "/chat?room=1", "HTTP/2", "example.org", "https://example.org", "a=1"],
    );
    assert.deepEqual([exchange.request.method, exchange.request.body.kind], ["GET", "empty"]);
    assert.equal(variables.get("HTTP_SEC_WEBSOCKET_VERSION"), "13");
    assert.equal(variables.has("HTTP_SEC_WEBSOCKET_KEY") || variables.has("CONTENT_LENGTH"), false);
    client.destroy();
  });

  test("is refused with the status and body that the handler answers, and the connection serves on", async (t) => {
    const served = await sockets(t, {}, ({ exchange }) => exchange.refuse(403, "No."));
    const session = served.session();
    const refused = await askSocket(session);
    const answered = answerOf(refused);
    await eventually(() => refused.readableEnded);
    refused.end();
    const { status, body } = await answered;
    assert.equal(status, 403);
    assert.match(body, /No\./);
    assert.equal((await ask(session, "/next")).body, "ordinary /next");
  });

  test("whose client does not end a refused stream is told that nothing more is wanted", async (t) => {
    const served = await sockets(t, {}, ({ exchange }) => exchange.refuse(403, "No."));
    const answered = answerOf(await askSocket(served.session()));
    let whole = false;
    void answered.then(() => {
      whole = true;
    });
    await inTime(served, () => whole);
    const { status, code } = await answered;
    assert.deepEqual([status, code], [403, errors.none]);
  });

  const refused: readonly (readonly [what: string, fields: Readonly<Record<string, string>>, sentence: RegExp])[] = [
    ["in version 8", { "sec-websocket-version": "8" }, /13 is spoken here/],
    ["with a body", { "content-length": "0" }, /has no body/],
    ["with a subprotocol twice", { "sec-websocket-protocol": "a, b, a" }, /no list of different names/],
  ];
  for (const [what, fields, sentence] of refused) {
    test(`${what} is answered 400`, async (t) => {
      const served = await sockets(t);
      const stream = await askSocket(served.session(), "/", fields);
      const answered = answerOf(stream);
      await eventually(() => stream.readableEnded);
      stream.end();
      const { status, body, headers: told } = await answered;
      assert.equal(status, 400);
      assert.match(body, sentence);
      assert.equal(told["sec-websocket-version"], what === "in version 8" ? "13" : undefined);
      assert.equal(served.accepted.length, 0);
    });
  }

  const ordinary: readonly (readonly [what: string, last: boolean])[] = [
    ["whole", true],
    ["in parts", false],
  ];
  for (const [what, last] of ordinary) {
    test(`where the handler takes none, its 200, ${what}, is no yes: 501`, async (t) => {
      let gone = 0;
      const served = await serveHttp2(t, (exchange) => {
        assert.equal(exchange.upgrade, undefined);
        exchange.onGone = () => {
          gone += 1;
        };
        exchange.respond(headOf(200), Buffer.from("a page"), last);
        exchange.write(Buffer.from("more"), true);
      });
      const stream = await askSocket(served.session());
      const answered = answerOf(stream);
      await eventually(() => stream.readableEnded);
      stream.end();
      const { status, body } = await answered;
      assert.equal(status, 501);
      assert.match(body, /does not speak WebSocket/);
      assert.equal(gone, last ? 0 : 1);
    });
  }

  test("where the handler takes none, what it answers else is the answer", async (t) => {
    const served = await serveHttp2(t, (exchange) => exchange.refuse(308, "There.", "Location: /there\r\n"));
    const stream = await askSocket(served.session());
    const answered = answerOf(stream);
    await eventually(() => stream.readableEnded);
    stream.end();
    const { status, headers: told } = await answered;
    assert.deepEqual([status, told["location"]], [308, "/there"]);
  });
});

describe("messages on a stream", () => {
  test("of several WebSockets and requests on one connection are kept apart", async (t) => {
    const served = await sockets(t);
    const session = served.session();
    const pairs: (readonly [StreamClient, Accepted])[] = [];
    for (let count = 0; count < 20; count += 1) pairs.push(await served.pair(session));
    for (const [index, [client]] of pairs.entries()) client.text(String(index));
    await eventually(() => pairs.every(([, { messages }]) => messages.length === 1));
    for (const [, { stream, messages }] of pairs) stream?.send(Buffer.from(`${messages[0]}!`), true);
    for (const [index, [client]] of pairs.entries()) assert.equal(await client.nextText(), `text ${index}!`);
    assert.equal((await ask(session, "/page")).body, "ordinary /page");
    assert.deepEqual([served.ingress.connections, served.ingress.openWebSockets], [1, 20]);
  });

  test("are compressed where both want it", async (t) => {
    const served = await sockets(t, { wsCompression: true });
    const { client, headers: answered } = await openSocket(served.session(), "/", {
      "sec-websocket-extensions": "permessage-deflate; client_max_window_bits",
    });
    assert.equal(answered["sec-websocket-extensions"], "permessage-deflate; server_max_window_bits=12");
    const [socket] = served.accepted;
    const long = "so long ".repeat(5000);
    const deflated = deflateRawSync(long, { finishFlush: 2 }).subarray(0, -4);
    client.send(frame(opcodes.text, deflated, { rsv: 4 }));
    await eventually(() => socket?.messages.length === 1);
    assert.equal(socket?.messages[0], long);
    socket?.stream?.send(Buffer.from(long), true);
    assert.ok((await client.next()).rsv1);
    client.destroy();
  });
});

describe("the end of a WebSocket on a stream", () => {
  const leaves: Readonly<Record<string, (stream: ClientHttp2Stream, session: ClientHttp2Session) => void>> = {
    "ends its stream": (stream) => stream.end(),
    "resets its stream": (stream) => stream.close(constants.NGHTTP2_CANCEL),
    "closes its connection": (_stream, session) => session.destroy(),
  };
  for (const [what, leave] of Object.entries(leaves)) {
    test(`a client that ${what} without a word is told as 1006`, async (t) => {
      const served = await sockets(t);
      const session = served.session();
      const [client, socket] = await served.pair(session);
      leave(client.socket, session);
      await eventually(() => socket.closed === "1006" && socket.exchange.ended);
      await closed(client.socket);
    });
  }

  test("a client that ends its side of the connection is told as 1006, and the connection ends", async (t) => {
    const served = await sockets(t);
    const client = await served.frames();
    client.begin(
      h2Frame("settings", flags.ack, 0),
      headers(1, connectFields, false),
      h2Frame("data", 0, 1, frame(opcodes.text, "hello")),
    );
    await eventually(() => served.accepted[0]?.messages.length === 1);
    client.socket.end();
    await eventually(() => served.accepted[0]?.closed === "1006");
    await inTime(served, () => served.ingress.connections === 0);
  });

  test("a client that had ended its stream with the request is told as 1006", async (t) => {
    const served = await sockets(t);
    const client = await served.frames();
    client.begin(headers(1, connectFields, true));
    await eventually(() => served.accepted[0]?.closed === "1006");
    await eventually(() => client.whole(1));
    assert.equal(client.reset(1), undefined);
  });

  test("one that is reset before the handler accepts is gone", async (t) => {
    let gone = 0;
    const served = await sockets(t, {}, ({ exchange }) => {
      exchange.onGone = () => {
        gone += 1;
      };
    });
    const stream = await askSocket(served.session());
    await eventually(() => served.accepted.length === 1);
    stream.close(constants.NGHTTP2_CANCEL);
    await eventually(() => gone === 1 && served.accepted[0]?.exchange.ended === true);
  });
});

describe("a slow side of a stream", () => {
  test("a client that does not read is seen by what has not left, and reset where it takes too little", async (t) => {
    const served = await sockets(t);
    const session = served.session();
    const [client, socket] = await served.pair(session);
    const [other, unharmed] = await served.pair(session);
    client.socket.pause();
    let left = 0;
    const quarter = Buffer.alloc(2 ** 18);
    for (let count = 0; count < 16; count += 1) {
      socket.stream?.send(quarter, false, () => {
        left += 1;
      });
    }
    await settle();
    assert.ok(left < 4, `${left} of 16 messages have left`);
    other.text("between");
    await eventually(() => unharmed.messages.length === 1);
    unharmed.stream?.send(Buffer.from("answered"), true);
    assert.equal(await other.nextText(), "text answered");
    for (let rounds = 0; socket.closed === "" && rounds < 20; rounds += 1) {
      served.deadlines.advance(ticks(15));
      other.send(frame(opcodes.pong));
      await settle();
    }
    assert.deepEqual([socket.closed, unharmed.closed], ["1006", ""]);
    client.socket.resume();
    await closed(client.socket);
    assert.equal(client.socket.rstCode, errors.cancel);
  });

  test("a client that takes a frame at a time is waited for, however long that takes", async (t) => {
    const served = await sockets(t, { wsPingInterval: 0 });
    const client = await served.frames();
    client.begin(h2Frame("settings", flags.ack, 0), headers(1, connectFields, false));
    await eventually(() => served.accepted[0]?.stream !== undefined);
    const [socket] = served.accepted;
    // The window that every stream begins with.
    const window = 65_535;
    socket?.stream?.send(Buffer.alloc(window + 10 * 16_384), false);
    await eventually(() => client.body(1).length === window);
    for (let count = 1; count <= 10; count += 1) {
      served.deadlines.advance(ticks(30));
      client.send(h2Frame("windowUpdate", 0, 0, uint32(16_384)), h2Frame("windowUpdate", 0, 1, uint32(16_384)));
      await eventually(() => client.body(1).length >= window + count * 16_384);
      await settle();
    }
    assert.equal(socket?.closed, "");
    for (let count = 0; count < 6; count += 1) {
      served.deadlines.advance(ticks(30));
      await settle();
    }
    assert.equal(socket?.closed, "1006");
    await eventually(() => client.reset(1) === errors.cancel);
  });

  test("a client that opens WebSockets and resets them all the time is closed", async (t) => {
    const served = await sockets(t);
    const client = await served.frames();
    client.socket.setNoDelay();
    client.begin(h2Frame("settings", flags.ack, 0));
    for (let stream = 1; client.goaway === undefined && stream < 2000; stream += 2) {
      client.send(headers(stream, connectFields, false));
      await eventually(() => client.of("headers", stream).length > 0 || client.closed);
      client.send(h2Frame("resetStream", 0, stream, uint32(errors.cancel)));
    }
    await eventually(() => client.closed);
    assert.equal(client.goaway, errors.calm);
    assert.ok(served.accepted.length >= 400, `${served.accepted.length} were accepted`);
    await eventually(() => served.ingress.connections === 0);
    assert.ok(served.accepted.every(({ closed: how }) => how === "1006"));
  });
});

const connectFields = [
  [":method", "CONNECT"],
  [":protocol", "websocket"],
  [":scheme", "http"],
  [":path", "/"],
  [":authority", "a.example"],
  ["sec-websocket-version", "13"],
] as const;

test("leave to ask for WebSockets is given with the first settings", async (t) => {
  const served = await sockets(t);
  const client = await served.frames();
  client.begin();
  await eventually(() => client.of("settings").length > 0);
  const leave = settings({ 8: 1 }).subarray(9);
  assert.ok(client.of("settings")[0]?.payload.includes(leave));
});
