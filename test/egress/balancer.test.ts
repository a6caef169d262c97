import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  Balancer,
  type BalancerOptions,
  hashOf,
  isUp,
  type Member,
  type MemberConfig,
} from "../../src/egress/balancer.js";
import { random } from "../pool/random.js";

const options: BalancerOptions = { balance: "least-outstanding", maxFails: 3, failTimeout: 10_000 };

function balancerOf(servers: readonly Partial<MemberConfig>[], more: Partial<BalancerOptions> = {}): Balancer<string> {
  const balancer = new Balancer<string>({ ...options, ...more });
  balancer.update(
    servers.map((server, index) => ({ key: "abcdefgh".charAt(index), weight: 1, backup: false, ...server })),
    ({ key }) => key,
  );
  return balancer;
}

function member(balancer: Balancer<string>, key: string): Member<string> {
  const found = balancer.members.find((candidate) => candidate.key === key);
  if (found === undefined) throw new Error(`no member ${key}`);
  return found;
}

/** Chooses and begins; the member's key, "" where there is none. */
function give(balancer: Balancer<string>, now = 0, hash = 0, tried: readonly Member<string>[] = []): string {
  const picked = balancer.pick(now, hash, tried);
  if (picked !== undefined) balancer.began(picked);
  return picked?.key ?? "";
}

function fail(balancer: Balancer<string>, key: string, now: number): unknown {
  const failing = member(balancer, key);
  return balancer.ended(failing, balancer.began(failing), "failed", now);
}

function many(count: number, next: () => string): string {
  return Array.from({ length: count }, next).join("");
}

describe("the choice of a server", () => {
  test("round robin gives each its share, spread as evenly as can be", () => {
    const balancer = balancerOf([{ weight: 4 }, { weight: 2 }, { weight: 1 }], { balance: "round-robin" });
    assert.equal(
      many(14, () => give(balancer)),
      "abacabaabacaba",
    );
  });

  test("least outstanding goes by what each has, in proportion to its weight", () => {
    const balancer = balancerOf([{ weight: 2 }, {}]);
    const given = many(30, () => give(balancer));
    assert.equal(given.replaceAll("b", "").length, 20);
    balancer.ended(member(balancer, "b"), false, "answered", 0);
    assert.equal(give(balancer), "b");
  });

  test("least outstanding among equals takes turns, by weight too", () => {
    const balancer = balancerOf([{ weight: 2 }, {}, {}]);
    const given = many(40, () => {
      const key = give(balancer);
      balancer.ended(member(balancer, key), false, "answered", 0);
      return key;
    });
    assert.deepEqual([given.split("a").length - 1, given.split("b").length - 1], [20, 10]);
  });

  test("a hash gives a key to the same server always, and each server its share of keys", () => {
    const balancer = balancerOf([{ weight: 2 }, {}, {}], { balance: "hash" });
    const counts = new Map<string, number>();
    for (let key = 0; key < 8000; key += 1) {
      const first = give(balancer, 0, hashOf(`key ${key}`));
      assert.equal(give(balancer, 0, hashOf(`key ${key}`)), first);
      counts.set(first, (counts.get(first) ?? 0) + 1);
    }
    for (const [key, share] of [
      ["a", 4000],
      ["b", 2000],
      ["c", 2000],
    ] as const) {
      assert.ok(Math.abs((counts.get(key) ?? 0) - share) < 200, `${key}: ${counts.get(key)}`);
    }
  });

  test("with a hash a server that goes moves its own keys only, and back when it comes again", () => {
    const keys = Array.from({ length: 2000 }, (_, index) => hashOf(`key ${index}`));
    const balancer = balancerOf([{}, {}, {}, {}], { balance: "hash" });
    const before = keys.map((key) => give(balancer, 0, key));
    const configs = balancer.members.map(({ key, weight, backup }) => ({ key, weight, backup }));
    balancer.update(
      configs.filter(({ key }) => key !== "c"),
      ({ key }) => key,
    );
    const without = keys.map((key) => give(balancer, 0, key));
    for (const [index, key] of before.entries()) if (key !== "c") assert.equal(without[index], key);
    assert.ok(new Set(without.filter((_, index) => before[index] === "c")).size === 3);
    balancer.update(configs, ({ key }) => key);
    assert.deepEqual(
      keys.map((key) => give(balancer, 0, key)),
      before,
    );
  });

  test("backups get requests only while no primary is up", () => {
    const balancer = balancerOf([{}, { backup: true }]);
    assert.equal(
      many(3, () => give(balancer)),
      "aaa",
    );
    for (let failure = 0; failure < 3; failure += 1) fail(balancer, "a", 0);
    assert.equal(
      many(3, () => give(balancer)),
      "bbb",
    );
    assert.equal(give(balancer, 10_000), "a");
  });

  test("a server that was tried is not tried again, and where none is left there is none", () => {
    const balancer = balancerOf([{}, {}]);
    const [a, b] = [member(balancer, "a"), member(balancer, "b")];
    assert.equal(give(balancer, 0, 0, [a]), "b");
    assert.equal(give(balancer, 0, 0, [a, b]), "");
  });
});

describe("a server that fails", () => {
  test("is left out after so many failures within the time, and not for as many spread over longer", () => {
    const balancer = balancerOf([{}, {}]);
    assert.deepEqual(
      [fail(balancer, "a", 0), fail(balancer, "a", 1), fail(balancer, "a", 10_002)],
      [undefined, undefined, undefined],
    );
    assert.equal(fail(balancer, "a", 10_003), undefined);
    assert.equal(fail(balancer, "a", 10_004), "ejected");
    assert.equal(
      many(5, () => give(balancer, 10_005)),
      "bbbbb",
    );
  });

  test("is tried with one request when its time is over; that it answers brings it back", () => {
    const balancer = balancerOf([{}, {}]);
    for (let failure = 0; failure < 3; failure += 1) fail(balancer, "a", 0);
    assert.equal(give(balancer, 9_999), "b");
    const trial = balancer.pick(10_000, 0, []);
    assert.equal(trial?.key, "a");
    assert.ok(trial !== undefined && balancer.began(trial));
    assert.equal(
      many(3, () => give(balancer, 10_001)),
      "bbb",
    );
    assert.equal(balancer.ended(trial, true, "answered", 10_002), "back");
    assert.equal(give(balancer, 10_003), "a");
  });

  test("is left out for twice as long each time its trial fails, up to a bound", () => {
    const balancer = balancerOf([{}, {}]);
    for (let failure = 0; failure < 3; failure += 1) fail(balancer, "a", 0);
    const times: number[] = [];
    let now = 0;
    for (let round = 0; round < 7; round += 1) {
      const until = member(balancer, "a").ejectedUntil;
      times.push((until - now) / 1000);
      now = until;
      assert.equal(fail(balancer, "a", now), "ejected");
    }
    assert.deepEqual(times, [10, 20, 40, 80, 160, 160, 160]);
  });

  test("whose trial's client leaves is tried with the next request", () => {
    const balancer = balancerOf([{}, {}]);
    for (let failure = 0; failure < 3; failure += 1) fail(balancer, "a", 0);
    const a = member(balancer, "a");
    assert.equal(give(balancer, 10_000), "a");
    balancer.ended(a, true, "gone", 10_001);
    assert.equal(give(balancer, 10_002), "a");
  });

  test("is not brought back by an answer to what it was given before", () => {
    const balancer = balancerOf([{}, {}]);
    const a = member(balancer, "a");
    const before = balancer.began(a);
    for (let failure = 0; failure < 3; failure += 1) fail(balancer, "a", 0);
    assert.equal(balancer.ended(a, before, "answered", 1), undefined);
    assert.equal(give(balancer, 2), "b");
  });

  test("is tried all the same where all are down; but only first, not after another", () => {
    const balancer = balancerOf([{}, {}, { backup: true }]);
    for (const key of ["a", "b", "c"]) for (let failure = 0; failure < 3; failure += 1) fail(balancer, key, 0);
    assert.deepEqual([...new Set(many(4, () => give(balancer, 1)))].sort(), ["a", "b"]);
    assert.equal(give(balancer, 1, 0, [member(balancer, "a")]), "");
  });

  test("asked before its time is not left out for longer when it fails, and is back when it answers", () => {
    const balancer = balancerOf([{}]);
    for (let failure = 0; failure < 3; failure += 1) fail(balancer, "a", 0);
    assert.equal(fail(balancer, "a", 5_000), undefined);
    const a = member(balancer, "a");
    assert.equal(a.ejectedUntil, 10_000);
    assert.equal(balancer.ended(a, balancer.began(a), "answered", 6_000), "back");
  });

  test("is never left out where that is turned off", () => {
    const balancer = balancerOf([{}], { maxFails: 0 });
    for (let failure = 0; failure < 100; failure += 1) assert.equal(fail(balancer, "a", 0), undefined);
    assert.ok(isUp(member(balancer, "a"), 0));
  });
});

describe("health checks", () => {
  test("the first decides alone, later ones only two in a row", () => {
    const balancer = balancerOf([{}, {}]);
    const a = member(balancer, "a");
    const results = [false, true, true, false, true, false, false].map((well) => balancer.checked(a, well));
    assert.deepEqual(results, ["unhealthy", undefined, "healthy", undefined, undefined, undefined, "unhealthy"]);
  });

  test("a server that fails them gets nothing while another is up", () => {
    const balancer = balancerOf([{}, {}]);
    balancer.checked(member(balancer, "a"), false);
    assert.equal(
      many(3, () => give(balancer)),
      "bbb",
    );
  });
});

describe("a server that drains", () => {
  test("gets nothing, even where no other is up", () => {
    const balancer = balancerOf([{}, {}]);
    member(balancer, "a").draining = true;
    for (let failure = 0; failure < 3; failure += 1) fail(balancer, "b", 0);
    assert.equal(give(balancer), "b");
    member(balancer, "b").draining = true;
    assert.equal(give(balancer), "");
  });
});

describe("membership", () => {
  test("a server that stays keeps what is known of it; those that go are told", () => {
    const balancer = balancerOf([{}, {}]);
    for (let failure = 0; failure < 3; failure += 1) fail(balancer, "a", 0);
    const gone = balancer.update(
      [
        { key: "a", weight: 5, backup: false },
        { key: "z", weight: 1, backup: false },
      ],
      ({ key }) => key,
    );
    assert.deepEqual(
      gone.map(({ key }) => key),
      ["b"],
    );
    assert.deepEqual([member(balancer, "a").ejectedUntil, member(balancer, "a").weight], [10_000, 5]);
    assert.equal(give(balancer), "z");
  });
});

// Histories left to chance, with what must hold at every step.
describe("whatever happens", () => {
  for (const balance of ["least-outstanding", "round-robin", "hash"] as const) {
    test(`no rule is broken (${balance})`, () => {
      for (let seed = 1; seed <= 60; seed += 1) history(seed, balance);
    });
  }
});

interface Running {
  readonly member: Member<string>;
  readonly trial: boolean;
}

function history(seed: number, balance: BalancerOptions["balance"]): void {
  const chance = random(seed);
  const all = "abcdefgh".split("").map((key) => ({ key, weight: 1 + chance(3), backup: chance(4) === 0 }));
  const balancer = new Balancer<string>({ ...options, balance });
  balancer.update(all.slice(0, 1 + chance(8)), ({ key }) => key);
  const running: Running[] = [];
  let now = 0;
  for (let step = 0; step < 600; step += 1) {
    now += chance(1500);
    const { members } = balancer;
    const about = `seed ${seed}, step ${step}`;
    const any = members[chance(members.length)];
    switch (chance(10)) {
      case 0:
        if (any !== undefined) any.draining = chance(3) === 0;
        break;
      case 1:
        if (any !== undefined) balancer.checked(any, chance(3) > 0);
        break;
      case 2:
        if (chance(10) === 0) {
          balancer.update(
            all.filter(() => chance(3) > 0),
            ({ key }) => key,
          );
        }
        break;
      case 3:
      case 4:
      case 5: {
        const [ended] = running.splice(chance(running.length), 1);
        if (ended === undefined) break;
        const outcome = (["answered", "failed", "failed", "gone"] as const)[chance(4)] ?? "gone";
        balancer.ended(ended.member, ended.trial, outcome, now);
        break;
      }
      default: {
        const tried = chance(4) === 0 && any !== undefined ? [any] : [];
        const up = members.filter((candidate) => isUp(candidate, now) && !tried.includes(candidate));
        const left = members.filter((candidate) => !candidate.draining);
        const picked = balancer.pick(now, chance(1000), tried);
        if (picked === undefined) {
          assert.ok(
            up.length === 0 && (tried.length > 0 || left.length === 0),
            `${about}: nobody, though there is one`,
          );
          break;
        }
        assert.ok(!picked.draining && !tried.includes(picked) && members.includes(picked), about);
        if (up.length > 0) {
          assert.ok(up.includes(picked), `${about}: one that is down, though another is up`);
          assert.ok(!picked.backup || up.every(({ backup }) => backup), `${about}: a backup too early`);
        }
        running.push({ member: picked, trial: balancer.began(picked) });
      }
    }
    for (const candidate of balancer.members) {
      const its = running.filter((each) => each.member === candidate);
      assert.equal(candidate.outstanding, its.length, about);
      assert.equal(
        candidate.trial,
        its.some(({ trial }) => trial),
        about,
      );
      assert.ok(its.filter(({ trial }) => trial).length <= 1, `${about}: two trials`);
      assert.ok(candidate.ejectedUntil - now <= 160_000, about);
    }
  }
}
