import assert from "node:assert/strict";
import { test } from "node:test";
import { type LogLine, logLine } from "../../src/channels.js";
import { refuseUnread } from "../../src/static/refuse.js";
import { FakeExchange } from "./support.js";

test("a file that cannot be read is answered plainly, with one line in the log that says why", () => {
  const lines: string[] = [];
  const listen = (line: unknown): void => {
    lines.push((line as LogLine).message);
  };
  logLine.subscribe(listen);
  for (const [problem, status] of [
    ["forbidden", 403],
    ["exhausted", 503],
    ["failed", 500],
  ] as const) {
    const exchange = new FakeExchange("GET", "/a");
    refuseUnread(exchange, problem);
    assert.deepEqual([exchange.status, exchange.outcome], [status, "complete"]);
  }
  logLine.unsubscribe(listen);
  assert.deepEqual(lines, [
    "The file for GET /a cannot be opened: this user may not read it.",
    "The file for GET /a cannot be opened: no descriptor is left.",
    "The file for GET /a cannot be opened: the disk fails, or it is written all the time.",
  ]);
});
