import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { encodeCgiResponses } from "../http1/encoders.js";
import { vectors } from "../http1/vectors.js";

describe("CGI response encoding vectors", () => {
  for (const vector of vectors("response-encoding", "cgi")) {
    test(vector.name, () => {
      const encoded = encodeCgiResponses(vector.blocks.get("told") ?? "");
      assert.equal(encoded.octets, vector.blocks.get("http"));
      assert.deepEqual(encoded.log, (vector.blocks.get("log") ?? "").split("\n").slice(0, -1));
    });
  }
});
