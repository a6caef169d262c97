import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RequestDecoder } from "../../../src/protocol/scgi/request-decoder.js";
import { decodeRequest } from "../cgi/requests.js";
import { limitsOf, octetsOf, splits, vectors } from "../http1/vectors.js";

describe("scgi request vectors, whole and split at every octet", () => {
  for (const vector of vectors("request.", "scgi")) {
    test(vector.name, () => {
      const octets = octetsOf(vector.blocks.get("octets") ?? "");
      const expected = (vector.blocks.get("log") ?? "").split("\n").slice(0, -1);
      assert.ok(expected.length > 0, "the vector has a log");
      for (const chunks of splits(octets)) {
        const cut = chunks.length === 2 ? `split at ${chunks[0]?.length}` : `in ${chunks.length}`;
        assert.deepEqual(decodeRequest(chunks, RequestDecoder, limitsOf(vector)), expected, cut);
      }
    });
  }
});
