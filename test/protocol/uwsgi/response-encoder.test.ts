import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { encodeUwsgiResponses } from "../http1/encoders.js";
import { vectors } from "../http1/vectors.js";

describe("uwsgi response encoding vectors", () => {
  for (const vector of vectors("response-encoding", "uwsgi")) {
    test(vector.name, () => {
      const encoded = encodeUwsgiResponses(vector.blocks.get("told") ?? "");
      assert.equal(encoded.octets, vector.blocks.get("http"));
      assert.deepEqual(encoded.log, (vector.blocks.get("log") ?? "").split("\n").slice(0, -1));
    });
  }
});
