import assert from "node:assert/strict";
import { readdirSync, readlinkSync } from "node:fs";
import { describe, type TestContext, test } from "node:test";
import { type LogLine, logLine } from "../../src/channels.js";
import type { Exchange, ResponseHead } from "../../src/exchange.js";
import { ResponseSpool, SpoolSpace } from "../../src/front/response-spool.js";
import { IncomingExchange, type ResponseSink } from "../../src/ingress/incoming-exchange.js";
import { Deadlines } from "../../src/net/deadline.js";
import { ResponseMemory } from "../../src/net/response-memory.js";
import { eventually, headOf, settle } from "../ingress/support.js";
import { removeFolder, temporaryFolder } from "../support/tools.js";

const kibibyte = 1024;

/** A client's connection, which has what was written until the test takes it. */
class Reader implements ResponseSink {
  received = "";
  /** Octets that the client has not taken. */
  waiting = 0;
  whole = false;
  cutOff = false;
  readonly exchange: Exchange;
  #exchange: IncomingExchange;

  constructor() {
    const request = { method: "GET", target: "/", variables: "", shared: 0, body: { kind: "empty" } } as const;
    this.#exchange = new IncomingExchange(this, request, false, 0);
    this.exchange = this.#exchange;
  }

  respond(exchange: IncomingExchange, head: ResponseHead, body: Uint8Array | undefined, last: boolean): void {
    exchange.status = head.status;
    this.write(exchange, body ?? Buffer.alloc(0), last);
  }

  write(exchange: IncomingExchange, octets: Uint8Array, last: boolean): void {
    this.received += Buffer.from(octets).toString("latin1");
    this.waiting += octets.length;
    if (last) this.whole = exchange.ended = true;
  }

  cut(exchange: IncomingExchange): void {
    this.cutOff = exchange.ended = true;
  }

  /** Takes what there is. */
  take(): void {
    const { waiting } = this;
    this.waiting = 0;
    if (!this.exchange.ended) this.exchange.onFlushed?.(waiting);
  }

  leave(): void {
    this.#exchange.ended = true;
    this.exchange.onGone?.();
  }
}

/** A worker that may send no more than a megabyte that was not credited. */
class Worker {
  readonly reader = new Reader();
  readonly spool: ResponseSpool;
  sent = "";
  credit = 1024 * kibibyte;
  #number = 0;

  constructor(space: SpoolSpace) {
    this.reader.exchange.onFlushed = (octets) => {
      this.credit += octets;
    };
    this.spool = new ResponseSpool(this.reader.exchange, space);
    this.spool.respond(headOf(200), undefined);
  }

  /** Sends pieces while it may, up to this many octets in all; whether it has. */
  send(most: number, last: boolean): boolean {
    while (this.sent.length < most && this.credit > 0) {
      this.#number += 1;
      const piece = `${this.#number}`.padStart(64 * kibibyte, ".");
      this.sent += piece;
      this.credit -= piece.length;
      this.spool.write(Buffer.from(piece), last && this.sent.length >= most);
    }
    return this.sent.length >= most;
  }
}

interface Bench {
  readonly folder: string;
  readonly deadlines: Deadlines;
  readonly space: SpoolSpace;
  /** A moment has passed: looks whether clients are behind. */
  look(): void;
}

function bench(context: TestContext, most = 64 * 1024 * kibibyte, directory?: string): Bench {
  const folder = temporaryFolder("spool");
  const deadlines = new Deadlines(false);
  const planned: (() => void)[] = [];
  const soon = (action: () => void): void => void planned.push(action);
  const look = (): void => {
    for (const action of planned.splice(0)) action();
  };
  context.after(() => removeFolder(folder));
  return {
    folder,
    deadlines,
    look,
    space: new SpoolSpace(directory ?? folder, most, new ResponseMemory(2 ** 20, 2 ** 29), deadlines, soon),
  };
}

/** Descriptors of files of that folder, which have no name. */
function filesOf({ folder }: Bench): number {
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(`${folder}/`);
    } catch {
      return false;
    }
  }).length;
}

const size = 4096 * kibibyte;

describe("a response whose client is behind", () => {
  test("goes to a file: its worker is done, and the client gets it whole and in order", async (t) => {
    const all = bench(t);
    const source = new Worker(all.space);
    assert.equal(source.send(size, true), false);
    all.look();
    await eventually(() => source.send(size, true));
    assert.deepEqual(readdirSync(all.folder), []);
    await eventually(() => filesOf(all) === 1);
    assert.ok(source.reader.waiting <= 1024 * kibibyte, `${source.reader.waiting} octets are in memory`);
    await eventually(() => {
      source.reader.take();
      return source.reader.whole;
    });
    assert.equal(source.reader.received, source.sent);
    await eventually(() => filesOf(all) === 0);
    assert.equal(all.space.used, 0);
  });

  test("is caught up with: what comes then goes to the client at once", async (t) => {
    const all = bench(t);
    const source = new Worker(all.space);
    source.send(2 * size, false);
    all.look();
    await eventually(() => source.send(size, false));
    await eventually(() => {
      source.reader.take();
      return source.reader.received.length === size && all.space.used === 0;
    });
    await settle();
    assert.equal(source.send(size + 64 * kibibyte, true), true);
    assert.equal(source.reader.received, source.sent);
    assert.equal(source.reader.whole, true);
  });

  test("that leaves, or whose response is cut, leaves no file", async (t) => {
    const all = bench(t);
    for (const end of ["leaves", "is cut"]) {
      const source = new Worker(all.space);
      source.send(size, false);
      all.look();
      await eventually(() => source.send(size, false));
      if (end === "leaves") source.reader.leave();
      else source.reader.exchange.cut();
      await eventually(() => {
        all.deadlines.advance();
        return filesOf(all) === 0 && all.space.used === 0;
      });
    }
  });
});

test("a response that is taken fast does not get to the disk", async (t) => {
  const all = bench(t);
  const source = new Worker(all.space);
  for (let times = 0; times < 8; times += 1) {
    source.send(8 * size, false);
    source.reader.take();
    source.send(8 * size, false);
    all.look();
    await settle();
  }
  assert.equal(filesOf(all), 0);
});

describe("where there is no room for a file", () => {
  test("the worker waits for the client, which gets all of it", async (t) => {
    const all = bench(t, 1024 * kibibyte);
    const source = new Worker(all.space);
    source.send(size, true);
    all.look();
    for (let times = 0; times < 20; times += 1) {
      source.send(size, true);
      await settle();
    }
    assert.equal(source.send(size, true), false);
    await eventually(() => {
      source.reader.take();
      source.send(size, true);
      all.look();
      return source.reader.whole;
    });
    assert.equal(source.reader.received, source.sent);
    assert.equal(all.space.used, 0);
  });

  test("because the folder cannot be written to, the log says so once", async (t) => {
    const lines: string[] = [];
    const listen = (line: unknown): void => void lines.push((line as LogLine).message);
    logLine.subscribe(listen);
    t.after(() => logLine.unsubscribe(listen));
    const all = bench(t, size, "/proc/nowhere");
    for (let times = 0; times < 2; times += 1) {
      const source = new Worker(all.space);
      source.send(size, true);
      await eventually(() => {
        source.reader.take();
        source.send(size, true);
        all.look();
        return source.reader.whole;
      });
      const slow = new Worker(all.space);
      slow.send(size, true);
      all.look();
      for (let turns = 0; turns < 20; turns += 1) {
        slow.send(size, true);
        await settle();
      }
      assert.equal(slow.send(size, true), false);
      slow.reader.leave();
    }
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? "", /^Responses for slow clients cannot be kept in \/proc\/nowhere \(ENOENT/);
  });
});
