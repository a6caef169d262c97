import assert from "node:assert/strict";
import { test } from "node:test";
import { type LogLine, logLine } from "../../src/channels.js";
import { Losses } from "../../src/front/losses.js";

/** What the log is told meanwhile. */
function told(act: () => void): readonly string[] {
  const lines: string[] = [];
  const hear = (message: unknown): void => {
    const { level, area, message: text } = message as LogLine;
    lines.push(`${level} ${area}: ${text}`);
  };
  logLine.subscribe(hear);
  try {
    act();
  } finally {
    logLine.unsubscribe(hear);
  }
  return lines;
}

const who = "Worker 1 (pid 4711)";
const lost = (each: number): Parameters<Losses["request"]>[0] => ({
  id: `id-${each}`,
  request: { method: "GET", target: `/${each}` },
});

test("a worker that dies with thousands of WebSockets has one line for all of them", () => {
  const lines = told(() => {
    const losses = new Losses(who);
    for (let each = 0; each < 5000; each += 1) losses.webSocket();
    losses.request(lost(1), "cut");
    losses.end();
  });
  assert.deepEqual(lines, [
    `error pool: ${who} died while it executed GET /1 (request id id-1); its response is cut.`,
    `error pool: ${who} died and had 5000 WebSockets, which are closed with 1011.`,
  ]);
});

test("requests of a worker that dies have a line each, and beyond twenty a count by what becomes of them", () => {
  const lines = told(() => {
    const losses = new Losses(who);
    for (let each = 0; each < 120; each += 1) losses.request(lost(each), each < 110 ? "again" : "failed");
    losses.end();
  });
  assert.equal(lines.length, 21);
  assert.equal(
    lines[19],
    `warning pool: ${who} died while it executed GET /19 (request id id-19); it is run once more.`,
  );
  assert.equal(
    lines[20],
    `error pool: ${who} died while it executed 100 more requests: 90 run once more, 10 answered 502.`,
  );
});

test("a worker that dies with nothing has no line", () => {
  assert.deepEqual(
    told(() => new Losses(who).end()),
    [],
  );
});
