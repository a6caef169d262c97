import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Pace } from "../../src/pool/pace.js";

/** An application: what one request costs, µs, at this many threads of a worker used at once. */
type Application = (threads: number) => { readonly wall: number; readonly cpu: number };

/** Waits, then computes: threads do not slow each other down until they keep the interpreter busy. */
function waiting(wait: number, cpu: number): Application {
  return (threads) => ({ wall: Math.max(wait + cpu, cpu * threads), cpu });
}

/** Only computes: threads take turns. */
function computing(cpu: number): Application {
  return (threads) => ({ wall: cpu * threads, cpu });
}

/** One worker, loaded with as much as it takes, for so many requests; milliseconds pass as the application says. */
class Load {
  readonly pace: Pace;
  now = 1000;

  constructor(most: number) {
    this.pace = new Pace(most);
  }

  run(application: Application, requests: number): this {
    const { pace } = this;
    for (let served = 0; served < requests; ) {
      // As many as it is allowed to, then the queue is not empty and there is no room: demand.
      const threads = pace.slow ? pace.threads : 1;
      const { wall, cpu } = application(threads);
      pace.demand();
      this.now += wall / 1000;
      pace.busy(wall / 1000);
      for (let i = 0; i < threads; i += 1) {
        pace.ended(wall, cpu);
        pace.decide(this.now);
      }
      served += threads;
    }
    return this;
  }
}

describe("the pace", () => {
  test("writes nothing ahead before it has seen requests", () => {
    const pace = new Pace(8);
    assert.deepEqual([pace.ahead, pace.limit, pace.slow], [1, 1, false]);
    for (let i = 0; i < 15; i += 1) pace.ended(100, 100);
    assert.equal(pace.limit, 1);
  });

  test("writes 16 ahead to a fast application", () => {
    const { pace } = new Load(8).run(waiting(20, 20), 100);
    assert.deepEqual([pace.slow, pace.ahead, pace.limit], [false, 16, 16]);
  });

  test("writes nothing ahead to a slow application", () => {
    const { pace } = new Load(8).run(waiting(100_000, 200), 100);
    assert.equal(pace.slow, true);
    assert.equal(pace.ahead, 1);
    assert.deepEqual([pace.threads, pace.limit], [8, 8]);
    const computes = new Load(8).run(computing(20_000), 100);
    assert.deepEqual([computes.pace.threads, computes.pace.limit], [1, 1]);
  });

  test("a worker of which a thread is done every few milliseconds has the next request in hand", () => {
    const { pace } = new Load(8).run(waiting(5000, 200), 100);
    assert.deepEqual([pace.slow, pace.threads, pace.limit], [true, 8, 9]);
  });

  test("one slow request in a thousand fast ones leaves them written ahead", () => {
    const pace = new Pace(8);
    let least = 16;
    for (let i = 0; i < 20_000; i += 1) {
      const slow = i % 1000 === 500;
      pace.ended(slow ? 100_000 : 50, 50);
      assert.equal(pace.slow, false, `request ${i}`);
      if (i > 32) least = Math.min(least, pace.ahead);
    }
    assert.ok(least >= 8, `${least}`);
  });

  test("the more requests are slow, the fewer are written ahead", () => {
    const ahead = [0, 10, 5].map((every) => {
      const pace = new Pace(8);
      for (let i = 0; i < 1000; i += 1) pace.ended(every > 0 && i % every === 0 ? 5000 : 50, 50);
      return pace.ahead;
    });
    const [none = 0, tenth = 0, fifth = 0] = ahead;
    assert.ok(none === 16 && tenth < none && fifth < tenth && fifth >= 1, ahead.join(" "));
  });

  test("an application that computes keeps one thread", () => {
    const load = new Load(8).run(computing(2000), 100);
    for (let i = 0; i < 20; i += 1) {
      load.run(computing(2000), 100);
      assert.equal(load.pace.threads, 1);
    }
  });

  test("an application that waits gets all the threads there are", () => {
    const { pace } = new Load(8).run(waiting(50_000, 200), 200);
    assert.equal(pace.threads, 8);
  });

  test("no more threads are used than there are", () => {
    assert.equal(new Load(3).run(waiting(50_000, 200), 200).pace.threads, 3);
    assert.equal(new Load(1).run(waiting(50_000, 200), 200).pace.threads, 1);
  });

  test("an application that waits half of its time gets a few", () => {
    const { pace } = new Load(8).run(waiting(5000, 5000), 1000);
    assert.ok(pace.threads >= 2 && pace.threads <= 4, `${pace.threads}`);
  });

  test("without demand for more the threads stay as they are", () => {
    const pace = new Pace(8);
    let now = 0;
    for (let i = 0; i < 500; i += 1) {
      now += 50;
      pace.busy(50);
      pace.ended(50_000, 100);
      pace.decide(now);
    }
    assert.equal(pace.slow, true);
    assert.equal(pace.threads, 1);
  });

  test("an application that changes is followed, there and back", () => {
    const load = new Load(8).run(waiting(20, 20), 500);
    assert.equal(load.pace.limit, 16);
    load.run(waiting(20_000, 200), 500);
    assert.deepEqual([load.pace.slow, load.pace.threads], [true, 8]);
    load.run(computing(2000), 20_000);
    assert.deepEqual([load.pace.slow, load.pace.threads], [true, 1]);
    load.run(waiting(20_000, 200), 20_000);
    assert.deepEqual([load.pace.slow, load.pace.threads], [true, 8]);
    load.run(waiting(20, 20), 500);
    assert.deepEqual([load.pace.slow, load.pace.limit], [false, 16]);
  });

  test("fewer threads that did worse are not tried again at once", () => {
    // Keeps the interpreter busy with 4 threads, and not with 3.
    const application: Application = (threads) => (threads >= 4 ? { wall: 4000, cpu: 1000 } : { wall: 4000, cpu: 700 });
    const load = new Load(4).run(application, 400);
    const from = load.now;
    let reductions = 0;
    let before = load.pace.threads;
    while (load.now < from + 3500) {
      load.run(application, 4);
      if (load.pace.threads < before) reductions += 1;
      before = load.pace.threads;
    }
    assert.ok(reductions <= 2, `${reductions}`);
  });
});
