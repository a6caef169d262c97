import assert from "node:assert/strict";
import { test } from "node:test";
import { median, type Result } from "../../bench/measure.js";
import { drawPlot } from "../../bench/plot.js";
import { markdownReport } from "../../bench/report.js";
import type { BenchRun } from "../../bench/run.js";
import { shortfalls, targets } from "../../bench/verdicts.js";

function result(server: string, scenario: string, change: Partial<Result> = {}): Result {
  const usual = { requestsPerSecond: 1000, p50: 10, p99: 20, cpuPerRequest: 50, memory: 30 };
  return { server, scenario, ...usual, others: 0, badStatus: 0, socketErrors: 0, ...change };
}

function runOf(...results: readonly Result[]): BenchRun {
  return {
    date: "2026-01-02T03:04:05.678Z",
    machine: "2 cores of <something>",
    python: "3.11.2",
    node: "20.0.0",
    seconds: 5,
    rounds: 3,
    iterations: 20_000,
    servers: [],
    results,
    startUps: [],
    transfers: [],
  };
}

test("the median is the middle, or the mean of the two middle ones", () => {
  assert.equal(median([9, 1, 5]), 5);
  assert.equal(median([10, 1, 4, 2]), 3);
});

test("a shortfall names the best peer, more being better for requests and less for the rest, the worst first", () => {
  const run = runOf(
    result("vivarium", "hello", { requestsPerSecond: 800, p99: 60 }),
    result("nginx+uwsgi", "hello", { requestsPerSecond: 900 }),
    result("gunicorn-sync", "hello", { requestsPerSecond: 850, p99: 30 }),
  );
  assert.deepEqual(
    shortfalls(run).map(({ metric, server, factor }) => [metric, server, factor]),
    [
      ["p99 ms", "nginx+uwsgi", 3],
      ["requests/s", "nginx+uwsgi", 1.125],
    ],
  );
});

test("differences within noise are no shortfall, and Vivarium's other variant is no peer", () => {
  const run = runOf(
    result("vivarium", "wait"),
    result("vivarium-auto", "wait", { requestsPerSecond: 5000 }),
    result("nginx+uwsgi", "wait", { requestsPerSecond: 1020 }),
  );
  assert.deepEqual(shortfalls(run), []);
});

test("where only variants of Vivarium were measured, each is held against the peers, and by its name", () => {
  const run = runOf(
    result("vivarium-fastcgi", "doors", { requestsPerSecond: 1100, cpuPerRequest: 40 }),
    result("vivarium-scgi", "doors", { cpuPerRequest: 75 }),
    result("nginx+uwsgi", "doors"),
  );
  assert.deepEqual(
    shortfalls(run).map(({ subject, metric, factor }) => [subject, metric, factor]),
    [["vivarium-scgi", "CPU µs/request", 1.5]],
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
  assert.match(markdownReport(run), /\| doors, vivarium-scgi \| CPU µs\/request \| 75\.0 \| 50\.0 \(nginx\+uwsgi\) \|/);
});

test("ratios refer to the server that the scenario names", () => {
  const run = runOf(
    result("vivarium-multiplexed", "doors-multiplex", { requestsPerSecond: 3000 }),
    result("vivarium-per-request", "doors-multiplex"),
  );
  assert.match(markdownReport(run), /requests\/s vs vivarium-per-request/);
  assert.match(markdownReport(run), /\| vivarium-multiplexed \| 3,000 \|.*\| 3\.00 × \|/);
});

test("a target is reached, missed, or not measured", () => {
  const run = runOf(
    result("vivarium", "hello", { cpuPerRequest: 26, requestsPerSecond: 1400 }),
    result("nginx+uwsgi", "hello"),
  );
  const [cpu, rate, most, wait] = targets(run);
  assert.deepEqual([cpu?.found, cpu?.reached], ["0.52 ×", false]);
  assert.deepEqual([rate?.found, rate?.reached], ["1.40 ×", true]);
  assert.deepEqual([most?.found, most?.reached], ["1.40 ×", true]);
  assert.equal(wait?.found, undefined);
});

test("report and plot name every server, ratios and errors, and the plot is well-formed", () => {
  const run = runOf(
    result("vivarium", "hello", { requestsPerSecond: 2000 }),
    result("nginx+uwsgi", "hello", { badStatus: 3, socketErrors: 4 }),
  );
  const report = markdownReport(run);
  assert.match(report, /\| vivarium \| 2,000 \|.*\| 2\.00 × \| 1\.00 × \| 0 \|/);
  assert.match(report, /3 bad status, 4 socket/);
  const plot = drawPlot(run);
  assert.match(plot, /2 cores of &lt;something&gt;/);
  assert.match(plot, /1,000, 7 errors/);
  assert.equal(plot.match(/<text/g)?.length, plot.match(/<\/text>/g)?.length);
});
