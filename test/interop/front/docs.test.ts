// docs/front-ends/: the configurations on these pages are the files that the tests here run with.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { root } from "../../support/tools.js";
import { interopFolder } from "./support.js";

const pages = join(root, "docs", "front-ends");

/** The fenced blocks of a page that say what language they are in; what a reader types is indented instead. */
function blocks(page: string): string[] {
  return [...page.matchAll(/^```\w+\n(.*?)^```$/gmsu)].map(([, text = ""]) => text);
}

/** What of a front-end's folder is there for the tests alone: its frame, and configurations nobody is advised to write. */
const forTests = /^(main|also-)/u;

describe("the pages of docs/front-ends/", () => {
  for (const page of readdirSync(pages)) {
    const name = page.replace(/\.md$/u, "");
    test(`${page} shows the very files of test/interop/front/${name}/`, () => {
      const folder = join(interopFolder, "front", name);
      const files = readdirSync(folder)
        .filter((file) => !forTests.test(file))
        .map((file) => readFileSync(join(folder, file), "utf8"));
      assert.deepEqual(blocks(readFileSync(join(pages, page), "utf8")).sort(), files.sort());
    });
  }

  test("there is one for each front-end the tests run", () => {
    const folders = readdirSync(join(interopFolder, "front"), { withFileTypes: true });
    const names = folders.filter((entry) => entry.isDirectory()).map(({ name }) => `${name}.md`);
    assert.deepEqual(readdirSync(pages).sort(), names.sort());
  });
});
