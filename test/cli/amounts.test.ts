import assert from "node:assert/strict";
import { test } from "node:test";
import { duration, shortDuration } from "../../src/cli/amounts.js";

test("durations are told by their two largest units", () => {
  assert.deepEqual([0, 59.9, 60, 192, 3599, 3600, 86_399, 90_000].map(duration), [
    "0 s",
    "59 s",
    "1 min 0 s",
    "3 min 12 s",
    "59 min 59 s",
    "1 h 0 min",
    "23 h 59 min",
    "1 d 1 h",
  ]);
});

test("short durations are told to a tenth of a second, or in milliseconds", () => {
  assert.deepEqual([0, 0.0124, 0.9994, 0.9996, 1.26, 9.94, 9.96, 192].map(shortDuration), [
    "0 ms",
    "12 ms",
    "999 ms",
    "1.0 s",
    "1.3 s",
    "9.9 s",
    "9 s",
    "3 min 12 s",
  ]);
});
