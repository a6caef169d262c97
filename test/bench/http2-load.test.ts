import assert from "node:assert/strict";
import { test } from "node:test";
import { readLog } from "../../bench/http2-load.js";

test("h2load's log has a line for each request, -1 where there was no answer", () => {
  assert.deepEqual(readLog("1700000000000000\t200\t1500\n1700000000000001\t503\t20\n1700000000000002\t-1\t9\n"), [
    { status: 200, milliseconds: 1.5 },
    { status: 503, milliseconds: 0.02 },
    { status: -1, milliseconds: 0.009 },
  ]);
});
