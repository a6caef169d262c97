import assert from "node:assert/strict";
import { test } from "node:test";
import { facts, table, visible } from "../../src/cli/table.js";

test("a table's columns are aligned, numbers to the right", () => {
  const rows = [
    ["a", "1,000"],
    ["longer", "7"],
  ];
  const columns = [{ name: "name" }, { name: "count", right: true }];
  assert.equal(table(columns, rows), "name    count\na       1,000\nlonger      7\n");
});

test("a table that is too wide takes from its widest texts, in the middle, and never from numbers", () => {
  const columns = [{ name: "one" }, { name: "number", right: true }, { name: "other" }];
  const rows = [["/a".repeat(60), "123,456,789", "/b".repeat(40)]];
  const lines = table(columns, rows).trimEnd().split("\n");
  assert.equal(lines[1]?.length, 100);
  assert.match(lines[1] ?? "", /^(?:\/a)+\/?…a?(?:\/a)+ {2}123,456,789 {2}(?:\/b)+\/?…b?(?:\/b)+$/u);
  const wide = Array.from({ length: 30 }, (_, at) => ({ name: String(at), right: true }));
  assert.equal(table(wide, [wide.map(() => "1234567890")]).split("\n")[1]?.length, 30 * 10 + 29 * 2);
});

test("facts go on below their beginning, and no line is longer than a page", () => {
  const text = `${"word ".repeat(30)}${"/path".repeat(40)}\nnext`;
  const lines = facts([{ name: "name", text }])
    .trimEnd()
    .split("\n");
  assert.equal(lines.length, 4);
  assert.match(lines[0] ?? "", /^name {8}word /u);
  assert.ok(lines.slice(1).every((line) => /^ {12}\S/u.test(line)));
  assert.ok(lines.every((line) => line.length <= 100));
});

test("what a client sent does not command the terminal", () => {
  assert.equal(visible("/a\u001b[2J\u009bm\u007f\n"), "/a\\x1b[2J\\x9bm\\x7f\\x0a");
  assert.ok(!table([{ name: "path" }], [["/\u001b[2J"]]).includes("\u001b"));
  assert.ok(!facts([{ name: "path", text: "/\u001b[2J" }]).includes("\u001b"));
});
