import assert from "node:assert/strict";
import { test } from "node:test";
import { evaluate, rangeHolds, type Verdict } from "../../src/static/conditions.js";
import { fileRequest } from "../../src/static/request.js";
import { FakeExchange, longAgo } from "./support.js";

const etag = '"a,b"';
const modified = longAgo;
const at = "Sun, 06 Nov 1994 08:49:37 GMT";
const before = "Sun, 06 Nov 1994 08:49:36 GMT";
const after = "Sunday, 06-Nov-94 08:49:38 GMT";

type Fields = Readonly<Record<string, string>>;

function verdict(fields: Fields, method = "GET"): Verdict {
  return evaluate(fileRequest(new FakeExchange(method, "/", fields).request), { etag, modified });
}

const cases: readonly (readonly [fields: Fields, expected: Verdict])[] = [
  [{}, "perform"],
  [{ "If-Match": "*" }, "perform"],
  [{ "If-Match": etag }, "perform"],
  [{ "If-Match": `"x", ${etag}` }, "perform"],
  [{ "If-Match": '"x"' }, 412],
  // Strong comparison (§13.1.1).
  [{ "If-Match": `W/${etag}` }, 412],
  [{ "If-Match": "" }, 412],
  [{ "If-Match": "garbage" }, 412],
  [{ "If-Unmodified-Since": at }, "perform"],
  [{ "If-Unmodified-Since": after }, "perform"],
  [{ "If-Unmodified-Since": before }, 412],
  [{ "If-Unmodified-Since": "garbage" }, "perform"],
  [{ "If-None-Match": "*" }, 304],
  [{ "If-None-Match": etag }, 304],
  // Weak comparison (§13.1.2).
  [{ "If-None-Match": `W/${etag}` }, 304],
  [{ "If-None-Match": `"x",${etag}` }, 304],
  [{ "If-None-Match": `W/"x" , W/${etag} ,` }, 304],
  [{ "If-None-Match": '"a"' }, "perform"],
  // A tag with a comma is one tag.
  [{ "If-None-Match": '"a,b,c", "b"' }, "perform"],
  [{ "If-None-Match": "a,b" }, "perform"],
  [{ "If-None-Match": `w/${etag}` }, "perform"],
  [{ "If-None-Match": "" }, "perform"],
  [{ "If-Modified-Since": at }, 304],
  [{ "If-Modified-Since": after }, 304],
  [{ "If-Modified-Since": before }, "perform"],
  [{ "If-Modified-Since": "garbage" }, "perform"],
  // Precedence (§13.2.2).
  [{ "If-Match": etag, "If-Unmodified-Since": before }, "perform"],
  [{ "If-Match": '"x"', "If-None-Match": etag }, 412],
  [{ "If-Unmodified-Since": before, "If-None-Match": etag }, 412],
  [{ "If-Match": etag, "If-None-Match": etag }, 304],
  [{ "If-None-Match": '"x"', "If-Modified-Since": at }, "perform"],
  [{ "If-None-Match": etag, "If-Modified-Since": before }, 304],
];

for (const [fields, expected] of cases) {
  test(`${JSON.stringify(fields)}: ${expected}`, () => {
    assert.equal(verdict(fields), expected);
    assert.equal(verdict(fields, "HEAD"), expected);
  });
}

test("to a method that does not read, If-None-Match that matches is 412 and If-Modified-Since nothing", () => {
  assert.equal(verdict({ "If-None-Match": etag }, "POST"), 412);
  assert.equal(verdict({ "If-Modified-Since": at }, "POST"), "perform");
});

test("If-Range holds for the very tag or the very date, once that second is over", () => {
  const now = (modified + 100) * 1000;
  const holds = (ifRange: string | undefined, clock = now): boolean => rangeHolds(ifRange, { etag, modified }, clock);
  assert.ok(holds(undefined));
  assert.ok(holds(etag));
  assert.ok(holds(at));
  assert.ok(holds("Sunday, 06-Nov-94 08:49:37 GMT"));
  assert.ok(!holds(`W/${etag}`));
  assert.ok(!holds('"x"'));
  assert.ok(!holds(before));
  assert.ok(!holds(after));
  assert.ok(!holds("garbage"));
  assert.ok(!holds(""));
  assert.ok(!holds(at, modified * 1000 + 999));
  assert.ok(holds(at, modified * 1000 + 1000));
});
