import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Queue } from "../../src/pool/queue.js";
import { random } from "./random.js";

interface Element {
  readonly name: number;
  queued: boolean;
  waitingSince: number;
}

function element(name: number): Element {
  return { name, queued: false, waitingSince: name };
}

function drained(queue: Queue<Element>): number[] {
  const names: number[] = [];
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) names.push(next.name);
  return names;
}

describe("the queue", () => {
  test("gives first what came first, over many times its first size", () => {
    const queue = new Queue<Element>();
    for (let name = 0; name < 1000; name += 1) queue.push(element(name));
    assert.equal(queue.length, 1000);
    assert.deepEqual(
      drained(queue),
      Array.from({ length: 1000 }, (_, name) => name),
    );
    assert.equal(queue.length, 0);
  });

  test("what came back goes before all others", () => {
    const queue = new Queue<Element>();
    for (const name of [3, 4]) queue.push(element(name));
    for (const name of [2, 1]) queue.unshift(element(name));
    assert.deepEqual(drained(queue), [1, 2, 3, 4]);
  });

  test("gives up those that have waited too long, wherever they are", () => {
    const queue = new Queue<Element>();
    for (const name of [5, 2, 7, 3, 9]) queue.push(element(name));
    assert.deepEqual(
      queue.overdue(5).map(({ name }) => name),
      [5, 2, 3],
    );
    assert.equal(queue.length, 2);
    queue.unshift(element(1));
    assert.deepEqual(drained(queue), [1, 7, 9]);
    assert.deepEqual(queue.overdue(9), []);
  });

  test("tells whose turn is next, if anyone's, past those that were taken out", () => {
    const queue = new Queue<Element>();
    const elements = [1, 2, 3].map(element);
    for (const each of elements) queue.push(each);
    for (const each of elements.slice(0, 2)) queue.remove(each);
    assert.equal(queue.first?.name, 3);
    queue.unshift(element(0));
    assert.equal(queue.first?.name, 0);
    assert.deepEqual(drained(queue), [0, 3]);
    assert.deepEqual(queue.first, undefined);
  });

  test("what was taken out is passed over, and can be queued again at another place", () => {
    const queue = new Queue<Element>();
    const [a, b, c] = [element(1), element(2), element(3)];
    for (const each of [a, b, c]) queue.push(each);
    assert.equal(queue.remove(b), true);
    assert.equal(queue.remove(b), false);
    assert.equal(b.queued, false);
    queue.push(b);
    assert.equal(queue.length, 3);
    assert.deepEqual(drained(queue), [1, 3, 2]);
  });

  test("an element that is not queued cannot be taken out", () => {
    const queue = new Queue<Element>();
    const a = element(1);
    assert.equal(queue.remove(a), false);
    queue.push(a);
    queue.shift();
    assert.equal(queue.remove(a), false);
    assert.equal(queue.length, 0);
  });

  test("does as a list does, whatever is done in whatever order", () => {
    for (let seed = 1; seed <= 50; seed += 1) {
      const pick = random(seed);
      const queue = new Queue<Element>();
      let model: Element[] = [];
      const known: Element[] = [];
      for (let step = 0; step < 600; step += 1) {
        const action = pick(10);
        if (action < 4) {
          const fresh = element(step);
          known.push(fresh);
          queue.push(fresh);
          model.push(fresh);
        } else if (action < 5) {
          const fresh = element(step);
          known.push(fresh);
          queue.unshift(fresh);
          model.unshift(fresh);
        } else if (action < 7) {
          assert.equal(queue.shift(), model.shift(), `seed ${seed}, step ${step}`);
        } else {
          const chosen = known[pick(Math.max(known.length, 1))];
          if (chosen === undefined) continue;
          assert.equal(queue.remove(chosen), model.includes(chosen), `seed ${seed}, step ${step}`);
          model = model.filter((each) => each !== chosen);
        }
        assert.equal(queue.length, model.length, `seed ${seed}, step ${step}`);
      }
      assert.deepEqual(
        drained(queue),
        model.map(({ name }) => name),
      );
    }
  });
});
