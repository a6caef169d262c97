import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { FailureKind } from "../../src/egress/driver.js";
import { isIdempotent, mayRetry, RetryBudget } from "../../src/egress/retry.js";

const failure = (kind: FailureKind, unprocessed = false) => ({ kind, sentence: "", unprocessed });

describe("a request that failed", () => {
  test("may go to another server whatever it is, where nobody got it", () => {
    for (const kind of ["refused", "connect-timeout", "stale", "closed", "overloaded"] as const) {
      assert.ok(mayRetry(failure(kind, true), false), kind);
    }
  });

  test("may do so, where somebody may have got it, only if that does no harm", () => {
    for (const kind of ["closed", "malformed", "stale"] as const) {
      assert.deepEqual([mayRetry(failure(kind), true), mayRetry(failure(kind), false)], [true, false], kind);
    }
  });

  test("may not do so after it was waited for in vain", () => {
    for (const kind of ["send-timeout", "first-byte-timeout", "idle-timeout"] as const) {
      assert.equal(mayRetry(failure(kind), true), false, kind);
    }
  });

  test("does no harm a second time by its method (RFC 9110 §9.2.2)", () => {
    const methods = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "POST", "PATCH", "get", "FANCY"];
    assert.deepEqual(methods.filter(isIdempotent), ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"]);
  });
});

describe("the budget for retries", () => {
  function spendAll(budget: RetryBudget): number {
    let spent = 0;
    while (budget.spend()) spent += 1;
    return spent;
  }

  test("is a share of the requests, once what was there at first is spent", () => {
    const budget = new RetryBudget(0.25);
    assert.equal(spendAll(budget), 100);
    for (let request = 0; request < 400; request += 1) budget.earn();
    assert.equal(spendAll(budget), 100);
  });

  test("is saved up to a bound", () => {
    const budget = new RetryBudget(1);
    for (let request = 0; request < 5000; request += 1) budget.earn();
    assert.equal(spendAll(budget), 1000);
  });

  test("of nothing allows none", () => {
    const budget = new RetryBudget(0);
    budget.earn();
    assert.equal(spendAll(budget), 0);
  });
});
