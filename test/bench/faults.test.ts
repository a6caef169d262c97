// The benchmark of faults is held to what it says: its counts to what a server did, its figures to times that are known.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { choose, measureFaults } from "../../bench/faults/command.js";
import { type Contestant, contestants } from "../../bench/faults/contestants.js";
import { atLeast, type Finding, gets, none, observationOf, underLoad } from "../../bench/faults/course.js";
import { faultsReport, missed } from "../../bench/faults/report.js";
import { events, type FaultRun } from "../../bench/faults/run.js";
import { down, executedTwice, failed, noCounts, perInterval, rate, recovery } from "../../bench/faults/trace.js";
import { until } from "../faults/server.js";
import { type Outcome, outcomes } from "../support/load.js";
import { removeFolder, temporaryFolder, unavailable } from "../support/tools.js";

/** What the scripted server does with a request, and what a client has to count it as. */
const misdeeds: Readonly<Record<Exclude<Outcome, "right" | "refused">, (socket: Socket) => unknown>> = {
  "wrong content": (socket) => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"),
  "4xx": (socket) => socket.write("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
  "5xx": (socket) => socket.write("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"),
  reset: (socket) => socket.resetAndDestroy(),
  truncated: (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nyes"),
  "timed out": () => undefined,
};

test("every request is one outcome, as often as a server that misbehaves brought it about", async () => {
  const did = noCounts();
  const kinds = outcomes.filter((outcome): outcome is keyof typeof misdeeds => outcome in misdeeds);
  let misbehaving = false;
  let asked = 0;
  let misdone = 0;
  const answer = (socket: Socket, request: string): void => {
    asked += 1;
    const kind = misbehaving && asked % 3 !== 0 ? kinds[misdone++ % kinds.length] : undefined;
    did[kind ?? "right"] += 1;
    if (kind !== undefined) {
      misdeeds[kind](socket);
      return;
    }
    const token = /^GET \/(\S+)\?/.exec(request)?.[1] ?? "";
    // As slowly as others: whoever is answered at once leaves no time to those who wait for their patience to end.
    setTimeout(() => socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${token.length}\r\n\r\n${token}`), 5);
  };
  const server = createServer((socket) => {
    socket.on("data", (data) => answer(socket, data.toString("latin1")));
    socket.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  try {
    let before = 0;
    const course = await underLoad(
      { port, clients: 8, patience: 1500, ask: gets(), quiet: 0.3, watch: 1 },
      async (load) => {
        before = load.counts.right;
        misbehaving = true;
        await until(() => kinds.every((kind) => did[kind] >= 3), "each misdeed three times");
        misbehaving = false;
      },
    );
    const { counts, picture } = observationOf(course);
    assert.deepEqual({ ...counts, right: counts.right + before }, did);
    assert.equal(failed(counts), course.load.failures.length);
    const drawn = (picture?.failed ?? []).reduce((sum, count) => sum + count, 0);
    assert.equal(drawn, course.load.failures.filter(({ at }) => at < course.end).length);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});

describe("from the times of right answers is found", () => {
  /** An answer every 10 ms for 3 s, but for the time from 1000 to 1500. */
  const ends = Array.from({ length: 300 }, (_, index) => index * 10).filter((at) => at < 1000 || at >= 1500);

  test("how many came a second, and in each tenth of one", () => {
    assert.equal(rate(ends, 0, 1000), 100);
    assert.equal(rate(ends, 500, 1500), 50);
    assert.deepEqual(perInterval(ends, 900, 1700), [10, 0, 0, 0, 0, 0, 10, 10]);
  });

  test("how long there was none", () => {
    assert.equal(down(ends, 0, 1000), 0);
    assert.equal(down(ends, 0, 3000), 0.51);
    assert.equal(down([], 0, 3000), 3);
  });

  test("when they came again: at once, later, or never", () => {
    assert.equal(recovery(ends, 1600, 3000, 100), 0);
    assert.ok(Math.abs((recovery(ends, 900, 3000, 100) ?? 0) - 0.55) <= 0.06);
    assert.equal(recovery(ends, 1000, 3000, 300), undefined);
    assert.equal(recovery(ends, 1000, 1400, 100), undefined);
  });

  test("which requests were executed more than once", () => {
    assert.equal(executedTwice(["a", "b", "a", "c", "b", "a"]), 2);
  });
});

/** A finding with so many failures. */
function finding(failures: number): Finding {
  const counts = { ...noCounts(), right: 90, "5xx": failures };
  return {
    observation: { counts, goodput: 0.5, down: 0.5, recovery: "never", p99: 10 },
    figures: { kills: "7" },
    checks: [none("failures", failures), atLeast("goodput", 0.5, 0.5)],
  };
}

test("the report has a row for each server, what it missed, and why one is left out", () => {
  const run: FaultRun = {
    date: "2026-01-02T03:04:05.678Z",
    machine: "2 cores",
    python: "3.11.2",
    node: "20.0.0",
    seconds: 10,
    versions: { vivarium: "1", uvicorn: "2" },
    results: [
      { event: "kill", server: "vivarium", found: finding(0) },
      { event: "kill", server: "uvicorn", found: finding(10) },
      { event: "stop", server: "uvicorn", found: "it did not start\nTraceback" },
    ],
  };
  assert.equal(missed(finding(0)), "reached");
  const text = faultsReport(run);
  assert.match(text, /^\| vivarium \| 90 \| 0 \| 0 \| 0 \|.* 0\.50 \| 0\.5 s \| never \| 7 \| reached \|$/m);
  assert.match(text, /^\| uvicorn \| 90 \| 0 \| 0 \| 10 \|.* \| missed: 10 failures \(0 failures\) \|$/m);
  assert.match(text, /\| \*\*reached\*\*: 0 of 90 failed, .* \| 10 of 100 failed, /);
  assert.match(text, /^uvicorn is left out: it did not start$/m);
});

test("what is asked for by name is there, and what is not is said", () => {
  const chosen = choose(["--only", "uvicorn", "--events", "kill,end", "--seconds", "2"]);
  assert.deepEqual(
    chosen?.contestants.map(({ name }: Contestant) => name),
    ["uvicorn"],
  );
  assert.deepEqual(
    chosen?.events.map(({ name }) => name),
    ["kill", "end"],
  );
  assert.throws(() => choose(["--events", "flood"]), /There is no flood; there are reload,/);
  assert.throws(() => choose(["--seconds", "0"]), /--seconds must be more than 0/);
  for (const all of [events, contestants]) assert.equal(new Set(all.map(({ name }) => name)).size, all.length);
});

test("an event happens to Vivarium, and is written down", { skip: unavailable("venv-bench") }, async () => {
  const output = temporaryFolder("faults");
  try {
    assert.equal(await measureFaults(["--only", "vivarium", "--events", "end", "--output", output]), 0);
    assert.match(readFileSync(join(output, "FAULTS.md"), "utf8"), /^\| vivarium \| 32 \|.*\| 32 right, 0 lost \|/m);
    assert.match(readFileSync(join(output, "faults.svg"), "utf8"), /^<svg /);
  } finally {
    removeFolder(output);
  }
});
