import assert from "node:assert/strict";
import { once } from "node:events";
import { createConnection, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { acceptBare, type BareSocket, type BareSocketOwner } from "../../src/net/bare-socket.js";

/** A bare socket and its client, until the test ends. */
async function pair(context: TestContext): Promise<{ bare: BareSocket; client: Socket; owner: Told }> {
  const server = createServer({ allowHalfOpen: true }, () => assert.fail("connections come bare"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const owner = new Told();
  const accepted = new Promise<BareSocket>((resolve) => {
    assert.equal(acceptBare(server, resolve), true, "this Node has what it needs");
  });
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const client = createConnection({ port: address.port, host: "127.0.0.1", allowHalfOpen: true });
  client.on("error", () => {});
  const bare = await accepted;
  bare.start(owner);
  context.after(async () => {
    client.destroy();
    bare.close();
    server.close();
    await once(server, "close");
  });
  return { bare, client, owner };
}

class Told implements BareSocketOwner {
  received = "";
  readonly events: string[] = [];
  socketReceived(octets: Buffer): void {
    this.received += octets.toString();
  }
  socketEnded(): void {
    this.events.push("ended");
  }
  socketClosed(): void {
    this.events.push("closed");
  }
  async until(condition: () => boolean): Promise<void> {
    for (let turns = 0; !condition(); turns++) {
      assert.ok(turns < 10_000, `waited in vain for ${condition}`);
      await new Promise((resolve) => setTimeout(resolve, turns < 100 ? 0 : 1));
    }
  }
}

test("octets come in, one answer goes out, and the connection ends behind it", async (t) => {
  const { bare, client, owner } = await pair(t);
  client.write("hello");
  await owner.until(() => owner.received === "hello");
  assert.equal(bare.send(Buffer.from("answer")), true);
  const chunks: Buffer[] = [];
  client.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(client, "end");
  assert.equal(Buffer.concat(chunks).toString(), "answer");
  assert.deepEqual(owner.events, [], "nothing is told of what was done here");
});

test("an answer that the kernel does not take at once leaves whole, and then its end is told", async (t) => {
  const { bare, client, owner } = await pair(t);
  client.pause();
  const octets = Buffer.alloc(20_000_000, "abcdefg");
  assert.equal(bare.send(octets), false);
  const chunks: Buffer[] = [];
  client.on("data", (chunk: Buffer) => chunks.push(chunk));
  client.resume();
  await once(client, "end");
  assert.ok(Buffer.concat(chunks).equals(octets));
  await owner.until(() => owner.events.length > 0);
  assert.deepEqual(owner.events, ["closed"]);
});

test("the peer's end is told, and an answer still sent", async (t) => {
  const { bare, client, owner } = await pair(t);
  client.end("hello");
  await owner.until(() => owner.events.length > 0);
  assert.deepEqual([owner.received, owner.events], ["hello", ["ended"]]);
  bare.send(Buffer.from("answer"));
  const [chunk] = await once(client, "data");
  assert.equal(String(chunk), "answer");
});

test("a reset is told as the connection's end", async (t) => {
  const { client, owner } = await pair(t);
  client.resetAndDestroy();
  await owner.until(() => owner.events.length > 0);
  assert.deepEqual(owner.events, ["closed"]);
});

test("as a net.Socket it goes on where it was", async (t) => {
  const { bare, client, owner } = await pair(t);
  client.write("one ");
  await owner.until(() => owner.received === "one ");
  const socket = bare.socket();
  t.after(() => socket.destroy());
  client.write("two");
  await owner.until(() => owner.received === "one two");
  socket.write("a");
  socket.end("b");
  const chunks: Buffer[] = [];
  client.on("data", (data: Buffer) => chunks.push(data));
  await once(client, "end");
  assert.equal(Buffer.concat(chunks).toString(), "ab");
  client.end();
  await once(socket, "end");
  assert.deepEqual(owner.events, [], "the rest are the socket's own events");
});
