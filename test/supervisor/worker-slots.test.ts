import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Slot, WorkerSlots } from "../../src/supervisor/worker-slots.js";

function first(slots: WorkerSlots): Slot {
  const slot = slots.get(1);
  assert.ok(slot !== undefined);
  return slot;
}

type Use = "booting" | "ready" | "served";

/** One worker's life: how far it got, and dead after so many milliseconds. Gives the delay before the next. */
function live(slots: WorkerSlots, from: number, milliseconds: number, use: Use): number {
  const slot = first(slots);
  slots.booting(slot, from);
  slot.pid = 4711;
  if (use !== "booting") assert.ok(slots.connected(slot, 4711));
  if (use === "served") slots.served(slot, 4711);
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
    slots.forked(first(slots), 4711);
    assert.ok(slots.connected(first(slots), 4711));
    assert.deepEqual([slots.ready, first(slots).pid], [1, 4711]);
  });

  test("news of a worker's start that come after those of its end do not fill its slot", () => {
    const slots = new WorkerSlots(1);
    live(slots, 0, 10, "booting");
    assert.equal(slots.connected(first(slots), 4711), false);
    assert.deepEqual([slots.ready, first(slots).state, first(slots).pid], [0, "empty", 0]);
    slots.booting(first(slots), 200);
    first(slots).pid = 4712;
    assert.equal(slots.connected(first(slots), 4711), false);
    assert.ok(slots.connected(first(slots), 4712));
  });

  test("late words of a worker that nobody knows do not fill a slot for which another is forked", () => {
    const slots = new WorkerSlots(1);
    slots.booting(first(slots), 0);
    assert.equal(slots.connected(first(slots), 4711), false);
    slots.forked(first(slots), 4712);
    assert.deepEqual([first(slots).state, first(slots).pid], ["booting", 4712]);
  });

  test("there may be a worker of which the spawner has not told until it has, wanted or not", () => {
    const slots = new WorkerSlots(1);
    const untold: boolean[] = [slots.untold(1)];
    slots.booting(first(slots), 0);
    untold.push(slots.untold(1));
    slots.forked(first(slots), 4711);
    untold.push(slots.untold(1));
    slots.exited(first(slots), 1);
    slots.booting(first(slots), 2);
    slots.leave(first(slots));
    untold.push(slots.untold(1));
    slots.unwanted(1);
    untold.push(slots.untold(1), slots.untold(2));
    assert.deepEqual(untold, [false, true, false, true, false, false]);
  });

  test("a worker that leaves before it is forked counts until the spawner tells of it", () => {
    const slots = new WorkerSlots(1);
    slots.booting(first(slots), 0);
    slots.leave(first(slots));
    slots.booting(first(slots), 1);
    assert.equal(slots.alive, 2);
    assert.deepEqual([slots.unwanted(1), slots.unwanted(1)], [true, false]);
    assert.equal(slots.alive, 1);
  });

  test("a worker that has served is replaced at once", () => {
    const slots = new WorkerSlots(1);
    assert.equal(live(slots, 0, 60_000, "ready"), 0);
    assert.deepEqual([first(slots).state, first(slots).pid], ["empty", 0]);
    for (let times = 0; times < 5; times += 1) assert.equal(live(slots, 0, 5, "served"), 0);
  });

  test("word of another worker's first answer is not this one's", () => {
    const slots = new WorkerSlots(1);
    slots.booting(first(slots), 0);
    slots.forked(first(slots), 4711);
    slots.connected(first(slots), 4711);
    slots.served(first(slots), 4710);
    assert.equal(first(slots).served, false);
    slots.served(first(slots), 4711);
    assert.equal(first(slots).served, true);
    slots.exited(first(slots), 10);
    slots.booting(first(slots), 20);
    assert.equal(first(slots).served, false);
  });

  test("the more often in a row workers die soon or never get ready, the longer it takes, up to 30 s", () => {
    const slots = new WorkerSlots(1, 1, () => 0);
    const lives = Array.from({ length: 12 }, (_, n) =>
      n % 2 === 0 ? ([5000, "booting"] as const) : ([10, "ready"] as const),
    );
    const delays = lives.map(([milliseconds, use], n) => live(slots, n * 1000, milliseconds, use));
    assert.deepEqual(delays, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000, 30_000]);
    assert.equal(live(slots, 0, 60_000, "ready"), 0);
  });

  test("the first request may have ended a worker: the next is there at once, the one after that is not", () => {
    const slots = new WorkerSlots(1, 1, () => 0);
    assert.deepEqual(
      [10, 10, 10].map((milliseconds) => live(slots, 0, milliseconds, "ready")),
      [0, 200, 400],
    );
  });

  test("delays are spread by chance, to half as much again, and not beyond 30 s", () => {
    const random = [0, 0.5, 1, 1, 1, 1, 1, 1, 1, 1];
    const slots = new WorkerSlots(1, 1, () => random.shift() ?? 0);
    const delays = Array.from({ length: 10 }, () => live(slots, 0, 10, "booting"));
    assert.deepEqual(delays.slice(0, 3), [100, 250, 600]);
    assert.deepEqual(delays.slice(-2), [30_000, 30_000]);
  });

  test("when the front is gone a worker keeps its slot until it is ready for the next, and is no younger then", () => {
    const slots = new WorkerSlots(2);
    for (const slot of slots.all) slots.booting(slot, 1000);
    slots.forked(first(slots), 4711);
    slots.connected(first(slots), 4711);
    slots.served(first(slots), 4711);
    slots.disconnected();
    assert.deepEqual(
      slots.all.map(({ state }) => state),
      ["lost", "booting"],
    );
    assert.deepEqual([slots.ready, slots.unconnected, slots.alive], [0, 2, 2]);
    assert.equal(slots.connected(first(slots), 4712), false);
    assert.ok(slots.connected(first(slots), 4711));
    assert.deepEqual([first(slots).state, first(slots).startedAt, first(slots).served], ["ready", 1000, true]);
    slots.disconnected();
    assert.equal(slots.exited(first(slots), 1010), 0);
    assert.equal(first(slots).state, "empty");
  });

  test("a worker that was to have a successor has its slot again where it comes to the next front first", () => {
    const slots = new WorkerSlots(1);
    slots.booting(first(slots), 1000);
    slots.forked(first(slots), 4711);
    slots.connected(first(slots), 4711);
    slots.disconnected();
    slots.leave(first(slots));
    assert.ok(slots.connected(first(slots), 4711));
    assert.deepEqual([first(slots).state, first(slots).startedAt, slots.alive], ["ready", 1000, 1]);
    // Its successor is on its way, though nobody knows its process id yet.
    slots.leave(first(slots));
    slots.booting(first(slots), 2000);
    assert.equal(slots.connected(first(slots), 4711), false);
    assert.equal(first(slots).pid, 0);
    slots.forked(first(slots), 4712);
    assert.ok(slots.connected(first(slots), 4712));
    assert.deepEqual(
      slots.leaving.map(({ pid }) => pid),
      [4711],
    );
  });

  test("they are failing while none is ready and each has died of late without having been of use", () => {
    const slots = new WorkerSlots(2, 1, () => 0);
    assert.equal(slots.failing, false);
    live(slots, 0, 10, "booting");
    assert.equal(slots.failing, false);
    const second = slots.get(2);
    assert.ok(second !== undefined);
    slots.booting(second, 0);
    slots.exited(second, 10);
    assert.equal(slots.failing, true);
    slots.booting(second, 100);
    assert.equal(slots.failing, true);
    slots.forked(second, 4712);
    slots.connected(second, 4712);
    assert.equal(slots.failing, false);
  });
});
