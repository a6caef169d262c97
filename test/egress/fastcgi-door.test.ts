// The FastCGI driver against the FastCGI door.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { UpstreamServer } from "../../src/config/config.js";
import type { Exchange } from "../../src/exchange.js";
import { answer, headOf, type Served, serve, variablesOf } from "../ingress/support.js";
import { eventually, groupOf, logged, serverAt } from "./support.js";

const to = ({ port }: Served): UpstreamServer =>
  serverAt(port, { url: `fastcgi://127.0.0.1:${port}`, protocol: "fastcgi" });

const bodyOf = ({ request: { body } }: Exchange) =>
  body.kind === "memory" ? Buffer.from(body.bytes).toString("latin1") : body.kind;

for (const multiplex of [1, 2000]) {
  describe(`driver and door, ${multiplex === 1 ? "a connection for each request" : "one for all"}`, () => {
    test("a thousand requests at once, each with its own answer", async (context) => {
      const exchanges: Exchange[] = [];
      const door = await serve(context, (exchange) => exchanges.push(exchange), {}, false, "fastcgi");
      const { send } = groupOf(context, [to(door)], { multiplex });
      const count = multiplex === 1 ? 100 : 1000;
      const sent = Array.from({ length: count }, (_, index) =>
        send({
          method: "POST",
          variables: { CONTENT_LENGTH: String(String(index).length) },
          body: { kind: "memory", bytes: Buffer.from(String(index)) },
        }),
      );
      await eventually(() => exchanges.length === count);
      assert.equal(door.ingress.connections, multiplex === 1 ? count : 1);
      for (const exchange of exchanges.reverse()) answer(exchange, `<${bodyOf(exchange)}>`);
      for (const [index, exchange] of sent.entries()) assert.equal(await exchange.end(), `200 whole <${index}>`);
    });

    test("an environment comes through", async (context) => {
      const seen: Map<string, string>[] = [];
      const handler = (exchange: Exchange) => {
        seen.push(variablesOf(exchange));
        answer(exchange, "ok");
      };
      const door = await serve(context, handler, {}, false, "fastcgi");
      const { send } = groupOf(context, [to(door)], { multiplex });
      const variables = {
        REQUEST_URI: "/a%20b?c=d",
        PATH_INFO: "/a b",
        QUERY_STRING: "c=d",
        HTTP_X_LONG: "x".repeat(40_000),
        HTTP_COOKIE: "\u00e9",
        "wsgi.url_scheme": "https",
      };
      assert.equal(await send({ variables }).end(), "200 whole ok");
      for (const [name, value] of Object.entries(variables)) assert.equal(seen[0]?.get(name), value, name);
    });

    test("a large response, as fast as it is taken", async (context) => {
      const piece = Buffer.alloc(1_000_000, "x");
      const handler = (exchange: Exchange) => {
        let left = 20;
        exchange.onFlushed = () => {
          left -= 1;
          exchange.write(left > 0 ? piece : Buffer.alloc(0), left === 0);
        };
        exchange.respond(headOf(200), piece, false);
      };
      const door = await serve(context, handler, {}, false, "fastcgi");
      const exchange = groupOf(context, [to(door)], { multiplex }, { responseMemory: 65_536 }).send();
      await exchange.end();
      assert.equal(exchange.whole, true);
      assert.equal(exchange.body.length, 20_000_000);
    });

    test("a response that is cut arrives as cut, beside others too", async (context) => {
      const exchanges: Exchange[] = [];
      const door = await serve(context, (exchange) => exchanges.push(exchange), {}, false, "fastcgi");
      const { send } = groupOf(context, [to(door)], { multiplex });
      const [cut, whole] = [send(), send()];
      await eventually(() => exchanges.length === 2);
      exchanges[0]?.respond(headOf(200), Buffer.from("hel"), false);
      await eventually(() => cut.body === "hel");
      exchanges[0]?.cut();
      assert.equal(await cut.end(), "200 cut hel");
      if (exchanges[1] !== undefined) answer(exchanges[1], "ok");
      assert.equal(await whole.end(), "200 whole ok");
    });

    test("a client that leaves is gone at the other end", async (context) => {
      let gone = 0;
      const exchanges: Exchange[] = [];
      const handler = (exchange: Exchange) => {
        exchange.onGone = () => {
          gone += 1;
        };
        exchanges.push(exchange);
      };
      const door = await serve(context, handler, {}, false, "fastcgi");
      const { send } = groupOf(context, [to(door)], { multiplex });
      const [leaver, stayer] = [send(), send()];
      await eventually(() => exchanges.length === 2);
      leaver.leave();
      await eventually(() => gone === 1);
      for (const exchange of exchanges) if (!exchange.ended) answer(exchange, "ok");
      assert.equal(await stayer.end(), "200 whole ok");
    });

    test("a server that drains loses nothing", async (context) => {
      const lines = logged(context);
      const exchanges: Exchange[] = [];
      const one = await serve(context, (exchange) => exchanges.push(exchange), {}, false, "fastcgi");
      const other = await serve(context, (exchange) => answer(exchange, "other"), {}, false, "fastcgi");
      const { send } = groupOf(context, [to(one), { ...to(other), backup: true }], { multiplex });
      const first = send();
      await eventually(() => exchanges.length === 1);
      const drained = one.ingress.drain();
      const second = send({ method: "POST", body: { kind: "memory", bytes: Buffer.from("x") } });
      if (multiplex === 1) {
        await eventually(() => exchanges.length === 2);
        if (exchanges[1] !== undefined) answer(exchanges[1], "one");
      }
      assert.equal(await second.end(), multiplex === 1 ? "200 whole one" : "200 whole other");
      if (exchanges[0] !== undefined) answer(exchanges[0], "one");
      assert.equal(await first.end(), "200 whole one");
      await drained;
      assert.deepEqual(
        lines.filter((line) => line.startsWith("error")),
        [],
      );
    });
  });
}
