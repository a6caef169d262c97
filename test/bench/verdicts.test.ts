import assert from "node:assert/strict";
import { test } from "node:test";
import { drawPlot } from "../../bench/plot.js";
import { markdownReport } from "../../bench/report.js";
import { median, spread } from "../../bench/statistics.js";
import { shortfalls } from "../../bench/verdicts.js";
import { result, runOf } from "./runs.js";

test("the median is the middle, or the mean of the two middle ones", () => {
  assert.equal(median([9, 1, 5]), 5);
  assert.equal(median([10, 1, 4, 2]), 3);
});

test("the noise of rounds is the share by which the farthest differs from the middle", () => {
  assert.equal(spread([100, 90, 105]), 0.1);
  assert.equal(spread([50]), 0);
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

test("what answers without an application is no peer, and both of Vivarium's modes are held against those that are", () => {
  const run = runOf(
    result("vivarium", "hello", { cpuPerRequest: 60 }),
    result("vivarium-embedded", "hello", { cpuPerRequest: 75 }),
    result("granian-wsgi", "hello"),
    result("nginx-constant", "hello", { cpuPerRequest: 10 }),
  );
  assert.deepEqual(
    shortfalls(run).map(({ subject, server, factor }) => [subject, server, factor]),
    [
      ["vivarium-embedded", "granian-wsgi", 1.5],
      ["vivarium", "granian-wsgi", 1.2],
    ],
  );
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

test("report and plot name every server, ratios and errors, and the plot is well-formed", () => {
  const run = runOf(
    result("vivarium", "hello", { requestsPerSecond: 2000 }),
    result("nginx+uwsgi", "hello", { badStatus: 3, socketErrors: 4 }),
  );
  const report = markdownReport({
    ...run,
    servers: [{ name: "nginx+uwsgi", version: "1", settings: "two", lacks: "no ASGI" }],
    bare: [{ python: "3.11.2", cpuPerCall: 1.234 }],
  });
  assert.match(report, /\| nginx\+uwsgi \| 1 \| two \| no ASGI \|/);
  assert.match(report, /\| Python 3\.11\.2 \| 1\.23 \|/);
  assert.match(report, /\| vivarium \| 2,000 \|.*\| 2\.00 × \| 1\.00 × \| 0 % \| 0 \|/);
  assert.match(report, /3 bad status, 4 socket/);
  const plot = drawPlot(run);
  assert.match(plot, /2 cores of &lt;something&gt;/);
  assert.match(plot, /1,000, 7 errors/);
  assert.doesNotMatch(plot, /outlined/);
  const limited = drawPlot(runOf(result("nginx-constant", "hello")));
  assert.match(limited, /<rect class="limit"/);
  assert.match(limited, /outlined: no application behind it/);
  assert.equal(plot.match(/<text/g)?.length, plot.match(/<\/text>/g)?.length);
});
