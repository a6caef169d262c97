import assert from "node:assert/strict";
import { test } from "node:test";
import { abridged } from "../src/abridged.js";

test("what is short enough stays, of the rest the middle is left out", () => {
  assert.equal(abridged("/a/b", 4), "/a/b");
  assert.equal(abridged("/srv/very/long/path", 10), "/srv/…path");
  assert.equal(abridged("/srv/very/long/path", 9), "/srv…path");
  for (const most of [1, 2, 3, 18]) assert.equal(abridged("/srv/very/long/path", most).length, most);
});
