import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { errorCodes } from "../src/errors.js";
import { root } from "./support/tools.js";

/** Every error code that stands in the sources other than the list itself. */
function codesInSource(): ReadonlySet<string> {
  const files = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" });
  const sources = files.filter((name) => name.endsWith(".ts") && name !== "errors.ts");
  const texts = sources.map((name) => readFileSync(join(root, "src", name), "utf8"));
  return new Set(texts.flatMap((text) => [...text.matchAll(/"(ERR_[A-Z_]+[A-Z])"/gu)].map(([, code = ""]) => code)));
}

test("docs/errors.md has a row for every code, and for no other", () => {
  const page = readFileSync(join(root, "docs/errors.md"), "utf8");
  const documented = [...page.matchAll(/^\| `(ERR_[A-Z_]+)` \|/gmu)].map(([, code = ""]) => code);
  assert.deepEqual([...documented].sort(), [...errorCodes].sort());
});

test("every code is one that the source gives", () => {
  const used = codesInSource();
  assert.deepEqual(
    errorCodes.filter((code) => !used.has(code)),
    [],
  );
});
