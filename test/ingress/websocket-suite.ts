// What is true of a WebSocket over every protocol that carries one.
import assert from "node:assert/strict";
import type { Duplex } from "node:stream";
import { describe, type TestContext, test } from "node:test";
import { type RequestEnded, requestEnded } from "../../src/channels.js";
import type { Exchange, Handler } from "../../src/exchange.js";
import { ticks } from "../../src/net/deadline.js";
import { frame, opcodes, type WebSocketClient } from "../support/websocket-client.js";
import { Accepted } from "./accepted.js";
import { answer, eventually, inTime, type Served, type serve, settle } from "./support.js";

export type Handle = (accepted: Accepted) => void;

/** Takes every request for a WebSocket, and accepts it or does what `handle` does; answers other requests. */
export class Taker {
  readonly accepted: Accepted[] = [];
  readonly handler: Handler;

  constructor(handle: Handle = (each) => void each.accept()) {
    this.handler = (exchange: Exchange): void => {
      if (exchange.upgrade === undefined) {
        answer(exchange, `ordinary ${exchange.request.target}`);
        return;
      }
      const one = new Accepted(exchange);
      this.accepted.push(one);
      handle(one);
    };
  }

  get last(): Accepted {
    const last = this.accepted.at(-1);
    if (last === undefined) throw new Error("nothing was accepted");
    return last;
  }
}

export interface Sockets<Carrier extends Duplex> extends Served {
  readonly accepted: readonly Accepted[];
  /** Asks for a WebSocket, sends frames at once, and does not wait for an answer. */
  begin(...frames: readonly Uint8Array[]): Promise<WebSocketClient<Carrier>>;
  /** A client, and what it is at the server. Those of one test share a connection where the protocol lets them. */
  pair(): Promise<readonly [WebSocketClient<Carrier>, Accepted]>;
  /** Resolves when what carried the only WebSocket has ended so; rejects where it ended otherwise. */
  over(client: WebSocketClient<Carrier>, how: "closed" | "cut"): Promise<void>;
}

export interface Carriage<Carrier extends Duplex> {
  readonly name: string;
  /** What the access log calls it. */
  readonly protocol: string;
  /** Messages of 50,000 octets of which a handler that pauses is given fewer. */
  readonly given: number;
  sockets(context: TestContext, config?: Parameters<typeof serve>[2], handle?: Handle): Promise<Sockets<Carrier>>;
}

export function webSocketSuite<Carrier extends Duplex>(carriage: Carriage<Carrier>): void {
  describe(`a WebSocket over ${carriage.name}`, () => {
    messages(carriage);
    ends(carriage);
    stops(carriage);
    slowness(carriage);
  });
}

function messages<Carrier extends Duplex>({ sockets }: Carriage<Carrier>): void {
  test("has messages go both ways, text and binary, of any length", async (t) => {
    const served = await sockets(t);
    const [client, socket] = await served.pair();
    client.text("grüß dich");
    client.binary(Buffer.from([0, 255]));
    client.text("");
    const lengths = [1, 125, 126, 127, 65535, 65536, 300_000];
    for (const length of lengths) client.binary(Buffer.alloc(length, 1));
    await eventually(() => socket.messages.length === 3 + lengths.length);
    assert.deepEqual(socket.messages.slice(0, 3), ["grüß dich", "0x00ff", ""]);
    assert.deepEqual(
      socket.messages.slice(3).map((message) => message.length / 2 - 1),
      lengths,
    );
    let left = 0;
    const flushed = (): void => {
      left += 1;
    };
    socket.stream?.send(Buffer.from("hallo"), true, flushed);
    for (const length of [70_000, 1_000_000]) socket.stream?.send(Buffer.alloc(length, 7), false, flushed);
    socket.stream?.send(Buffer.from("after"), true, flushed);
    assert.equal(await client.nextText(), "text hallo");
    for (const length of [70_000, 1_000_000]) {
      const large = await client.next();
      assert.ok(large.opcode === opcodes.binary && large.payload.equals(Buffer.alloc(length, 7)));
    }
    assert.equal(await client.nextText(), "text after");
    await eventually(() => left === 4);
  });

  test("loses no message that came before it was accepted", async (t) => {
    const served = await sockets(t, {}, () => {});
    const client = await served.begin(frame(opcodes.text, "early"));
    await eventually(() => served.accepted.length === 1);
    client.text("later");
    await settle();
    const [socket] = served.accepted;
    socket?.accept();
    await eventually(() => socket?.messages.length === 2);
    assert.deepEqual(socket?.messages, ["early", "later"]);
  });

  test("ends with 1009 where a message is larger than --ws-max-size, and others go on", async (t) => {
    const served = await sockets(t, { wsMaxSize: 1000 });
    const [client, socket] = await served.pair();
    const [other, unharmed] = await served.pair();
    client.binary(Buffer.alloc(1001));
    assert.equal(await client.nextText(), "close 1009 Max payload size exceeded");
    await client.untilEnd();
    client.socket.end();
    await eventually(() => socket.exchange.ended);
    assert.deepEqual([socket.closed, socket.messages], ["1009 Max payload size exceeded", []]);
    other.binary(Buffer.alloc(1000));
    await eventually(() => unharmed.messages.length === 1);
  });
}

function ends<Carrier extends Duplex>({ sockets, protocol }: Carriage<Carrier>): void {
  for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999]) {
    test(`has the client's ${code} told with its reason, and answered`, async (t) => {
      const served = await sockets(t);
      const [client, socket] = await served.pair();
      client.close(code, "grüße");
      assert.equal(await client.nextText(), `close ${code}`);
      await client.untilEnd();
      client.socket.end();
      await served.over(client, "closed");
      assert.equal(socket.closed, `${code} grüße`);
    });
  }

  test("has the handler's code and reason sent, and drops what the client says before its own", async (t) => {
    const served = await sockets(t);
    const [client, socket] = await served.pair();
    socket.stream?.close(4001, "enough");
    socket.stream?.close(4002, "more");
    socket.stream?.send(Buffer.from("late"), true);
    client.text("crossing");
    assert.equal(await client.nextText(), "close 4001 enough");
    client.close(4001, "enough");
    await client.untilEnd();
    client.socket.end();
    await served.over(client, "closed");
    assert.deepEqual([socket.closed, socket.messages, client.frames], ["4001 enough", [], []]);
  });

  test("is cut off where the client does not answer a Close", async (t) => {
    const served = await sockets(t);
    const [client, socket] = await served.pair();
    socket.stream?.close(1000, "");
    await client.next();
    served.deadlines.advance(ticks(10) + 1);
    await eventually(() => socket.closed === "1006");
    await served.over(client, "cut");
  });

  test("whose handler's side is lost ends with 1011", async (t) => {
    const served = await sockets(t);
    const [client, socket] = await served.pair();
    socket.exchange.cut();
    assert.equal(await client.nextText(), "close 1011 The application failed.");
    assert.equal(socket.exchange.ended, false);
    client.close(1011);
    await eventually(() => socket.exchange.ended);
  });

  test("is told of in the access log at its end, with the octets sent", async (t) => {
    const told: RequestEnded[] = [];
    const note = (message: unknown): void => void told.push(message as RequestEnded);
    requestEnded.subscribe(note);
    t.after(() => requestEnded.unsubscribe(note));
    const served = await sockets(t);
    const [client, socket] = await served.pair();
    socket.stream?.send(Buffer.from("hello"), true);
    await client.next();
    assert.equal(told.length, 0);
    client.close(1000);
    await eventually(() => told.length === 1);
    const [record] = told;
    // two octets of the frame's head, five of text, and a Close of four
    assert.deepEqual(
      [record?.method, record?.target, record?.protocol, record?.status, record?.octets, record?.remoteAddress],
      ["GET", "/", protocol, 101, 11, "127.0.0.1"],
    );
  });
}

function stops<Carrier extends Duplex>({ sockets }: Carriage<Carrier>): void {
  test("ends with 1001 at a stop, which does not wait for clients that do not answer", async (t) => {
    const served = await sockets(t);
    const [polite, one] = await served.pair();
    const [mute, other] = await served.pair();
    let over = false;
    void served.ingress.drain().then(() => {
      over = true;
    });
    assert.equal(await polite.nextText(), "close 1001");
    assert.equal(await mute.nextText(), "close 1001");
    polite.close(1001);
    polite.socket.end();
    await eventually(() => one.closed === "1001");
    assert.deepEqual([over, other.closed], [false, ""]);
    await inTime(served, () => over);
    assert.equal(other.closed, "1006");
  });

  test("that is accepted while the server stops ends with 1001", async (t) => {
    const served = await sockets(t, {}, () => {});
    const client = await served.begin();
    await eventually(() => served.accepted.length === 1);
    let over = false;
    void served.ingress.drain().then(() => {
      over = true;
    });
    served.accepted[0]?.accept();
    assert.equal(await client.nextText(), "close 1001");
    client.destroy();
    await inTime(served, () => over);
    assert.equal(served.ingress.connections, 0);
  });
}

function slowness<Carrier extends Duplex>({ given, sockets }: Carriage<Carrier>): void {
  test("whose handler pauses gives it no more than was read, and the rest when it resumes", async (t) => {
    const served = await sockets(t);
    const [client, socket] = await served.pair();
    const [other, unharmed] = await served.pair();
    socket.stream?.pause();
    const message = Buffer.alloc(50_000);
    const count = 400;
    for (let sent = 0; sent < count; sent += 1) client.binary(message);
    await settle();
    assert.ok(socket.messages.length < given, `${socket.messages.length} messages`);
    other.text("between");
    await eventually(() => unharmed.messages.length === 1);
    assert.ok(client.socket.writableLength > 0);
    socket.stream?.resume();
    await eventually(() => socket.messages.length === count);
  });

  test("ends where a silent client does not answer a ping: 1011 to it, 1006 to the handler", async (t) => {
    const served = await sockets(t, { wsPingInterval: 20, wsPingTimeout: 10 });
    const [client, socket] = await served.pair();
    served.deadlines.advance(ticks(20));
    served.deadlines.advance(ticks(20));
    assert.equal(await client.nextText(), "ping");
    served.deadlines.advance(ticks(10));
    assert.equal(await client.nextText(), "close 1011 keepalive ping timeout");
    assert.equal(socket.closed, "1006 keepalive ping timeout");
    await client.untilEnd();
  });
}
