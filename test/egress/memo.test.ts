import assert from "node:assert/strict";
import { test } from "node:test";
import { Memo } from "../../src/memo.js";

function counted(): { readonly memo: Memo<{ readonly text: string }>; readonly made: string[] } {
  const made: string[] = [];
  const memo = new Memo((text) => {
    if (text === "bad") throw new Error("bad");
    made.push(text);
    return { text };
  });
  return { memo, made };
}

test("what comes again is made once", () => {
  const { memo, made } = counted();
  assert.equal(memo.of("one"), memo.of(["o", "ne"].join("")));
  assert.equal(memo.of("two").text, "two");
  assert.deepEqual(made, ["one", "two"]);
});

test("what cannot be made is not known, nor is what is large", () => {
  const { memo, made } = counted();
  assert.throws(() => memo.of("bad"), /bad/);
  assert.throws(() => memo.of("bad"), /bad/);
  const large = "x".repeat(4097);
  assert.notEqual(memo.of(large), memo.of(large));
  assert.equal(made.length, 2);
});

test("however many texts there are, only so many are known", () => {
  const { memo, made } = counted();
  const first = memo.of("0");
  for (let n = 1; n < 512; n++) memo.of(String(n));
  assert.equal(memo.of("0"), first);
  memo.of("512");
  assert.notEqual(memo.of("0"), first);
  assert.equal(made.length, 514);
});
