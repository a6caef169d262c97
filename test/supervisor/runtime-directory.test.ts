import assert from "node:assert/strict";
import { closeSync, existsSync, mkdirSync, openSync, readSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { RuntimeDirectory } from "../../src/supervisor/runtime-directory.js";
import { removeFolder, temporaryFolder } from "../support/tools.js";

test("a runtime directory is the user's alone, and leaves nothing", () => {
  const directory = new RuntimeDirectory();
  try {
    assert.equal(statSync(directory.path).mode & 0o777, 0o700);
  } finally {
    directory.remove();
  }
  assert.equal(existsSync(directory.path), false);
  directory.remove();
});

test("a runtime directory that was cleaned away is made anew", () => {
  const directory = new RuntimeDirectory();
  try {
    writeFileSync(directory.wire(0), "");
    assert.equal(directory.restore(directory.wire(0)), false);
    directory.remove();
    assert.equal(directory.restore(directory.wire(0)), true);
    assert.equal(statSync(directory.path).mode & 0o777, 0o700);
    directory.newScoreboard(1, 1);
  } finally {
    directory.remove();
  }
});

test("the socket's path is short enough where that of temporary files is not", () => {
  const { TMPDIR } = process.env;
  const temporary = temporaryFolder("long");
  const long = join(temporary, "x".repeat(100));
  mkdirSync(long);
  process.env["TMPDIR"] = long;
  const directory = new RuntimeDirectory();
  try {
    assert.ok(Buffer.byteLength(directory.wire(0)) <= 107, directory.wire(0));
  } finally {
    if (TMPDIR === undefined) delete process.env["TMPDIR"];
    else process.env["TMPDIR"] = TMPDIR;
    directory.remove();
    removeFolder(temporary);
  }
});

test("a worker's new scoreboard leaves its predecessor's as it was for who has it open", () => {
  const directory = new RuntimeDirectory();
  try {
    const path = join(directory.scoreboards, "1-1");
    directory.newScoreboard(1, 1);
    writeFileSync(path, Buffer.from([7, 0, 0, 0]), { flag: "r+" });
    const open = openSync(path, "r");
    directory.newScoreboard(1, 1);
    const fresh = openSync(path, "r");
    const read = (fd: number): number => {
      const octets = Buffer.alloc(4);
      readSync(fd, octets, 0, 4, 0);
      closeSync(fd);
      return octets.readUInt32LE(0);
    };
    assert.deepEqual([read(open), read(fresh)], [7, 0]);
  } finally {
    directory.remove();
  }
});
