import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { octetsOf, vectors } from "../http1/vectors.js";
import { decodedHeader } from "./headers.js";

describe("PROXY header vectors, whole and as each octet comes", () => {
  for (const vector of vectors("header", "proxy")) {
    test(vector.name, () => {
      const octets = octetsOf(vector.blocks.get("octets") ?? "");
      const expected = (vector.blocks.get("log") ?? "").split("\n").slice(0, -1);
      assert.ok(expected.length > 0, "the vector has a log");
      assert.deepEqual(decodedHeader(octets), expected);
      // What is decided with fewer octets stays so.
      const decided = expected.filter((line) => !line.startsWith("rest "));
      for (let length = 0; length < octets.length; length += 1) {
        const early = decodedHeader(octets.subarray(0, length)).filter((line) => !line.startsWith("rest "));
        assert.deepEqual(early, early[0] === "waiting" ? ["waiting"] : decided, `${length} octets`);
      }
    });
  }
});
