import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { DriverOptions, FailureKind } from "../../src/egress/driver.js";
import { phases, type SocketOwner, SocketPool, UpstreamSocket } from "../../src/egress/socket.js";
import { Deadlines } from "../../src/net/deadline.js";
import { type Accepted, eventually, type FakeServer, fakeServer, freePort, settle } from "./support.js";

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

function optionsFor(port: number, deadlines = new Deadlines(false)): DriverOptions {
  return {
    address: { kind: "tcp", host: "127.0.0.1", port },
    name: "test",
    deadlines,
    connectTimeout: 4,
    sendTimeout: 4,
    firstByteTimeout: 4,
    idleTimeout: 4,
    keepAlive: 0,
    multiplex: 1,
    maxHead: 1000,
    maxFields: 10,
    responseMemory: 1000,
  };
}

/** A connection that was opened, carried `text` and was closed by the server. */
async function served(pool: SocketPool, server: FakeServer, text: string): Promise<UpstreamSocket> {
  const owner = new Owner();
  const socket = pool.open(owner);
  await owner.until("connected ");
  socket.write(Buffer.from("question"));
  const connection = server.accepted.at(-1);
  await eventually(() => server.accepted.at(-1) !== undefined && server.accepted.at(-1)?.received === "question");
  (connection ?? server.accepted.at(-1))?.socket.end(text);
  await owner.until(`${text} ended `);
  assert.equal(owner.events, `connected ${text} ended `);
  socket.close();
  await settle();
  return socket;
}

describe("a socket that was closed in order", () => {
  test("is connected again, and nothing of the connection before is left", async (context) => {
    const server = await fakeServer(context);
    const pool = new SocketPool(optionsFor(server.port));
    const first = await served(pool, server, "one");
    for (const text of ["two", "three"]) assert.equal(await served(pool, server, text), first);
    assert.equal(server.accepted.length, 3);
  });

  test("has its own deadlines each time", async (context) => {
    const server = await fakeServer(context);
    const deadlines = new Deadlines(false);
    const pool = new SocketPool(optionsFor(server.port, deadlines));
    const first = await served(pool, server, "one");
    deadlines.advance(100);
    const owner = new Owner();
    const socket = pool.open(owner);
    assert.equal(socket, first);
    await owner.until("connected ");
    socket.enter(phases.waiting);
    deadlines.advance(3);
    assert.equal(owner.lost, undefined);
    deadlines.advance(1);
    assert.equal(owner.lost, "first-byte-timeout");
  });
});

describe("a socket is not connected again", () => {
  async function again(
    context: TestContext,
    end: (socket: UpstreamSocket, connection: Accepted) => void,
  ): Promise<boolean> {
    const server = await fakeServer(context);
    const pool = new SocketPool(optionsFor(server.port));
    const owner = new Owner();
    const socket = pool.open(owner);
    await owner.until("connected ");
    end(socket, await server.connection());
    await settle();
    socket.close();
    await settle();
    const next = pool.open(new Owner());
    context.after(() => next.close());
    return next === socket;
  }

  test("after it was reset", async (context) => {
    assert.equal(await again(context, (_, { socket }) => socket.resetAndDestroy()), false);
  });

  test("while something it was given to write has not left", async (context) => {
    const write = (socket: UpstreamSocket, connection: Accepted): void => {
      connection.socket.pause();
      socket.write(Buffer.alloc(30_000_000));
    };
    assert.equal(await again(context, write), false);
  });

  test("while it is paused", async (context) => {
    assert.equal(await again(context, (socket) => socket.pause()), false);
  });
});

test("a socket that was closed while it connected tells its owner nothing", async (context) => {
  const server = await fakeServer(context);
  const pool = new SocketPool(optionsFor(server.port));
  const owner = new Owner();
  pool.open(owner).close();
  await settle();
  assert.equal(owner.events, "");
});

test("a connection that is refused is said to be", async () => {
  const owner = new Owner();
  new SocketPool(optionsFor(await freePort())).open(owner);
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
