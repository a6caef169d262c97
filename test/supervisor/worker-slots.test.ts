import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Slot, WorkerSlots } from "../../src/supervisor/worker-slots.js";

function first(slots: WorkerSlots): Slot {
  const slot = slots.get(1);
  assert.ok(slot !== undefined);
  return slot;
}

/** One worker's life: started, ready or not, and dead after so many milliseconds. Gives the delay before the next. */
function live(slots: WorkerSlots, from: number, milliseconds: number, ready: boolean): number {
  const slot = first(slots);
  slots.booting(slot, from);
  slot.pid = 4711;
  if (ready) assert.ok(slots.connected(slot, 4711));
  return slots.exited(slot, from + milliseconds);
}

describe("the slots of workers", () => {
  test("are numbered from 1, and empty at first", () => {
    const slots = new WorkerSlots(3);
    assert.deepEqual(
      slots.all.map(({ number, state, pid }) => [number, state, pid]),
      [
        [1, "empty", 0],
        [2, "empty", 0],
        [3, "empty", 0],
      ],
    );
    assert.deepEqual([slots.get(0), slots.get(4)], [undefined, undefined]);
    assert.equal(slots.ready, 0);
    slots.booting(first(slots), 1000);
    assert.deepEqual([slots.ready, first(slots).startedAt], [0, 1000]);
    assert.ok(slots.connected(first(slots), 4711));
    assert.deepEqual([slots.ready, first(slots).pid], [1, 4711]);
  });

  test("news of a worker's start that come after those of its end do not fill its slot", () => {
    const slots = new WorkerSlots(1);
    live(slots, 0, 10, false);
    assert.equal(slots.connected(first(slots), 4711), false);
    assert.deepEqual([slots.ready, first(slots).state, first(slots).pid], [0, "empty", 0]);
    slots.booting(first(slots), 200);
    first(slots).pid = 4712;
    assert.equal(slots.connected(first(slots), 4711), false);
    assert.ok(slots.connected(first(slots), 4712));
  });

  test("a worker that has served is replaced at once", () => {
    const slots = new WorkerSlots(1);
    assert.equal(live(slots, 0, 60_000, true), 0);
    assert.deepEqual([first(slots).state, first(slots).pid], ["empty", 0]);
  });

  test("the more often in a row workers die soon or never get ready, the longer it takes, up to 30 s", () => {
    const slots = new WorkerSlots(1);
    const delays = Array.from({ length: 12 }, (_, n) => live(slots, n * 1000, n % 2 === 0 ? 10 : 5000, n % 2 === 0));
    assert.deepEqual(delays, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000, 30_000]);
    assert.equal(live(slots, 0, 60_000, true), 0);
    assert.equal(live(slots, 0, 10, true), 100);
  });
});
