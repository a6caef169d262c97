import assert from "node:assert/strict";
import { test } from "node:test";
import type { IdleLoad } from "../../bench/scale/connections.js";
import { targets } from "../../bench/targets.js";
import { result, runOf } from "./runs.js";

test("a target is reached, missed, or not measured", () => {
  const run = runOf(
    result("vivarium", "hello", { cpuPerRequest: 22, requestsPerSecond: 1400 }),
    result("nginx+uwsgi", "hello"),
  );
  const [cpu, rate, most, wait] = targets(run);
  assert.deepEqual([cpu?.found, cpu?.reached], ["0.44 ×", false]);
  assert.deepEqual([rate?.found, rate?.reached], ["1.40 ×", true]);
  assert.deepEqual([most?.found, most?.reached], ["1.40 ×", true]);
  assert.equal(wait?.found, undefined);
});

test("a door's targets hold the variant of that protocol against the reference", () => {
  const run = runOf(
    result("vivarium-fastcgi", "doors", { requestsPerSecond: 1100, cpuPerRequest: 40 }),
    result("vivarium-scgi", "doors", { cpuPerRequest: 75 }),
    result("nginx+uwsgi", "doors"),
  );
  const found = targets(run).filter((target) => target.found !== undefined);
  assert.deepEqual(
    found.map(({ found, reached }) => [found, reached]),
    [
      ["0.80 ×", true],
      ["1.10 ×", true],
      ["1.50 ×", false],
    ],
  );
});

test("embedded mode is held against nginx and uWSGI, Granian, and nginx with a constant", () => {
  const run = runOf(
    result("vivarium-embedded", "hello", { cpuPerRequest: 20 }),
    result("nginx+uwsgi", "hello"),
    result("granian-wsgi", "hello", { cpuPerRequest: 20 }),
    result("nginx-constant", "hello", { cpuPerRequest: 10 }),
  );
  const found = targets(run).filter((target) => target.found !== undefined);
  assert.deepEqual(
    found.map(({ found, reached }) => [found, reached]),
    [
      ["0.40 ×", false],
      ["1.00 ×", false],
      ["2.00 ×", true],
    ],
  );
});

test("ASGI is held against uvicorn, and where applications wait against the best peer", () => {
  const run = runOf(
    result("vivarium-asgi", "asgi-hello", { cpuPerRequest: 43, requestsPerSecond: 1090 }),
    result("uvicorn", "asgi-hello", { cpuPerRequest: 50, requestsPerSecond: 1000 }),
    result("vivarium-asgi", "asgi-echo", { cpuPerRequest: 60 }),
    result("uvicorn", "asgi-echo", { cpuPerRequest: 60 }),
    result("vivarium-asgi", "asgi-await", { requestsPerSecond: 980 }),
    result("uvicorn", "asgi-await", { requestsPerSecond: 900 }),
    result("granian-asgi", "asgi-await", { requestsPerSecond: 1000 }),
  );
  const found = targets(run).filter((target) => target.found !== undefined);
  assert.deepEqual(
    found.map(({ found, reached }) => [found, reached]),
    [
      ["0.86 ×", false],
      ["1.09 ×", false],
      ["1.00 ×", true],
      ["0.98 ×", true],
    ],
  );
});

test("the targets of scale are held against what was measured: octets of a connection, p99 beside many, memory of four workers", () => {
  const idle = (count: number, p99: number, perConnection: number): IdleLoad => ({
    server: "vivarium",
    idle: count,
    perConnection,
    memory: 50,
    requestsPerSecond: 1000,
    p50: 1,
    p99,
    lost: 0,
  });
  const scale = {
    connections: [idle(0, 10, Number.NaN), idle(1000, 90, 90_000), idle(10_000, 20, 8192)],
    webSockets: [
      { server: "uvicorn", idle: 10_000, front: 0, worker: 90_000, messagesPerSecond: 1, p99: 1, lost: 0 },
      { server: "vivarium-asgi", idle: 10_000, front: 16_384, worker: 12_300, messagesPerSecond: 1, p99: 1, lost: 0 },
    ],
    workers: [],
    memory: [
      { server: "nginx+uwsgi", atStart: 200, afterLoad: 240 },
      { server: "vivarium", atStart: 900, afterLoad: 301 },
    ],
    starts: [],
  };
  const found = targets({ ...runOf(), scale }).filter((target) => target.found !== undefined);
  assert.deepEqual(
    found.map(({ found, reached }) => [found, reached]),
    [
      ["8.0 KiB", true],
      ["2.00 ×", false],
      ["16.0 KiB", true],
      ["12.0 KiB", false],
      ["61 MiB more", false],
    ],
  );
});
