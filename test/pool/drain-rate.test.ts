import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DrainRate } from "../../src/pool/drain-rate.js";

describe("the rate at which a queue moves", () => {
  test("says in how many seconds it is empty, from 1 to 30", () => {
    const rate = new DrainRate();
    assert.equal(rate.secondsFor(1000), 1, "nothing is known");
    rate.look(0, 1000);
    rate.look(25, 1250);
    assert.deepEqual(
      [0, 1, 100, 101, 1000, 2999, 100_000].map((length) => rate.secondsFor(length)),
      [1, 1, 1, 2, 10, 30, 30],
    );
  });

  test("follows what it sees, and forgets what is long ago", () => {
    const rate = new DrainRate();
    rate.look(0, 0);
    rate.look(25, 250);
    let answered = 25;
    for (let now = 500; now <= 5000; now += 250) {
      answered += 100;
      rate.look(answered, now);
    }
    assert.ok(rate.secondsFor(4000) >= 10 && rate.secondsFor(4000) <= 11);
    rate.look(answered, 60_000);
    assert.equal(rate.secondsFor(4000), 1);
  });

  test("is nothing while nothing is answered", () => {
    const rate = new DrainRate();
    rate.look(7, 0);
    rate.look(7, 250);
    assert.deepEqual([rate.secondsFor(1), rate.secondsFor(0)], [30, 30]);
  });
});
