import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { encodeRequests } from "./encoders.js";
import { vectors } from "./vectors.js";

describe("request encoding vectors", () => {
  for (const vector of vectors("request-encoding")) {
    test(vector.name, () => {
      const encoded = encodeRequests(vector.blocks.get("told") ?? "");
      assert.equal(encoded.octets, vector.blocks.get("http"));
      assert.deepEqual(encoded.log, (vector.blocks.get("log") ?? "").split("\n").slice(0, -1));
    });
  }
});
