import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { splits } from "../http1/vectors.js";
import { block, decodeRequests, limitsOf, octetsOf, vectors } from "./vectors.js";

describe("request vectors", () => {
  for (const vector of vectors("request-")) {
    test(vector.name, () => {
      const expected = block(vector, "log").split("\n").slice(0, -1);
      const answers = vector.settings.get("answers") !== "never";
      for (const chunks of splits(octetsOf(block(vector, "records")))) {
        const cut = `cut into ${chunks.map((chunk) => chunk.length).join(" ")}`;
        assert.deepEqual(decodeRequests(chunks, limitsOf(vector), answers), expected, cut);
      }
    });
  }
});
