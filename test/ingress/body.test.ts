import assert from "node:assert/strict";
import fs, { fstatSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { logLine } from "../../src/channels.js";
import type { VivariumError } from "../../src/errors.js";
import type { Body, Exchange } from "../../src/exchange.js";
import { BodyReceiver } from "../../src/ingress/body.js";
import { RequestMemory } from "../../src/ingress/request-memory.js";
import { answer, eventually, hello, openFilesIn, serve, settle, storeOf } from "./support.js";

class Owner {
  body: Body | undefined;
  error: VivariumError | undefined;
  flows = 0;
  bodyFlows(): void {
    this.flows += 1;
  }
  bodyWhole(body: Body): void {
    this.body = body;
  }
  bodyFailed(error: VivariumError): void {
    this.error = error;
  }
}

function directoryFor(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "vivarium-body-test-"));
  context.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

/** Silences and collects the server's log. */
function logged(context: TestContext): string[] {
  const lines: string[] = [];
  const listen = (line: unknown): void => void lines.push(JSON.stringify(line));
  logLine.subscribe(listen);
  context.after(() => logLine.unsubscribe(listen));
  return lines;
}

describe("a body in memory", () => {
  test("is empty, one piece as it came, or several put together", (t) => {
    const directory = directoryFor(t);
    const receive = (...pieces: readonly string[]): Body | undefined => {
      const receiver = new BodyReceiver(new Owner(), storeOf(1000, directory));
      for (const piece of pieces) receiver.add(Buffer.from(piece));
      return receiver.end();
    };
    assert.deepEqual(receive(), { kind: "empty" });
    assert.deepEqual(receive("one"), { kind: "memory", bytes: Buffer.from("one") });
    assert.deepEqual(receive("one", "", "two"), { kind: "memory", bytes: Buffer.from("onetwo") });
  });

  test("that comes octet by octet is the same", (t) => {
    const receiver = new BodyReceiver(new Owner(), storeOf(100_000, directoryFor(t)));
    const expected = Buffer.from(Array.from({ length: 1000 }, (_, i) => i % 251));
    for (const octet of expected) receiver.add(Buffer.of(octet));
    assert.equal(receiver.size, 1000);
    assert.deepEqual(receiver.end(), { kind: "memory", bytes: expected });
  });

  test("may be as large as the bound and no larger", (t) => {
    const directory = directoryFor(t);
    const receiver = new BodyReceiver(new Owner(), storeOf(10, directory));
    receiver.add(Buffer.alloc(10));
    assert.equal(receiver.end()?.kind, "memory");
    const larger = new BodyReceiver(new Owner(), storeOf(10, directory));
    larger.add(Buffer.alloc(11));
    assert.equal(larger.end(), undefined);
    larger.discard();
  });
});

describe("where all requests together have more memory than they may", () => {
  test("a small body goes to a file, is not read faster than the disk takes it, and one that is little stays", async (t) => {
    const directory = directoryFor(t);
    const memory = new RequestMemory(10_000);
    const store = storeOf(65_536, directory, memory);
    const first = new BodyReceiver(new Owner(), store);
    first.add(Buffer.alloc(9000));
    const owner = new Owner();
    const second = new BodyReceiver(owner, store);
    second.add(Buffer.alloc(5000));
    assert.equal(second.congested, true);
    await eventually(() => owner.flows === 1);
    assert.equal(second.congested, false);
    // It is on the disk: there is memory again.
    assert.equal(memory.used, 9000);
    second.add(Buffer.alloc(500));
    assert.equal(second.congested, false);
    assert.equal(second.end(), undefined);
    await eventually(() => owner.body !== undefined);
    assert.equal(owner.body?.kind === "file" && owner.body.size, 5500);
    first.add(Buffer.alloc(1000));
    const little = new BodyReceiver(new Owner(), store);
    little.add(Buffer.alloc(4000));
    assert.equal(memory.scarce, true);
    const body = little.end();
    assert.equal(body?.kind, "memory");
    const whole = first.end();
    assert.equal(memory.used, 14_000);
    for (const each of [body, whole, owner.body]) if (each !== undefined) memory.release({ body: each });
    assert.equal(memory.used, 0);
  });

  test("a head that does not come to its end is answered 503, one that does is served", async (t) => {
    for (const protocol of ["http", "scgi"] as const) {
      const served = await serve(t, (exchange) => answer(exchange, "seen"), { requestMemoryTotal: 1 }, false, protocol);
      const long = await served.connect();
      const head = { http: "GET / HTTP/1.1\r\nX-Long: ", scgi: "60000:REQUEST_METHOD\0GET\0X_LONG\0" }[protocol];
      long.send(head, "a".repeat(5000));
      await long.until(/503 Service Unavailable\r\n[\s\S]*as many requests in memory as it may/);
      long.socket.end();
      await long.untilEnd();
      if (protocol === "http") {
        const short = await served.connect();
        short.send(hello);
        await short.until("seen");
        short.socket.end();
        await short.untilEnd();
      }
      await eventually(() => served.ingress.memory.used === 0);
    }
  });
});

describe("a body in a file", () => {
  test("is whole and in order, has no name, and is nobody else's to read", async (t) => {
    const directory = directoryFor(t);
    const owner = new Owner();
    const receiver = new BodyReceiver(owner, storeOf(1000, directory));
    const pieces = Array.from({ length: 300 }, (_, i) => Buffer.alloc(1 + ((i * 37) % 5000), i));
    for (const [i, piece] of pieces.entries()) {
      receiver.add(piece);
      if (i % 50 === 0) await settle();
    }
    const body = receiver.end();
    await eventually(() => body !== undefined || owner.body !== undefined);
    const whole = body ?? owner.body;
    assert.ok(whole?.kind === "file");
    assert.deepEqual(readdirSync(directory), []);
    assert.equal(fstatSync(whole.fd).mode & 0o777, 0o600);
    const expected = Buffer.concat(pieces);
    assert.equal(whole.size, expected.length);
    assert.ok(readFileSync(`/proc/self/fd/${whole.fd}`).equals(expected));
    whole.release();
    await eventually(() => openFilesIn(directory).length === 0);
  });

  test("asks for a pause while the disk is behind, and says when it is not any more", async (t) => {
    const owner = new Owner();
    const receiver = new BodyReceiver(owner, storeOf(1000, directoryFor(t)));
    while (!receiver.congested) receiver.add(Buffer.alloc(65536));
    await eventually(() => owner.flows === 1);
    assert.equal(receiver.congested, false);
    receiver.discard();
  });

  test("that is not wanted any more leaves nothing, whenever that is", async (t) => {
    const directory = directoryFor(t);
    for (let turns = 0; turns < 12; turns++) {
      const owner = new Owner();
      const receiver = new BodyReceiver(owner, storeOf(10, directory));
      receiver.add(Buffer.alloc(100_000));
      for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
      receiver.discard();
      receiver.add(Buffer.alloc(10));
      await eventually(() => openFilesIn(directory).length === 0 && readdirSync(directory).length === 0);
      assert.deepEqual([owner.body, owner.error], [undefined, undefined]);
    }
  });

  test("that cannot be opened is a 500, said in the log", async (t) => {
    const lines = logged(t);
    const owner = new Owner();
    const receiver = new BodyReceiver(owner, storeOf(10, "/proc/nowhere"));
    receiver.add(Buffer.alloc(11));
    await eventually(() => owner.error !== undefined);
    assert.deepEqual([owner.error?.code, owner.error?.status], ["ERR_INGRESS_BODY_DISK", 500]);
    assert.match(lines.join(), /\/proc\/nowhere/);
  });
});

describe("uploads", () => {
  const large = 3_000_000;
  const upload = `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${large}\r\n\r\n`;

  test("an exchange that ends closes its file, however it ends", async (t) => {
    const open: Exchange[] = [];
    const served = await serve(t, (exchange) => open.push(exchange));
    const endings: ((exchange: Exchange, reset: () => void) => void)[] = [
      (exchange) => answer(exchange, "done"),
      (exchange) => exchange.cut(),
      (exchange) => exchange.refuse(503, "Not now."),
      (_, reset) => reset(),
    ];
    for (const end of endings) {
      const client = await served.connect();
      client.send(upload, Buffer.alloc(large));
      await eventually(() => open.length === 1);
      assert.equal(openFilesIn(served.tempDir).length, 1);
      const exchange = open.pop();
      assert.ok(exchange?.request.body.kind === "file");
      assert.equal(exchange.request.body.size, large);
      end(exchange, () => client.socket.resetAndDestroy());
      await eventually(() => openFilesIn(served.tempDir).length === 0);
    }
  });

  test("a file that is held stays open behind its exchange, and is closed when released", async (t) => {
    const open: Exchange[] = [];
    const served = await serve(t, (exchange) => open.push(exchange));
    const client = await served.connect();
    client.send(upload, Buffer.alloc(large, "held"));
    await eventually(() => open.length === 1);
    const body = open[0]?.request.body;
    assert.ok(body?.kind === "file");
    body.hold();
    client.socket.resetAndDestroy();
    await eventually(() => open[0]?.ended === true);
    await settle();
    assert.equal(readFileSync(`/proc/self/fd/${body.fd}`, "latin1").slice(0, 8), "heldheld");
    body.release();
    await eventually(() => openFilesIn(served.tempDir).length === 0);
  });

  test("a client that leaves in the middle of one leaves no file", async (t) => {
    const served = await serve(t, (exchange) => answer(exchange, "done"));
    const client = await served.connect();
    client.send(upload, Buffer.alloc(large / 2));
    await eventually(() => openFilesIn(served.tempDir).length === 1);
    client.socket.resetAndDestroy();
    await eventually(() => openFilesIn(served.tempDir).length === 0);
    assert.equal(served.ingress.requests, 0);
  });

  test("a body that the disk refuses is answered so, and the application does not see it", async (t) => {
    logged(t);
    const served = await serve(t, (exchange) => answer(exchange, "seen"), { tempDir: "/proc/nowhere" });
    const client = await served.connect();
    client.send(upload, Buffer.alloc(large));
    await client.until("HTTP/1.1 500 Internal Server Error");
    client.socket.end();
    await client.untilEnd();
    assert.doesNotMatch(client.received, /nowhere/);
    assert.equal(served.ingress.requests, 0);
  });

  test("a full disk is 507, and its file is closed", async (t) => {
    logged(t);
    replaceWritev(t, (_, callback) => callback(Object.assign(new Error("no space left"), { code: "ENOSPC" }), 0));
    const served = await serve(t, (exchange) => answer(exchange, "seen"));
    const client = await served.connect();
    client.send(upload, Buffer.alloc(large));
    await client.until("HTTP/1.1 507 Insufficient Storage");
    client.socket.destroy();
    await eventually(() => openFilesIn(served.tempDir).length === 0);
    assert.equal(served.ingress.requests, 0);
  });

  test("a file system that takes less than it is given gets the rest again", async (t) => {
    replaceWritev(t, ({ fd, position, octets }, callback) => {
      const some = Math.min(octets.length, 1 + (position % 70_000));
      fs.write(fd, octets, 0, some, position, callback);
    });
    const expected = Buffer.from(Array.from({ length: large }, (_, i) => (i * i) % 253));
    let received = Buffer.alloc(0);
    const served = await serve(t, (exchange) => {
      const { body } = exchange.request;
      if (body.kind === "file") received = readFileSync(`/proc/self/fd/${body.fd}`);
      answer(exchange, "done");
    });
    const client = await served.connect();
    client.send(upload, expected);
    await client.until("done");
    assert.ok(received.equals(expected));
  });
});

interface Written {
  readonly fd: number;
  readonly position: number;
  readonly octets: Buffer;
}

/** Puts another fs.writev in place, for the length of a test. */
function replaceWritev(
  context: TestContext,
  writev: (written: Written, callback: (error: Error | null, count: number) => void) => void,
): void {
  const mocked = context.mock.method(
    fs,
    "writev",
    (fd: number, pieces: Uint8Array[], position: number, callback: (error: Error | null, count: number) => void) =>
      writev({ fd, position, octets: Buffer.concat(pieces) }, callback),
  );
  syncBuiltinESMExports();
  context.after(() => {
    mocked.mock.restore();
    syncBuiltinESMExports();
  });
}
