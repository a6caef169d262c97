import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Assignment, type Member, Pool, type Poolable } from "../../src/pool/pool.js";
import { random } from "./random.js";

interface Request extends Poolable<Request> {
  readonly name: number;
}

type Worker = number;
type TestPool = Pool<Request, Worker>;

function request(name: number): Request {
  return { name, queued: false, waitingSince: 0, place: undefined, givenAt: 0, suspect: false, streaming: false };
}

/** All that can be given now, in order. */
function give(pool: TestPool, now = 0): Assignment<Request, Worker>[] {
  const given: Assignment<Request, Worker>[] = [];
  for (let next = pool.next(now); next !== undefined; next = pool.next(now)) given.push(next);
  return given;
}

/** The pool has seen so many requests of this kind. */
function teach(pool: TestPool, wall: number, cpu: number, requests = 64): void {
  for (let i = 0; i < requests; i += 1) pool.pace.ended(wall, cpu);
}

function submit(pool: TestPool, count: number, from = 0): Request[] {
  const requests = Array.from({ length: count }, (_, index) => request(from + index));
  for (const each of requests) assert.equal(pool.submit(each, 0), true);
  return requests;
}

const names = (given: readonly Assignment<Request, Worker>[]): number[] => given.map((each) => each.request.name);

describe("the pool", () => {
  test("gives nothing without workers, and all in order once there is one", () => {
    const pool: TestPool = new Pool(8);
    teach(pool, 50, 50);
    submit(pool, 8);
    assert.deepEqual(give(pool), []);
    assert.equal(pool.queueLength, 8);
    pool.ready(1);
    assert.deepEqual(names(give(pool)), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert.equal(pool.queueLength, 0);
  });

  test("gives to the least busy worker, and equals take turns", () => {
    const pool: TestPool = new Pool(8);
    teach(pool, 50, 50);
    for (const worker of [1, 2, 3]) pool.ready(worker);
    submit(pool, 9);
    give(pool);
    assert.deepEqual(
      pool.members.map((member) => member.outstanding),
      [3, 3, 3],
    );
    const [, second] = pool.members;
    assert.ok(second !== undefined);
    for (const each of [...second.requests]) pool.answered(second, each, 50, 50, 0);
    submit(pool, 3, 100);
    assert.deepEqual(
      give(pool).map(({ member }) => member.worker),
      [2, 2, 2],
    );
    const alone: TestPool = new Pool(8);
    for (const worker of [1, 2]) alone.ready(worker);
    const served = [0, 1, 2, 3].map((name) => {
      submit(alone, 1, name);
      const [given] = give(alone);
      assert.ok(given !== undefined);
      alone.answered(given.member, given.request, 50, 50, 0);
      return given.member.worker;
    });
    assert.deepEqual([...new Set(served)].length, 2);
  });

  test("writes one at a time to a worker of which nothing is known", () => {
    const pool: TestPool = new Pool(8);
    pool.ready(1);
    submit(pool, 3);
    assert.deepEqual(names(give(pool)), [0]);
  });

  test("a request that does not end makes room for others while threads are free", () => {
    const pool: TestPool = new Pool(3);
    pool.ready(1);
    submit(pool, 5);
    assert.deepEqual(names(give(pool, 0)), [0]);
    assert.deepEqual(give(pool, pool.pace.patience - 1), []);
    const second = give(pool, pool.pace.patience);
    assert.deepEqual(names(second), [1]);
    assert.equal(second[0]?.handOver, true);
    assert.deepEqual(names(give(pool, 2 * pool.pace.patience)), [2]);
    // Each occupies a thread now, and there are three.
    assert.deepEqual(give(pool, 10 * pool.pace.patience), []);
  });

  test("with one thread a request that does not end holds up its worker, and only that", () => {
    const pool: TestPool = new Pool(1);
    pool.ready(1);
    submit(pool, 2);
    assert.deepEqual(names(give(pool, 0)), [0]);
    assert.deepEqual(give(pool, 1000), []);
    pool.ready(2);
    assert.deepEqual(names(give(pool, 1000)), [1]);
  });

  test("the lead is handed over where the application is slow and has threads", () => {
    const slow: TestPool = new Pool(8);
    teach(slow, 50_000, 100);
    slow.ready(1);
    let now = 0;
    for (let round = 0; round < 20; round += 1) {
      submit(slow, 20, round * 20);
      give(slow, now);
      now += 50;
      for (const member of slow.members) {
        for (const each of [...member.requests]) slow.answered(member, each, 50_000, 100, now);
      }
      const [next] = give(slow, now);
      if (slow.pace.threads > 1) {
        assert.equal(next?.handOver, true);
        return;
      }
    }
    assert.fail("it never used more than one thread");
  });

  test("where requests are gathered, those of microseconds go to as few workers as are soon done with them", () => {
    const pool: TestPool = new Pool(8, 100, true);
    const outstanding = (): number[] => pool.members.map((member) => member.outstanding);
    for (const worker of [1, 2, 3]) pool.ready(worker);
    // Nothing is known of them.
    submit(pool, 3);
    give(pool);
    assert.deepEqual(outstanding(), [1, 1, 1]);
    // Of 50 us, four are over within 200.
    teach(pool, 50, 50);
    submit(pool, 5);
    assert.deepEqual(
      give(pool).map(({ member }) => member.worker),
      [1, 1, 1, 2, 2],
    );
    assert.deepEqual(outstanding(), [4, 3, 1]);
    submit(pool, 4);
    give(pool);
    assert.deepEqual(outstanding(), [4, 4, 4]);
    // Beyond that the least busy is the better choice.
    submit(pool, 3);
    give(pool);
    assert.deepEqual(outstanding(), [5, 5, 5]);
  });

  test("where requests are gathered, a worker that has had one for a while is given no more while others have nothing to do", () => {
    const pool: TestPool = new Pool(8, 100, true);
    teach(pool, 5, 5);
    for (const worker of [1, 2]) pool.ready(worker);
    submit(pool, 1);
    const [slow] = give(pool, 0);
    submit(pool, 2);
    assert.deepEqual(
      give(pool, 3).map(({ member }) => member.worker),
      [2, 2],
    );
    assert.ok(slow !== undefined);
    pool.answered(slow.member, slow.request, 5, 5, 4);
    submit(pool, 1);
    assert.equal(give(pool, 4)[0]?.member.worker, 1);
  });

  test("where requests are gathered, those that take longer than waking a worker go to the least busy", () => {
    const pool: TestPool = new Pool(8, 100, true);
    teach(pool, 300, 300);
    for (const worker of [1, 2]) pool.ready(worker);
    submit(pool, 6);
    give(pool);
    assert.deepEqual(
      pool.members.map((member) => member.outstanding),
      [3, 3],
    );
  });

  test("the lead is kept where the application is fast", () => {
    const fast: TestPool = new Pool(8);
    teach(fast, 50, 50);
    fast.ready(1);
    submit(fast, 2);
    assert.deepEqual(
      give(fast).map(({ handOver }) => handOver),
      [false, false],
    );
  });

  test("what a worker gave back goes elsewhere, before all others, and not to it until it has answered", () => {
    const pool: TestPool = new Pool(1);
    teach(pool, 50, 50);
    const first = pool.ready(1);
    const [slow, next, last] = submit(pool, 3);
    assert.deepEqual(names(give(pool)), [0, 1, 2]);
    assert.ok(slow !== undefined && next !== undefined && last !== undefined);
    pool.submit(request(3), 2);
    // The newest comes back first, as the worker takes them from the end.
    pool.returned(first, last, 2);
    pool.returned(first, next, 2);
    assert.deepEqual(give(pool), []);
    pool.ready(2);
    const again = give(pool);
    assert.deepEqual(names(again), [1, 2, 3]);
    assert.ok(again.every(({ member }) => member.worker === 2));
    pool.answered(first, slow, 100_000, 50, 100);
    submit(pool, 1, 4);
    assert.equal(give(pool)[0]?.member.worker, 1);
  });

  test("a worker that gave back all it had is given requests again", () => {
    const pool: TestPool = new Pool(1);
    const member = pool.ready(1);
    const [only] = submit(pool, 1);
    assert.ok(only !== undefined);
    give(pool);
    pool.returned(member, only, 2);
    assert.deepEqual(names(give(pool)), [0]);
  });

  test("a draining worker keeps what it has and is given nothing more", () => {
    const pool: TestPool = new Pool(8);
    const member = pool.ready(1);
    submit(pool, 2);
    give(pool);
    pool.drain(member);
    for (const each of [...member.requests]) pool.answered(member, each, 50, 50, 0);
    assert.deepEqual(give(pool), []);
    assert.equal(member.answered, 1);
  });

  test("a worker that is gone gives all it had, in the order given; requeued it comes first", () => {
    const pool: TestPool = new Pool(8);
    teach(pool, 50, 50);
    const member = pool.ready(1);
    submit(pool, 18);
    assert.equal(give(pool).length, 16);
    const lost = pool.gone(member);
    assert.deepEqual(
      lost.map(({ name }) => name),
      Array.from({ length: 16 }, (_, name) => name),
    );
    pool.requeue(lost.slice(1));
    pool.ready(2);
    assert.deepEqual(
      names(give(pool)),
      Array.from({ length: 16 }, (_, index) => index + 1),
    );
  });

  test("no more wait than may, and who needs not wait is taken all the same", () => {
    const pool: TestPool = new Pool(1, 2);
    submit(pool, 2);
    assert.equal(pool.submit(request(2), 0), false);
    pool.ready(1);
    assert.deepEqual(names(give(pool)), [0]);
    assert.equal(pool.submit(request(3), 0), true);
    assert.equal(pool.submit(request(4), 0), false);
    const none: TestPool = new Pool(1, 0);
    assert.equal(none.submit(request(0), 0), false);
    none.ready(1);
    submit(none, 1);
    assert.equal(none.submit(request(1), 0), false, "one waits for its turn already");
    assert.equal(give(none).length, 1);
    assert.equal(none.submit(request(1), 0), false, "the worker has something to do");
  });

  test("tells how long the one that has waited longest waits, and how long those waited that were given", () => {
    const pool: TestPool = new Pool(1);
    assert.equal(pool.longestWait(5), 0);
    pool.submit(request(1), 1000);
    pool.submit(request(2), 3000);
    assert.equal(pool.longestWait(5000), 4000);
    pool.ready(1);
    assert.deepEqual(names(give(pool, 5000)), [1]);
    assert.equal(pool.longestWait(5000), 2000);
    assert.deepEqual(pool.waits.recent(5000), { count: 1, median: 4000, most: 4000 });
  });

  test("what has waited too long is taken out, and nothing else", () => {
    const pool: TestPool = new Pool(1);
    for (const name of [0, 1, 2, 3]) pool.submit(request(name), name * 10);
    assert.deepEqual(
      pool.overdue(10).map(({ name }) => name),
      [0, 1],
    );
    assert.equal(pool.queueLength, 2);
    pool.ready(1);
    assert.deepEqual(names(give(pool, 40)), [2]);
    assert.deepEqual(pool.overdue(29), []);
  });

  test("what was executed when its worker died is run once more, before all others, and no two beside each other", () => {
    const pool: TestPool = new Pool(4);
    teach(pool, 50, 50);
    const first = pool.ready(1);
    submit(pool, 5);
    give(pool);
    const [one, two, three, ...behind] = pool.gone(first);
    assert.ok(one !== undefined && two !== undefined && three !== undefined);
    for (const begun of [one, two, three]) assert.equal(pool.retry(begun, 0), true);
    pool.requeue(behind);
    for (const worker of [2, 3]) pool.ready(worker);
    const given = give(pool);
    assert.deepEqual(names(given), [0, 1, 3, 4]);
    assert.notEqual(given[0]?.member, given[1]?.member);
    assert.ok(given[0] !== undefined && given[1] !== undefined);
    pool.answered(given[0].member, one, 50, 50, 1);
    assert.deepEqual(
      give(pool, 1).map(({ member, request: { name } }) => [member, name]),
      [[given[0].member, 2]],
    );
    // A second time it is not.
    const lost = pool.gone(given[1].member);
    assert.equal(lost[0], two);
    assert.equal(pool.retry(two, 1), false);
  });

  test("a suspect that does not end keeps others from its worker for a second only", () => {
    const pool: TestPool = new Pool(4);
    const first = pool.ready(1);
    submit(pool, 2);
    give(pool, 0);
    give(pool, 100);
    for (const begun of pool.gone(first)) pool.retry(begun, 100);
    pool.ready(2);
    assert.deepEqual(names(give(pool, 100)), [0]);
    assert.deepEqual(give(pool, 1099), []);
    assert.deepEqual(names(give(pool, 1100)), [1]);
  });

  test("what was withdrawn is never given", () => {
    const pool: TestPool = new Pool(8);
    const [one, two] = submit(pool, 2);
    assert.ok(one !== undefined && two !== undefined);
    assert.equal(pool.withdraw(one), true);
    assert.equal(pool.withdraw(one), false);
    pool.ready(1);
    assert.deepEqual(names(give(pool)), [1]);
    assert.equal(pool.withdraw(two), false);
  });
});

/** A pool, and beside it an account of where every request is, held against each other after every event. */
class History {
  readonly #pick: (bound: number) => number;
  readonly #pool: TestPool;
  readonly #seed: number;
  #now = 0;
  #names = 0;
  #workers = 0;
  #step = 0;
  readonly #most: number;
  /** Waiting, in the order in which they must be given. */
  #queue: Request[] = [];
  #suspects: Request[] = [];
  /** How often each was executed, by its name. */
  readonly #executed = new Map<number, number>();
  readonly #suspectAt = new Map<Member<Request, Worker>, number>();
  readonly #with = new Map<Member<Request, Worker>, Request[]>();
  readonly #stalled = new Set<Member<Request, Worker>>();
  readonly #over: Request[] = [];

  constructor(seed: number) {
    this.#seed = seed;
    this.#pick = random(seed);
    this.#most = [0, 3, 20, Number.POSITIVE_INFINITY][this.#pick(4)] ?? 0;
    this.#pool = new Pool(1 + this.#pick(8), this.#most, this.#pick(2) === 0);
    // Some histories begin with a fast application, some with a slow one, some with an unknown one.
    const kind = this.#pick(3);
    if (kind > 0) teach(this.#pool, kind === 1 ? 50 : 20_000, 50);
  }

  run(steps: number): void {
    for (this.#step = 0; this.#step < steps; this.#step += 1) {
      this.#now += this.#pick(40) === 0 ? 1000 : this.#pick(20);
      this.#event();
      this.#dispatch();
      this.#check();
    }
  }

  #event(): void {
    const action = this.#pick(20);
    if (action < 7) this.#submit();
    else if (action < 13) this.#answer();
    else if (action < 14) this.#ready();
    else if (action < 16) this.#giveBack();
    else if (action < 17) this.#drop();
    else if (action < 18) this.#die();
    else if (action < 19) this.#withdraw();
    else if (this.#pick(4) > 0) this.#overdue();
    else this.#drain();
  }

  #submit(): void {
    const fresh = request(this.#names++);
    const waiting = this.#queue.length + this.#suspects.length;
    const accepted = this.#pool.submit(fresh, this.#now);
    const room = waiting === 0 && [...this.#with].some(([member, held]) => this.#open(member, held));
    assert.equal(accepted, waiting < this.#most || room, this.#place());
    if (accepted) this.#queue.push(fresh);
    else this.#over.push(fresh);
  }

  #end(ended: Request): void {
    this.#executes(ended);
    this.#over.push(ended);
  }

  #executes({ name }: Request): void {
    this.#executed.set(name, (this.#executed.get(name) ?? 0) + 1);
  }

  #queueOf({ suspect }: Request): Request[] {
    return suspect ? this.#suspects : this.#queue;
  }

  #ready(): void {
    if (this.#with.size < 5) this.#with.set(this.#pool.ready(++this.#workers), []);
  }

  #anyMember(): readonly [Member<Request, Worker>, Request[]] | undefined {
    return [...this.#with][this.#pick(Math.max(this.#with.size, 1))];
  }

  #answer(): void {
    const [member, held = []] = this.#anyMember() ?? [];
    const place = this.#pick(Math.max(held.length, 1));
    const chosen = held[place];
    if (member === undefined || chosen === undefined) return;
    held.splice(place, 1);
    this.#stalled.delete(member);
    const wall = this.#pick(4) === 0 ? 30_000 : 60;
    this.#pool.answered(member, chosen, wall, Math.min(wall, 60 + this.#pick(2000)), this.#now);
    this.#end(chosen);
    if (chosen.suspect) this.#suspectAt.delete(member);
  }

  #giveBack(): void {
    const [member, held = []] = this.#anyMember() ?? [];
    const kept = this.#pick(2);
    if (member === undefined || held.length <= kept) return;
    for (const each of held.splice(kept).reverse()) {
      this.#pool.returned(member, each, this.#now);
      if (each.suspect) this.#suspectAt.delete(member);
      this.#queueOf(each).unshift(each);
    }
    if (held.length > 0) this.#stalled.add(member);
    else this.#stalled.delete(member);
  }

  #drop(): void {
    const [member, held = []] = this.#anyMember() ?? [];
    const dropped = held.pop();
    if (member === undefined || dropped === undefined) return;
    this.#stalled.delete(member);
    this.#pool.dropped(member, dropped, this.#now);
    if (dropped.suspect) this.#suspectAt.delete(member);
    this.#over.push(dropped);
  }

  #die(): void {
    const [member, held = []] = this.#anyMember() ?? [];
    if (member === undefined) return;
    const lost = this.#pool.gone(member);
    assert.deepEqual(lost, held, this.#place());
    this.#with.delete(member);
    this.#stalled.delete(member);
    const begun = this.#pick(lost.length + 1);
    for (const each of lost.slice(0, begun)) {
      const before = each.suspect;
      // Some may not be run again, whatever the pool says.
      const again = this.#pick(3) > 0 && this.#pool.retry(each, this.#now);
      assert.equal(again && before, false, `run a third time: ${this.#place()}`);
      if (!again) this.#end(each);
      else {
        this.#executes(each);
        this.#suspects.push(each);
      }
    }
    this.#pool.requeue(lost.slice(begun));
    for (const each of lost.slice(begun).reverse()) this.#queueOf(each).unshift(each);
  }

  #overdue(): void {
    const before = this.#now - this.#pick(100);
    const late = (each: Request): boolean => each.waitingSince <= before;
    const found = this.#pool.overdue(before);
    assert.deepEqual(found, [...this.#suspects.filter(late), ...this.#queue.filter(late)], this.#place());
    this.#suspects = this.#suspects.filter((each) => !late(each));
    this.#queue = this.#queue.filter((each) => !late(each));
    this.#over.push(...found);
  }

  #withdraw(): void {
    const waiting = [...this.#queue, ...this.#suspects];
    const chosen = waiting[this.#pick(Math.max(waiting.length, 1))];
    if (chosen === undefined) return;
    assert.equal(this.#pool.withdraw(chosen), true, this.#place());
    this.#queue = this.#queue.filter((each) => each !== chosen);
    this.#suspects = this.#suspects.filter((each) => each !== chosen);
    this.#over.push(chosen);
  }

  #drain(): void {
    const [member] = this.#anyMember() ?? [];
    if (member !== undefined) this.#pool.drain(member);
  }

  #dispatch(): void {
    for (const { member, request: given } of give(this.#pool, this.#now)) {
      assert.equal(given, this.#queueOf(given).shift(), `first come, first served: ${this.#place()}`);
      if (given.suspect) assert.equal(this.#suspected(member), false, `two suspects: ${this.#place()}`);
      else if (this.#suspects.length > 0) this.#noneForSuspects();
      if (given.suspect) this.#suspectAt.set(member, this.#now);
      assert.equal(member.admission, "ready", this.#place());
      assert.equal(this.#stalled.has(member), false, this.#place());
      const held = this.#with.get(member);
      assert.ok(held !== undefined, `given to a worker that is gone: ${this.#place()}`);
      assert.ok(this.#room(held), `more than its limit: ${this.#place()}`);
      held.push(given);
    }
  }

  #check(): void {
    const place = this.#place();
    // Safety: each request is at one place, the pool's account and this one are the same.
    const waiting = [...this.#queue, ...this.#suspects];
    assert.equal(this.#pool.queueLength, waiting.length, place);
    assert.ok(
      waiting.every((each) => each.queued),
      place,
    );
    assert.ok(
      this.#over.every(({ name, suspect }) => (this.#executed.get(name) ?? 0) <= (suspect ? 2 : 1)),
      place,
    );
    assert.deepEqual([...this.#pool.members], [...this.#with.keys()], place);
    let known = waiting.length + this.#over.length;
    for (const [member, held] of this.#with) {
      assert.equal(member.outstanding, held.length, place);
      assert.deepEqual([...member.requests], held, place);
      assert.ok(
        held.every((each) => !each.queued),
        place,
      );
      known += held.length;
    }
    assert.ok(
      this.#over.every((each) => !each.queued),
      place,
    );
    assert.equal(known, this.#names, place);
    // Progress: what waits, waits because nobody has room.
    if (this.#suspects.length > 0) this.#noneForSuspects();
    if (this.#queue.length === 0) return;
    for (const [member, held] of this.#with) {
      assert.equal(this.#open(member, held), false, `worker ${member.worker} has room: ${place}`);
    }
  }

  #noneForSuspects(): void {
    for (const [member, held] of this.#with) {
      const open = this.#open(member, held) && !this.#suspected(member);
      assert.equal(open, false, `worker ${member.worker} has room for a suspect: ${this.#place()}`);
    }
  }

  #open(member: Member<Request, Worker>, held: readonly Request[]): boolean {
    return member.admission === "ready" && !this.#stalled.has(member) && this.#room(held);
  }

  /** It was given a suspect less than a second ago, and has ended none since. */
  #suspected(member: Member<Request, Worker>): boolean {
    return (this.#suspectAt.get(member) ?? Number.NEGATIVE_INFINITY) > this.#now - 1000;
  }

  /** By the safety rule: beside requests that it has had for long, each of which occupies a thread. */
  #room(held: readonly Request[]): boolean {
    const { limit, most, patience } = this.#pool.pace;
    const old = held.filter((each) => each.givenAt <= this.#now - patience).length;
    return held.length < limit || (old < most && held.length - old < limit);
  }

  #place(): string {
    return `seed ${this.#seed}, step ${this.#step}`;
  }
}

describe("the pool, whatever happens in whatever order", () => {
  for (const from of [1, 101, 201, 301]) {
    test(`every request is at one place, and moves on when it can (histories ${from} to ${from + 99})`, () => {
      for (let seed = from; seed < from + 100; seed += 1) new History(seed).run(300);
    });
  }
});
