import assert from "node:assert/strict";
import { statSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Coding } from "../../src/static/encodings.js";
import type { Located } from "../../src/static/locate.js";
import { type Kept, Memory } from "../../src/static/memory.js";
import { represent } from "../../src/static/representation.js";
import { put, temporaryFolder } from "./support.js";

function located(path: string, codings: readonly Coding[] = []): Located {
  return { path, stats: statSync(path), codings };
}

function kept(path: string, size = 10): Kept {
  const stats = statSync(path);
  const representation = represent(stats, { contentType: "a/b", coding: "", fields: "", status: 200, reason: "OK" });
  return { path, stats, representation, octets: new Uint8Array(size) };
}

/** A clock that a test sets. Files are written at 0. */
function clock(context: TestContext): { at: number } {
  const time = { at: 5000 };
  const start = Date.now();
  context.mock.method(Date, "now", () => start + time.at);
  return time;
}

test("what is kept is found for a second, then looked for anew", (context) => {
  const time = clock(context);
  const path = join(temporaryFolder(context), "a");
  put(path, "a");
  const memory = new Memory(100_000);
  const one = kept(path);
  memory.keep("/a", located(path), "", one);
  assert.equal(memory.find("/a", []), one);
  assert.equal(memory.find("/b", []), undefined);
  time.at += 999;
  assert.equal(memory.find("/a", []), one);
  time.at += 1;
  assert.equal(memory.find("/a", []), undefined);
  assert.equal(memory.used, 0);
});

test("a clock that was set back keeps nothing alive", (context) => {
  const time = clock(context);
  const path = join(temporaryFolder(context), "a");
  put(path, "a");
  const memory = new Memory(100_000);
  memory.keep("/a", located(path), "", kept(path));
  time.at -= 3000;
  assert.equal(memory.find("/a", []), undefined);
});

test("a file that was just written is not kept: it may be written again at the same time", (context) => {
  const time = clock(context);
  const path = join(temporaryFolder(context), "a");
  put(path, "a");
  const memory = new Memory(100_000);
  time.at = 500;
  memory.keep("/a", located(path), "", kept(path));
  assert.equal(memory.find("/a", []), undefined);
});

test("a file that changed, is another now, or is gone is not found", (context) => {
  clock(context);
  const path = join(temporaryFolder(context), "a");
  const memory = new Memory(100_000);
  const changes: readonly (() => void)[] = [
    () => writeFileSync(path, "b"),
    () => writeFileSync(path, "longer"),
    // The same size and modification time.
    () => put(path, "c"),
    () => unlinkSync(path),
  ];
  for (const change of changes) {
    put(path, "a");
    memory.keep("/a", located(path), "", kept(path));
    assert.ok(memory.find("/a", []) !== undefined);
    change();
    assert.equal(memory.find("/a", []), undefined);
    assert.equal(memory.used, 0);
  }
});

test("codings are kept each for itself, and found by what the client accepts", (context) => {
  clock(context);
  const path = join(temporaryFolder(context), "a");
  for (const suffix of ["", ".br", ".gz"]) put(path + suffix, suffix);
  const memory = new Memory(100_000);
  const place = located(path, ["br", "gzip"]);
  const [plain, br] = [kept(path), kept(`${path}.br`)];
  memory.keep("/a", place, "", plain);
  assert.equal(memory.find("/a", ["br"]), undefined);
  assert.equal(memory.find("/a", []), plain);
  memory.keep("/a", place, "br", br);
  assert.equal(memory.find("/a", ["br", "gzip"]), br);
  assert.equal(memory.find("/a", ["gzip", "br"]), undefined);
  assert.equal(memory.find("/a", ["zstd"]), plain);
  // The file itself changed: its siblings may be older than it now.
  put(path, "new");
  assert.equal(memory.find("/a", ["br"]), undefined);
});

test("no more is kept than allowed: the oldest goes first", (context) => {
  clock(context);
  const folder = temporaryFolder(context);
  const memory = new Memory(50_000);
  const found = (): string => {
    return ["0", "1", "2", "3", "4"].filter((name) => memory.find(`/${name}`, []) !== undefined).join("");
  };
  for (const name of ["0", "1", "2", "3", "4"]) {
    const path = join(folder, name);
    put(path, name);
    memory.keep(`/${name}`, located(path), "", kept(path, 10_000));
    assert.ok(memory.used <= 50_000);
  }
  assert.equal(found(), "1234");
  const path = join(folder, "1");
  memory.keep("/1", located(path), "", kept(path, 20_000));
  assert.equal(found(), "134");
  memory.keep("/0", located(path), "", kept(path, 60_000));
  assert.equal(found(), "134");
});

test("where nothing may be kept nothing is", (context) => {
  clock(context);
  const path = join(temporaryFolder(context), "a");
  put(path, "a");
  const memory = new Memory(0);
  memory.keep("/a", located(path), "", kept(path, 0));
  assert.equal(memory.find("/a", []), undefined);
});
