import assert from "node:assert/strict";
import { test } from "node:test";
import { formatHttpDate, parseHttpDate } from "../../src/static/http-date.js";

test("the three forms of a date are the same moment (RFC 9110 §5.6.7)", () => {
  for (const text of ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]) {
    assert.equal(parseHttpDate(text), 784_111_777, text);
  }
});

test("a date is written in the first form", () => {
  assert.equal(formatHttpDate(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
});

test("two digits of a year are the past where they would be more than fifty years ahead", () => {
  const year = new Date().getUTCFullYear();
  const of = (full: number): string => String(full % 100).padStart(2, "0");
  const read = (full: number): number =>
    new Date((parseHttpDate(`Sunday, 06-Nov-${of(full)} 08:49:37 GMT`) ?? 0) * 1000).getUTCFullYear();
  assert.equal(read(year + 50), year + 50);
  assert.equal(read(year + 51), year - 49);
});

test("a leap second is a date", () => {
  assert.equal(parseHttpDate("Sat, 31 Dec 2016 23:59:60 GMT"), parseHttpDate("Sun, 01 Jan 2017 00:00:00 GMT"));
});

test("what is no date is none", () => {
  for (const text of [
    "",
    "0",
    "1994-11-06T08:49:37Z",
    "Sun, 06 Nov 1994 08:49:37",
    "Sun, 06 Nov 1994 08:49:37 UTC",
    "Sun, 6 Nov 1994 08:49:37 GMT",
    "sun, 06 nov 1994 08:49:37 gmt",
    "Sun, 31 Feb 1994 08:49:37 GMT",
    "Sun, 00 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 24:49:37 GMT",
    "Sun, 06 Nov 1994 08:60:37 GMT",
    "Sun, 06 Nov 1994 08:49:61 GMT",
    "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
  ]) {
    assert.equal(parseHttpDate(text), undefined, text);
  }
});
