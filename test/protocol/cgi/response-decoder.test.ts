import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { VivariumError } from "../../../src/errors.js";
import { ResponseDecoder } from "../../../src/protocol/cgi/response-decoder.js";
import { defaultLimits, limitsOf, octetsOf, splits, vectors } from "../http1/vectors.js";
import { decodeResponse } from "./responses.js";

describe("CGI response vectors, whole and split at every octet", () => {
  for (const vector of vectors("response-head", "cgi")) {
    test(vector.name, () => {
      const octets = octetsOf(vector.blocks.get("http") ?? "");
      const expected = (vector.blocks.get("log") ?? "").split("\n").slice(0, -1);
      const closed = vector.settings.get("closed") === "yes";
      assert.ok(expected.length > 0, "the vector has a log");
      for (const chunks of splits(octets)) {
        const cut = chunks.length === 2 ? `split at ${chunks[0]?.length}` : `in ${chunks.length}`;
        const method = vector.settings.get("to") ?? "GET";
        assert.deepEqual(decodeResponse(chunks, method, closed, limitsOf(vector)), expected, cut);
      }
    });
  }
});

describe("CGI response decoder", () => {
  test("says in a sentence of its own that non-parsed headers are not served", () => {
    const decoder = new ResponseDecoder(defaultLimits, "GET");
    decoder.receive(Buffer.from("HTTP/1.1 200 OK\r\n"));
    const nonParsed = (error: unknown) =>
      error instanceof VivariumError && error.message.includes("non-parsed headers");
    assert.throws(() => decoder.next(), nonParsed);
    assert.throws(() => decoder.next(), nonParsed, "and stays dead");
  });

  test("tells what lies behind the Content-Length", () => {
    const decoder = new ResponseDecoder(defaultLimits, "GET");
    decoder.receive(Buffer.from("Content-Length: 1\r\n\r\nabc"));
    assert.deepEqual([decoder.next()?.type, decoder.next()?.type, decoder.next()?.type], ["head", "body", "end"]);
    assert.equal(decoder.next(), undefined);
    assert.equal(decoder.pending, 2);
  });

  test("hands body octets on without copying", () => {
    const decoder = new ResponseDecoder(defaultLimits, "GET");
    decoder.receive(Buffer.from("A: b\n\n"));
    assert.equal(decoder.next()?.type, "head");
    const chunk = Buffer.alloc(70_000);
    decoder.receive(chunk);
    const body = decoder.next();
    assert.ok(body?.type === "body" && body.octets.buffer === chunk.buffer && body.octets.length === 70_000);
  });
});
