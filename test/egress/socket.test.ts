import assert from "node:assert/strict";
import { test } from "node:test";
import type { DriverOptions } from "../../src/egress/driver.js";
import { type SocketOwner, UpstreamSocket } from "../../src/egress/socket.js";
import { Deadlines } from "../../src/net/deadline.js";
import { eventually, fakeServer } from "./support.js";

/** Notes what it is told. */
class Notes implements SocketOwner {
  connected = false;
  received = "";
  ended = false;
  lost = "";
  socketConnected(): void {
    this.connected = true;
  }
  socketReceived(chunk: Uint8Array): void {
    this.received += Buffer.from(chunk).toString("latin1");
  }
  socketDrained(): void {}
  socketInputEnded(): void {
    this.ended = true;
  }
  socketLost(kind: string): void {
    this.lost = kind;
  }
}

function optionsFor(port: number): DriverOptions {
  return {
    address: { kind: "tcp", host: "127.0.0.1", port },
    name: "test",
    deadlines: new Deadlines(false),
    ...{ connectTimeout: 20, sendTimeout: 240, firstByteTimeout: 240, idleTimeout: 240 },
    ...{ keepAlive: 32, multiplex: 1, maxHead: 65536, maxFields: 128, responseMemory: 65536 },
  };
}

test("what a server said before it closed is read, though nothing can be written any more", async (context) => {
  const server = await fakeServer(context);
  const notes = new Notes();
  const socket = new UpstreamSocket(optionsFor(server.port), notes);
  await eventually(() => notes.connected);
  const { socket: theirs } = await server.connection();
  socket.pause();
  theirs.end("an answer", () => theirs.destroy());
  // Written until the system says that nobody reads it.
  await eventually(() => {
    socket.write(Buffer.alloc(1000));
    return socket.broken;
  });
  assert.equal(notes.lost, "");
  assert.equal(socket.write(Buffer.alloc(1000)), true, "nothing waits for a server that reads nothing");
  socket.resume();
  await eventually(() => notes.ended || notes.lost !== "");
  assert.equal(notes.received, "an answer");
  socket.close();
});
