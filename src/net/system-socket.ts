// Clients' connections by system calls: all that wait are accepted at once, so that a worker is woken once for several, and what became
// ready is told in one call from the event loop, not in one for each connection. Behind nginx a request with a connection of its own costs
// 6 to 10 % less than with libuv's handles, nginx and worker included; on connections that are kept it costs the same.

import { Socket } from "node:net";
import { networkInterfaces } from "node:os";
import type { ClientSocket, ClientSocketOwner, Encoded, End } from "./client-socket.js";
import { outflow } from "./client-socket.js";
import { AF_INET, AF_INET6, AF_UNIX } from "./libc.js";
import { Poller } from "./poller.js";
import { addressText, closeByReset, nameOf, SHUT_WR, setNoDelay, shutdown, unacknowledged } from "./socket-calls.js";
import { type Accepting, acceptDescriptors } from "./system-listener.js";
import { SystemStream } from "./system-stream.js";

const nowhere: End = { address: "", port: -1 };

/** What a `struct sockaddr` says, with the zone of a link-local address, as Node writes it. */
function endOf(name: Buffer): End {
  const family = name.length < 2 ? AF_UNIX : name.readUInt16LE(0);
  if (family === AF_INET) return { address: addressText(AF_INET, name.subarray(4, 8)), port: name.readUInt16BE(2) };
  if (family !== AF_INET6) return nowhere;
  const zone = zoneOf(name.readUInt32LE(24));
  return { address: addressText(AF_INET6, name.subarray(8, 24)) + zone, port: name.readUInt16BE(2) };
}

function zoneOf(scope: number): string {
  if (scope === 0) return "";
  const has = (entries: ReturnType<typeof networkInterfaces>[string]): boolean =>
    entries?.some((entry) => entry.family === "IPv6" && entry.scopeid === scope) === true;
  const name = Object.entries(networkInterfaces()).find(([, entries]) => has(entries))?.[0];
  return `%${name ?? scope}`;
}

/** Whose owners are to be told: one microtask for all that are closed in a turn costs less than one for each. */
const closed: SystemSocket[] = [];

function tellClosed(): void {
  for (const socket of closed.splice(0)) socket.tellClosed();
}

export class SystemSocket extends SystemStream implements ClientSocket {
  path?: string;
  readonly #tcp: boolean;
  #owner: ClientSocketOwner | undefined;
  /** To be closed, or our side to be ended, when all is written. */
  #then: "close" | "end" | undefined;
  /** What has its descriptor now. */
  #released: Socket | undefined;
  /** Octets that are counted in what slow clients cost. */
  #counted = 0;

  constructor(poller: Poller, fd: number, tcp: boolean) {
    super(poller, fd);
    this.#tcp = tcp;
  }

  get descriptor(): number {
    return this.fd;
  }

  get remote(): End {
    if (this.#released !== undefined) {
      const { remoteAddress: address = "", remotePort: port = -1 } = this.#released;
      return { address, port };
    }
    return this.open && this.#tcp ? endOf(nameOf(this.fd, "remote")) : nowhere;
  }

  get local(): End {
    if (this.#released !== undefined) {
      const { localAddress: address = "", localPort: port = -1 } = this.#released;
      return { address, port };
    }
    return this.open && this.#tcp ? endOf(nameOf(this.fd, "local")) : nowhere;
  }

  get untaken(): number {
    return this.unsent + (this.open ? unacknowledged(this.fd) : 0);
  }

  start(owner: ClientSocketOwner): void {
    const started = this.#owner !== undefined;
    this.#owner = owner;
    if (!started && this.open && !this.watch(false)) this.destroy();
  }

  startBriefly(owner: ClientSocketOwner): void {
    this.#owner = owner;
    if (this.open) this.lookLater();
  }

  attend(): void {
    if (this.open && !this.watched && !this.watch(false)) this.destroy();
  }

  handOver(owner: ClientSocketOwner): void {
    this.#owner = owner;
  }

  setNoDelay(): void {
    if (this.open && this.#tcp) setNoDelay(this.fd);
  }

  protected received(memory: Buffer, length: number): void {
    this.#owner?.socketReceived(memory, length);
  }

  protected ended(): void {
    this.#owner?.socketEnded();
  }

  protected lost(): void {
    this.destroy();
  }

  protected refused(): void {
    this.destroy();
  }

  protected override moved(): void {
    const { unsent } = this;
    outflow.unsent += unsent - this.#counted;
    this.#counted = unsent;
  }

  protected drained(): void {
    if (this.#then === undefined) this.#owner?.socketDrained();
    else if (this.#then === "close") this.destroy();
    else shutdown(this.fd, SHUT_WR);
  }

  write(octets: Encoded, flushed?: () => void): void {
    const taken = octets instanceof Uint8Array ? this.sendOne(octets) : this.sendAll(octets);
    if (!taken) this.moved();
    if (flushed !== undefined) this.whenFlushed(flushed);
  }

  end(): void {
    if (!this.open || this.#then !== undefined) return;
    this.#then = "end";
    if (this.flushed) this.drained();
  }

  close(): void {
    this.#then = "close";
    if (this.flushed) this.destroy();
  }

  destroy(): void {
    if (!this.open) return;
    this.cease();
    this.#forget();
  }

  reset(): void {
    // A unix socket has no way to say so.
    if (this.open && this.#tcp) closeByReset(this.fd);
    this.destroy();
  }

  /** What was written and not taken is lost. */
  #forget(): void {
    outflow.unsent -= this.#counted;
    this.#counted = 0;
    if (closed.push(this) === 1) queueMicrotask(tellClosed);
  }

  tellClosed(): void {
    this.#owner?.socketClosed();
  }

  release(): Socket {
    this.#owner = undefined;
    this.letGo();
    this.#released = new Socket({ allowHalfOpen: true, fd: this.fd, readable: true, writable: true });
    return this.#released;
  }
}

/**
 * Gives the connections of a listening socket, of which `fd` is its own from here on, to `accept`. `shared`: other processes accept from
 * it, too, and are left what this one does not come to at once. Undefined where this Node has not what that needs.
 */
export function acceptBySystemCalls(
  fd: number,
  accept: (socket: SystemSocket) => void,
  shared: boolean,
): Accepting | undefined {
  const poller = Poller.own();
  if (poller === undefined) return undefined;
  const tcp = endOf(nameOf(fd, "local")).port >= 0;
  return acceptDescriptors(poller, fd, (accepted) => accept(new SystemSocket(poller, accepted, tcp)), shared);
}
