import assert from "node:assert/strict";
import { test } from "node:test";
import { parseRanges } from "../../src/static/ranges.js";

/** As "from-last", the way Content-Range says it. */
function shown(field: string, size: number): string {
  const ranges = parseRanges(field, size);
  return typeof ranges === "string" ? ranges : ranges.map(({ from, to }) => `${from}-${to - 1}`).join(" ");
}

test("the examples of RFC 9110 §14.1.2, of 10,000 octets", () => {
  assert.equal(shown("bytes=0-499", 10_000), "0-499");
  assert.equal(shown("bytes=500-999", 10_000), "500-999");
  assert.equal(shown("bytes=-500", 10_000), "9500-9999");
  assert.equal(shown("bytes=9500-", 10_000), "9500-9999");
  assert.equal(shown("bytes=0-0,-1", 10_000), "0-0 9999-9999");
  assert.equal(shown("bytes= 0-999, 4500-5499, -1000", 10_000), "0-999 4500-5499 9000-9999");
  // "Other valid (but not canonical) specifications of the second 500 octets"
  assert.equal(shown("bytes=500-600,601-999", 10_000), "500-999");
  assert.equal(shown("bytes=500-700,601-999", 10_000), "500-999");
});

const cases: readonly (readonly [field: string, size: number, expected: string, why: string])[] = [
  ["bytes=0-", 10, "0-9", "open"],
  ["BYTES=0-1", 10, "0-1", "units are case-insensitive (§14.1)"],
  ["bytes=5-100", 10, "5-9", "an end beyond the end is the end"],
  ["bytes=5-99999999999999999999999999", 10, "5-9", "however far"],
  ["bytes=-100", 10, "0-9", "a suffix longer than everything is everything"],
  ["bytes=9-9", 10, "9-9", "the last octet"],
  ["bytes=10-", 10, "unsatisfiable", "beyond the end"],
  ["bytes=99999999999999999999999999-", 10, "unsatisfiable", "far beyond the end"],
  ["bytes=-0", 10, "unsatisfiable", "a suffix of nothing"],
  ["bytes=10-20,0-0", 10, "0-0", "what cannot be satisfied is left out beside what can"],
  ["bytes=20-30,10-", 10, "unsatisfiable", "none can"],
  ["bytes=,0-0, ,", 10, "0-0", "empty elements of a list are nothing (§5.6.1.2)"],
  ["bytes=", 10, "whole", "no range at all is malformed"],
  ["bytes=,", 10, "whole", "nor here"],
  ["bytes=5-4", 10, "whole", "an end before the beginning is malformed (§14.1.1)"],
  ["bytes=5", 10, "whole", "malformed"],
  ["bytes=-", 10, "whole", "malformed"],
  ["bytes=a-b", 10, "whole", "malformed"],
  ["bytes=0-1;2-3", 10, "whole", "malformed"],
  ["bytes=+1-2", 10, "whole", "malformed"],
  ["bytes=0x1-2", 10, "whole", "malformed"],
  ["bytes=1 -2", 10, "whole", "malformed"],
  ["bytes=0-1,x", 10, "whole", "one malformed spoils all"],
  ["bytes 0-1", 10, "whole", "no equals sign"],
  ["lines=0-1", 10, "whole", "another unit"],
  ["", 10, "whole", "empty"],
  ["bytes=0-", 0, "unsatisfiable", "of nothing"],
  ["bytes=-5", 0, "whole", "a suffix of nothing is all of it (§14.1.2)"],
];

for (const [field, size, expected, why] of cases) {
  test(`${JSON.stringify(field)} of ${size}: ${expected} (${why})`, () => {
    assert.equal(shown(field, size), expected);
  });
}

test("parts keep the order they were asked in", () => {
  assert.equal(shown("bytes=5000-5099,0-99,9000-", 10_000), "5000-5099 0-99 9000-9999");
});

test("a part that joins two others makes one of the three, in the place of the first", () => {
  assert.equal(shown("bytes=8000-8999,0-999,4000-4999,500-4500", 10_000), "8000-8999 0-4999");
  assert.equal(shown("bytes=0-999,8000-8999,4000-4999,900-8100", 10_000), "0-8999");
});

test("parts with a gap shorter than a part's head become one", () => {
  assert.equal(shown("bytes=0-0,101-101", 10_000), "0-101");
  assert.equal(shown("bytes=0-0,102-102", 10_000), "0-0 102-102");
});

test("the same range over and over is sent once", () => {
  assert.equal(shown(`bytes=${new Array(64).fill("0-").join(",")}`, 10_000), "0-9999");
});

test("more than 64 ranges are answered with the whole, whatever they are", () => {
  const many = (count: number): string =>
    Array.from({ length: count }, (_, index) => `${index * 1000}-${index * 1000}`).join(",");
  assert.equal(shown(`bytes=${many(64)}`, 100_000).split(" ").length, 64);
  assert.equal(shown(`bytes=${many(65)}`, 100_000), "whole");
  assert.equal(shown(`bytes=0-0${",".repeat(64)}`, 100_000), "whole");
});

test("all parts together are never longer than the file", () => {
  let seed = 1;
  const random = (below: number): number => {
    seed = (seed * 48_271) % 0x7fffffff;
    return seed % below;
  };
  for (let round = 0; round < 2000; round += 1) {
    const size = 1 + random(3000);
    const specs = Array.from({ length: 1 + random(20) }, () => {
      const from = random(size * 2);
      return random(4) === 0 ? `-${random(size * 2)}` : `${from}-${random(3) === 0 ? "" : from + random(size)}`;
    });
    const field = `bytes=${specs.join(",")}`;
    const ranges = parseRanges(field, size);
    if (typeof ranges === "string") continue;
    const sorted = [...ranges].sort((a, b) => a.from - b.from);
    for (const [index, { from, to }] of sorted.entries()) {
      assert.ok(0 <= from && from < to && to <= size, field);
      const next = sorted[index + 1];
      assert.ok(next === undefined || next.from > to + 100, field);
    }
  }
});
