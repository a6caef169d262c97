// Runs the compiled test files given as arguments, two at a time, with Node's own runner and its spec reporter, and
// sends the counts to the parent process. It is a process of its own so that the parent can tell, by the session,
// which processes tests left behind.
import { run } from "node:test";
import { spec } from "node:test/reporters";

/** A single test that takes longer than this has failed; generous, because machines of CI are slow. */
const testTimeout = 120_000;

const counts = { passed: 0, failures: [], skipped: [] };

function isSuite(event) {
  return event.details?.type === "suite";
}

const stream = run({ files: process.argv.slice(2), concurrency: 2, timeout: testTimeout });
stream.on("test:pass", (event) => {
  if (event.skip !== undefined || event.todo !== undefined) counts.skipped.push(event.name);
  else if (!isSuite(event)) counts.passed += 1;
});
stream.on("test:fail", (event) => {
  // A suite fails with its tests, which are counted themselves; only one that failed by itself counts (its hooks).
  const cause = event.details?.error?.failureType;
  if (!isSuite(event) || cause === "hookFailed") counts.failures.push(event.name);
});
const printed = stream.compose(new spec());
printed.on("end", () => process.send?.(counts, () => process.disconnect()));
printed.pipe(process.stdout);
