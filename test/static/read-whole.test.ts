import assert from "node:assert/strict";
import { appendFileSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openBelow } from "../../src/static/open.js";
import { readWhole, sameState, wholeMost } from "../../src/static/read-whole.js";
import { openBelowFolder, put, temporaryFolder } from "./support.js";

/** Opens a file of ten octets, changes it, and reads it. */
function readAfter(folder: string, change: (path: string) => void): string {
  const path = join(folder, "f");
  put(path, "0123456789");
  const file = openBelow(path, [folder]);
  assert.ok(typeof file !== "string");
  change(path);
  const whole = readWhole(file);
  assert.deepEqual(openBelowFolder(folder), []);
  if (typeof whole === "string") return whole;
  assert.equal(whole.stats.size, whole.octets.length);
  return whole.octets.toString();
}

test("a file that changes between being opened and being read is read as it is then", (context) => {
  const folder = temporaryFolder(context);
  assert.equal(
    readAfter(folder, () => {}),
    "0123456789",
  );
  assert.equal(
    readAfter(folder, (path) => truncateSync(path, 3)),
    "012",
  );
  assert.equal(
    readAfter(folder, (path) => appendFileSync(path, "abc")),
    "0123456789abc",
  );
  assert.equal(
    readAfter(folder, (path) => truncateSync(path, 0)),
    "",
  );
});

test("one that is too long by then is not read in one go", (context) => {
  const folder = temporaryFolder(context);
  assert.equal(
    readAfter(folder, (path) => truncateSync(path, wholeMost + 1)),
    "failed",
  );
});

test("the state of a file is another after a write that keeps its size and its time", (context) => {
  const path = join(temporaryFolder(context), "f");
  put(path, "a");
  const before = statSync(path);
  assert.ok(sameState(before, statSync(path)));
  put(path, "b");
  assert.ok(!sameState(before, statSync(path)));
});
