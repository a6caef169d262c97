import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { accepts } from "./ports.js";
import { alive, descendants } from "./processes.js";
import { root } from "./tools.js";
import { startVivarium, vivarium } from "./vivarium.js";

test("Vivarium starts on a free port, answers there, and its stop leaves no process, socket or port", async () => {
  const server = await startVivarium("app:app", { args: ["--chdir", join(root, "bench", "apps"), "--workers", "1"] });
  const family = descendants(server.pid);
  const answer = await fetch(`${server.url}/hello`).then((response) => response.text());
  const exit = await server.stop();
  assert.equal(answer, "Hello, world!\n");
  assert.deepEqual(exit, { code: 0, signal: null });
  assert.ok(family.length >= 2, "a front and a worker");
  assert.deepEqual(family.filter(alive), []);
  assert.equal(existsSync(server.control), false);
  assert.equal(await accepts(server.port), false);
});

test("a run that cannot start rejects with what Vivarium printed", async () => {
  await assert.rejects(startVivarium("no_such_module:app", { cwd: root }), /No module named 'no_such_module'/);
});

test("a command runs to its end with its exit status", async () => {
  const { code, stdout } = await vivarium(["--version"]);
  assert.equal(code, 0);
  assert.match(stdout, /\d+\.\d+\.\d+/);
});
