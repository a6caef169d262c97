import assert from "node:assert/strict";
import { test } from "node:test";
import { HeadReader, headFlag } from "../../src/python/response-head.js";

const octets = (): Buffer => Buffer.from("OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n", "latin1");

test("a head that comes again is the one read before, in memory of its own", () => {
  const reader = new HeadReader();
  const received = octets();
  const first = reader.read(200, headFlag.hasLength, received);
  received.fill("?");
  assert.equal(reader.read(200, headFlag.hasLength, octets()), first);
  assert.deepEqual([first.status, first.reason, first.contentLength, first.hasDate], [200, "OK", 5, false]);
  assert.equal(Buffer.from(first.fields).toString("latin1"), "Content-Type: text/plain\r\nContent-Length: 5\r\n");
});

test("a head with another status, other flags or other octets is read anew", () => {
  const reader = new HeadReader();
  const first = reader.read(200, headFlag.hasLength, octets());
  assert.equal(reader.read(404, headFlag.hasLength, octets()).status, 404);
  assert.equal(reader.read(404, headFlag.hasLength | headFlag.hasDate, octets()).hasDate, true);
  assert.equal(reader.read(200, headFlag.hasLength | headFlag.closes, octets()).closes, true);
  const other = reader.read(200, headFlag.hasLength, Buffer.from("Fine\r\nContent-Length: 6\r\n"));
  assert.deepEqual([other.reason, other.contentLength], ["Fine", 6]);
  assert.notEqual(reader.read(200, headFlag.hasLength, octets()), first);
});

test("a long head is read as it is, and the one before is still known", () => {
  const reader = new HeadReader();
  const first = reader.read(200, headFlag.hasLength, octets());
  const long = reader.read(200, 0, Buffer.from(`OK\r\nX: ${"y".repeat(2000)}\r\n`));
  assert.equal(long.fields.length, 2005);
  assert.equal(reader.read(200, headFlag.hasLength, octets()), first);
});
