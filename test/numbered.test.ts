import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Numbered } from "../src/numbered.js";
import { random } from "./pool/random.js";

describe("what is numbered", () => {
  test("is found by its number, small or large, until it is deleted", () => {
    const numbered = new Numbered<string>();
    for (const number of [1, 3, 255, 256, 65535]) numbered.set(number, `${number}`);
    assert.deepEqual(numbered.values(), ["1", "3", "255", "256", "65535"]);
    numbered.set(3, "three");
    assert.deepEqual(
      [numbered.get(3), numbered.get(2), numbered.has(256), numbered.size],
      ["three", undefined, true, 5],
    );
    for (const number of [3, 3, 2, 256, 700]) numbered.delete(number);
    assert.deepEqual([numbered.has(3), numbered.has(256), numbered.size], [false, false, 3]);
    numbered.clear();
    assert.deepEqual([numbered.values(), numbered.size, numbered.get(65535)], [[], 0, undefined]);
  });

  test("false is a value", () => {
    const numbered = new Numbered<boolean>();
    numbered.set(1, false);
    assert.deepEqual([numbered.get(1), numbered.has(1), numbered.size, numbered.values()], [false, true, 1, [false]]);
  });

  test("is what a Map would have, whatever comes and goes", () => {
    const next = random(11);
    const numbered = new Numbered<number>();
    const map = new Map<number, number>();
    for (let each = 0; each < 10_000; each += 1) {
      const number = next(400);
      if (next(2) === 0) {
        numbered.set(number, each);
        map.set(number, each);
      } else {
        numbered.delete(number);
        map.delete(number);
      }
      assert.equal(numbered.size, map.size);
      assert.equal(numbered.get(number), map.get(number));
    }
    const sorted = [...map].sort(([one], [other]) => one - other).map(([, value]) => value);
    assert.deepEqual(new Set(numbered.values()), new Set(sorted));
  });
});
