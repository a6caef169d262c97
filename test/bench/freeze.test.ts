import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { freeze, thaw } from "../../bench/freeze.js";
import { tree } from "../../bench/process-tree.js";
import { start } from "../support/processes.js";

/** What each process of the tree does: proc_pid_stat(5), field 3. "T" is stopped. */
function states(pid: number): string[] {
  return tree([pid]).map((member) => {
    const stat = readFileSync(`/proc/${member}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3);
  });
}

test("a server and what it started are held still, and go on", async () => {
  const server = start("sh", ["-c", "trap 'kill $!' TERM; sleep 60 & echo ready; wait"]);
  try {
    await server.line(/ready/);
    freeze([server.pid]);
    assert.deepEqual(states(server.pid), ["T", "T"]);
    await thaw([server.pid]);
    assert.deepEqual(states(server.pid), ["S", "S"]);
  } finally {
    await server.stop();
  }
});
