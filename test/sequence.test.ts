import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Place, Sequence } from "../src/sequence.js";
import { random } from "./pool/random.js";

describe("a sequence", () => {
  test("has its members in the order they came", () => {
    const sequence = new Sequence<string>();
    const [a, b, c] = ["a", "b", "c"].map((each) => sequence.add(each));
    assert.deepEqual([...sequence], ["a", "b", "c"]);
    assert.equal(sequence.remove(b), true);
    assert.deepEqual([...sequence], ["a", "c"]);
    assert.equal(sequence.first, a);
    assert.equal(sequence.remove(a), true);
    assert.equal(sequence.first, c);
    sequence.add("d");
    assert.deepEqual([...sequence, sequence.size], ["c", "d", 2]);
  });

  test("knows who is not its member", () => {
    const [one, other] = [new Sequence<number>(), new Sequence<number>()];
    const place = one.add(1);
    assert.equal(one.has(place), true);
    assert.equal(other.has(place), false);
    assert.equal(other.remove(place), false);
    assert.equal(one.remove(place), true);
    assert.equal(one.remove(place), false);
    assert.equal(one.remove(undefined), false);
    assert.deepEqual([one.has(place), one.has(undefined), one.size, one.first], [false, false, 0, undefined]);
  });

  test("a place that is given up refers to no other", () => {
    const sequence = new Sequence<number>();
    const places = [1, 2, 3].map((each) => sequence.add(each));
    sequence.remove(places[1]);
    assert.deepEqual([places[1]?.before, places[1]?.behind, places[1]?.sequence], [undefined, undefined, undefined]);
  });

  test("who leaves while all are gone through is not met, the others are", () => {
    const sequence = new Sequence<number>();
    const places = [1, 2, 3, 4, 5].map((each) => sequence.add(each));
    const met: number[] = [];
    for (const each of sequence) {
      met.push(each);
      if (each === 2) for (const place of places.slice(0, 4)) sequence.remove(place);
      sequence.add(9);
    }
    assert.deepEqual(met, [1, 2, 5]);
  });

  test("is what an array would be, whatever comes and goes", () => {
    const next = random(3);
    const sequence = new Sequence<number>();
    const places: Place<number>[] = [];
    for (let each = 0; each < 5000; each += 1) {
      places.push(sequence.add(each));
      if (next(10) < 9) {
        const [place] = places.splice(next(places.length), 1);
        assert.equal(sequence.remove(place), true);
      }
      assert.equal(sequence.size, places.length);
    }
    assert.deepEqual(
      [...sequence],
      places.map(({ member }) => member),
    );
  });
});
