import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { tellLastFirst } from "../../src/egress/just-connected.js";
import { type SocketOwner, UpstreamSocket } from "../../src/egress/socket.js";
import { removeFolder, temporaryFolder } from "../support/tools.js";
import { eventually, optionsFor } from "./support.js";

/** Those of which it was told, in order. */
function tellable(names: readonly string[], told: string[]): { tellConnected(): void }[] {
  return names.map((name) => ({ tellConnected: () => void told.push(name) }));
}

test("the last one is told first, when the turn is over", async () => {
  const told: string[] = [];
  for (const each of tellable(["a", "b", "c"], told)) tellLastFirst(each);
  assert.deepEqual(told, []);
  await Promise.resolve();
  assert.deepEqual(told, ["c", "b", "a"]);
});

test("no more than sixteen wait", async () => {
  const told: number[] = [];
  for (let index = 1; index <= 17; index += 1) tellLastFirst({ tellConnected: () => void told.push(index) });
  assert.deepEqual(told, [16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
  await Promise.resolve();
  assert.equal(told.at(-1), 17);
  assert.equal(told.length, 17);
});

test("one that comes of being told is told in the same turn", async () => {
  const told: string[] = [];
  const [later] = tellable(["later"], told);
  tellLastFirst({
    tellConnected: () => {
      told.push("first");
      if (later !== undefined) tellLastFirst(later);
    },
  });
  await Promise.resolve();
  assert.deepEqual(told, ["first", "later"]);
});

class Writer implements SocketOwner {
  socket: UpstreamSocket | undefined;
  connected = 0;
  readonly #octets: string;

  constructor(octets: string) {
    this.#octets = octets;
  }
  socketConnected(): void {
    this.connected += 1;
    this.socket?.write(Buffer.from(this.#octets));
  }
  socketReceived(): void {}
  socketDrained(): void {}
  socketInputEnded(): void {}
  socketLost(): void {}
}

/** A server on a unix socket, and what it received on each connection, in the order in which they were accepted. */
async function unixServer(context: TestContext): Promise<{ path: string; received: string[] }> {
  const folder = temporaryFolder("just-connected");
  context.after(() => removeFolder(folder));
  const path = join(folder, "s");
  const received: string[] = [];
  const accepted: Socket[] = [];
  const server = createServer((socket) => {
    const at = accepted.push(socket) - 1;
    received[at] = "";
    socket.on("data", (octets) => {
      received[at] += octets.toString();
    });
  }).listen(path);
  context.after(() => {
    for (const socket of accepted) socket.destroy();
    server.close();
  });
  await once(server, "listening");
  return { path, received };
}

function connect(context: TestContext, path: string, writer: Writer): UpstreamSocket {
  const socket = new UpstreamSocket({ ...optionsFor(0), address: { kind: "unix", path } }, writer);
  writer.socket = socket;
  context.after(() => socket.close());
  return socket;
}

test("each connection to a unix socket is told once that it is made, and carries what is written then", async (context) => {
  const { path, received } = await unixServer(context);
  const writers = ["one", "two", "three"].map((octets) => new Writer(octets));
  for (const writer of writers) connect(context, path, writer);
  assert.ok(writers.every(({ connected }) => connected === 0));
  await eventually(() => received.join() === "one,two,three");
  assert.ok(writers.every(({ connected }) => connected === 1));
});

test("one that is closed in the turn in which it was made is told nothing", async (context) => {
  const { path, received } = await unixServer(context);
  const [gone, stays] = [new Writer("gone"), new Writer("stays")];
  const socket = connect(context, path, gone);
  connect(context, path, stays);
  socket.close();
  await eventually(() => received.join() === ",stays");
  assert.equal(gone.connected, 0);
});
