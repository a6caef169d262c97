import assert from "node:assert/strict";
import { test } from "node:test";
import { Recurring } from "../../src/protocol/recurring.js";
import { Random } from "../fuzz/random.js";

function counted(): { readonly meaning: (text: string) => readonly string[]; readonly reads: () => number } {
  const recurring = new Recurring<readonly string[]>();
  let reads = 0;
  const read = (octets: Buffer): readonly string[] => {
    reads += 1;
    return octets.toString("latin1").split("\0");
  };
  return { meaning: (text) => recurring.meaning(Buffer.from(text, "latin1"), read), reads: () => reads };
}

test("what comes a third time is not read again", () => {
  const { meaning, reads } = counted();
  const first = meaning("A\0b\0C\0d");
  assert.deepEqual(first, ["A", "b", "C", "d"]);
  const second = meaning("A\0b\0C\0d");
  const third = meaning("A\0b\0C\0d");
  assert.equal(reads(), 2);
  assert.deepEqual(second, first);
  assert.equal(third, second);
});

test("as many clients as a web server has at once do not make each other forgotten", () => {
  const { meaning, reads } = counted();
  for (let round = 0; round < 50; round += 1) {
    for (let client = 0; client < 64; client += 1) meaning(`REMOTE_PORT\0${40_000 + 7 * client}`);
  }
  assert.equal(reads(), 2 * 64);
});

test("octets of which one differs are told apart, whatever came before", () => {
  const random = new Random(7);
  const { meaning } = counted();
  for (let round = 0; round < 20_000; round += 1) {
    const text = `REQUEST_URI\0/${random.below(50)}\0REMOTE_PORT\0${40_000 + random.below(60)}${"x".repeat(random.below(5))}`;
    assert.deepEqual(meaning(text), text.split("\0"));
  }
});

test("what cannot be read cannot each time", () => {
  const recurring = new Recurring<never>();
  for (let time = 0; time < 4; time += 1) {
    assert.throws(() =>
      recurring.meaning(Buffer.from("bad"), () => {
        throw new Error("bad");
      }),
    );
  }
});

test("octets of any length are read", () => {
  const { meaning } = counted();
  for (const length of [0, 1, 2040, 2050, 100_000, 2040, 2040, 100_000]) {
    const text = `A\0${"b".repeat(length)}`;
    assert.deepEqual(meaning(text), text.split("\0"));
  }
});
