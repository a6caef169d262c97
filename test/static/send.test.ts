import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { appendFileSync, closeSync, openSync, renameSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { type TestContext, test } from "node:test";
import { filesConfig } from "../../src/static/config.js";
import { filesHandler } from "../../src/static/handler.js";
import { wholeMost } from "../../src/static/read-whole.js";
import { ask, FakeExchange, openBelowFolder, put, temporaryFolder } from "./support.js";

const mebibyte = 1024 * 1024;

/** Resolves when `condition` holds. */
async function eventually(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

/** Makes every read seem to take long, so that the thread pool reads all blocks but the first. */
function makeReadsSlow(context: TestContext): void {
  let now = 0;
  context.mock.method(performance, "now", () => {
    now += 10;
    return now;
  });
}

/** A test for blocks read at once, and for blocks that the thread pool reads. */
function testBoth(name: string, action: (context: TestContext) => Promise<void>): void {
  test(name, action);
  test(`${name}, from a slow disk`, async (context) => {
    makeReadsSlow(context);
    await action(context);
  });
}

/** Lets what is under way in the thread pool come to its end. */
async function settle(): Promise<void> {
  for (let turns = 0; turns < 20; turns += 1) await new Promise((resolve) => setTimeout(resolve, 1));
}

testBoth("a file of any length arrives as it is", async (context) => {
  const folder = temporaryFolder(context);
  const files = filesHandler(filesConfig(folder));
  const block = 128 * 1024;
  for (const size of [
    1,
    wholeMost - 1,
    wholeMost,
    wholeMost + 1,
    2 * block,
    5 * block,
    5 * block + 1,
    3 * mebibyte - 1,
  ]) {
    const content = randomBytes(size);
    put(join(folder, "f"), content);
    const answer = await ask(files, "/f");
    assert.equal(answer.outcome, "complete");
    assert.equal(answer.fields.get("content-length"), String(size));
    assert.ok(Buffer.concat(answer.parts).equals(content), `${size} octets`);
  }
  assert.deepEqual(openBelowFolder(folder), []);
});

testBoth("parts of a large file arrive as they are", async (context) => {
  const folder = temporaryFolder(context);
  const files = filesHandler(filesConfig(folder));
  const content = randomBytes(2 * mebibyte);
  put(join(folder, "f"), content);
  const one = await ask(files, "/f", { Range: "bytes=1000000-1999999" });
  assert.deepEqual([one.status, one.octets], [206, 1_000_000]);
  assert.ok(Buffer.concat(one.parts).equals(content.subarray(1_000_000, 2_000_000)));
  const several = await ask(files, "/f", { Range: "bytes=0-0,500000-1500000,-1" });
  assert.equal(several.fields.get("content-length"), String(several.octets));
  const body = Buffer.concat(several.parts);
  for (const part of [content.subarray(0, 1), content.subarray(500_000, 1_500_001), content.subarray(-1)]) {
    assert.ok(body.includes(Buffer.concat([Buffer.from("\r\n\r\n"), part, Buffer.from("\r\n--")])));
  }
  assert.deepEqual(openBelowFolder(folder), []);
});

test("HEAD, a condition and a range that fails close a large file without reading it", async (context) => {
  const folder = temporaryFolder(context);
  const files = filesHandler(filesConfig(folder));
  put(join(folder, "f"), new Uint8Array(mebibyte));
  const head = await ask(files, "/f", {}, "HEAD");
  assert.deepEqual([head.status, head.fields.get("content-length"), head.octets], [200, String(mebibyte), 0]);
  assert.equal((await ask(files, "/f", { "If-None-Match": "*" })).status, 304);
  assert.equal((await ask(files, "/f", { Range: `bytes=${mebibyte}-` })).status, 416);
  assert.equal((await ask(files, "/f", {}, "POST")).status, 405);
  assert.deepEqual(openBelowFolder(folder), []);
});

testBoth("no more is read than the client takes, but a few blocks", async (context) => {
  const folder = temporaryFolder(context);
  put(join(folder, "f"), new Uint8Array(8 * mebibyte));
  const exchange = new FakeExchange("GET", "/f", {}, false);
  filesHandler(filesConfig(folder))(exchange);
  let most = 0;
  while (!exchange.ended) {
    await settle();
    most = Math.max(most, exchange.waiting);
    exchange.flush();
  }
  assert.deepEqual([exchange.outcome, exchange.octets], ["complete", 8 * mebibyte]);
  assert.ok(most > 0 && most <= 256 * 1024, `${most} octets waited`);
});

testBoth("a client that leaves has its file closed, whether or not a read is under way", async (context) => {
  const folder = temporaryFolder(context);
  put(join(folder, "f"), new Uint8Array(8 * mebibyte));
  const files = filesHandler(filesConfig(folder));
  const reading = new FakeExchange("GET", "/f", {}, false);
  files(reading);
  await eventually(() => openBelowFolder(folder).length === 1);
  reading.leave();
  await eventually(() => openBelowFolder(folder).length === 0);
  const waiting = new FakeExchange("GET", "/f", {}, false);
  files(waiting);
  await settle();
  assert.equal(openBelowFolder(folder).length, 1);
  waiting.leave();
  await eventually(() => openBelowFolder(folder).length === 0);
  assert.equal(waiting.outcome, "gone");
});

/** Sends 4 MiB to a client that takes nothing, does something to the file, and lets the rest go. */
async function meanwhile(folder: string, change: (path: string) => void): Promise<FakeExchange> {
  const path = join(folder, "f");
  put(path, new Uint8Array(4 * mebibyte).fill(65));
  const exchange = new FakeExchange("GET", "/f", {}, false);
  filesHandler(filesConfig(folder))(exchange);
  await eventually(() => exchange.octets > 0);
  change(path);
  while (!exchange.ended) {
    await settle();
    exchange.flush();
  }
  assert.deepEqual(openBelowFolder(folder), []);
  return exchange;
}

testBoth("a file that is truncated while it is sent: the response is cut", async (context) => {
  const exchange = await meanwhile(temporaryFolder(context), (path) => truncateSync(path, mebibyte));
  assert.deepEqual([exchange.status, exchange.outcome], [200, "cut"]);
  assert.ok(exchange.octets <= mebibyte);
});

testBoth("a file that is written to while it is sent: the response is cut before it is whole", async (context) => {
  const exchange = await meanwhile(temporaryFolder(context), (path) => {
    const fd = openSync(path, "r+");
    writeSync(fd, "B", 3 * mebibyte);
    closeSync(fd);
  });
  assert.equal(exchange.outcome, "cut");
  assert.ok(exchange.octets < 4 * mebibyte);
});

testBoth("a file that grows while it is sent is sent as long as it was", async (context) => {
  const exchange = await meanwhile(temporaryFolder(context), (path) => appendFileSync(path, "more"));
  assert.deepEqual([exchange.outcome, exchange.octets], ["complete", 4 * mebibyte]);
});

testBoth("a file that another takes the place of is sent to its end", async (context) => {
  const exchange = await meanwhile(temporaryFolder(context), (path) => {
    writeFileSync(`${path}.new`, "new");
    renameSync(`${path}.new`, path);
  });
  assert.equal(exchange.outcome, "complete");
  assert.ok(Buffer.concat(exchange.parts).equals(new Uint8Array(4 * mebibyte).fill(65)));
});

test("while a large file is sent to a fast client, others have their turn", async (context) => {
  const folder = temporaryFolder(context);
  put(join(folder, "f"), new Uint8Array(8 * mebibyte));
  const exchange = new FakeExchange("GET", "/f", {}, false);
  // As a client that takes everything at once, before the event loop goes on.
  const { write } = exchange;
  exchange.write = (octets, last): void => {
    write.call(exchange, octets, last);
    process.nextTick(() => exchange.flush());
  };
  let turns = 0;
  const count = (): void => {
    turns += 1;
    if (!exchange.ended) setImmediate(count);
  };
  setImmediate(count);
  filesHandler(filesConfig(folder))(exchange);
  await exchange.done;
  assert.equal(exchange.octets, 8 * mebibyte);
  assert.ok(turns >= 7, `${turns} turns`);
});
