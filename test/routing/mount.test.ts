import assert from "node:assert/strict";
import { test } from "node:test";
import { mountOctets, placeUnder } from "../../src/routing/mount.js";

test("a path is split at the mount, at a segment's boundary only", () => {
  const under = (path: string) => placeUnder("/p", path);
  assert.deepEqual(under("/p/a/b"), { scriptName: "/p", pathInfo: "/a/b" });
  assert.deepEqual(under("/p/"), { scriptName: "/p", pathInfo: "/" });
  assert.deepEqual(under("/p"), { scriptName: "/p", pathInfo: "" });
  assert.equal(under("/px"), undefined);
  assert.equal(under("/"), undefined);
  assert.equal(under("/P/a"), undefined);
});

test("without a mount the whole path is the application's", () => {
  assert.deepEqual(placeUnder("", "/a"), { scriptName: "", pathInfo: "/a" });
});

test("the server as a whole (OPTIONS *) is the application's, mounted or not", () => {
  assert.deepEqual(placeUnder("", ""), { scriptName: "", pathInfo: "" });
  assert.deepEqual(placeUnder("/p", ""), { scriptName: "/p", pathInfo: "" });
});

test("a mount outside ASCII is compared as the octets that clients send", () => {
  const mount = mountOctets("/caf\u00e9");
  assert.equal(mount, "/caf\u00c3\u00a9");
  assert.deepEqual(placeUnder(mount, "/caf\u00c3\u00a9/x"), { scriptName: mount, pathInfo: "/x" });
});
