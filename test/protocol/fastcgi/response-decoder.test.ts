import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { splits } from "../http1/vectors.js";
import { block, decodeResponses, octetsOf, vectors } from "./vectors.js";

describe("response vectors", () => {
  for (const vector of vectors("response")) {
    test(vector.name, () => {
      const expected = block(vector, "log").split("\n").slice(0, -1);
      const begun = (vector.settings.get("begun") ?? "").split(",").filter((id) => id !== "");
      for (const chunks of splits(octetsOf(block(vector, "records")))) {
        const cut = `cut into ${chunks.map((chunk) => chunk.length).join(" ")}`;
        assert.deepEqual(decodeResponses(chunks, begun.map(Number)), expected, cut);
      }
    });
  }
});
