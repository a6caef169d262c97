import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { VivariumError } from "../../../src/errors.js";
import { ResponseDecoder } from "../../../src/protocol/http1/response-decoder.js";
import { decodeResponses, defaultLimits, limitsOf, octetsOf, splits, vectors } from "./vectors.js";

describe("response vectors, whole and split at every octet", () => {
  for (const vector of vectors("response-")) {
    if (!vector.blocks.has("http") || vector.blocks.has("told")) continue;
    test(`${vector.file}: ${vector.name}`, () => {
      const octets = octetsOf(vector.blocks.get("http") ?? "");
      const expected = (vector.blocks.get("log") ?? "").split("\n").slice(0, -1);
      const methods = (vector.settings.get("to") ?? "GET").split(",");
      const closed = vector.settings.get("closed") === "yes";
      assert.ok(expected.length > 0, "the vector has a log");
      for (const chunks of splits(octets)) {
        const cut = chunks.length === 2 ? `split at ${chunks[0]?.length}` : `in ${chunks.length}`;
        assert.deepEqual(decodeResponses(chunks, methods, closed, limitsOf(vector)), expected, cut);
      }
      // What it remembers of the responses before changes nothing.
      const decoder = new ResponseDecoder(limitsOf(vector));
      for (const chunks of [[octets], ...splits(octets)]) {
        if (decoder.idle)
          assert.deepEqual(decodeResponses(chunks, methods, closed, limitsOf(vector), decoder), expected, "once more");
      }
    });
  }
});

describe("response decoder", () => {
  test("is idle only while no response is awaited and the connection is there", () => {
    const decoder = new ResponseDecoder(defaultLimits);
    assert.equal(decoder.idle, true);
    decoder.begin("GET");
    assert.equal(decoder.idle, false);
    decoder.receive(Buffer.from("HTTP/1.1 204 No Content\r\n\r\n"));
    assert.equal(decoder.next()?.type, "head");
    assert.equal(decoder.next()?.type, "end");
    assert.equal(decoder.idle, true);
    decoder.receiveEnd();
    assert.equal(decoder.next(), undefined);
    assert.equal(decoder.idle, false);
  });

  test("refuses octets that come while nothing is awaited", () => {
    const decoder = new ResponseDecoder(defaultLimits);
    decoder.receive(Buffer.from("HTTP/1.1 200 OK\r\n\r\n"));
    assert.equal(decoder.idle, false);
    assert.throws(() => decoder.next(), VivariumError);
    assert.throws(() => decoder.next(), VivariumError, "and stays dead");
  });

  test("gives the very head again that answers the same octets to the same method", () => {
    const decoder = new ResponseDecoder(defaultLimits);
    const respond = (method: string, octets: string, body: string) => {
      decoder.begin(method);
      decoder.receive(Buffer.from(octets + body));
      const event = decoder.next();
      assert.ok(event?.type === "head");
      for (let next = decoder.next(); next?.type !== "end"; next = decoder.next()) {
        assert.ok(next?.type === "body");
        assert.equal(Buffer.from(next.octets).toString(), body);
      }
      return event.head;
    };
    const hello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    const first = respond("GET", hello, "hello");
    assert.equal(respond("POST", hello, "again"), first);
    // No body follows, and that of the next is no part of it.
    assert.deepEqual(respond("HEAD", hello, "").framing, "none");
    assert.equal(respond("GET", hello, "hello").contentLength, 5);
    assert.equal(respond("GET", hello.replace("5", "3"), "one").contentLength, 3);
    assert.equal(respond("GET", hello.replace("200 OK", "404 OK"), "hello").status, 404);
    const large = hello.replace("Content", `X: ${"x".repeat(1000)}\r\nContent`);
    assert.notEqual(respond("GET", large, "hello"), respond("GET", large, "hello"), "large ones are not kept");
  });

  test("takes no head for another whose beginning is the same", () => {
    const decoder = new ResponseDecoder(defaultLimits);
    decoder.begin("GET");
    decoder.receive(Buffer.from("HTTP/1.1 204 No Content\r\n\r\n"));
    assert.equal(decoder.next()?.type, "head");
    assert.equal(decoder.next()?.type, "end");
    decoder.begin("GET");
    decoder.receive(Buffer.from("HTTP/1.1 204 No Content\r\n"));
    assert.equal(decoder.next(), undefined);
    decoder.receive(Buffer.from("X: y\r\n\r\n"));
    const event = decoder.next();
    assert.deepEqual(event?.type === "head" && event.head.fields, ["X", "y"]);
  });

  test("hands body octets on without copying", () => {
    const decoder = new ResponseDecoder(defaultLimits);
    decoder.begin("GET");
    decoder.receive(Buffer.from("HTTP/1.1 200 OK\r\n\r\n"));
    assert.equal(decoder.next()?.type, "head");
    const chunk = Buffer.alloc(70_000);
    decoder.receive(chunk);
    const body = decoder.next();
    assert.ok(body?.type === "body" && body.octets.buffer === chunk.buffer && body.octets.length === 70_000);
  });
});
