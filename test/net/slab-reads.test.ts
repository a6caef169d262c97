import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { listenPrivately } from "../../src/net/listen.js";
import { acceptWithSlabs } from "../../src/net/slab-reads.js";
import { removeFolder, temporaryFolder } from "../support/tools.js";

test("what was read stays as it was, however much is read after it; the end of the peer ends the socket", async () => {
  const folder = temporaryFolder("slabs");
  const path = join(folder, "socket");
  const read: Buffer[] = [];
  const memories = new Set<ArrayBufferLike>();
  const fd = await listenPrivately(path);
  let close = (): void => {};
  const accepted = new Promise<Socket>((resolve) => {
    const accepting = acceptWithSlabs(fd, resolve);
    assert.ok(accepting !== undefined, "this Node has what it needs");
    close = () => accepting.close();
  });
  const client = connect(path);
  const socket = await accepted;
  close();
  socket.on("data", (octets: Buffer) => {
    read.push(octets);
    memories.add(octets.buffer);
  });
  const closed = once(socket, "close");
  const sent = Array.from({ length: 200 }, (_, each) => Buffer.alloc(each * each, each));
  for (const octets of sent) if (!client.write(octets)) await once(client, "drain");
  socket.write("and back");
  const [answer] = await once(client, "data");
  assert.equal(String(answer), "and back");
  client.end();
  await closed;
  removeFolder(folder);
  assert.equal(Buffer.concat(read).equals(Buffer.concat(sent)), true);
  assert.ok(memories.size > 1 && memories.size < read.length, `${read.length} reads in ${memories.size} slabs`);
});
