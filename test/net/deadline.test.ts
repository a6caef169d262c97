import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Deadlines, later, type Timed, ticks } from "../../src/net/deadline.js";

class Probe implements Timed {
  deadline = 0;
  expired = 0;
  expire(): void {
    this.expired += 1;
  }
}

describe("deadlines", () => {
  test("a deadline expires once, when its tick has come", () => {
    const deadlines = new Deadlines(false);
    const probe = new Probe();
    deadlines.watch(probe);
    probe.deadline = deadlines.tick + 2;
    deadlines.advance();
    assert.equal(probe.expired, 0);
    deadlines.advance();
    deadlines.advance();
    assert.deepEqual([probe.expired, probe.deadline], [1, 0]);
  });

  test("what has no deadline, moved it on or is no longer watched does not expire", () => {
    const deadlines = new Deadlines(false);
    const [without, moved, gone] = [new Probe(), new Probe(), new Probe()];
    for (const probe of [without, moved, gone]) deadlines.watch(probe);
    moved.deadline = deadlines.tick + 1;
    gone.deadline = deadlines.tick + 1;
    moved.deadline = deadlines.tick + 100;
    deadlines.unwatch(gone);
    deadlines.advance(50);
    assert.deepEqual([without.expired, moved.expired, gone.expired], [0, 0, 0]);
  });

  test("one that expires may end the watch of itself and of others", () => {
    const deadlines = new Deadlines(false);
    const other = new Probe();
    const first = new (class extends Probe {
      override expire(): void {
        super.expire();
        deadlines.unwatch(this);
        deadlines.unwatch(other);
      }
    })();
    deadlines.watch(first);
    deadlines.watch(other);
    first.deadline = other.deadline = deadlines.tick + 1;
    deadlines.advance();
    assert.deepEqual([first.expired, other.expired], [1, 0]);
  });

  test("a number of seconds is never cut short by the tick that is under way", () => {
    assert.ok(ticks(1) > ticks(0.75));
    assert.ok(ticks(0.001) >= 2);
  });

  test("with a clock, time passes by itself", async () => {
    const deadlines = new Deadlines();
    const keepProcess = setInterval(() => {}, 1000);
    await new Promise<void>((resolve) => {
      const timed = { deadline: deadlines.tick + 1, expire: resolve };
      deadlines.watch(timed);
    });
    clearInterval(keepProcess);
    assert.ok(deadlines.tick > 1);
  });

  test("what is to happen later happens once, or not when cancelled", async () => {
    let happened = "";
    const cancel = later(1, () => {
      happened += "cancelled ";
    });
    cancel();
    const keepProcess = setInterval(() => {}, 1000);
    await new Promise<void>((resolve) => {
      later(2, () => {
        happened += "later";
        resolve();
      });
    });
    clearInterval(keepProcess);
    assert.equal(happened, "later");
  });
});
