import assert from "node:assert/strict";
import { test } from "node:test";
import { casesOf, compare, comparisonTable } from "../../bench/micro-cases.js";

test("a micro-benchmark's cases are its lines of JSON with a name and nanoseconds; what else it prints is no case", () => {
  const output = [
    "decoding",
    '{"name":"decode GET","ns":812.5}',
    '{"name":"unfinished","ns":',
    '{"name":"no figure"}',
    '{"name":"nothing done","ns":0}',
    '{"name":"encode 200","ns":90,"rounds":9}',
    "",
  ].join("\n");
  assert.deepEqual(casesOf(output), [
    { name: "decode GET", ns: 812.5 },
    { name: "encode 200", ns: 90 },
  ]);
});

test("two checkouts are compared by their best rounds, case by case, and a case that one lacks has no ratio", () => {
  const here = [12, 15, 30].map((ns) => ({ name: "decode", ns }));
  const there = [24, 30, 24].map((ns) => ({ name: "decode", ns }));
  const comparison = compare([...here, { name: "new", ns: 5 }], there);
  assert.deepEqual(comparison, [
    { name: "decode", here: 12, there: 24, noise: 1 },
    { name: "new", here: 5, there: undefined, noise: 0 },
  ]);
  const table = comparisonTable(comparison, "v1");
  assert.match(table, /^case +v1 ns +here ns +here vs that +±$/m);
  assert.match(table, /^decode +24 +12 +0\.50 × +100 %$/m);
  assert.match(table, /^new +5 +0 %$/m);
  assert.match(comparisonTable(comparison, undefined), /^decode +12 +100 %$/m);
});
