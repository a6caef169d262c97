import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { encodeResponses } from "./encoders.js";
import { vectors } from "./vectors.js";

describe("response encoding vectors", () => {
  for (const vector of vectors("response-encoding")) {
    test(vector.name, () => {
      const encoded = encodeResponses(vector.blocks.get("told") ?? "");
      assert.equal(encoded.octets, vector.blocks.get("http"));
      assert.deepEqual(encoded.log, (vector.blocks.get("log") ?? "").split("\n").slice(0, -1));
    });
  }
});
