import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { paint } from "../../src/cli/terminal.js";

function terminal(): NodeJS.WritableStream {
  return Object.assign(new PassThrough(), { isTTY: true });
}

test("colour is for terminals, and not where NO_COLOR is set", () => {
  const { NO_COLOR, TERM } = process.env;
  process.env["TERM"] = "xterm";
  delete process.env["NO_COLOR"];
  assert.equal(paint(terminal(), "red", "x"), "\u001b[31mx\u001b[0m");
  assert.equal(paint(new PassThrough(), "red", "x"), "x");
  process.env["NO_COLOR"] = "1";
  assert.equal(paint(terminal(), "red", "x"), "x");
  delete process.env["NO_COLOR"];
  process.env["TERM"] = "dumb";
  assert.equal(paint(terminal(), "red", "x"), "x");
  if (NO_COLOR !== undefined) process.env["NO_COLOR"] = NO_COLOR;
  if (TERM === undefined) delete process.env["TERM"];
  else process.env["TERM"] = TERM;
});
