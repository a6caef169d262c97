import assert from "node:assert/strict";
import { test } from "node:test";
import { pickVariables, variable } from "../../../src/protocol/cgi/variables.js";

const variables = "REQUEST_METHOD\0GET\0HTTP_X\0PATH_INFO\0QUERY_STRING\0\0PATH_INFO\0/a\0LAST\0end";

test("a variable is found by its name, the empty and the last too", () => {
  assert.equal(variable(variables, "REQUEST_METHOD"), "GET");
  assert.equal(variable(variables, "QUERY_STRING"), "");
  assert.equal(variable(variables, "LAST"), "end");
});

test("a value that is another variable's name is not taken for it", () => {
  assert.equal(variable(variables, "PATH_INFO"), "/a");
  assert.equal(variable("HTTP_X\0PATH_INFO\0HTTP_Y\0v", "PATH_INFO"), undefined);
});

test("several are picked at once, each at its index, those that are not there undefined", () => {
  const wanted = new Map([
    ["LAST", 0],
    ["NONE", 1],
    ["HTTP_X", 2],
  ]);
  assert.deepEqual(pickVariables(variables, wanted), ["end", undefined, "PATH_INFO"]);
});

test("no variables at all have none, and neither has a name without its value", () => {
  assert.equal(variable("", "A"), undefined);
  assert.equal(variable("A", "A"), undefined);
  assert.equal(variable("A\0", "A"), "");
});
