import assert from "node:assert/strict";
import { test } from "node:test";
import { processUsage } from "../../src/supervisor/process-usage.js";

test("a process's usage is what the kernel says of it", () => {
  const before = processUsage(process.pid);
  assert.ok(before.memory > 2 ** 20 && before.memory < 2 ** 34, `${before.memory}`);
  // Until the kernel's account has moved: computing is what moves it.
  while (processUsage(process.pid).cpu === before.cpu);
  const held = Buffer.alloc(64 * 2 ** 20, 1);
  const after = processUsage(process.pid);
  assert.ok(after.memory >= before.memory + 32 * 2 ** 20, `${after.memory - before.memory} of ${held.length}`);
});

test("a process that is gone has used nothing", () => {
  assert.deepEqual(processUsage(2 ** 30), { cpu: 0, memory: 0 });
});
