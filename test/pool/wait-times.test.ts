import assert from "node:assert/strict";
import { test } from "node:test";
import { WaitTimes } from "../../src/pool/wait-times.js";

test("nothing is known where no request was given", () => {
  assert.deepEqual(new WaitTimes().recent(5000), { count: 0, median: 0, most: 0 });
});

test("who does not wait counts, too", () => {
  const waits = new WaitTimes();
  for (let i = 0; i < 9; i++) waits.add(0, 1000 + i);
  waits.add(250, 1010);
  assert.deepEqual(waits.recent(1010), { count: 10, median: 0, most: 250 });
});

test("the median is right to a fifth and never beyond what was waited longest, whatever the size", () => {
  for (const wait of [0.07, 0.3, 1, 7, 42, 999, 30_000, 3_600_000, 1e9]) {
    const waits = new WaitTimes();
    for (const share of [0.5, 1, 2]) waits.add(wait * share, 0);
    const { median, most, count } = waits.recent(0);
    assert.deepEqual([count, most], [3, 2 * wait]);
    if (wait < 1e7) assert.ok(median >= wait && median <= wait * 1.25 + 1 / 16, `${wait}: ${median}`);
    else assert.ok(median > 1e7 && median <= 2 * wait);
  }
});

test("ten seconds are remembered, second by second, and all is forgotten after a long rest", () => {
  const waits = new WaitTimes();
  for (let second = 100; second < 115; second++) waits.add(1000 * (115 - second), second * 1000 + 500);
  assert.deepEqual([waits.recent(114_900).count, waits.recent(114_900).most], [10, 10_000]);
  assert.deepEqual([waits.recent(115_000).count, waits.recent(115_000).most], [9, 9000]);
  assert.deepEqual([waits.recent(123_999).count, waits.recent(123_999).most], [1, 1000]);
  waits.add(3, 900_000);
  assert.deepEqual(waits.recent(900_000).count, 1);
  assert.equal(waits.recent(900_000).most, 3);
});
