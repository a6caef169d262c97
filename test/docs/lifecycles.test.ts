// The diagrams are those of the tables that the supervisor executes, and the tables are whole.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, test } from "node:test";
import { lifecycles } from "../../src/supervisor/lifecycles.js";
import { after, possible } from "../../src/supervisor/state-table.js";
import { root } from "../support/tools.js";

test("docs/lifecycles.md is as its script draws it", () => {
  const { status, stderr } = spawnSync(process.execPath, [join(root, "scripts/lifecycles.mjs"), "--check"], {
    encoding: "utf8",
  });
  assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
});

for (const table of lifecycles) {
  describe(table.title, () => {
    const states = Object.keys(table.states);
    const leads = (state: string): readonly string[] =>
      Object.values(table.states[state]?.on ?? {}).filter((to) => to !== undefined);

    test("comes to every state from its first", () => {
      const reached = new Set([table.first]);
      for (const state of reached) for (const to of leads(state)) reached.add(to);
      assert.deepEqual([...reached].sort(), states.toSorted());
    });

    test("has each event somewhere, and no other", () => {
      const used = new Set(states.flatMap((state) => Object.keys(table.states[state]?.on ?? {})));
      assert.deepEqual([...used].sort(), Object.keys(table.events).sort());
    });

    test("refuses an event that the state has not", () => {
      for (const state of states) {
        for (const event of Object.keys(table.events)) {
          const to = table.states[state]?.on[event];
          assert.equal(possible(table, state, event), to !== undefined);
          if (to !== undefined) assert.equal(after(table, state, event), to);
          else
            assert.throws(() => after(table, state, event), new RegExp(`there is no "${event}" while it is ${state}`));
        }
      }
    });
  });
}
