import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Heartbeat } from "../../src/net/heartbeat.js";

/** A heartbeat of ten seconds, whose time passes second by second; what it asks is answered when the test says so. */
function heartbeatOf(
  context: TestContext,
  seconds = 10,
): { pass(count: number): void; heartbeat: Heartbeat; told: string[] } {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const told: string[] = [];
  const heartbeat = new Heartbeat(seconds, { ask: () => told.push("ask"), stuck: () => told.push("stuck") });
  const pass = (count: number): void => {
    for (let n = 0; n < count; n += 1) context.mock.timers.tick(1000);
  };
  return { pass, heartbeat, told };
}

test("a process that never answers is asked once, and stuck each time ten looks in a row found no answer", (context) => {
  const { pass, told, heartbeat } = heartbeatOf(context);
  pass(10);
  assert.deepEqual(told, ["ask"]);
  pass(1);
  assert.deepEqual(told, ["ask", "stuck"]);
  pass(9);
  assert.deepEqual(told, ["ask", "stuck"]);
  pass(1);
  assert.deepEqual(told, ["ask", "stuck", "stuck"]);
  heartbeat.stop();
});

test("one that was stuck and answers is not, until it leaves as many questions unanswered again", (context) => {
  const { pass, heartbeat, told } = heartbeatOf(context);
  pass(11);
  assert.equal(heartbeat.stuck, true);
  heartbeat.answered();
  assert.equal(heartbeat.stuck, false);
  pass(10);
  assert.deepEqual(told, ["ask", "stuck", "ask"]);
  pass(1);
  assert.deepEqual(told, ["ask", "stuck", "ask", "stuck"]);
  heartbeat.stop();
});

test("one that answers late is not stuck, however often it does", (context) => {
  const { pass, heartbeat, told } = heartbeatOf(context);
  pass(1);
  for (let times = 1; times <= 5; times += 1) {
    assert.deepEqual(told, new Array(times).fill("ask"));
    pass(9);
    heartbeat.answered();
    pass(1);
  }
  pass(9);
  assert.ok(!told.includes("stuck"));
  pass(1);
  assert.ok(told.includes("stuck"));
});

test("nothing is asked with 0 seconds, nor after it was stopped", (context) => {
  const off = heartbeatOf(context, 0);
  off.pass(100);
  assert.deepEqual(off.told, []);
  context.mock.timers.reset();
  const { pass, heartbeat, told } = heartbeatOf(context);
  pass(5);
  heartbeat.stop();
  pass(100);
  assert.deepEqual(told, ["ask"]);
});
