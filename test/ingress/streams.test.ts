// Handlers that take a request's body while it arrives, on one HTTP/1 connection.
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { Exchange } from "../../src/exchange.js";
import { ticks } from "../../src/net/deadline.js";
import { answer, eventually, headOf, hello, type Served, serve, settle } from "./support.js";

/** What the handler has received. */
class Taken {
  exchange: Exchange | undefined;
  text = "";
  size = 0;
  ended = false;
  gone = false;
  /** Whole bodies that came with their head. */
  readonly whole: string[] = [];

  take(exchange: Exchange): void {
    const { stream, body } = exchange.request;
    if (stream === undefined) {
      this.whole.push(body.kind === "memory" ? Buffer.from(body.bytes).toString("latin1") : body.kind);
      answer(exchange, "whole");
      return;
    }
    this.exchange = exchange;
    exchange.onGone = () => {
      this.gone = true;
    };
  }

  start(): void {
    this.exchange?.request.stream?.start({
      bodyReceived: (octets) => {
        this.size += octets.length;
        if (this.text.length < 1000) this.text += Buffer.from(octets).toString("latin1");
      },
      bodyEnded: () => {
        this.ended = true;
      },
    });
  }

  credit(octets: number): void {
    this.exchange?.request.stream?.credit(octets);
  }
}

async function streamed(t: TestContext, config: Parameters<typeof serve>[2] = {}): Promise<readonly [Served, Taken]> {
  const taken = new Taken();
  return [await serve(t, (exchange) => taken.take(exchange), { ...config, streams: true }), taken];
}

const post = (fields: string): string => `POST /up HTTP/1.1\r\nHost: a\r\n${fields}\r\n`;

describe("a body that is taken while it arrives", () => {
  test("is whole from the beginning where it came with its head", async (t) => {
    const [served, taken] = await streamed(t);
    const client = await served.connect();
    client.send(`${post("Content-Length: 3\r\n")}abc${hello}`);
    await eventually(() => client.responses === 2);
    assert.deepEqual(taken.whole, ["abc", "empty"]);
  });

  test("counts as memory of requests until it is taken; where there is too much of that, little is read beyond it", async (t) => {
    const [served, taken] = await streamed(t, { requestMemoryTotal: 6000 });
    const { memory } = served.ingress;
    const client = await served.connect();
    const piece = "a".repeat(8000);
    client.send(post("Content-Length: 24002\r\n"), piece);
    await eventually(() => taken.exchange !== undefined);
    taken.start();
    await eventually(() => memory.used === 8000);
    client.send(piece);
    await settle();
    assert.deepEqual([taken.size, memory.used], [8000, 8000]);
    // As much waits for it as may.
    taken.credit(3904);
    await eventually(() => taken.size === 16_000);
    assert.equal(memory.used, 12_096);
    taken.credit(12_096);
    client.send(piece, "aa");
    await eventually(() => taken.ended);
    assert.deepEqual([taken.size, memory.used], [24_002, 8002]);
    if (taken.exchange !== undefined) answer(taken.exchange, "done");
    await eventually(() => client.responses === 1);
    assert.equal(memory.used, 0);
    taken.credit(8002);
    assert.equal(memory.used, 0);
  });

  test("counts no longer once its client has left, begun or not", async (t) => {
    const [served, taken] = await streamed(t);
    const { memory } = served.ingress;
    const client = await served.connect();
    client.send(post("Content-Length: 10\r\n"), "abc");
    await eventually(() => taken.exchange !== undefined);
    assert.equal(memory.used, 3);
    client.socket.destroy();
    await eventually(() => taken.gone);
    assert.equal(memory.used, 0);
    const refused = await served.connect();
    refused.send(post("Transfer-Encoding: chunked\r\n"), "3\r\nabc\r\nzz\r\n");
    await refused.until("400 Bad Request");
    refused.socket.end();
    await eventually(() => memory.used === 0);
  });

  test("comes in pieces, those before the handler began included, and its length is known", async (t) => {
    const [served, taken] = await streamed(t);
    const client = await served.connect();
    client.send(`${post("Content-Length: 6\r\n")}ab`);
    await eventually(() => taken.exchange !== undefined);
    client.send("cd");
    await settle();
    assert.deepEqual([taken.text, taken.exchange?.request.stream?.length], ["", 6]);
    taken.start();
    assert.equal(taken.text, "abcd");
    client.send("ef");
    await eventually(() => taken.ended);
    assert.equal(taken.text, "abcdef");
    if (taken.exchange !== undefined) answer(taken.exchange, "done");
    client.send(hello);
    await eventually(() => client.responses === 2);
  });

  test("is read no further than 64 KiB and a read beyond what was credited", async (t) => {
    const [served, taken] = await streamed(t);
    const client = await served.connect();
    client.send(post("Content-Length: 3000000\r\n"), Buffer.alloc(3_000_000));
    await eventually(() => taken.exchange !== undefined);
    taken.start();
    await settle();
    const first = taken.size;
    assert.ok(first > 0 && first < 400_000, `${first} octets were read`);
    taken.credit(first);
    await eventually(() => taken.size > first);
    await settle();
    const second = taken.size;
    assert.ok(second < first + 400_000, `${second} octets were read`);
    taken.credit(10_000_000);
    await eventually(() => taken.ended);
    assert.equal(taken.size, 3_000_000);
  });

  test("has no end where the client leaves", async (t) => {
    const [served, taken] = await streamed(t);
    const client = await served.connect();
    client.send(`${post("Content-Length: 6\r\n")}ab`);
    await eventually(() => taken.exchange !== undefined);
    taken.start();
    client.socket.end();
    await eventually(() => taken.gone);
    assert.equal(taken.ended, false);
  });

  test("that stops arriving is answered 408", async (t) => {
    const [served, taken] = await streamed(t);
    const client = await served.connect();
    client.send(`${post("Content-Length: 6\r\n")}ab`);
    await eventually(() => taken.exchange !== undefined);
    taken.start();
    served.deadlines.advance(ticks(60) + 1);
    await client.until("HTTP/1.1 408 ");
    await client.untilEnd();
    assert.equal(taken.gone, true);
  });

  test("may stop while its response goes on", async (t) => {
    const [served, taken] = await streamed(t);
    const client = await served.connect();
    client.send(`${post("Content-Length: 6\r\n")}ab`);
    await eventually(() => taken.exchange !== undefined);
    taken.start();
    taken.exchange?.respond(headOf(200), Buffer.from("begun"), false);
    await client.until("begun");
    await settle();
    served.deadlines.advance(ticks(120));
    await settle();
    client.send("cdef");
    await eventually(() => taken.ended);
    assert.equal(taken.gone, false);
  });

  test("of which too much is left behind a whole response closes the connection, and says so", async (t) => {
    const [served, taken] = await streamed(t);
    const client = await served.connect();
    client.send(post("Content-Length: 3000000\r\n"));
    await eventually(() => taken.exchange !== undefined);
    if (taken.exchange !== undefined) answer(taken.exchange, "no");
    await client.until(/\r\nConnection: close\r\n[\s\S]*\r\n\r\nno$/);
    await client.untilEnd();
  });

  test("that grows too large is answered 413", async (t) => {
    const [served, taken] = await streamed(t, { maxBody: 10 });
    const client = await served.connect();
    client.send(`${post("Transfer-Encoding: chunked\r\n")}3\r\nabc\r\n`);
    await eventually(() => taken.exchange !== undefined);
    taken.start();
    client.send("9\r\n123456789\r\n");
    await client.until("HTTP/1.1 413 ");
    assert.deepEqual([taken.text.slice(0, 3), taken.gone], ["abc", true]);
  });
});
