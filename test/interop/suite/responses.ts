// What reaches the client of a response: status, fields, bodies, and failures.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { type AskCase, fieldOf, textOf } from "./cases.js";
import { valuesOf } from "./client.js";
import { patternDigest } from "./pattern.js";

function statusCase(status: string, name = `status ${status}`): AskCase {
  return {
    name,
    ask: { target: `/status?status=${encodeURIComponent(status)}` },
    check(answer) {
      assert.equal(answer.status, Number.parseInt(status, 10));
      assert.deepEqual([answer.body.length, answer.whole], [0, true]);
      assert.equal(fieldOf(answer, "X-Answer"), "yes");
    },
  };
}

export const statusCases: readonly AskCase[] = [
  statusCase("200 OK", "status 200 without a body"),
  statusCase("201 Created"),
  statusCase("204 No Content"),
  statusCase("304 Not Modified"),
  statusCase("404 Not Found"),
  statusCase("418 I'm a teapot"),
  statusCase("503 Service Unavailable"),
  statusCase("599 Of its own"),
  {
    name: "status 302 with its Location",
    ask: { target: "/redirect?to=https%3A%2F%2Fshop.example%2Fa%3Fb" },
    check(answer) {
      assert.equal(answer.status, 302);
      assert.equal(fieldOf(answer, "Location"), "https://shop.example/a?b");
      assert.equal(answer.body.toString(), "elsewhere");
    },
  },
  {
    name: "status 302 with a Location on this host is the client's to follow",
    ask: { target: "/redirect?to=%2Fenviron" },
    check(answer) {
      assert.equal(answer.status, 302);
      assert.match(fieldOf(answer, "Location"), /^(http:\/\/[^/]+)?\/environ$/u);
    },
  },
];

function fieldsCase(name: string, count: number, size: number): AskCase {
  return {
    name: `response with ${name}`,
    ask: { target: `/fields?count=${count}&size=${size}` },
    check(answer) {
      assert.equal(textOf(answer), "fields");
      for (let at = 0; at < count; at += 1) assert.equal(fieldOf(answer, `X-Field-${at}`), "v".repeat(size));
    },
  };
}

function makeCase(what: string, size: number, length: boolean): AskCase {
  return {
    name: `response of ${what}${length ? "" : ", its length unsaid"}`,
    ask: { target: `/make?size=${size}${length ? "&length=1" : ""}` },
    check(answer) {
      assert.deepEqual([answer.status, answer.whole, answer.body.length], [200, true, size]);
      assert.equal(createHash("sha256").update(answer.body).digest("hex"), patternDigest(size));
    },
  };
}

export const responseCases: readonly AskCase[] = [
  fieldsCase("60 fields", 60, 10),
  fieldsCase("a field of 6,000 octets", 1, 6000),
  fieldsCase("12 KB of fields", 12, 1000),
  {
    name: "response with several cookies",
    ask: { target: "/cookies" },
    check(answer) {
      const wanted = ["a=1; Path=/", "b=2; Expires=Wed, 01 Jan 2031 00:00:00 GMT", "c=caf\xe9"];
      assert.deepEqual(valuesOf(answer, "Set-Cookie"), wanted);
    },
  },
  {
    name: "response has one Content-Type, one Content-Length, one Date",
    ask: { target: "/fields?count=1&size=1" },
    check(answer) {
      assert.match(fieldOf(answer, "Content-Type"), /^text\/plain(; ?charset=.*)?$/u);
      assert.equal(fieldOf(answer, "Content-Length"), "6");
      assert.match(fieldOf(answer, "Date"), / GMT$/u);
      assert.deepEqual(valuesOf(answer, "Status"), [], "Status is CGI's, not HTTP's");
    },
  },
  {
    name: "response to HEAD says the length of what GET would get",
    ask: { method: "HEAD", target: "/make?size=1234&length=1" },
    check(answer) {
      assert.deepEqual([answer.status, answer.body.length, answer.whole], [200, 0, true]);
      assert.equal(fieldOf(answer, "Content-Length"), "1234");
    },
  },
  makeCase("0 octets", 0, true),
  makeCase("0 octets", 0, false),
  makeCase("1 octet", 1, true),
  makeCase("64 KiB", 65_536, true),
  makeCase("1 MiB", 1_048_576, true),
  makeCase("1 MiB", 1_048_576, false),
  {
    name: "text written to wsgi.errors does not reach the client",
    ask: { target: "/complain" },
    check: (answer) => assert.equal(textOf(answer), "complained"),
  },
];

export const failureCases: readonly AskCase[] = [
  {
    name: "an application that fails at once is a 500",
    ask: { target: "/fail?when=called" },
    check: (answer) => assert.deepEqual([answer.status, answer.whole], [500, true]),
  },
  {
    name: "an application that fails after start_response is a 500",
    ask: { target: "/fail?when=started" },
    check: (answer) => assert.deepEqual([answer.status, answer.whole], [500, true]),
  },
  {
    name: "a body longer than its Content-Length never shows its surplus",
    ask: { target: "/lie?said=50&sent=100" },
    check(answer) {
      if (answer.status === 200)
        assert.equal(answer.body.toString(), "x".repeat(answer.whole ? 50 : answer.body.length));
      assert.ok(answer.status === 200 || answer.status >= 500);
    },
  },
];
