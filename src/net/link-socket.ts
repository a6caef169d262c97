// The connection of a worker, at the front. What is read lies one behind the other in memory that is never written again, so that it is
// passed on without a copy. Node makes 64 KiB for each read otherwise and cuts that to size: a front that passes on responses of 100 KB
// was measured at 175 µs of CPU a response so, and at 151 with this.
import { createServer, type Socket } from "node:net";
import { backlog } from "./backlog.js";
import { Poller } from "./poller.js";
import { SHUT_WR, shutdown } from "./socket-calls.js";
import { type Accepting, acceptDescriptors } from "./system-listener.js";
import { SystemStream } from "./system-stream.js";

/** Told what happens on a connection, never within a call to it. */
export interface LinkSocketOwner {
  /** The octets are the owner's. */
  linkReceived(octets: Buffer): void;
  /** The connection is gone. The last that is told. */
  linkGone(): void;
}

export interface LinkSocket {
  /** Octets written that the kernel has not taken. */
  readonly unsent: number;
  /** Begins to read, before all else. */
  start(owner: LinkSocketOwner): void;
  /** The octets must not change until they are taken. */
  write(octets: Uint8Array): void;
  /** Ends our side behind what was written; still reads. */
  end(): void;
}

/** What a read may bring at most: as Node's own. */
const readMost = 65536;
/** What was read keeps a slab alive: a larger one would be kept for little. */
const slabSize = 2 * readMost;

class SystemLink extends SystemStream implements LinkSocket {
  #owner: LinkSocketOwner | undefined;
  #slab = Buffer.allocUnsafeSlow(slabSize);
  #used = 0;
  #ending = false;

  start(owner: LinkSocketOwner): void {
    this.#owner = owner;
    if (!this.watch(false)) queueMicrotask(() => this.lost());
  }

  protected override room(): Buffer {
    if (slabSize - this.#used < readMost) {
      this.#slab = Buffer.allocUnsafeSlow(slabSize);
      this.#used = 0;
    }
    return this.#slab.subarray(this.#used, this.#used + readMost);
  }

  protected received(memory: Buffer, length: number): void {
    this.#used += length;
    this.#owner?.linkReceived(memory.subarray(0, length));
  }

  protected ended(): void {
    this.lost();
  }

  protected lost(): void {
    if (!this.open) return;
    this.cease();
    this.#owner?.linkGone();
  }

  /** What it had said before can still be read, and then its end. */
  protected refused(): void {}

  protected drained(): void {
    if (this.#ending) shutdown(this.fd, SHUT_WR);
  }

  write(octets: Uint8Array): void {
    this.sendOne(octets);
  }

  end(): void {
    if (!this.open || this.#ending) return;
    this.#ending = true;
    if (this.flushed) this.drained();
  }
}

/** Where system calls cannot be had. */
export class NetLink implements LinkSocket {
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  get unsent(): number {
    return this.#socket.writableLength;
  }

  start(owner: LinkSocketOwner): void {
    this.#socket.on("data", (octets: Buffer) => owner.linkReceived(octets));
    this.#socket.on("error", () => {}); // "close" follows and says all there is to say
    this.#socket.on("close", () => owner.linkGone());
  }

  write(octets: Uint8Array): void {
    this.#socket.write(octets);
  }

  end(): void {
    this.#socket.end();
  }
}

/** Gives the connections of a listening socket, of which `fd` is its own from here on, to `accept`. */
export function acceptLinks(fd: number, accept: (socket: LinkSocket) => void): Accepting {
  const poller = Poller.own();
  if (poller === undefined) return createServer((socket) => accept(new NetLink(socket))).listen({ fd }, backlog);
  return acceptDescriptors(poller, fd, (accepted) => accept(new SystemLink(poller, accepted)), false);
}
