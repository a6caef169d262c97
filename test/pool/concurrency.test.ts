import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Concurrency } from "../../src/pool/concurrency.js";
import { Pool, type Poolable } from "../../src/pool/pool.js";

interface Request extends Poolable<Request> {}

function request(): Request {
  return { queued: false, waitingSince: 0, place: undefined, givenAt: 0, suspect: false, streaming: false };
}

function poolOf(concurrency: number, workers: number): Pool<Request, number> {
  const pool = new Pool<Request, number>(1);
  pool.pace = new Concurrency(concurrency);
  for (let worker = 1; worker <= workers; worker += 1) pool.ready(worker);
  return pool;
}

/** Submits so many, and tells which workers are given them. */
function given(pool: Pool<Request, number>, count: number, now = 0): number[] {
  for (let each = 0; each < count; each += 1) pool.submit(request(), now);
  const workers: number[] = [];
  for (let next = pool.next(now); next !== undefined; next = pool.next(now)) workers.push(next.member.worker);
  return workers;
}

describe("workers with an event loop", () => {
  test("get as many requests at once as they may have, the least busy first, and no more however long it takes", () => {
    const pool = poolOf(3, 2);
    const workers = given(pool, 10);
    assert.deepEqual(workers.slice().sort(), [1, 1, 1, 2, 2, 2]);
    assert.ok(workers.slice(0, 2).includes(1) && workers.slice(0, 2).includes(2));
    assert.deepEqual([pool.queueLength, pool.next(60_000)], [4, undefined]);
  });

  test("get the next one when one is answered", () => {
    const pool = poolOf(1, 1);
    given(pool, 2);
    const [member] = pool.members;
    const [first] = member?.requests ?? [];
    assert.ok(member !== undefined && first !== undefined);
    pool.answered(member, first, 2000, 0, 1);
    assert.equal(pool.next(1)?.member, member);
    assert.deepEqual([pool.pace.wall, pool.pace.cpu], [2000, 0]);
  });

  test("are given more while responses go on, which occupy nobody", () => {
    const pool = poolOf(2, 1);
    given(pool, 4);
    const [member] = pool.members;
    assert.ok(member !== undefined);
    for (const each of [...member.requests]) pool.streams(member, each);
    assert.equal(given(pool, 0).length, 2);
    assert.deepEqual([member.outstanding, member.streaming, pool.queueLength], [4, 2, 0]);
    for (const each of [...member.requests]) pool.answered(member, each, 1, 0, 1);
    assert.deepEqual([member.outstanding, member.streaming], [0, 0]);
  });
});
