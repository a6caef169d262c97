import assert from "node:assert/strict";
import { test } from "node:test";
import { nearest } from "../../src/config/nearest.js";

const known = ["workers", "threads", "listen", "max-body", "body-memory"];

test("a misspelt name is told from an unknown one", () => {
  assert.equal(nearest("worker", known), "workers");
  assert.equal(nearest("wrokers", known), "workers");
  assert.equal(nearest("lisen", known), "listen");
  assert.equal(nearest("maxbody", known), "max-body");
  assert.equal(nearest("harakiri", known), undefined);
  assert.equal(nearest("x", known), undefined);
});
