import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { UpstreamServer } from "../../src/config/config.js";
import { Scarcity } from "../../src/egress/scarcity.js";
import { Deadlines } from "../../src/net/deadline.js";
import { application } from "./fastcgi-server.js";
import { answering, fakeServer, groupOf, oneByOne, response, serverAt, settle, type TestGroup } from "./support.js";

describe("a server that accepts one connection at a time", () => {
  test("is given the next over HTTP when a kept one would keep it waiting", async (context) => {
    const server = await fakeServer(context, oneByOne());
    const { send, pass } = groupOf(context, [server.port]);
    const first = send();
    const one = await server.connection();
    await one.until("\r\n\r\n");
    const second = send();
    await server.connection(2);
    pass(1);
    one.send(response("first"));
    assert.equal(await first.end(), "200 whole first");
    const two = await server.connection(2);
    await two.until("\r\n\r\n");
    two.send(response("second"));
    assert.equal(await second.end(), "200 whole second");
  });

  test("is given the next over FastCGI when a kept one would keep it waiting", async (context) => {
    const server = await application(
      context,
      (asked) => {
        if (server.asked.length > 1) asked.answer("Status: 200 OK\r\n\r\nsecond");
      },
      { oneByOne: true },
    );
    const { send, pass } = groupOf(context, [
      serverAt(server.port, { url: `fastcgi://127.0.0.1:${server.port}`, protocol: "fastcgi" }),
    ]);
    const first = send();
    await server.connection();
    const second = send();
    await server.connection(2);
    await settle();
    pass(1);
    server.asked[0]?.answer("Status: 200 OK\r\n\r\nfirst");
    assert.equal(await first.end(), "200 whole first");
    assert.equal(await second.end(), "200 whole second");
  });

  test("is given a request that no idle connection is good for in the place of one", async (context) => {
    const server = await fakeServer(context, oneByOne());
    const { send, pass } = groupOf(context, [server.port]);
    const first = send();
    const one = await server.connection();
    await one.until("\r\n\r\n");
    one.send(response("first"));
    assert.equal(await first.end(), "200 whole first");
    pass(10);
    const post = send({ method: "POST" });
    const two = await server.connection(2);
    await two.until("\r\n\r\n");
    two.send(response("posted"));
    assert.equal(await post.end(), "200 whole posted");
  });
});

describe("a server that accepts one connection at a time, asked by two processes", () => {
  /** Two groups of it, each of which hears from the other as fronts do. */
  const pairOf = (context: TestContext, server: UpstreamServer): readonly [TestGroup, TestGroup] => {
    const one: TestGroup = groupOf(context, [server], {}, { tellScarce: (address) => two.group.makeRoom(address) });
    const two: TestGroup = groupOf(context, [server], {}, { tellScarce: (address) => one.group.makeRoom(address) });
    return [one, two];
  };
  const passBoth = ([one, two]: readonly [TestGroup, TestGroup]): void => {
    one.pass(1);
    two.pass(1);
  };

  test("is given the request of one when the other has kept a connection over HTTP", async (context) => {
    const server = await fakeServer(context, oneByOne());
    const pair = pairOf(context, serverAt(server.port));
    const first = pair[0].send();
    const one = await server.connection();
    await one.until("\r\n\r\n");
    one.send(response("first"));
    assert.equal(await first.end(), "200 whole first");
    assert.equal(pair[0].group.status().servers[0]?.connections.idle, 1);
    const second = pair[1].send();
    const two = await server.connection(2);
    passBoth(pair);
    await two.until("\r\n\r\n");
    two.send(response("second"));
    assert.equal(await second.end(), "200 whole second");
    // From then on it is told at once.
    const third = pair[0].send();
    const three = await server.connection(3);
    await three.until("\r\n\r\n");
    three.send(response("third"));
    assert.equal(await third.end(), "200 whole third");
  });

  test("is given the request of one when the other has kept a connection over FastCGI", async (context) => {
    const server = await application(context, (asked) => asked.answer("Status: 200 OK\r\n\r\nok"), { oneByOne: true });
    const url = `fastcgi://127.0.0.1:${server.port}`;
    const pair = pairOf(context, serverAt(server.port, { url, protocol: "fastcgi" }));
    for (const [turn, { send }] of [...pair, ...pair].entries()) {
      const exchange = send();
      await server.connection(turn + 1);
      await settle();
      if (turn === 1) passBoth(pair);
      assert.equal(await exchange.end(), "200 whole ok");
    }
  });

  test("keeps connections again when neither has waited for a minute", async (context) => {
    const server = await fakeServer(
      context,
      answering(() => response("ok")),
    );
    const pair = pairOf(context, serverAt(server.port));
    pair[0].group.makeRoom(`127.0.0.1:${server.port}`);
    const idle = async (): Promise<number | undefined> => {
      assert.equal(await pair[0].send().end(), "200 whole ok");
      await settle();
      return pair[0].group.status().servers[0]?.connections.idle;
    };
    assert.equal(await idle(), 0);
    pair[0].pass(61);
    assert.equal(await idle(), 1);
  });

  test("tells others once in a quarter of a second", () => {
    const deadlines = new Deadlines(false);
    let told = 0;
    const scarcity = new Scarcity<{ answered: boolean }>(deadlines, {
      closeIdle: () => {},
      tellOthers: () => {
        told += 1;
      },
    });
    scarcity.makeRoom();
    for (let n = 0; n < 5; n += 1) scarcity.opened({ answered: false });
    assert.equal(told, 1);
    deadlines.advance();
    assert.equal(told, 2);
  });
});

test("many requests at once are all answered, though the first connections were kept", async (context) => {
  const server = await application(context, (asked) => asked.answer("Status: 200 OK\r\n\r\nok"), { oneByOne: true });
  const { send, pass } = groupOf(context, [
    serverAt(server.port, { url: `fastcgi://127.0.0.1:${server.port}`, protocol: "fastcgi" }),
  ]);
  const exchanges = Array.from({ length: 10 }, () => send());
  await server.connection(10);
  for (let turn = 0; turn < 100 && exchanges.some(({ ended }) => !ended); turn += 1) {
    await settle();
    pass(1);
  }
  assert.deepEqual(
    exchanges.map(({ outcome }) => outcome),
    Array.from({ length: 10 }, () => "200 whole ok"),
  );
});

test("connections are kept as long as new ones are answered", () => {
  const deadlines = new Deadlines(false);
  let closed = 0;
  const scarcity = new Scarcity<{ answered: boolean }>(deadlines, {
    closeIdle: () => {
      closed += 1;
    },
    tellOthers: () => {},
  });
  const quick = { answered: false };
  scarcity.opened(quick);
  assert.equal(scarcity.waits, false);
  quick.answered = true;
  deadlines.advance(100);
  assert.equal(scarcity.waits, false);
  assert.equal(closed, 0);
  const slow = { answered: false };
  scarcity.opened(slow);
  deadlines.advance(4);
  assert.equal(scarcity.waits, true);
  assert.ok(closed > 0);
  scarcity.closed(slow);
  assert.equal(scarcity.waits, false);
  // For a minute it is known: the next one need not wait for long.
  const next = { answered: false };
  scarcity.opened(next);
  assert.equal(scarcity.waits, true);
  scarcity.closed(next);
  deadlines.advance(300);
  scarcity.opened(next);
  assert.equal(scarcity.waits, false);
});
