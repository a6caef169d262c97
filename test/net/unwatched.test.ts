import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { type Unwatched, unwatched } from "../../src/net/unwatched.js";

class Member implements Unwatched {
  place = -1;
  looks = 0;
  watches = 0;

  look(): void {
    this.looks += 1;
  }

  watchAfterAll(): void {
    this.watches += 1;
    // As who is watched is taken out.
    if (this.place >= 0) unwatched.remove(this);
  }
}

test("each is looked at once, when all of a turn are there; who stays is watched after a while, once; who has left is not", async () => {
  const members = Array.from({ length: 9 }, () => new Member());
  for (const member of members) unwatched.add(member);
  assert.ok(members.every(({ looks }) => looks === 0));
  await Promise.resolve();
  assert.ok(members.every(({ looks }) => looks === 1));
  // From the middle, the beginning and the end.
  const left = [4, 0, 8, 7].map((at) => members[at]).filter((member) => member !== undefined);
  for (const member of left) unwatched.remove(member);
  assert.ok(left.every(({ place }) => place === -1));
  await delay(5);
  const late = new Member();
  unwatched.add(late);
  for (const stays of [...members.filter((member) => !left.includes(member)), late]) {
    while (stays.watches === 0) await delay(1);
    assert.equal(stays.place, -1);
  }
  await delay(40);
  assert.deepEqual(
    members.map(({ watches }) => watches),
    [0, 1, 1, 1, 0, 1, 1, 0, 0],
  );
  assert.equal(late.watches, 1);
});
