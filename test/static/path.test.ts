import assert from "node:assert/strict";
import { test } from "node:test";
import { encodePath, encodeQuery, isServable, pathOctets, systemPath } from "../../src/static/path.js";

test("a path to serve begins with a slash and has no part that is empty or dots", () => {
  for (const path of ["/", "/a", "/a/", "/a/b.c", "/a..b", "/a...", "/.well-known/x", "/\xfc", "/a b"]) {
    assert.ok(isServable(path, false), path);
  }
  for (const path of ["", "a", "//", "/a//", "/a//b", "/.", "/..", "/a/../b", "/a/.", "/a\0", "/.a", "/a/.b", "/..."]) {
    assert.ok(!isServable(path, false), JSON.stringify(path));
  }
});

test("hidden parts are allowed when told so, dots never", () => {
  for (const path of ["/.a", "/a/.b", "/...", "/.well-known/.x", "/a/.well-known"])
    assert.ok(isServable(path, true), path);
  for (const path of ["/.", "/..", "/a/..", "/../a"]) assert.ok(!isServable(path, true), path);
});

test("a path in a Location is a path and nothing else", () => {
  assert.equal(
    encodePath('/a b/\xc3\xbc?#%"<>\\^`{|}\r\n\0;=&+~'),
    "/a%20b/%C3%BC%3F%23%25%22%3C%3E%5C%5E%60%7B%7C%7D%0D%0A%00;=&+~",
  );
});

test("a query is as it came but for what no field can hold", () => {
  assert.equal(encodeQuery("a=%20&b=[1]\r\n\xfc\0 "), "a=%20&b=[1]%0D%0A%FC%00%20");
});

test("octets reach the system as they are", () => {
  assert.equal(systemPath("/a"), "/a");
  assert.deepEqual(systemPath("/\xff\xc3\xbc"), Buffer.from([0x2f, 0xff, 0xc3, 0xbc]));
  assert.equal(pathOctets("/ü"), "/\xc3\xbc");
});
