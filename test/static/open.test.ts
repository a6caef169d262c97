import assert from "node:assert/strict";
import { closeSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { look, openBelow, problemOf } from "../../src/static/open.js";
import { openBelowFolder, put, temporaryFolder } from "./support.js";

test("a file below a root is opened for reading", (context) => {
  const folder = temporaryFolder(context);
  put(join(folder, "a"), "content");
  const file = openBelow(join(folder, "a"), [join(folder, "none"), folder]);
  assert.ok(typeof file !== "string");
  assert.equal(file.stats.size, 7);
  assert.equal(readFileSync(file.fd, "latin1"), "content");
  closeSync(file.fd);
});

test("names are octets", (context) => {
  const folder = temporaryFolder(context);
  put(join(folder, "ü"), "content");
  const file = openBelow(`${folder}/\xc3\xbc`, [folder]);
  assert.ok(typeof file !== "string");
  closeSync(file.fd);
});

test("what is open and not below a root is closed again", (context) => {
  const folder = temporaryFolder(context);
  mkdirSync(join(folder, "root"));
  mkdirSync(join(folder, "root2"));
  put(join(folder, "secret"), "");
  put(join(folder, "root2", "secret"), "");
  symlinkSync("../secret", join(folder, "root", "link"));
  const root = join(folder, "root");
  for (const path of ["secret", "root/link", "root2/secret", "root/../secret"]) {
    assert.equal(openBelow(`${folder}/${path}`, [root]), "outside", path);
  }
  assert.equal(openBelow(`${folder}/secret`, []), "outside");
  assert.deepEqual(openBelowFolder(folder), []);
});

test("the root of the file system is a root", () => {
  const file = openBelow("/proc/self/status", ["/"]);
  assert.ok(typeof file !== "string");
  closeSync(file.fd);
});

test("folders, what is not there and what is no file are told apart", (context) => {
  const folder = temporaryFolder(context);
  symlinkSync("loop", join(folder, "loop"));
  assert.equal(openBelow(folder, ["/"]), "folder");
  assert.equal(openBelow(`${folder}/none`, [folder]), "missing");
  assert.equal(openBelow(`${folder}/loop`, [folder]), "missing");
  assert.equal(openBelow(`${folder}/${"x".repeat(300)}`, [folder]), "missing");
  assert.equal(openBelow("/dev/null", ["/"]), "missing");
  assert.equal(look(`${folder}/none`), "missing");
  assert.equal(look("/dev/null"), "missing");
});

test("what the system says decides what is answered", () => {
  const of = (code: string): string => problemOf(Object.assign(new Error(code), { code }));
  assert.equal(of("ENOENT"), "missing");
  assert.equal(of("ENXIO"), "missing");
  assert.equal(of("EACCES"), "forbidden");
  assert.equal(of("EMFILE"), "exhausted");
  assert.equal(of("EIO"), "failed");
  assert.equal(problemOf(undefined), "failed");
});
