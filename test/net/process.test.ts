import assert from "node:assert/strict";
import { test } from "node:test";
import { processEnded, processIdentity } from "../../src/net/process.js";
import { start } from "../support/processes.js";

test("a process keeps its identity while it lives and has none afterwards", async () => {
  const child = start("sleep", ["60"]);
  const identity = processIdentity(child.pid);
  assert.match(identity ?? "", /^\d+$/u);
  assert.equal(processIdentity(child.pid), identity);
  await child.stop();
  assert.equal(processIdentity(child.pid), undefined);
});

test("the end of a process is waited for, and not beyond the time given", async () => {
  const child = start("sleep", ["60"]);
  const identity = processIdentity(child.pid);
  assert.equal(await processEnded(child.pid, identity, 0.01), false);
  const ended = processEnded(child.pid, identity, 60);
  await child.stop();
  assert.equal(await ended, true);
});

test("another process under the same number is not the one waited for", async () => {
  assert.equal(await processEnded(process.pid, "0", 60), true);
});
