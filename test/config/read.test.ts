import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  boolean,
  count,
  Expected,
  formatOctets,
  list,
  logTarget,
  octets,
  orAuto,
  path,
  peer,
  prefix,
  type ReadContext,
  type Reader,
  seconds,
} from "../../src/config/read.js";

const context: ReadContext = { base: "/srv/site", chdir: "/srv/site", target: "", environment: {} };

/** Reads each text to its value; undefined stands for a refusal. */
function reads<Value>(reader: Reader<Value>, cases: readonly (readonly [unknown, Value | undefined])[]): void {
  for (const [given, wanted] of cases) {
    const read = reader(given, context);
    if (wanted === undefined)
      assert.ok(read instanceof Expected, `${JSON.stringify(given)} was read as ${String(read)}`);
    else assert.deepEqual(read, wanted);
  }
}

describe("values of options", () => {
  test("a count is a whole number within its bounds, as text or as a number", () => {
    reads(count(1, 16), [
      ["4", 4],
      [4, 4],
      [16, 16],
      ["016", 16],
      [0, undefined],
      [17, undefined],
      ["1.0", undefined],
      [1.5, undefined],
      ["-1", undefined],
      ["1e1", undefined],
      ["", undefined],
      [" 4", undefined],
      [true, undefined],
      [["4"], undefined],
      [Number.NaN, undefined],
    ]);
  });

  test('the word "auto" stands for what is computed, and a refusal names it', () => {
    const reader = orAuto(count(1, 16), () => 7);
    reads(reader, [
      ["auto", 7],
      ["3", 3],
      ["AUTO", undefined],
    ]);
    const refused = reader("many", context);
    assert.ok(refused instanceof Expected);
    assert.equal(refused.what, 'a whole number from 1 to 16, or "auto"');
  });

  test("a size is octets, or kibi-, mebi- and gibioctets in either case", () => {
    reads(octets(0), [
      [65536, 65536],
      ["65536", 65536],
      ["256k", 262144],
      ["1M", 1048576],
      ["1g", 1073741824],
      ["0", 0],
      [-1, undefined],
      [1.5, undefined],
      ["1.5m", undefined],
      ["1kb", undefined],
      ["k", undefined],
      ["1 m", undefined],
      [["1m"], undefined],
      ["999999999999999g", undefined],
    ]);
  });

  test("a size outside its bounds is refused, with the bounds", () => {
    const refused = octets(1024, 1048576)("2m", context);
    assert.ok(refused instanceof Expected);
    assert.match(refused.what, /^a size from 1k to 1m,/u);
  });

  test("sizes are written as they are read", () => {
    for (const text of ["0", "1", "1000", "1k", "256k", "1m", "3g"]) {
      const read = octets(0)(text, context);
      assert.ok(typeof read === "number");
      assert.equal(formatOctets(read), text);
    }
  });

  test("seconds may have a fraction, and zero only where it means at once", () => {
    reads(seconds(0), [
      ["30", 30],
      [0.5, 0.5],
      ["0.5", 0.5],
      [0, 0],
      [-1, undefined],
      ["30s", undefined],
      [Number.POSITIVE_INFINITY, undefined],
      [86401, undefined],
    ]);
    reads(seconds("above 0"), [
      ["0", undefined],
      [0.1, 0.1],
    ]);
  });

  test("a switch is true or false and nothing like it", () => {
    reads(boolean, [
      [true, true],
      [false, false],
      ["true", undefined],
      [1, undefined],
    ]);
  });

  test("a list may be one value, and a refusal names the entry that is wrong", () => {
    const reader = list(count(1, 9), /,/u);
    reads(reader, [
      ["3", [3]],
      [
        ["1", 2],
        [1, 2],
      ],
      ["1,2", [1, 2]],
      [[], []],
    ]);
    const refused = reader([1, 12], context);
    assert.ok(refused instanceof Expected);
    assert.deepEqual(refused.wrong, [12]);
  });

  test("a relative path starts from where it was written", () => {
    reads(path, [
      ["log/a", "/srv/site/log/a"],
      ["../a", "/srv/a"],
      ["/a", "/a"],
      ["", undefined],
      ["a\0b", undefined],
      [5, undefined],
    ]);
  });

  test("a mount prefix has no closing slash, no dot segments and nothing of a query", () => {
    reads(prefix, [
      ["", ""],
      ["/", ""],
      ["/blog", "/blog"],
      ["/blog/", "/blog"],
      ["/a/b.c", "/a/b.c"],
      ["/a/...", "/a/..."],
      ["blog", undefined],
      ["/a/../b", undefined],
      ["/.", undefined],
      ["/a//b", undefined],
      ["/a?b", undefined],
      ["/a%20b", undefined],
      ["/a b", undefined],
      [1, undefined],
    ]);
  });

  test("a trusted peer is an address, a network or unix", () => {
    reads(peer, [
      ["192.0.2.7", "192.0.2.7"],
      ["10.0.0.0/8", "10.0.0.0/8"],
      ["::1", "::1"],
      ["2001:db8::/32", "2001:db8::/32"],
      ["unix", "unix"],
      ["10.0.0.0/33", undefined],
      ["10.0.0.0/", undefined],
      ["10.0.0.0/8/8", undefined],
      ["::/129", undefined],
      ["localhost", undefined],
      ["*", undefined],
      ["", undefined],
    ]);
  });

  test("a log goes nowhere, to standard output, or to a file", () => {
    reads(logTarget, [
      ["off", "off"],
      ["-", "-"],
      ["a.log", "/srv/site/a.log"],
      ["", undefined],
      [false, undefined],
    ]);
  });
});
