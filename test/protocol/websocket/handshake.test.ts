import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { acceptOf, readConnect, readHandshake } from "../../../src/protocol/websocket/handshake.js";

const key = "dGhlIHNhbXBsZSBub25jZQ==";

describe("a handshake", () => {
  test("is read whatever the case of its names, with subprotocols and extensions of several fields", () => {
    const fields = [
      ["SEC-WEBSOCKET-KEY", key],
      ["sec-websocket-version", "13"],
      ["Sec-WebSocket-Protocol", "chat, v2.chat"],
      ["Sec-WebSocket-Protocol", "superchat"],
      ["Sec-WebSocket-Extensions", "permessage-deflate"],
      ["Sec-WebSocket-Extensions", "x"],
    ].flat();
    assert.deepEqual(readHandshake(fields, false), {
      key,
      protocols: ["chat", "v2.chat", "superchat"],
      extensions: "permessage-deflate,x",
    });
  });

  for (const [what, fields] of [
    ["two keys", ["Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", key, "Sec-WebSocket-Key", key]],
    ["an empty key", ["Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", ""]],
    ["a key of 17 octets", ["Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZWE="]],
  ] as const) {
    test(`with ${what} is none`, () => {
      const read = readHandshake(fields, false);
      assert.ok("status" in read && read.status === 400);
    });
  }

  test("with two versions, or a list of them, is in none that is spoken", () => {
    for (const fields of [
      ["Sec-WebSocket-Version", "13", "Sec-WebSocket-Version", "8", "Sec-WebSocket-Key", key],
      ["Sec-WebSocket-Version", "8, 13", "Sec-WebSocket-Key", key],
    ]) {
      const read = readHandshake(fields, false);
      assert.ok("status" in read && read.status === 426);
    }
  });

  test("over HTTP/2 has no key of the client's, and gets another each time", () => {
    const fields = ["sec-websocket-version", "13", "sec-websocket-protocol", "chat"];
    const [one, other] = [readConnect(fields, false), readConnect(fields, false)];
    assert.ok("key" in one && "key" in other);
    assert.match(one.key, /^[A-Za-z0-9+/]{21}[AQgw]==$/);
    assert.notEqual(one.key, other.key);
    assert.deepEqual({ ...one, key: "" }, { key: "", protocols: ["chat"], extensions: "" });
  });

  test("over HTTP/2 in another version is answered 400, as 426 would name what to upgrade to", () => {
    const read = readConnect(["sec-websocket-version", "8"], false);
    assert.ok("status" in read);
    assert.deepEqual([read.status, read.fields], [400, "Sec-WebSocket-Version: 13\r\n"]);
  });

  test("is proved as RFC 6455 §1.3 shows", () => {
    assert.equal(acceptOf(key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  });
});
