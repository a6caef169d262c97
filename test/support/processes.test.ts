import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import { accepts, freePort, waitUntilAccepting } from "./ports.js";
import { alive, descendants, run, start, waitUntilGone } from "./processes.js";

test("a line is found whichever stream it comes from, also when it comes in pieces", async () => {
  const process = start("sh", ["-c", "printf 'port ' >&2; sleep 0.05; printf '8000\\n' >&2; exec sleep 60"]);
  const match = await process.line(/port (\d+)/);
  assert.equal(match[1], "8000");
  assert.deepEqual(await process.stop(), { code: null, signal: "SIGTERM" });
});

test("waiting for a line ends with the output when the process ends first", async () => {
  const process = start("sh", ["-c", "echo cannot; exit 3"]);
  await assert.rejects(process.line(/ready/), /exit status 3.*\n?cannot/);
});

test("a program that does not exist rejects instead of hanging", async () => {
  await assert.rejects(run("/nonexistent/program"), /ENOENT/);
});

test("a process that ignores TERM is ended with its children", async () => {
  const process = start("sh", ["-c", "trap '' TERM; sleep 60 & echo ready; wait; sleep 60"]);
  await process.line(/ready/);
  const family = descendants(process.pid);
  assert.equal(family.length, 1);
  await process.stop("SIGTERM", 200);
  assert.deepEqual(await waitUntilGone(family), []);
  assert.equal(alive(process.pid), false);
});

test("what a program reads is what was given as input, and its end is seen", async () => {
  const { code, stdout } = await run("cat", [], { input: "one\ntwo\n" });
  assert.deepEqual([code, stdout], [0, "one\ntwo\n"]);
});

test("a free port is free, and accepting is noticed", async () => {
  const port = await freePort();
  assert.equal(await accepts(port), false);
  const server = createServer().listen(port, "127.0.0.1");
  await waitUntilAccepting(port);
  server.close();
});

test("waiting for a port gives up as soon as there is a reason", async () => {
  const port = await freePort();
  await assert.rejects(waitUntilAccepting(port, { gaveUp: () => "it has ended" }), /it has ended/);
});
