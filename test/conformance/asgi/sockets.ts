// The WebSocket part of ASGI's "HTTP & WebSocket" specification, by a client that says which octets go.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { eventually } from "../../ingress/support.js";
import { frame, handshake, opcodes, WebSocketClient } from "../../support/websocket-client.js";
import { freshKey, type Probe } from "../wsgi/probe.js";

interface Told {
  readonly told: readonly unknown[];
  readonly taken: number;
}

async function tell(probe: Probe, key: string, more = ""): Promise<Told> {
  return (await probe.json(`/ws-told?key=${key}${more}`)) as Told;
}

/** Waits until so much was remembered. */
async function remembered(probe: Probe, key: string, count: number): Promise<readonly unknown[]> {
  for (let turn = 0; turn < 2000; turn += 1) {
    const { told } = await tell(probe, key);
    if (told.length >= count) return told;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return (await tell(probe, key)).told;
}

async function refusal(probe: Probe, target: string): Promise<WebSocketClient> {
  const client = await WebSocketClient.connect(probe.server.port);
  client.socket.write(handshake(target));
  await client.until(() => client.head !== "" && client.body.length >= lengthOf(client));
  client.destroy();
  return client;
}

function lengthOf({ head }: WebSocketClient): number {
  return Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
}

export function socketCases(probe: Probe): void {
  const open = (target: string, fields: Readonly<Record<string, string>> = {}): Promise<WebSocketClient> =>
    WebSocketClient.open(probe.server.port, target, fields);

  describe("WebSocket", () => {
    test("the scope says what was asked for", async () => {
      const client = await open("/ws/scope?a=%20b", {
        "Sec-WebSocket-Protocol": "chat, v2.chat",
        Origin: "http://example.org",
      });
      const told = JSON.parse((await client.next()).payload.toString());
      client.destroy();
      assert.equal(told.type, "websocket");
      assert.deepEqual(told.asgi, { version: "3.0", spec_version: "2.5" });
      assert.deepEqual([told.scheme, told.http_version, told.path], ["ws", "1.1", "/ws/scope"]);
      assert.deepEqual([told.raw_path, told.query_string, told.root_path], ["b:/ws/scope", "b:a=%20b", ""]);
      assert.deepEqual(told.subprotocols, ["chat", "v2.chat"]);
      assert.deepEqual(told.extensions, { "websocket.http.response": {} });
      assert.deepEqual(told.server, ["127.0.0.1", probe.server.port]);
      assert.equal(told.client[0], "127.0.0.1");
      assert.ok(
        told.headers.some(([name, value]: string[]) => name === "b:origin" && value === "b:http://example.org"),
      );
      assert.equal("method" in told, false);
      assert.equal(told.types.state, "dict");
      assert.equal(told.types.subprotocols, "list");
    });

    test("is accepted with a subprotocol and headers", async () => {
      const client = await open("/ws/agree", { "Sec-WebSocket-Protocol": "chat, superchat" });
      client.destroy();
      assert.match(client.head, /\r\nX-Told: yes\r\nset-cookie: a=1\r\nSec-WebSocket-Protocol: superchat\r\n/);
    });

    test("text and binary messages come as str and bytes", async () => {
      const client = await open("/ws/messages");
      client.text("grüß");
      client.binary(Buffer.from([0, 255]));
      client.text("");
      assert.deepEqual(JSON.parse((await client.next()).payload.toString()), {
        type: "websocket.receive",
        text: "grüß",
      });
      assert.deepEqual(JSON.parse((await client.next()).payload.toString()), {
        type: "websocket.receive",
        bytes: "b:\u0000ÿ",
      });
      assert.deepEqual(JSON.parse((await client.next()).payload.toString()), { type: "websocket.receive", text: "" });
      client.destroy();
    });

    test("messages of every kind go out", async () => {
      const client = await open("/ws/kinds");
      const seen: [number, string][] = [];
      for (let count = 0; count < 6; count += 1) {
        const { opcode, payload } = await client.next();
        seen.push([opcode, payload.toString(opcode === opcodes.text ? "utf8" : "latin1")]);
      }
      client.destroy();
      assert.deepEqual(seen, [
        [1, "grüß"],
        [2, "\u0000ÿ"],
        [2, "array"],
        [2, "view"],
        [1, ""],
        [2, ""],
      ]);
    });

    test("messages come back whatever their length, in order", async () => {
      const client = await open("/ws/echo");
      const lengths = [0, 1, 125, 126, 65535, 65536, 2_000_000, 5];
      for (const length of lengths) client.binary(Buffer.alloc(length, length % 251));
      for (const length of lengths) {
        assert.deepEqual((await client.next()).payload, Buffer.alloc(length, length % 251));
      }
      client.destroy();
    });

    test("one that is larger than what may be under way goes out whole", async () => {
      const client = await open("/ws/large");
      const lengths = [];
      for (let count = 0; count < 3; count += 1) lengths.push((await client.next()).payload.length);
      client.destroy();
      assert.deepEqual(lengths, [6, 3 * 1024 * 1024, 5]);
    });

    test("one task may send while another receives", async () => {
      const client = await open("/ws/both-ways");
      for (let count = 1; count < 20; count += 1) assert.equal(await client.nextText(), `text tick ${count}`);
      client.close(1000);
      await client.until(() => client.frames.some(({ opcode }) => opcode === opcodes.close));
      client.destroy();
    });

    test("the application's close goes out with code and reason, and it is told of the end", async () => {
      const key = freshKey();
      const client = await open(`/ws/close?key=${key}`);
      assert.equal(await client.nextText(), "close 4001 grüße");
      client.close(4001, "grüße");
      assert.deepEqual(await remembered(probe, key, 1), [
        { type: "websocket.disconnect", code: 4001, reason: "grüße" },
      ]);
      await client.untilEnd();
      client.destroy();
    });

    for (const [what, target, close] of [
      ["a close without a code", "/ws/close-plainly", "close 1000"],
      ["an application that returns", "/ws/returns", "close 1000"],
      ["an application that raises", "/ws/raises", "close 1011"],
    ] as const) {
      test(`${what} is ${close}`, async () => {
        const client = await open(target);
        assert.equal(await client.nextText(), close);
        client.destroy();
      });
    }

    test("what it raises is in the log, with its traceback", async () => {
      await eventually(() =>
        /exception while answering GET \/ws\/raises\n[\s\S]*LookupError: no such room/.test(probe.server.output),
      );
    });

    test("a close before it was accepted is 403", async () => {
      const key = freshKey();
      const client = await refusal(probe, `/ws/forbid?key=${key}`);
      assert.deepEqual([client.status, client.body], [403, "Forbidden"]);
      assert.deepEqual(await remembered(probe, key, 1), [{ type: "websocket.disconnect", code: 1006, reason: "" }]);
      assert.equal((await refusal(probe, "/ws/forbid-first")).status, 403);
    });

    test("a refusal may be a response of its own", async () => {
      const client = await WebSocketClient.connect(probe.server.port);
      client.socket.write(handshake("/ws/refuse"));
      await client.until(() => client.body.includes("0\r\n\r\n"));
      client.destroy();
      assert.equal(client.status, 409);
      assert.match(client.head, /\r\nx-why: late\r\n/);
      assert.match(client.body, /come .*again/s);
    });

    for (const target of ["/ws/returns-at-once", "/ws/raises-at-once"]) {
      test(`an application that says nothing answers 500: ${target}`, async () => {
        assert.equal((await refusal(probe, target)).status, 500);
      });
    }

    for (const [what, leave, end] of [
      ["closes with a code", (client) => client.close(3001, "bye"), { code: 3001, reason: "bye" }],
      ["closes without one", (client) => client.close(), { code: 1005, reason: "" }],
      ["leaves without a word", (client) => client.socket.end(), { code: 1006, reason: "" }],
      ["resets its connection", (client) => client.socket.resetAndDestroy(), { code: 1006, reason: "" }],
      [
        "sends what it may not",
        (client) => client.send(frame(opcodes.text, "x", { masked: false })),
        { code: 1002, reason: "Invalid WebSocket frame: MASK must be set" },
      ],
    ] as readonly (readonly [string, (client: WebSocketClient) => unknown, object])[]) {
      test(`a client that ${what} is a disconnect, behind its messages, and send() raises OSError`, async () => {
        const key = freshKey();
        const client = await open(`/ws/disconnect?key=${key}`);
        client.text("first");
        leave(client);
        const disconnect = { type: "websocket.disconnect", ...end };
        assert.deepEqual(await remembered(probe, key, 3), [disconnect, disconnect, "OSError"]);
        client.destroy();
      });
    }

    for (const leave of ["end", "resetAndDestroy"] as const) {
      test(`a client that leaves before it is accepted is a disconnect with 1006: ${leave}`, async () => {
        const key = freshKey();
        const client = await WebSocketClient.connect(probe.server.port);
        client.socket.write(handshake(`/ws/leaves-early?key=${key}`));
        await remembered(probe, key, 1);
        client.socket[leave]();
        const [, end] = await remembered(probe, key, 2);
        assert.deepEqual(end, { type: "websocket.disconnect", code: 1006, reason: "" });
        client.destroy();
      });
    }

    test("what comes out of order, or cannot be sent, is raised where it was said, and does no harm", async () => {
      const key = freshKey();
      const client = await open(`/ws/out-of-order?key=${key}`);
      const told = JSON.parse((await client.next()).payload.toString());
      assert.deepEqual(told, {
        early: "RuntimeError: websocket.send comes before websocket.accept",
        unknown: "RuntimeError: 'http.response.start' is no message to a WebSocket",
        none: "ValueError: a message has a type, and this one none: {}",
        name: "ValueError: b'a b' is not a header name",
        own: "ValueError: the headers of websocket.accept have b'Sec-WebSocket-Protocol', which is the server's to send; a subprotocol is given as subprotocol",
        subprotocol: "ValueError: websocket.accept has the subprotocol 'a b', which is no name of one",
        body: "RuntimeError: http.response.body comes before http.response.start",
        again: "RuntimeError: websocket.accept comes after websocket.accept",
        refuse: "RuntimeError: websocket.http.response.start comes after websocket.accept",
        empty: "ValueError: websocket.send has neither text nor bytes",
        text: "TypeError: the text of websocket.send is a str, not bytes",
        bytes: "TypeError: the bytes of websocket.send are a byte string, not str",
        code: "ValueError: websocket.close has the code 1005; it takes one from 1000 to 1014 or 3000 to 4999",
        reason: "ValueError: the reason of websocket.close has 124 octets; 123 is the most",
      });
      assert.equal(await client.nextText(), "close 1000");
      assert.deepEqual(await remembered(probe, key, 2), [
        "RuntimeError: websocket.send comes after the WebSocket was closed",
        "RuntimeError: websocket.close comes after the WebSocket was closed",
      ]);
      client.destroy();
    });

    test("a client that does not read makes send() wait", async () => {
      const key = freshKey();
      const client = await open(`/ws/pour?key=${key}`);
      client.socket.pause();
      await remembered(probe, key, 1);
      // What the system keeps for it is some megabytes; the server's part is one. It stands still when two looks see the same.
      let before = -1;
      for (let taken = 0; taken !== before; ) {
        before = taken;
        await new Promise((resolve) => setTimeout(resolve, 300));
        taken = (await tell(probe, key)).taken;
      }
      assert.ok(before * 65536 < 24 * 1024 * 1024, `${before} blocks of 64 KiB`);
      client.destroy();
      assert.deepEqual(await remembered(probe, key, 2), ["began", "OSError"]);
    });

    test("an application that does not receive makes its client wait, and loses nothing", async () => {
      const key = freshKey();
      const client = await open(`/ws/hold?key=${key}`);
      const block = Buffer.alloc(100_000);
      const count = 300;
      for (let sent = 0; sent < count; sent += 1) client.binary(block);
      client.text("done");
      await new Promise((resolve) => setTimeout(resolve, 300));
      assert.ok(client.socket.writableLength > 0, "all was taken");
      await tell(probe, key, "&release=1");
      assert.equal(await client.nextText(), `text ${count * block.length}`);
      client.destroy();
    });
  });
}
