import assert from "node:assert/strict";
import { test } from "node:test";
import type { FailureKind } from "../../src/egress/driver.js";
import { phases, type SocketOwner, UpstreamSocket } from "../../src/egress/socket.js";
import { Deadlines } from "../../src/net/deadline.js";
import { eventually, fakeServer, freePort, optionsFor, settle } from "./support.js";

class Owner implements SocketOwner {
  events = "";
  lost: FailureKind | undefined;
  socketConnected(): void {
    this.events += "connected ";
  }
  socketReceived(chunk: Uint8Array): void {
    this.events += `${Buffer.from(chunk).toString("latin1")} `;
  }
  socketDrained(): void {
    this.events += "drained ";
  }
  socketInputEnded(): void {
    this.events += "ended ";
  }
  socketLost(kind: FailureKind, sentence: string): void {
    this.lost = kind;
    this.events += `${sentence} `;
  }
  until(events: string): Promise<void> {
    return eventually(
      () => this.events.includes(events),
      () => `${events} in ${this.events}`,
    );
  }
}

test("each phase has its own deadline", async (context) => {
  const server = await fakeServer(context);
  const deadlines = new Deadlines(false);
  const owner = new Owner();
  const socket = new UpstreamSocket(optionsFor(server.port, deadlines), owner);
  await owner.until("connected ");
  deadlines.advance(3);
  socket.enter(phases.waiting);
  deadlines.advance(3);
  assert.equal(owner.lost, undefined);
  deadlines.advance(1);
  assert.equal(owner.lost, "first-byte-timeout");
});

test("what is gathered leaves in one piece at the end of the turn", async (context) => {
  const server = await fakeServer(context);
  const owner = new Owner();
  const socket = new UpstreamSocket(optionsFor(server.port), owner);
  context.after(() => socket.close());
  await owner.until("connected ");
  const connection = await server.connection();
  const chunks: string[] = [];
  connection.socket.on("data", (chunk: Buffer) => chunks.push(chunk.toString()));
  socket.gather();
  socket.write(Buffer.from("one "));
  socket.writeAll([Buffer.from("two "), Buffer.from("three")]);
  assert.equal(socket.flushed, false);
  await connection.until("three");
  assert.deepEqual(chunks, ["one two three"]);
  assert.equal(socket.flushed, true);
});

test("a socket that was closed while it connected tells its owner nothing", async (context) => {
  const server = await fakeServer(context);
  const owner = new Owner();
  new UpstreamSocket(optionsFor(server.port), owner).close();
  await settle();
  assert.equal(owner.events, "");
});

test("a connection that is refused is said to be", async () => {
  const owner = new Owner();
  new UpstreamSocket(optionsFor(await freePort()), owner);
  await owner.until("The connection was refused. ");
  assert.equal(owner.lost, "refused");
});

test("what a server said before it closed is read, though nothing can be written any more", async (context) => {
  const server = await fakeServer(context);
  const owner = new Owner();
  const socket = new UpstreamSocket(optionsFor(server.port), owner);
  await owner.until("connected ");
  const { socket: theirs } = await server.connection();
  socket.pause();
  theirs.end("an answer", () => theirs.destroy());
  // Written until the system says that nobody reads it.
  await eventually(() => {
    socket.write(Buffer.alloc(1000));
    return socket.broken;
  });
  assert.equal(owner.lost, undefined);
  assert.equal(socket.write(Buffer.alloc(1000)), true, "nothing waits for a server that reads nothing");
  socket.resume();
  await eventually(() => owner.events.includes("ended") || owner.lost !== undefined);
  assert.match(owner.events, /an answer /);
  socket.close();
});
