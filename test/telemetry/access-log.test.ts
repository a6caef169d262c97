import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import fs, { mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { logLine, type RequestEnded, requestEnded } from "../../src/channels.js";
import { AccessLog, logFormat, logTime } from "../../src/telemetry/access-log.js";

const request: RequestEnded = {
  remoteAddress: "192.0.2.7",
  method: "GET",
  target: "/a?b=1",
  protocol: "HTTP/1.1",
  status: 200,
  octets: 1234,
  milliseconds: 1.2749,
  referer: "https://example.org/",
  userAgent: "curl/8.5",
};
const time = "22/Nov/2026:15:06:09 +0000";

function fileFor(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "vivarium-access-log-"));
  context.after(() => rmSync(directory, { recursive: true }));
  return join(directory, "access.log");
}

function open(path: string): AccessLog {
  const log = AccessLog.open(path);
  assert.ok(log !== undefined);
  return log;
}

function targets(text: string): string[] {
  return text.split("\n").flatMap((line) => line.match(/"GET (\S+) /)?.[1] ?? []);
}

function serverLog(context: TestContext): string[] {
  const lines: string[] = [];
  const listen = (line: unknown): void => void lines.push(JSON.stringify(line));
  logLine.subscribe(listen);
  context.after(() => logLine.unsubscribe(listen));
  return lines;
}

describe("a line", () => {
  test("is the Combined Log Format and the milliseconds", () => {
    assert.equal(
      logFormat(request, time),
      '192.0.2.7 - - [22/Nov/2026:15:06:09 +0000] "GET /a?b=1 HTTP/1.1" 200 1234 "https://example.org/" "curl/8.5" 1.3\n',
    );
  });

  test("has a dash for what is not known, and 499 for a client that did not wait", () => {
    const refused = { ...request, method: "", target: "", protocol: "", status: 400, referer: "", userAgent: "" };
    assert.match(logFormat(refused, time), /\] "-" 400 1234 "-" "-" /);
    assert.match(logFormat({ ...request, remoteAddress: "", status: 0, octets: 0 }, time), /^- - - .* 499 0 /);
  });

  test("stays one line with its quotes, whatever a client sends", () => {
    const evil = '"\r\n\\\u0000\u001b[31m\u007f\u00e9" 200';
    const line = logFormat({ ...request, target: evil, referer: evil, userAgent: evil }, time);
    assert.match(line, /^[\x20-\x7e]*\n$/);
    const written = '\\"\\x0d\\x0a\\\\\\x00\\x1b[31m\\x7f\\xe9\\" 200';
    assert.equal(line.split(written).length, 4);
  });

  test("has the server's time with its zone", () => {
    assert.match(logTime(new Date(2026, 0, 2, 3, 4, 5)), /^02\/Jan\/2026:03:04:05 [+-]\d{4}$/);
  });
});

describe("the access log", () => {
  test("switched off subscribes nothing", () => {
    assert.equal(AccessLog.open("off"), undefined);
    assert.equal(requestEnded.hasSubscribers, false);
  });

  test("has every request in order, behind what the file held, and is whole when closed", async (t) => {
    const path = fileFor(t);
    for (const part of [0, 1]) {
      const log = open(path);
      for (let i = 0; i < 3000; i++) requestEnded.publish({ ...request, target: `/${part * 3000 + i}` });
      await log.close();
    }
    const expected = Array.from({ length: 6000 }, (_, i) => `/${i}`);
    assert.deepEqual(targets(readFileSync(path, "latin1")), expected);
    assert.equal(requestEnded.hasSubscribers, false);
  });

  test("is written without being closed", async (t) => {
    const path = fileFor(t);
    const log = open(path);
    requestEnded.publish(request);
    while (readFileSync(path, "latin1") === "") await new Promise((resolve) => setTimeout(resolve, 5));
    assert.deepEqual(targets(readFileSync(path, "latin1")), ["/a?b=1"]);
    await log.close();
  });

  test("reopened after a rename goes on in a new file and loses nothing", async (t) => {
    const path = fileFor(t);
    const log = open(path);
    for (let i = 0; i < 2000; i++) requestEnded.publish({ ...request, target: `/${i}` });
    renameSync(path, `${path}.1`);
    log.reopen();
    for (let i = 2000; i < 2100; i++) requestEnded.publish({ ...request, target: `/${i}` });
    await log.close();
    const [old, current] = [readFileSync(`${path}.1`, "latin1"), readFileSync(path, "latin1")];
    assert.deepEqual(
      targets(old + current),
      Array.from({ length: 2100 }, (_, i) => `/${i}`),
    );
    assert.ok(targets(current).includes("/2099"));
  });

  test("that cannot be opened or written says so once, and works again when it can", async (t) => {
    const lines = serverLog(t);
    const path = fileFor(t);
    const log = open(join(path, "missing", "access.log"));
    for (let i = 0; i < 5000; i++) requestEnded.publish(request);
    await log.close();
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? "", /access log cannot be written to .*missing/);

    const full = open("/dev/full");
    for (let i = 0; i < 5000; i++) requestEnded.publish(request);
    await full.close();
    assert.equal(lines.length, 2);
    assert.match(lines[1] ?? "", /ENOSPC/);
  });

  test("says when it can be written again, and about how much was lost", async (t) => {
    const lines = serverLog(t);
    const path = fileFor(t);
    const log = open(path);
    const failing = failingWrites(t);
    for (let i = 0; i < 1000; i++) requestEnded.publish(request);
    while (lines.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    failing.restore();
    requestEnded.publish({ ...request, target: "/after" });
    await log.close();
    assert.match(lines.at(-1) ?? "", /can be written again; about \d+ lines were lost/);
    assert.ok(targets(readFileSync(path, "latin1")).includes("/after"));
  });
});

describe("a reader that does not read", () => {
  /** Both ends of a pipe that nobody reads until the test does. */
  function pipeFor(t: TestContext): { path: string; reader: number } {
    const path = fileFor(t);
    execFileSync("mkfifo", [path]);
    const reader = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
    t.after(() => fs.closeSync(reader));
    return { path, reader };
  }

  function targetsFrom(reader: number): string[] {
    const buffer = Buffer.alloc(1_000_000);
    return targets(buffer.toString("latin1", 0, fs.readSync(reader, buffer)));
  }

  test("holds up neither requests nor the end", async (t) => {
    const { path, reader } = pipeFor(t);
    const log = open(path);
    for (let i = 0; i < 5000; i++) requestEnded.publish({ ...request, target: `/${i}` });
    await log.close();
    const seen = targetsFrom(reader);
    assert.ok(seen.length > 0);
    assert.deepEqual(
      seen,
      seen.map((_, i) => `/${i}`),
    );
  });

  test("of standard output does not keep the process from ending", async (t) => {
    const { path, reader } = pipeFor(t);
    const module = (name: string): string => JSON.stringify(new URL(`../../src/${name}`, import.meta.url).href);
    const script = `
      const { AccessLog } = await import(${module("telemetry/access-log.js")});
      const { requestEnded } = await import(${module("channels.js")});
      const log = AccessLog.open("-");
      for (let i = 0; i < 5000; i++) requestEnded.publish(${JSON.stringify(request)});
      await log.close();
      process.exit(7);`;
    const writer = fs.openSync(path, "w");
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", writer, "inherit"],
    });
    t.after(() => child.kill("SIGKILL"));
    fs.closeSync(writer);
    const [status] = await once(child, "exit");
    assert.equal(status, 7);
    assert.ok(targetsFrom(reader).length > 0);
  });
});

test("two processes write whole lines to one pipe, however slowly it is read", async (t) => {
  const module = (name: string): string => JSON.stringify(new URL(`../../src/${name}`, import.meta.url).href);
  const script = (name: string): string => `
    const { AccessLog } = await import(${module("telemetry/access-log.js")});
    const { requestEnded } = await import(${module("channels.js")});
    const log = AccessLog.open("-", true);
    const request = ${JSON.stringify(request)};
    for (let i = 0; i < 1000; i++) requestEnded.publish({ ...request, target: "/${name}" + i + "x".repeat(i) });
    requestEnded.publish({ ...request, target: "/${name}last" });
    process.stdin.resume().on("end", async () => {
      await log.close();
      process.exit();
    });`;
  const path = fileFor(t);
  execFileSync("mkfifo", [path]);
  const reader = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  t.after(() => fs.closeSync(reader));
  const writer = fs.openSync(path, "w");
  const children = ["a", "b"].map((name) =>
    spawn(process.execPath, ["--input-type=module", "-e", script(name)], { stdio: ["pipe", writer, "inherit"] }),
  );
  t.after(() => children.map((child) => child.kill("SIGKILL")));
  fs.closeSync(writer);
  const piece = Buffer.alloc(997);
  let text = "";
  // The pipe is full most of the time.
  while (!(text.includes("/alast") && text.includes("/blast") && text.endsWith("\n"))) {
    try {
      text += piece.toString("latin1", 0, fs.readSync(reader, piece));
    } catch {
      // EAGAIN: it is empty
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  const ended = children.map((child) => once(child, "exit"));
  for (const child of children) child.stdin?.end();
  await Promise.all(ended);
  const lines = text.split("\n").slice(0, -1);
  assert.equal(lines.length, 2002);
  for (const line of lines)
    assert.match(
      line,
      /^192\.0\.2\.7 - - \[[^\]]+\] "GET \/[ab](\d+x*|last) HTTP\/1\.1" 200 1234 "[^"]+" "[^"]+" 1\.3$/,
    );
});

/** Every write fails until restored, or the test ends. */
function failingWrites(context: TestContext): { restore(): void } {
  const failure = Object.assign(new Error("no space left"), { code: "ENOSPC" });
  const mocked = context.mock.method(fs, "write", (...values: ((error: Error, count: number) => void)[]) =>
    values.at(-1)?.(failure, 0),
  );
  const restore = (): void => {
    mocked.mock.restore();
    syncBuiltinESMExports();
  };
  syncBuiltinESMExports();
  context.after(restore);
  return { restore };
}
