import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Recycling } from "../../src/supervisor/recycling.js";
import { type Slot, WorkerSlots } from "../../src/supervisor/worker-slots.js";

interface Bench {
  readonly slots: WorkerSlots;
  readonly recycling: Recycling;
  /** A worker in the slot of this number; its process id is 100 times that, and `more`. */
  boot(number: number, now?: number, more?: number): Slot;
  ready(number: number, now?: number, more?: number): Slot;
  /** Replaces whom it is time for; the number of its slot and why, or "nobody". */
  step(now?: number): string;
}

/** Three slots, of which all have workers that have served. */
function bench(maxAge = 0, random: () => number = () => 0): Bench {
  const slots = new WorkerSlots(3);
  const recycling = new Recycling(slots, maxAge, random);
  const boot = (number: number, now = 0, more = 0): Slot => {
    const slot = slots.get(number);
    assert.ok(slot !== undefined);
    // Whoever was there has died.
    if (slot.state !== "empty") slots.exited(slot, now);
    slots.booting(slot, now);
    slot.pid = 100 * number + more;
    return slot;
  };
  const ready = (number: number, now = 0, more = 0): Slot => {
    const slot = boot(number, now, more);
    assert.ok(slots.connected(slot, slot.pid));
    slots.served(slot, slot.pid);
    return slot;
  };
  for (const number of [1, 2, 3]) ready(number);
  const step = (now = 0): string => {
    const due = recycling.next(now);
    if (due === undefined) return "nobody";
    slots.leave(due.slot);
    return `${due.slot.number}: ${due.spent.cause} ${due.spent.amount}`;
  };
  return { slots, recycling, boot, ready, step };
}

describe("recycling", () => {
  test("leaves workers alone that have reached no limit", () => {
    assert.equal(bench().step(1e12), "nobody");
  });

  test("has one worker replaced at a time: the next when its successor is ready and it is gone", () => {
    const { slots, recycling, boot, step } = bench();
    assert.ok(recycling.spent(200, { cause: "requests", amount: 7 }));
    assert.ok(recycling.spent(100, { cause: "requests", amount: 8 }));
    assert.equal(step(), "1: requests 8");
    assert.equal(step(), "nobody");
    const successor = boot(1, 0, 1);
    assert.equal(step(), "nobody");
    assert.ok(slots.connected(successor, 101));
    assert.equal(step(), "nobody");
    slots.left(100);
    assert.equal(step(), "2: requests 7");
  });

  test("does not have one replaced while another boots, as after a death", () => {
    const { slots, recycling, boot, step } = bench();
    recycling.spent(100, { cause: "requests", amount: 8 });
    slots.exited(boot(2), 0);
    const successor = boot(2, 0, 1);
    assert.equal(step(), "nobody");
    slots.connected(successor, 201);
    assert.equal(step(), "1: requests 8");
  });

  test("has memory before all other reasons, and of each worker the first reason", () => {
    const { recycling, step } = bench();
    recycling.spent(100, { cause: "requests", amount: 8 });
    recycling.spent(300, { cause: "memory", amount: 270 });
    recycling.spent(300, { cause: "requests", amount: 9 });
    assert.equal(step(), "3: memory 270");
  });

  test("is not moved by news of a worker that is gone", () => {
    const { slots, recycling, ready, step } = bench();
    recycling.spent(100, { cause: "requests", amount: 8 });
    slots.exited(ready(1), 0);
    assert.equal(step(), "nobody");
    // The system gives the process id once more.
    ready(1);
    assert.equal(step(), "nobody");
    assert.ok(recycling.spent(999, { cause: "memory", amount: 1 }));
    assert.equal(step(), "nobody");
  });

  test("has each worker live up to a tenth longer than it may, by chance", () => {
    let chance = 0;
    const { slots, boot, step } = bench(10, () => {
      chance += 0.25;
      return chance;
    });
    assert.equal(step(10_000), "nobody");
    assert.equal(step(10_249), "nobody");
    assert.equal(step(10_250), "1: age 10");
    slots.connected(boot(1, 10_250, 1), 101);
    slots.left(100);
    assert.equal(step(10_500), "2: age 10");
    slots.left(200);
    assert.equal(step(10_749), "nobody");
    assert.equal(step(10_750), "3: age 10");
    slots.left(300);
    // The successor's time began when it did.
    assert.equal(step(20_250 + 999), "nobody");
    assert.equal(step(20_250 + 1000), "1: age 11");
  });

  test("does not replace workers that are too large from the beginning, and says so once", () => {
    const { slots, recycling, ready, step } = bench();
    const fresh = ready(1, 0, 1);
    fresh.served = false;
    assert.equal(recycling.spent(101, { cause: "memory", amount: 300 }), false);
    assert.equal(recycling.spent(101, { cause: "memory", amount: 300 }), true);
    assert.equal(recycling.spent(200, { cause: "memory", amount: 300 }), true);
    assert.equal(step(), "nobody");
    slots.served(fresh, 101);
    recycling.spent(101, { cause: "requests", amount: 5 });
    assert.equal(step(), "1: requests 5");
  });
});
