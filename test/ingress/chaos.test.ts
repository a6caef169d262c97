// Many clients that do what clients do, and handlers that do what handlers do, in an order a seed decides. Afterwards
// nothing may be left: no connection, no open exchange, no temporary file.
import assert from "node:assert/strict";
import { test } from "node:test";
import { logLine } from "../../src/channels.js";
import type { Exchange } from "../../src/exchange.js";
import { outflow } from "../../src/net/client-socket.js";
import { ticks } from "../../src/net/deadline.js";
import { type Client, eventually, headOf, hello, openFilesIn, serve } from "./support.js";

/** A small generator of numbers below `most` (mulberry32). */
function generator(seed: number): (most: number) => number {
  let state = seed;
  return (most) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % most;
  };
}

const body = Buffer.alloc(90_000, "body");

const clientMoves: readonly ((client: Client) => void)[] = [
  (client) => client.send(hello),
  (client) => client.send(hello, hello, hello.slice(0, 20)),
  (client) => client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n", body),
  (client) => client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n", body.subarray(0, 70_000)),
  (client) =>
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n15f90\r\n", body, "\r\n0\r\n\r\n"),
  (client) => client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"),
  (client) => client.send("HEAD / HTTP/1.0\r\n\r\n"),
  (client) => client.send("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n"),
  (client) => client.send("\0"),
  (client) => void client.socket.end(),
  (client) => void client.socket.destroy(),
  (client) => void client.socket.resetAndDestroy(),
  (client) => void client.socket.pause(),
  (client) => void client.socket.resume(),
];

const handlerMoves: readonly ((exchange: Exchange) => void)[] = [
  (exchange) => exchange.respond(headOf(200), Buffer.from("whole"), true),
  (exchange) => exchange.respond(headOf(200), Buffer.alloc(300_000), true),
  (exchange) => exchange.respond(headOf(200), Buffer.from("part"), false),
  (exchange) => exchange.respond(headOf(200, { "Content-Length": "7" }), Buffer.from("short"), true),
  (exchange) => exchange.respond(headOf(204), undefined, true),
  (exchange) => exchange.write(Buffer.alloc(20_000), false),
  (exchange) => exchange.write(Buffer.from("end"), true),
  (exchange) => exchange.write(Buffer.alloc(0), true),
  (exchange) => exchange.cut(),
  (exchange) => exchange.refuse(503, "No."),
];

for (const seed of [1, 2, 3]) {
  test(`whatever clients and handlers do, nothing is left (seed ${seed})`, async (t) => {
    const random = generator(seed);
    const silence = (): void => {};
    logLine.subscribe(silence);
    t.after(() => logLine.unsubscribe(silence));
    const exchanges: Exchange[] = [];
    const gone = new Map<Exchange, number>();
    const requestMemoryTotal = seed === 3 ? 20_000 : 2 ** 26;
    const handler = (exchange: Exchange): void => {
      exchanges.push(exchange);
      exchange.onGone = () => {
        assert.equal(exchange.ended, true);
        gone.set(exchange, (gone.get(exchange) ?? 0) + 1);
      };
      exchange.onFlushed = () => assert.equal(exchange.ended, false);
      if (random(4) === 0) handlerMoves[random(handlerMoves.length)]?.(exchange);
      if (random(100) === 0) throw new Error("a mistake in the handler");
    };
    const served = await serve(t, handler, { requestMemoryTotal });
    const clients: Client[] = [];
    for (let move = 0; move < 1500; move++) {
      if (clients.length < 120 && random(8) === 0) clients.push(await served.connect());
      const client = clients[random(clients.length || 1)];
      if (client !== undefined && !client.socket.destroyed && !client.socket.writableEnded) {
        clientMoves[random(clientMoves.length)]?.(client);
      }
      const exchange = exchanges[random(exchanges.length || 1)];
      if (exchange !== undefined) handlerMoves[random(handlerMoves.length)]?.(exchange);
      if (random(50) === 0) served.deadlines.advance(ticks(1));
      if (random(3) === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    const drained = served.ingress.drain();
    for (const client of clients) client.socket.destroy();
    await eventually(() => {
      for (const exchange of exchanges) exchange.refuse(503, "The end.");
      for (const exchange of exchanges) exchange.write(Buffer.alloc(0), true);
      served.deadlines.advance(ticks(1));
      return served.ingress.connections === 0;
    });
    await drained;
    assert.ok(exchanges.length > 50, `${exchanges.length} exchanges`);
    assert.equal(served.ingress.requests, exchanges.length);
    assert.ok(exchanges.every((exchange) => exchange.ended));
    assert.ok([...gone.values()].every((times) => times === 1));
    await eventually(() => openFilesIn(served.tempDir).length === 0);
    assert.deepEqual([served.ingress.memory.used, outflow.unsent], [0, 0]);
  });
}
