import assert from "node:assert/strict";
import { test } from "node:test";
import { VivariumError } from "../../src/errors.js";
import { cacheControl, globMatcher } from "../../src/static/cache-control.js";

const cases: readonly (readonly [pattern: string, matching: readonly string[], others: readonly string[]])[] = [
  ["*.css", ["a.css", "x/y/a.css", ".css"], ["a.css.map", "a.cssx", "a.css/b"]],
  ["*", ["a", "x/y.z"], []],
  ["a?c.js", ["abc.js", "x/a.c.js"], ["ac.js", "abbc.js", "a/c.js"]],
  ["assets/**", ["assets/a", "assets/x/y"], ["assets", "x/assets/a", "assetsx/a"]],
  ["/assets/*", ["assets/a"], ["assets/x/y"]],
  ["**/*.js", ["a.js", "x/a.js", "x/y/a.js"], ["a.jsx"]],
  ["x/**/z", ["x/z", "x/y/z", "x/y/y/z"], ["xz", "x/yz"]],
  ["*.{css,js}", ["a.css", "a.js"], ["a.{css,js}", "a.map"]],
  ["*.{j?,c*}", ["a.js", "a.css"], ["a.j"]],
  ["a+(b)|[c].$^\\", ["a+(b)|[c].$^\\"], ["aa"]],
  ["{a", ["{a"], ["a"]],
  ["ü.txt", ["\xc3\xbc.txt"], ["\xfc.txt"]],
];

for (const [pattern, matching, others] of cases) {
  test(`the pattern ${pattern}`, () => {
    const matches = globMatcher(pattern);
    for (const path of matching) assert.ok(matches(path), path);
    for (const path of others) assert.ok(!matches(path), path);
  });
}

test("the first rule that matches counts, and there may be none", () => {
  const rules = cacheControl([
    { pattern: "assets/**", value: "max-age=1" },
    { pattern: "*.css", value: "max-age=2" },
  ]);
  assert.equal(rules("assets/a.css"), "max-age=1");
  assert.equal(rules("a.css"), "max-age=2");
  assert.equal(rules("a.js"), "");
});

test("a value that no field can hold is refused when the handler is made", () => {
  for (const value of ["", "a\r\nSet-Cookie: b", "a\0"]) {
    assert.throws(
      () => cacheControl([{ pattern: "*", value }]),
      (error) => error instanceof VivariumError && error.code === "ERR_CONFIG_VALUE",
    );
  }
});
