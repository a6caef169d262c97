import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { acceptLinks, type LinkSocket, NetLink } from "../../src/net/link-socket.js";
import { listenPrivately } from "../../src/net/listen.js";
import { removeFolder, temporaryFolder } from "../support/tools.js";

interface Accepts {
  close(): unknown;
}

const kinds = {
  "by system calls": (fd: number, accept: (socket: LinkSocket) => void): Accepts => acceptLinks(fd, accept),
  "on a net.Socket": (fd: number, accept: (socket: LinkSocket) => void): Accepts =>
    createServer((socket) => accept(new NetLink(socket))).listen({ fd }),
};

/** What is told of a link. */
class Told {
  readonly read: Buffer[] = [];
  readonly gone: Promise<void>;
  linkGone = (): void => {};

  constructor() {
    this.gone = new Promise((resolve) => {
      this.linkGone = resolve;
    });
  }

  linkReceived(octets: Buffer): void {
    this.read.push(octets);
  }
}

for (const [name, acceptBy] of Object.entries(kinds)) {
  describe(`a worker's connection, ${name}`, () => {
    const folder = temporaryFolder("links");
    const path = join(folder, "socket");
    let accepting: Accepts | undefined;
    let accepted: (socket: LinkSocket) => void = () => {};
    let alive: NodeJS.Timeout | undefined;

    before(async () => {
      // What is watched by an epoll of our own does not keep a process alive.
      alive = setInterval(() => {}, 1000);
      accepting = acceptBy(await listenPrivately(path), (socket) => accepted(socket));
    });
    after(() => {
      clearInterval(alive);
      accepting?.close();
      removeFolder(folder);
    });

    async function connected(): Promise<{ peer: Socket; link: LinkSocket; told: Told }> {
      const next = new Promise<LinkSocket>((resolve) => {
        accepted = resolve;
      });
      const peer = connect({ path, allowHalfOpen: true });
      const link = await next;
      const told = new Told();
      link.start(told);
      return { peer, link, told };
    }

    test("what was read stays as it was, however much is read after it; the end of the peer ends it", async () => {
      const { peer, link, told } = await connected();
      const sent = Array.from({ length: 200 }, (_, each) => Buffer.alloc(each * each, each));
      for (const octets of sent) if (!peer.write(octets)) await once(peer, "drain");
      link.write(Buffer.from("and back"));
      const [answer] = await once(peer, "data");
      assert.equal(String(answer), "and back");
      peer.end();
      await told.gone;
      assert.equal(Buffer.concat(told.read).equals(Buffer.concat(sent)), true);
      const memories = new Set(told.read.map(({ buffer }) => buffer));
      const fewer = name === "by system calls";
      assert.equal(memories.size < told.read.length, fewer, `${memories.size} slabs for ${told.read.length} reads`);
      peer.destroy();
    });

    test("what the kernel does not take at once leaves later, and our end behind it; the peer's is still read", async () => {
      const { peer, link, told } = await connected();
      const large = Buffer.alloc(4_000_000, "large");
      peer.pause();
      link.write(large);
      link.write(Buffer.from("last"));
      link.end();
      assert.ok(link.unsent > 0);
      const got: Buffer[] = [];
      peer.on("data", (octets: Buffer) => got.push(octets));
      peer.resume();
      await once(peer, "end");
      assert.equal(Buffer.concat(got).equals(Buffer.concat([large, Buffer.from("last")])), true);
      assert.equal(link.unsent, 0);
      peer.end("and bye");
      await told.gone;
      assert.equal(Buffer.concat(told.read).toString(), "and bye");
    });

    test("a peer that is gone is told once, after what it had said; what is written then is nobody's", async () => {
      const { peer, link, told } = await connected();
      let count = 0;
      const gone = told.gone.then(() => {
        count += 1;
      });
      peer.write("the last words", () => peer.destroy());
      await gone;
      link.write(Buffer.from("to nobody"));
      link.end();
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(count, 1);
      assert.equal(Buffer.concat(told.read).toString(), "the last words");
    });
  });
}
