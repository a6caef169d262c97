// What processes find in their environment.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { descendants } from "../support/processes.js";
import { root } from "../support/tools.js";
import { startVivarium } from "../support/vivarium.js";

/** What the environments of a server's fronts, and of its other processes, say to glibc about memory, each once. */
async function allocators(...args: string[]): Promise<{ readonly fronts: string[]; readonly others: string[] }> {
  const server = await startVivarium(`${join(root, "test/support/promises_app.py")}:app`, {
    args: ["--workers", "1", ...args],
    env: { MALLOC_TOP_PAD_: "4096" },
  });
  try {
    const fronts = new Set<string>();
    const others = new Set<string>();
    for (const pid of descendants(server.pid)) {
      const variables = readFileSync(`/proc/${pid}/environ`, "latin1").split("\0");
      const found = variables.filter((each) => each.startsWith("MALLOC_")).sort();
      const kind = readFileSync(`/proc/${pid}/cmdline`, "latin1").includes("front.js") ? fronts : others;
      kind.add(found.join(" "));
    }
    return { fronts: [...fronts], others: [...others] };
  } finally {
    await server.stop();
  }
}

const asked = "MALLOC_TOP_PAD_=4096";

test("a front keeps memory for what comes next, as far as nobody has asked for something else; its workers are told nothing", async () => {
  const { fronts, others } = await allocators();
  assert.deepEqual(fronts, [`MALLOC_MMAP_THRESHOLD_=4194304 ${asked} MALLOC_TRIM_THRESHOLD_=16777216`]);
  assert.deepEqual(others, [asked]);
});

test("in embedded mode nothing is added to the application's environment", async () => {
  const { fronts } = await allocators("--embedded");
  assert.deepEqual(fronts, [asked]);
});
