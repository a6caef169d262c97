// The page on moving from other servers shows files that are right as they stand, but for the folders they name.
import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { python, removeFolder, root, temporaryFolder } from "../support/tools.js";
import { vivarium } from "../support/vivarium.js";

const page = readFileSync(join(root, "docs", "moving.md"), "utf8");
const files = [...page.matchAll(/^```toml\n(.*?)^```$/gms)].map(([, text = ""]) => text);

test("docs/moving.md: its files pass vivarium check", async () => {
  assert.equal(files.length, 3);
  for (const [at, text] of files.entries()) {
    const folder = temporaryFolder("moving");
    try {
      mkdirSync(join(folder, "mysite"));
      for (const name of ["app.py", "site.wsgi"]) {
        cpSync(join(root, "test", "interop", "app.py"), join(folder, "mysite", name));
      }
      const here = text.replaceAll(/\/(?:srv|run)\/mysite/gu, join(folder, "mysite"));
      writeFileSync(join(folder, "vivarium.toml"), here);
      const { code, stderr, stdout } = await vivarium(["check", "--python", python()], { cwd: folder });
      assert.equal(code, 0, `file ${at + 1}: ${stderr}${stdout}`);
    } finally {
      removeFolder(folder);
    }
  }
});
