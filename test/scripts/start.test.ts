import assert from "node:assert/strict";
import { cpSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type RunningProcess, start } from "../support/processes.js";
import { python, removeFolder, root, temporaryFolder } from "../support/tools.js";

// A copy, as building in the checkout itself would change files under the feet of other tests.
let folder = "";
before(() => {
  folder = temporaryFolder("start");
  for (const name of ["bin", "python", "scripts", "src", "package.json", "package-lock.json"]) {
    cpSync(join(root, name), join(folder, name), { recursive: true });
  }
  for (const name of ["tsconfig.json", "tsconfig.src.json"]) cpSync(join(root, name), join(folder, name));
  mkdirSync(join(folder, "examples/guestbook"), { recursive: true });
  const isSource = (path: string): boolean => !/\.sqlite3|__pycache__/u.test(path);
  cpSync(join(root, "examples/guestbook"), join(folder, "examples/guestbook"), { recursive: true, filter: isSource });
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
});
after(() => removeFolder(folder));

function npmStart(): RunningProcess {
  const control = join(folder, "control.sock");
  const flags = ["--listen", "127.0.0.1:0", "--control", control, "--python", python()];
  return start(process.execPath, [join(folder, "scripts/start.mjs"), ...flags], { cwd: folder });
}

async function page(server: RunningProcess): Promise<string> {
  const [url = ""] = await server.line(/http:\/\/127\.0\.0\.1:\d+/u, 120_000);
  const response = await fetch(url);
  assert.equal(response.status, 200);
  return response.text();
}

test("npm start builds what is missing and serves the guestbook; the next time there is nothing to build", async () => {
  const first = npmStart();
  assert.match(await page(first), /<title>/u);
  assert.match(first.output, /^building$/mu);
  assert.deepEqual(await first.stop("SIGTERM"), { code: 0, signal: null });
  const second = npmStart();
  assert.match(await page(second), /<title>/u);
  assert.doesNotMatch(second.output, /building/u);
  assert.deepEqual(await second.stop("SIGINT"), { code: 0, signal: null });
});
