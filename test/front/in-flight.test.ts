import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { InFlight } from "../../src/front/in-flight.js";
import { random } from "../pool/random.js";

const ids = (entries: readonly { readonly id: number }[]): number[] => entries.map(({ id }) => id);

describe("what is in flight", () => {
  test("is found by its id, and is gone once taken", () => {
    const inFlight = new InFlight<{ readonly id: number }>();
    const one = { id: 1 };
    inFlight.add(one);
    assert.equal(inFlight.get(1), one);
    assert.equal(inFlight.get(1025), undefined);
    assert.equal(inFlight.take(1025), undefined);
    assert.equal(inFlight.take(1), one);
    assert.equal(inFlight.take(1), undefined);
    assert.equal(inFlight.get(1), undefined);
  });

  test("stays while thousands come and go, and is told first", () => {
    const inFlight = new InFlight<{ readonly id: number }>();
    const staying = [{ id: 5 }, { id: 700 }, { id: 1029 }];
    for (let id = 1; id <= 5000; id += 1) {
      const one = staying.find((each) => each.id === id) ?? { id };
      inFlight.add(one);
      if (!staying.includes(one)) assert.equal(inFlight.take(id), one);
    }
    inFlight.add({ id: 5001 });
    assert.deepEqual(ids(inFlight.all(5002)), [5, 700, 1029, 5001]);
    for (const one of staying) assert.equal(inFlight.take(one.id), one);
    assert.deepEqual(ids(inFlight.all(5002)), [5001]);
    inFlight.clear();
    assert.deepEqual(inFlight.all(5002), []);
  });

  test("is told in the order given where ids start again", () => {
    const inFlight = new InFlight<{ readonly id: number }>();
    for (const id of [0xfffffffe, 0xffffffff, 1, 2]) inFlight.add({ id });
    assert.deepEqual(ids(inFlight.all(3)), [0xfffffffe, 0xffffffff, 1, 2]);
  });

  test("is what a Map would have, whatever comes and goes", () => {
    const next = random(7);
    const inFlight = new InFlight<{ readonly id: number }>();
    const map = new Map<number, { readonly id: number }>();
    for (let id = 1; id < 20_000; id += 1) {
      const one = { id };
      inFlight.add(one);
      map.set(id, one);
      while (map.size > 0 && next(100) < 49) {
        const known = [...map.keys()];
        const gone = known[next(Math.min(known.length, 40))] ?? 0;
        assert.equal(inFlight.take(gone), map.get(gone));
        map.delete(gone);
      }
    }
    assert.deepEqual(inFlight.all(20_000), [...map.values()]);
    for (const [id, one] of map) assert.equal(inFlight.get(id), one);
  });
});
