import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Scarcity } from "../../src/egress/scarcity.js";
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

test("connections are kept as long as new ones are answered", () => {
  const scarcity = new Scarcity<{ answered: boolean }>();
  const quick = { answered: false };
  scarcity.opened(quick, 1);
  assert.equal(scarcity.waits(2), false);
  quick.answered = true;
  assert.equal(scarcity.waits(100), false);
  const slow = { answered: false };
  scarcity.opened(slow, 100);
  assert.equal(scarcity.waits(102), true);
  scarcity.closed(slow);
  assert.equal(scarcity.waits(102), false);
  // For a minute it is known: the next one need not wait for long.
  const next = { answered: false };
  scarcity.opened(next, 200);
  assert.equal(scarcity.waits(200), true);
  scarcity.closed(next);
  scarcity.opened(next, 400);
  assert.equal(scarcity.waits(400), false);
});
