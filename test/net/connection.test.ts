import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type ListenOptions, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import {
  type Connect,
  type Connection,
  type ConnectionOwner,
  connectSocket,
  type Destination,
} from "../../src/net/connection.js";
import { findSystemConnect } from "../../src/net/system-connect.js";

const kinds = ["tcp", "tcp6", "unix"] as const;

class Told implements ConnectionOwner {
  received = "";
  octets = 0;
  readonly events: string[] = [];
  connectionMade(): void {
    this.events.push("made");
  }
  /** Connects for it, and notes where there is a connection at once. */
  with(connect: Connect, destination: Destination): Connection {
    const connection = connect(destination, this);
    assert.deepEqual(this.events, [], "nothing is told before the connection was returned");
    if (connection.made) this.connectionMade();
    return connection;
  }
  connectionReceived(octets: Buffer): void {
    this.octets += octets.length;
    if (this.octets < 1000) this.received += octets.toString("latin1");
  }
  connectionDrained(): void {
    this.events.push("drained");
  }
  connectionEnded(): void {
    this.events.push("ended");
  }
  connectionLost(code: string): void {
    this.events.push(`lost ${code}`);
  }
  saw(event: string): Promise<void> {
    return until(() => this.events.includes(event), `${event} in ${this.events}`);
  }
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let turns = 0; !condition(); turns++) {
    assert.ok(turns < 10_000, `waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, turns < 100 ? 0 : 1));
  }
}

function temporaryPath(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "vivarium-connection-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, "socket");
}

async function listening(context: TestContext, options: ListenOptions): Promise<Server> {
  const peers: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (peer) => {
    peers.push(peer.on("error", () => {}));
  });
  server.listen(options);
  await once(server, "listening");
  context.after(async () => {
    for (const peer of peers) peer.destroy();
    if (!server.listening) return;
    server.close();
    await once(server, "close");
  });
  return server;
}

function portOf(server: Server): number {
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return address.port;
}

interface Pair {
  readonly connection: Connection;
  readonly owner: Told;
  /** The server's end. */
  readonly peer: Socket;
}

/** A connection and its server's end of it, until the test ends. */
async function pair(context: TestContext, connect: Connect, kind: (typeof kinds)[number] = "tcp"): Promise<Pair> {
  const path = kind === "unix" ? temporaryPath(context) : "";
  const host = kind === "tcp6" ? "::1" : "127.0.0.1";
  const server = await listening(context, kind === "unix" ? { path } : { host, port: 0 });
  const owner = new Told();
  const accepted = once(server, "connection");
  const destination =
    kind === "unix" ? { kind, path } : { kind: "tcp" as const, host, port: portOf(server), noDelay: true };
  const connection = owner.with(connect, destination);
  const [peer]: Socket[] = await accepted;
  assert.ok(peer !== undefined);
  context.after(() => connection.close());
  await owner.saw("made");
  return { connection, owner, peer };
}

function all(peer: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  peer.on("data", (chunk: Buffer) => chunks.push(chunk));
  return once(peer, "end").then(() => Buffer.concat(chunks));
}

const bySystemCalls = findSystemConnect();
test("this Node has what connections by system calls need", () => assert.ok(bySystemCalls !== undefined));

for (const [name, connect] of [
  ["by system calls", bySystemCalls ?? connectSocket],
  ["with a net.Socket", connectSocket],
] as const) {
  describe(`a connection made ${name}`, () => {
    for (const kind of kinds) {
      test(`carries octets both ways (${kind})`, async (context) => {
        const { connection, owner, peer } = await pair(context, connect, kind);
        const received = all(peer);
        assert.equal(connection.write(Buffer.from("one ")), true);
        assert.equal(connection.writeAll([Buffer.from("two "), Buffer.from("three")]), true);
        assert.equal(connection.flushed, true);
        peer.end("an answer");
        await owner.saw("ended");
        connection.close();
        assert.equal((await received).toString(), "one two three");
        assert.deepEqual([owner.received, owner.events], ["an answer", ["made", "ended"]]);
      });
    }

    test("that nobody accepts is told as lost, with the reason", async (context) => {
      const server = await listening(context, { host: "127.0.0.1", port: 0 });
      const port = portOf(server);
      server.close();
      await once(server, "close");
      const owner = new Told();
      connect({ kind: "tcp", host: "127.0.0.1", port, noDelay: false }, owner);
      await owner.saw("lost ECONNREFUSED");
      const nowhere = new Told();
      connect({ kind: "unix", path: temporaryPath(context) }, nowhere);
      await nowhere.saw("lost ENOENT");
      assert.deepEqual([owner.events, nowhere.events], [["lost ECONNREFUSED"], ["lost ENOENT"]]);
    });

    test("that is reset is told as lost, with the reason", async (context) => {
      const { owner, peer } = await pair(context, connect);
      peer.resetAndDestroy();
      await owner.saw("lost ECONNRESET");
      assert.deepEqual(owner.events, ["made", "lost ECONNRESET"]);
    });

    test("takes more than the kernel does, says when there is room, and in which order it left", async (context) => {
      const { connection, owner, peer } = await pair(context, connect);
      const octets = Buffer.alloc(20_000_000, "abcdefg");
      assert.equal(connection.write(octets), false);
      assert.equal(connection.flushed, false);
      const order: string[] = [];
      connection.whenFlushed(() => order.push("first"));
      connection.writeAll([Buffer.from("the "), Buffer.from("end")]);
      connection.whenFlushed(() => order.push("second"));
      assert.deepEqual(owner.events, ["made"]);
      const received = all(peer);
      await owner.saw("drained");
      await until(() => order.length === 2, "both");
      assert.deepEqual(order, ["first", "second"]);
      assert.equal(connection.flushed, true);
      connection.close();
      assert.ok((await received).equals(Buffer.concat([octets, Buffer.from("the end")])));
    });

    test("is not read while it is paused", async (context) => {
      const { connection, owner, peer } = await pair(context, connect);
      connection.pause();
      const size = 20_000_000;
      peer.end(Buffer.alloc(size));
      // As much as there is room for between the two.
      await until(() => peer.bytesWritten > 0, "a write");
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
      assert.ok(peer.writableLength > 0, "the peer waits");
      assert.ok(owner.octets <= 65536, "at most what was under way");
      connection.resume();
      await owner.saw("ended");
      assert.equal(owner.octets, size);
    });

    test("can be paused before it is made", async (context) => {
      const server = await listening(context, { path: temporaryPath(context) });
      server.on("connection", (peer: Socket) => peer.end("early"));
      const owner = new Told();
      const connection = owner.with(connect, { kind: "unix", path: String(server.address()) });
      context.after(() => connection.close());
      connection.pause();
      await owner.saw("made");
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
      assert.equal(owner.received, "");
      connection.resume();
      await owner.saw("ended");
      assert.equal(owner.received, "early");
    });

    test("is read to its end when nothing can be written any more", async (context) => {
      const { connection, owner, peer } = await pair(context, connect);
      connection.pause();
      peer.end("an answer", () => peer.destroy());
      // Written until the system says that nobody reads it.
      for (let turn = 0; !connection.broken; turn++) {
        assert.ok(turn < 10_000);
        connection.write(Buffer.alloc(1000));
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
      assert.equal(connection.write(Buffer.alloc(1000)), true, "nothing waits for a peer that reads nothing");
      let flushed = false;
      connection.whenFlushed(() => {
        flushed = true;
      });
      connection.resume();
      await until(() => owner.events.length > 1, "the end");
      assert.match(owner.received, /^an answer$/);
      assert.equal(flushed, true);
    });

    test("tells nothing once it is closed", async (context) => {
      const { connection, owner, peer } = await pair(context, connect);
      connection.write(Buffer.alloc(20_000_000));
      connection.whenFlushed(() => owner.events.push("flushed"));
      peer.end("an answer");
      connection.close();
      peer.resume();
      await once(peer, "end");
      assert.deepEqual([owner.received, owner.events], ["", ["made"]]);
      connection.close();
      connection.pause();
      connection.resume();
    });

    test("tells nothing when it is closed before it is made", async (context) => {
      const server = await listening(context, { host: "127.0.0.1", port: 0 });
      const accepted = once(server, "connection");
      const owner = new Told();
      connect({ kind: "tcp", host: "127.0.0.1", port: portOf(server), noDelay: false }, owner).close();
      const other = new Told();
      const second = other.with(connect, { kind: "tcp", host: "127.0.0.1", port: portOf(server), noDelay: false });
      context.after(() => second.close());
      await accepted;
      await other.saw("made");
      assert.deepEqual(owner.events, []);
    });
  });
}
