import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createConnection, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { type ClientSocket, type ClientSocketOwner, NetClientSocket } from "../../src/net/client-socket.js";
import { type Listening, listenFor } from "./accepting.js";

type Listen = (accept: (socket: ClientSocket) => void, path?: string) => Promise<Listening>;

async function listenWithNode(accept: (socket: ClientSocket) => void, path = ""): Promise<Listening> {
  const server = createServer({ allowHalfOpen: true }, (socket) => accept(new NetClientSocket(socket)));
  server.listen(path === "" ? { host: "127.0.0.1", port: 0 } : { path });
  await once(server, "listening");
  const address = server.address();
  return { port: typeof address === "object" && address !== null ? address.port : 0, close: () => server.close() };
}

interface Kind {
  readonly listen: Listen;
  readonly start: "start" | "startBriefly";
}

const kinds: Readonly<Record<string, Kind>> = {
  "by system calls": { listen: listenFor, start: "start" },
  "by system calls, for a short time": { listen: listenFor, start: "startBriefly" },
  "on a net.Socket": { listen: listenWithNode, start: "start" },
};

interface Pair {
  readonly socket: ClientSocket;
  readonly client: Socket;
  readonly owner: Told;
  /** All that the client has received, once the server has ended its side. */
  received(): Promise<Buffer>;
}

class Told implements ClientSocketOwner {
  received = "";
  readonly events: string[] = [];
  socketReceived(memory: Buffer, length: number): void {
    this.received += memory.toString("latin1", 0, length);
  }
  socketEnded(): void {
    this.events.push("ended");
  }
  socketDrained(): void {
    this.events.push("drained");
  }
  socketClosed(): void {
    this.events.push("closed");
  }
}

async function until(condition: () => boolean): Promise<void> {
  for (let turns = 0; !condition(); turns++) {
    assert.ok(turns < 10_000, `waited in vain for ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, turns < 100 ? 0 : 1));
  }
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

for (const [kind, { listen, start }] of Object.entries(kinds)) {
  /** A client's socket and its client, until the test ends. */
  const pair = async (context: TestContext, unixSocket = false): Promise<Pair> => {
    const folder = mkdtempSync(join(tmpdir(), "vivarium-socket-"));
    const path = join(folder, "listen");
    let take = (_: ClientSocket): void => {};
    const accepted = new Promise<ClientSocket>((resolve) => {
      take = resolve;
    });
    const listening = await listen((socket) => take(socket), unixSocket ? path : "");
    const to = unixSocket ? { path } : { port: listening.port, host: "127.0.0.1" };
    const client = createConnection({ ...to, allowHalfOpen: true });
    client.on("error", () => {});
    const owner = new Told();
    await once(client, "connect");
    const socket = await accepted;
    socket[start](owner);
    context.after(async () => {
      client.destroy();
      socket.destroy();
      listening.close();
      await until(() => owner.events.includes("closed"));
      rmSync(folder, { recursive: true });
    });
    return {
      socket,
      client,
      owner,
      async received() {
        const chunks: Buffer[] = [];
        client.on("data", (chunk: Buffer) => chunks.push(chunk));
        client.resume();
        await once(client, "end");
        return Buffer.concat(chunks);
      },
    };
  };

  describe(kind, () => {
    test("octets come in, pieces go out in order, and the connection ends behind them", async (t) => {
      const { socket, client, owner, received } = await pair(t);
      client.write("hello");
      await until(() => owner.received === "hello");
      const told: string[] = [];
      socket.write(Buffer.from("one "), () => told.push("one"));
      socket.write([Buffer.from("two "), Buffer.from("three "), Buffer.from("four")], () => told.push("four"));
      socket.write([], () => told.push("nothing"));
      assert.deepEqual(told, [], "nothing is told within a call");
      await until(() => told.length === 3);
      socket.close();
      assert.equal((await received()).toString(), "one two three four");
      await until(() => owner.events.length > 0);
      assert.deepEqual([owner.events, told], [["closed"], ["one", "four", "nothing"]]);
    });

    test("what the kernel does not take at once leaves whole, then what is behind it, and then it is told", async (t) => {
      const { socket, client, owner, received } = await pair(t);
      client.pause();
      const octets = Buffer.alloc(20_000_000, "abcdefg");
      const told: string[] = [];
      socket.write(octets, () => told.push("first"));
      assert.ok(socket.unsent > 0);
      socket.write([Buffer.from("and "), Buffer.from("more")], () => told.push("second"));
      socket.write([], () => told.push("third"));
      await turns(10);
      assert.deepEqual([told, owner.events], [[], []]);
      const all = received();
      await until(() => owner.events.length > 0);
      assert.deepEqual([told, owner.events, socket.unsent], [["first", "second", "third"], ["drained"], 0]);
      socket.close();
      assert.ok((await all).equals(Buffer.concat([octets, Buffer.from("and more")])));
    });

    test("thousands of small pieces that the kernel does not take leave in order, and each is told once", async (t) => {
      const { socket, client, owner, received } = await pair(t);
      client.pause();
      const pieces = [Buffer.alloc(8_000_000, "abcdefg")];
      for (let n = 0; n < 20_000; n++) pieces.push(Buffer.from(n % 3 === 0 ? "" : `piece ${n};`));
      const told: number[] = [];
      for (const [n, piece] of pieces.entries()) socket.write(piece, () => told.push(n));
      assert.ok(socket.unsent > 200_000);
      const all = received();
      await until(() => owner.events.length > 0);
      assert.deepEqual([told.length, owner.events, socket.unsent], [pieces.length, ["drained"], 0]);
      assert.ok(told.every((n, at) => n === at));
      socket.close();
      assert.ok((await all).equals(Buffer.concat(pieces)));
    });

    test("heads with their bodies, some of which the kernel takes in part, leave as they were when they were written", async (t) => {
      const { socket, client, owner, received } = await pair(t);
      client.pause();
      const written: Buffer[] = [];
      while (socket.unsent < 1_000_000) {
        const number = written.length;
        const pieces = [Buffer.from(`head ${number}\n`), Buffer.alloc(7000 + (number % 5) * 3000, `body ${number} `)];
        written.push(Buffer.concat(pieces));
        socket.write(pieces);
      }
      const all = received();
      await until(() => owner.events.length > 0);
      socket.close();
      assert.ok((await all).equals(Buffer.concat(written)));
    });

    test("closed with octets unsent, it sends them, and then its end is told", async (t) => {
      const { socket, client, owner, received } = await pair(t);
      client.pause();
      socket.write(Buffer.alloc(20_000_000));
      socket.close();
      await turns(10);
      assert.deepEqual(owner.events, []);
      assert.equal((await received()).length, 20_000_000);
      await until(() => owner.events.length > 0);
      assert.deepEqual(owner.events, ["closed"]);
    });

    test("what comes later is told, whether or not it is waited for", async (t) => {
      const { socket, client, owner } = await pair(t);
      client.write("first ");
      await until(() => owner.received === "first ");
      await new Promise((resolve) => setTimeout(resolve, 5));
      client.write("second ");
      await until(() => owner.received === "first second ");
      socket.attend();
      client.write("third");
      await until(() => owner.received === "first second third");
      socket.attend();
      client.end();
      await until(() => owner.events.length > 0);
      assert.deepEqual(owner.events, ["ended"]);
    });

    test("the peer's end is told, and an answer still sent", async (t) => {
      const { socket, client, owner, received } = await pair(t);
      client.end("hello");
      await until(() => owner.events.length > 0);
      assert.deepEqual([owner.received, owner.events], ["hello", ["ended"]]);
      socket.pause();
      socket.resume();
      socket.write(Buffer.from("answer"));
      socket.close();
      assert.equal((await received()).toString(), "answer");
      await until(() => owner.events.length > 1);
      assert.deepEqual(owner.events, ["ended", "closed"]);
    });

    test("its own end leaves the other side open", async (t) => {
      const { socket, client, owner, received } = await pair(t);
      socket.write(Buffer.from("answer"));
      socket.end();
      assert.equal((await received()).toString(), "answer");
      client.write("still here");
      await until(() => owner.received === "still here");
      client.end();
      await until(() => owner.events.includes("ended"));
    });

    test("while it is paused nothing is read", async (t) => {
      const { socket, client, owner } = await pair(t);
      client.write("one ");
      await until(() => owner.received === "one ");
      socket.pause();
      client.write("two");
      await turns(20);
      assert.equal(owner.received, "one ");
      socket.resume();
      await until(() => owner.received === "one two");
    });

    test("a reset is told as the connection's end", async (t) => {
      const { client, owner } = await pair(t);
      client.resetAndDestroy();
      await until(() => owner.events.length > 0);
      assert.deepEqual(owner.events, ["closed"]);
    });

    test("what is written to a client that left is an end that is told once, and not what was to follow", async (t) => {
      const { socket, client, owner } = await pair(t);
      socket.pause();
      client.resetAndDestroy();
      await once(client, "close");
      const told: string[] = [];
      await until(() => {
        socket.write(Buffer.from("lost"), () => told.push("flushed"));
        return owner.events.length > 0;
      });
      const before = told.length;
      socket.write(Buffer.from("lost"), () => told.push("flushed"));
      socket.close();
      socket.reset();
      await turns(10);
      assert.deepEqual([owner.events, told.length], [["closed"], before]);
    });

    test("closed at once, it says so later, and what is unsent is lost", async (t) => {
      const { socket, client, owner } = await pair(t);
      client.pause();
      const told: string[] = [];
      socket.write(Buffer.alloc(20_000_000), () => told.push("flushed"));
      socket.destroy();
      assert.deepEqual(owner.events, []);
      await until(() => owner.events.length > 0);
      await turns(10);
      assert.deepEqual([owner.events, told], [["closed"], []]);
    });

    test("a reset is seen by the peer", async (t) => {
      const { socket, client, owner } = await pair(t);
      const failed = once(client, "error");
      socket.write(Buffer.from("a part"));
      await once(client, "data");
      socket.reset();
      const [error] = await failed;
      assert.equal(error.code, "ECONNRESET");
      await until(() => owner.events.length > 0);
      assert.deepEqual(owner.events, ["closed"]);
    });

    test("its two ends are those of the client, the other way round", async (t) => {
      const { socket, client } = await pair(t);
      const { localAddress, localPort, remoteAddress, remotePort } = client;
      assert.deepEqual(socket.remote, { address: localAddress, port: localPort });
      assert.deepEqual(socket.local, { address: remoteAddress, port: remotePort });
    });

    test("on a unix socket it has no addresses, and a reset is its end", async (t) => {
      const { socket, client, owner, received } = await pair(t, true);
      assert.deepEqual([socket.remote, socket.local], Array(2).fill({ address: "", port: -1 }));
      client.write("hello");
      await until(() => owner.received === "hello");
      socket.write(Buffer.from("answer"));
      socket.reset();
      assert.equal((await received()).toString(), "answer");
    });
  });
}

test("two sockets that read into the same memory each get what is theirs", async (t) => {
  const sockets: ClientSocket[] = [];
  const owners: Told[] = [];
  const { port, close } = await listenFor((socket) => {
    const owner = new Told();
    sockets.push(socket);
    owners.push(owner);
    socket.start(owner);
  });
  const clients = ["aaaa", "bbbb"].map((text) => {
    const client = createConnection({ port, host: "127.0.0.1" });
    for (let i = 0; i < 50; i++) client.write(text);
    return client;
  });
  t.after(() => {
    for (const client of clients) client.destroy();
    for (const socket of sockets) socket.destroy();
    close();
  });
  await until(() => owners.length === 2 && owners.every(({ received }) => received.length === 200));
  assert.deepEqual(owners.map(({ received }) => received).sort(), ["aaaa".repeat(50), "bbbb".repeat(50)]);
});

test("a socket that is released is a net.Socket, which has what came meanwhile, and still says who its ends are", async (t) => {
  const accepted: ClientSocket[] = [];
  const { port, close } = await listenFor((socket) => accepted.push(socket));
  const client = createConnection({ port, host: "127.0.0.1" });
  t.after(() => {
    client.destroy();
    close();
  });
  client.write("hello ");
  await until(() => accepted.length === 1);
  const [socket] = accepted;
  assert.ok(socket !== undefined);
  const owner = new Told();
  socket.start(owner);
  await until(() => owner.received === "hello ");
  const ends = [socket.remote, socket.local];
  const released = socket.release();
  client.write("again");
  const [octets] = await once(released.resume(), "data");
  assert.equal(String(octets), "again");
  assert.deepEqual([socket.remote, socket.local], ends);
  released.end("answer");
  const [answer] = await once(client, "data");
  assert.equal(String(answer), "answer");
  client.end();
  await once(released, "close");
  assert.deepEqual([owner.received, owner.events], ["hello ", []], "nothing is told any more");
});

test("connections are accepted for as long as it listens, however many come at once, and no longer", async (t) => {
  const accepted: ClientSocket[] = [];
  const { port, close } = await listenFor((socket) => accepted.push(socket));
  const clients = Array.from({ length: 100 }, () =>
    createConnection({ port, host: "127.0.0.1" }).on("error", () => {}),
  );
  t.after(() => {
    for (const client of clients) client.destroy();
    for (const socket of accepted) socket.destroy();
  });
  await until(() => accepted.length === 100);
  close();
  close();
  const late = createConnection({ port, host: "127.0.0.1" });
  const [error] = await once(late, "error");
  assert.equal(error.code, "ECONNREFUSED");
});
