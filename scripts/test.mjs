// npm test: from a fresh clone to a verdict. Sets up, builds, lints, runs every test (or the files whose path holds
// one of the arguments), sees that no process is left, and says "N passed, N failed" in its last line.
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { build, ensurePackages, lint } from "./setup/node.mjs";
import { ensureTools } from "./setup/tools.mjs";
import { leftBehind, runMarker } from "./testing/left-behind.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const inCi = /^(1|true)$/i.test(process.env.CI ?? "");

function say(line) {
  process.stdout.write(`${line}\n`);
}

/** Test files by their sources, so that what an earlier build left of a test since removed is not run. */
function testFiles(patterns) {
  const sources = readdirSync(join(root, "test"), { recursive: true })
    .filter((path) => path.endsWith(".test.ts"))
    .sort()
    .map((path) => join("test", path));
  const chosen = patterns.length === 0 ? sources : sources.filter((path) => patterns.some((p) => path.includes(p)));
  return chosen.map((path) => join(root, "build", path.replace(/\.ts$/, ".js")));
}

/** Runs the files in a session of their own. Gives the counts, or undefined when the runner itself died. */
async function runTests(files, missing) {
  const marker = randomUUID();
  const runner = spawn(process.execPath, [join(root, "scripts/testing/runner.mjs"), ...files], {
    cwd: root,
    detached: true,
    env: { ...process.env, [runMarker]: marker, VIVARIUM_TESTS_WITHOUT: missing.map(({ name }) => name).join(",") },
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const passOn = (signal) => process.kill(-runner.pid, signal);
  process.once("SIGINT", passOn).once("SIGTERM", passOn);
  let counts;
  runner.on("message", (message) => {
    counts = message;
  });
  await new Promise((resolve) => runner.once("close", resolve));
  return { counts, left: await processesLeft(runner.pid, marker) };
}

/** A process that was told to end gets a moment to do so. What remains after that is reported, and killed. */
async function processesLeft(session, marker) {
  let left = leftBehind(session, marker);
  for (let i = 0; i < 20 && left.length > 0; i += 1) {
    await delay(100);
    left = leftBehind(session, marker);
  }
  for (const { pid } of left) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // ended in between
    }
  }
  return left;
}

function verdict(passed, problems) {
  for (const problem of problems) say(`failed: ${problem}`);
  say(`${passed} passed, ${problems.length} failed`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}

async function main(patterns) {
  if (!ensurePackages(root, say)) return verdict(0, ["npm ci"]);
  const problems = [];
  if (!(await build(root))) problems.push("the build has type errors (above)");
  if (!lint(root)) problems.push("the linter found something (above)");
  const missing = ensureTools({ root, say });
  const files = testFiles(patterns);
  const unbuilt = files.filter((file) => !existsSync(file));
  for (const file of unbuilt) problems.push(`${relative(root, file)} was not built`);
  const runnable = files.filter((file) => existsSync(file));
  if (files.length === 0) return verdict(0, [...problems, `no test file matches ${patterns.join(" ")}`]);
  const { counts, left } = await runTests(runnable, missing);
  if (counts === undefined) return verdict(0, [...problems, "the test runner ended without a result"]);
  for (const { name, why } of missing) say(`missing here: ${name}: ${why}`);
  for (const name of counts.skipped) say(`could not run: ${name}`);
  if (inCi)
    for (const { name } of missing.filter(({ needed }) => needed)) problems.push(`${name} is missing, and this is CI`);
  if (inCi) for (const name of counts.skipped) problems.push(`not run: ${name}`);
  for (const { pid, command } of left) problems.push(`process ${pid} was left behind: ${command}`);
  verdict(counts.passed, [...problems, ...counts.failures]);
}

await main(process.argv.slice(2));
