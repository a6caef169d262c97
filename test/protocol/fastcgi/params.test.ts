import assert from "node:assert/strict";
import { test } from "node:test";
import { VivariumError, vivariumError } from "../../../src/errors.js";
import { decodePairs, encodePairs } from "../../../src/protocol/fastcgi/params.js";

const malformed = (sentence: string) => vivariumError("ERR_FASTCGI_BAD_REQUEST", sentence);

test("parameters that are malformed are so each time", () => {
  for (let time = 0; time < 4; time += 1) {
    assert.throws(() => decodePairs(Buffer.from([5, 1, 65]), malformed), VivariumError);
  }
});

test("parameters of any length are read", () => {
  for (const length of [0, 1, 127, 128, 2040, 100_000]) {
    const variables = `A\0${"b".repeat(length)}`;
    assert.deepEqual(decodePairs(encodePairs(variables), malformed), variables.split("\0"));
  }
});
