import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Scarcity } from "../../src/egress/scarcity.js";
import { Deadlines } from "../../src/net/deadline.js";
import { application } from "./fastcgi-server.js";
import { fakeServer, groupOf, oneByOne, response, serverAt, settle } from "./support.js";

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
  const scarcity = new Scarcity<{ answered: boolean }>(deadlines, () => {
    closed += 1;
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
