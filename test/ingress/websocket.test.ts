// WebSockets on connections of HTTP/1.1 (RFC 6455 §4).
import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import type { IngressConfig } from "../../src/ingress/ingress.js";
import { ticks } from "../../src/net/deadline.js";
import { closePayload, frame, handshake, opcodes, WebSocketClient } from "../support/websocket-client.js";
import { answer, eventually, serve, settle } from "./support.js";
import { type Handle, type Sockets, Taker, webSocketSuite } from "./websocket-suite.js";

/** Accepts all, or what `handle` does. */
async function sockets(
  context: TestContext,
  config: Partial<IngressConfig> = {},
  handle?: Handle,
  bare = true,
): Promise<Sockets<Socket>> {
  const taker = new Taker(handle);
  const served = await serve(context, taker.handler, { ...config, upgrades: true }, false, "http", bare);
  return {
    ...served,
    accepted: taker.accepted,
    async begin(...frames) {
      const client = await WebSocketClient.connect(served.port);
      context.after(() => client.destroy());
      client.send(Buffer.from(handshake()), ...frames);
      return client;
    },
    async pair() {
      const client = await WebSocketClient.open(served.port);
      context.after(() => client.destroy());
      return [client, taker.last];
    },
    async over(client) {
      await client.untilEnd();
      await eventually(() => served.ingress.connections === 0);
    },
  };
}

for (const bare of [true, false]) {
  webSocketSuite({
    name: `HTTP/1.1, on ${bare ? "libuv's handles" : "a net.Socket"}`,
    protocol: "HTTP/1.1",
    given: 10,
    sockets: (context, config, handle) => sockets(context, config, handle, bare),
  });
}

describe("the handshake", () => {
  test("is accepted with a subprotocol and fields, and proves that the key was read", async (t) => {
    const served = await sockets(t, {}, (each) => {
      assert.deepEqual(each.upgrade.protocols, ["chat", "superchat"]);
      each.accept(Buffer.from("Sec-WebSocket-Protocol: superchat\r\nX-Told: yes\r\n"));
    });
    const client = await WebSocketClient.open(served.port, "/", { "Sec-WebSocket-Protocol": "chat, superchat" });
    assert.deepEqual(client.head.split("\r\n"), [
      "HTTP/1.1 101 Switching Protocols",
      "Upgrade: websocket",
      "Connection: Upgrade",
      // RFC 6455 §1.3
      "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
      "Sec-WebSocket-Protocol: superchat",
      "X-Told: yes",
      "",
      "",
    ]);
    client.destroy();
  });

  test("is refused with the status and body that the handler answers, and the connection serves on", async (t) => {
    const served = await sockets(t, {}, ({ exchange }) => exchange.refuse(403, "No."));
    const client = await served.connect();
    client.send(handshake(), "GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    await client.until("ordinary /next");
    assert.match(client.received, /^HTTP\/1\.1 403 /);
  });

  for (const [what, fields, status, sentence] of [
    ["without a key", { "Sec-WebSocket-Key": "" }, 400, "Sec-WebSocket-Key is not 16 octets"],
    ["with a key of 15 octets", { "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAA" }, 400, "is not 16 octets"],
    ["with bits behind the key", { "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZR==" }, 400, "is not 16 octets"],
    ["with a body", { "Content-Length": "0" }, 400, "has no body"],
    ["with a subprotocol twice", { "Sec-WebSocket-Protocol": "a, b, a" }, 400, "no list of different names"],
    ["with a subprotocol that is no token", { "Sec-WebSocket-Protocol": "a b" }, 400, "no list of different names"],
    ["in version 8", { "Sec-WebSocket-Version": "8" }, 426, "13 is spoken here"],
    ["without a version", { "Sec-WebSocket-Version": "" }, 426, "13 is spoken here"],
  ] as const) {
    test(`${what} is answered ${status}`, async (t) => {
      const served = await sockets(t);
      const client = await served.connect();
      client.send(handshake("/", fields));
      await client.until(sentence);
      assert.ok(client.received.startsWith(`HTTP/1.1 ${status} `), client.received);
      if (status === 426)
        assert.match(
          client.received,
          /^HTTP\/1\.1 426 Upgrade Required\r\n[\s\S]*\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n/,
        );
      assert.equal(served.accepted.length, 0);
    });
  }

  for (const [what, head] of [
    ["that names another protocol", handshake("/x", { Upgrade: "h2c" })],
    ["whose Connection does not name Upgrade", handshake("/x", { Connection: "keep-alive" })],
    ["in HTTP/1.0", handshake("/x").replace("HTTP/1.1", "HTTP/1.0")],
    ["with another method than GET", handshake("/x").replace("GET", "OPTIONS")],
  ] as const) {
    test(`a request ${what} is an ordinary one`, async (t) => {
      const served = await sockets(t);
      const client = await served.connect();
      client.send(head);
      await client.until("ordinary /x");
    });
  }

  test("names are compared without regard to case, among others in a list", async (t) => {
    const served = await sockets(t);
    const client = await WebSocketClient.open(served.port, "/", {
      Upgrade: "h2c, WebSocket",
      Connection: "keep-alive, upgrade",
    });
    client.destroy();
  });

  test("where the handler takes none, the request is an ordinary one, whatever it asks for", async (t) => {
    const served = await serve(t, (exchange) => {
      assert.equal(exchange.upgrade, undefined);
      answer(exchange, `ordinary ${exchange.request.target}`);
    });
    const client = await served.connect();
    client.send(handshake("/a", { "Sec-WebSocket-Key": "" }), handshake("/b"));
    await client.until("ordinary /b");
  });
});

describe("messages", () => {
  test("in fragments are one, with control frames in between, cut at any octet", async (t) => {
    const served = await sockets(t);
    const [client, socket] = await served.pair();
    const octets = Buffer.concat([
      frame(opcodes.text, "one ", { fin: false }),
      frame(opcodes.ping, "p"),
      frame(opcodes.continuation, "two ", { fin: false }),
      frame(opcodes.pong),
      frame(opcodes.continuation, "three"),
    ]);
    for (const octet of octets) {
      client.send(Buffer.from([octet]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await eventually(() => socket.messages.length === 1);
    assert.deepEqual(socket.messages, ["one two three"]);
    assert.equal(await client.nextText(), "pong p");
  });

  for (const [what, octets, close] of [
    [
      "larger than --ws-max-size in fragments",
      Buffer.concat([
        frame(opcodes.text, "a".repeat(600), { fin: false }),
        frame(opcodes.continuation, "a".repeat(401)),
      ]),
      "1009 Max payload size exceeded",
    ],
    [
      "announced as larger than can be counted",
      frame(opcodes.text, "", { length: Number.MAX_SAFE_INTEGER }),
      "1009 Max payload size exceeded",
    ],
    ["not masked", frame(opcodes.text, "a", { masked: false }), "1002 Invalid WebSocket frame: MASK must be set"],
    ["with a reserved bit", frame(opcodes.text, "a", { rsv: 4 }), "1002 Invalid WebSocket frame: RSV1 must be clear"],
    ["of a reserved kind", frame(3, "a"), "1002 Invalid WebSocket frame: invalid opcode 3"],
    ["that goes on without a beginning", frame(0, "a"), "1002 Invalid WebSocket frame: invalid opcode 0"],
    [
      "that begins within another",
      Buffer.concat([frame(1, "a", { fin: false }), frame(1, "b")]),
      "1002 Invalid WebSocket frame: invalid opcode 1",
    ],
    ["a ping in fragments", frame(9, "a", { fin: false }), "1002 Invalid WebSocket frame: FIN must be set"],
    ["a ping that is too long", frame(9, "a".repeat(126)), "1002 Invalid WebSocket frame: invalid payload length 126"],
    [
      "text that is not UTF-8",
      frame(1, Buffer.from([0xc3, 0x28])),
      "1007 Invalid WebSocket frame: invalid UTF-8 sequence",
    ],
    [
      "text with half of a surrogate pair",
      frame(1, Buffer.from([0xed, 0xa0, 0x80])),
      "1007 Invalid WebSocket frame: invalid UTF-8 sequence",
    ],
    ["a Close of one octet", frame(8, "a"), "1002 Invalid WebSocket frame: invalid payload length 1"],
    ["a Close with code 1005", frame(8, closePayload(1005)), "1002 Invalid WebSocket frame: invalid status code 1005"],
    ["a Close with code 2999", frame(8, closePayload(2999)), "1002 Invalid WebSocket frame: invalid status code 2999"],
    [
      "a Close whose reason is not UTF-8",
      frame(8, Buffer.from([3, 232, 0xff])),
      "1007 Invalid WebSocket frame: invalid UTF-8 sequence",
    ],
  ] as const) {
    test(`${what}: the client is told ${close.slice(0, 4)}, and the connection closed`, async (t) => {
      const served = await sockets(t, { wsMaxSize: 1000 });
      const [client, socket] = await served.pair();
      client.send(octets);
      assert.equal(await client.nextText(), `close ${close}`);
      await client.untilEnd();
      client.socket.end();
      await eventually(() => served.ingress.connections === 0);
      assert.deepEqual([socket.closed, socket.messages], [close, []]);
    });
  }
});

describe("the end of a WebSocket", () => {
  test("a Close without a code is told as 1005, and answered without one", async (t) => {
    const served = await sockets(t);
    const [client, socket] = await served.pair();
    client.close();
    assert.equal(await client.nextText(), "close");
    await eventually(() => socket.closed === "1005");
    client.destroy();
  });

  test("a client that closes without a word is told as 1006", async (t) => {
    const served = await sockets(t);
    const [first, one] = await served.pair();
    first.socket.end();
    await eventually(() => one.closed === "1006");
    const [second, other] = await served.pair();
    second.socket.resetAndDestroy();
    await eventually(() => other.closed === "1006" && served.ingress.connections === 0);
  });

  test("a client that had closed its side before it was accepted is told as 1006", async (t) => {
    const served = await sockets(t, {}, () => {});
    const client = await WebSocketClient.connect(served.port);
    client.send(Buffer.from(handshake()));
    client.socket.end();
    await eventually(() => served.accepted[0]?.exchange.inputEnded === true);
    const socket = served.accepted[0]?.accept();
    await eventually(() => socket?.closed === "1006" && served.ingress.connections === 0);
  });
});

describe("pings", () => {
  test("of a client are answered with what they carry", async (t) => {
    const served = await sockets(t);
    const [client] = await served.pair();
    client.send(frame(opcodes.ping, "abc"), frame(opcodes.ping));
    assert.deepEqual([await client.nextText(), await client.nextText()], ["pong abc", "pong"]);
  });

  test("go to a client that is silent, and one that answers stays", async (t) => {
    const served = await sockets(t, { wsPingInterval: 20, wsPingTimeout: 10 });
    const [client, socket] = await served.pair();
    for (let round = 0; round < 3; round += 1) {
      served.deadlines.advance(ticks(20));
      served.deadlines.advance(ticks(20));
      assert.equal(await client.nextText(), "ping");
      client.send(frame(opcodes.pong));
      client.text(`round ${round}`);
      await eventually(() => socket.messages.length === round + 1);
    }
    served.deadlines.advance(ticks(10));
    await settle();
    assert.equal(socket.closed, "");
  });

  test("are none with an interval of 0", async (t) => {
    const served = await sockets(t, { wsPingInterval: 0 });
    const [client, socket] = await served.pair();
    for (let round = 0; round < 20; round += 1) served.deadlines.advance(ticks(20));
    socket.stream?.send(Buffer.from("x"), true);
    assert.equal(await client.nextText(), "text x");
  });
});

describe("a slow side", () => {
  test("a client that does not read is seen by what has not left, and cut off where it takes too little", async (t) => {
    const served = await sockets(t);
    const [client, socket] = await served.pair();
    client.socket.pause();
    let left = 0;
    const megabyte = Buffer.alloc(2 ** 20);
    for (let count = 0; count < 32; count += 1) {
      socket.stream?.send(megabyte, false, () => {
        left += 1;
      });
    }
    await settle();
    assert.ok(left < 32, `${left} of 32 MiB have left`);
    await eventually(() => {
      served.deadlines.advance(ticks(30));
      return socket.closed === "1006";
    });
    assert.equal(served.ingress.connections, 0);
  });

  test("pings of a client that does not read are not answered without bound", async (t) => {
    const served = await sockets(t);
    const [client, socket] = await served.pair();
    client.socket.pause();
    socket.stream?.send(Buffer.alloc(2 ** 24), false);
    await settle();
    const pings = Buffer.concat(Array.from({ length: 1000 }, () => frame(opcodes.ping, "a".repeat(125))));
    for (let count = 0; count < 20; count += 1) client.send(pings);
    client.text("done");
    await eventually(() => socket.messages.length === 1);
    client.socket.resume();
    const large = await client.next();
    assert.equal(large.opcode, opcodes.binary);
    await settle();
    assert.ok(client.frames.length < 1000, `${client.frames.length} pongs`);
  });

  test("while memory is scarce, a message that is not whole ends it: 1013", async (t) => {
    const served = await sockets(t, { requestMemoryTotal: 20_000 });
    const [client, socket] = await served.pair();
    client.send(frame(opcodes.binary, Buffer.alloc(100), { length: 50_000 }));
    client.send(Buffer.alloc(30_000));
    assert.equal(await client.nextText(), "close 1013 The server is short of memory.");
    client.destroy();
    await eventually(() => served.ingress.connections === 0);
    assert.equal(served.ingress.memory.used, 0);
    assert.equal(socket.closed, "1013 The server is short of memory.");
  });
});

describe("permessage-deflate", () => {
  const offer = { "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits" };
  const deflated = (text: string): Buffer => deflateRawSync(text, { finishFlush: 2 }).subarray(0, -4);

  test("is not agreed on unless it is asked for by option", async (t) => {
    const served = await sockets(t);
    const client = await WebSocketClient.open(served.port, "/", offer);
    t.after(() => client.destroy());
    assert.doesNotMatch(client.head, /Extensions/);
  });

  test("compresses and decompresses; small messages are left as they are", async (t) => {
    const served = await sockets(t, { wsCompression: true });
    const client = await WebSocketClient.open(served.port, "/", offer);
    t.after(() => client.destroy());
    assert.match(client.head, /Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=12\r\n/);
    const [socket] = served.accepted;
    const long = "so long ".repeat(5000);
    client.send(frame(opcodes.text, deflated(long), { rsv: 4 }));
    await eventually(() => socket?.messages.length === 1);
    assert.equal(socket?.messages[0], long);
    socket?.stream?.send(Buffer.from(long), true);
    socket?.stream?.send(Buffer.from("short"), true);
    const [first, second] = [await client.next(), await client.next()];
    assert.ok(first.rsv1 && first.payload.length < 500);
    const tail = Buffer.from([0, 0, 255, 255]);
    assert.equal(inflateRawSync(Buffer.concat([first.payload, tail]), { finishFlush: 2 }).toString(), long);
    assert.deepEqual([second.rsv1, second.payload.toString()], [false, "short"]);
  });

  test("a small frame that becomes a large message is refused: 1009", async (t) => {
    const served = await sockets(t, { wsCompression: true, wsMaxSize: 100_000 });
    const client = await WebSocketClient.open(served.port, "/", offer);
    client.send(frame(opcodes.text, deflated("a".repeat(10_000_000)), { rsv: 4 }));
    assert.match(await client.nextText(), /^close 1009 /);
    client.destroy();
  });

  test("a handler that pauses is not given what a few octets become", async (t) => {
    const served = await sockets(t, { wsCompression: true });
    const client = await WebSocketClient.open(served.port, "/", offer);
    t.after(() => client.destroy());
    const [socket] = served.accepted;
    const stream = socket?.stream;
    const message = frame(opcodes.text, deflated("a".repeat(100_000)), { rsv: 4 });
    const count = 500;
    stream?.pause();
    client.send(...Array.from({ length: count }, () => message));
    // Another one, which does not pause, has had time enough for all of them when it has them.
    const other = await WebSocketClient.open(served.port, "/", offer);
    t.after(() => other.destroy());
    other.send(...Array.from({ length: count }, () => message));
    await eventually(() => served.accepted[1]?.messages.length === count);
    assert.ok((socket?.messages.length ?? 0) < count / 2, `${socket?.messages.length} messages`);
    stream?.resume();
    await eventually(() => socket?.messages.length === count);
  });

  test("an offer that cannot be accepted is left unanswered", async (t) => {
    const served = await sockets(t, { wsCompression: true });
    for (const offered of ["permessage-deflate; unknown=1", "permessage-deflate; =", "x-webkit-deflate-frame"]) {
      const client = await WebSocketClient.open(served.port, "/", { "Sec-WebSocket-Extensions": offered });
      assert.doesNotMatch(client.head, /Extensions/);
      client.destroy();
    }
  });
});

test("a thousand WebSockets are served side by side", async (t) => {
  const served = await sockets(t);
  const clients = await Promise.all(Array.from({ length: 1000 }, () => WebSocketClient.open(served.port)));
  t.after(() => {
    for (const client of clients) client.destroy();
  });
  for (const [index, client] of clients.entries()) client.text(String(index));
  await eventually(() => served.accepted.every(({ messages }) => messages.length === 1));
  for (const { stream, messages } of served.accepted) stream?.send(Buffer.from(`${messages[0]}!`), true);
  for (const [index, client] of clients.entries()) assert.equal(await client.nextText(), `text ${index}!`);
  assert.equal(served.ingress.connections, 1000);
});
