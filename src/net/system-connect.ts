// Connections made to somewhere else, by system calls. A server that wants a connection for each request (uwsgi, SCGI) is asked in
// one turn: connected, watched, and written to, where libuv's handles wait for a turn of the event loop before anything can be
// written, and have to be made and freed. In front of uWSGI a gateway does a tenth more requests so, and a page for less CPU.
import { isIPv6 } from "node:net";
import { constants } from "node:os";
import { type Connect, type Connection, type ConnectionOwner, connectSocket, type Destination } from "./connection.js";
import { ownDescriptors } from "./descriptors.js";
import { AF_INET, AF_INET6, AF_UNIX, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM } from "./libc.js";
import { Poller } from "./poller.js";
import { sockaddrUnix, sockaddrV4, sockaddrV6 } from "./socket-address.js";
import {
  addressOctets,
  connect as connectDescriptor,
  EINPROGRESS,
  EPOLLOUT,
  errorName,
  errorOf,
  lastError,
  setNoDelay,
  socket,
} from "./socket-calls.js";
import { SystemStream } from "./system-stream.js";

/** Connects by system calls; undefined where this Node has not what that needs. */
export function findSystemConnect(): Connect | undefined {
  const poller = Poller.own();
  return poller && ((destination, owner) => new SystemConnection(poller, destination, owner));
}

let found: Connect | undefined;

/** Connects in the cheapest way there is. */
export const connect: Connect = (destination, owner) => {
  found ??= findSystemConnect() ?? connectSocket;
  return found(destination, owner);
};

/** A `struct sockaddr`. Requests go to the same few servers. */
const addresses = new WeakMap<Destination, Buffer>();

function addressOf(destination: Destination): Buffer {
  const known = addresses.get(destination);
  if (known !== undefined) return known;
  const address = makeAddress(destination);
  addresses.set(destination, address);
  return address;
}

function makeAddress(destination: Destination): Buffer {
  if (destination.kind === "unix") return sockaddrUnix(destination.path);
  const { host, port } = destination;
  const calls = {
    inetPton: (family: number, text: string) => addressOctets(family, text, family === AF_INET6 ? 16 : 4),
  };
  return isIPv6(host) ? sockaddrV6(calls, host, port) : sockaddrV4(calls, host, port);
}

function familyOf(destination: Destination): number {
  if (destination.kind === "unix") return AF_UNIX;
  return isIPv6(destination.host) ? AF_INET6 : AF_INET;
}

class SystemConnection extends SystemStream implements Connection {
  made = false;
  readonly #owner: ConnectionOwner;

  constructor(poller: Poller, destination: Destination, owner: ConnectionOwner) {
    super(poller, socket(familyOf(destination), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    this.#owner = owner;
    const errno = this.fd < 0 ? lastError() : this.#begin(destination);
    if (errno !== 0) queueMicrotask(() => this.lost(errno));
  }

  /** 0, or why there will be no connection. */
  #begin(destination: Destination): number {
    const { fd } = this;
    // The last descriptors are kept (descriptors.ts).
    if (fd >= ownDescriptors().requestsEnd) return constants.errno.EMFILE;
    if (destination.kind === "tcp" && destination.noDelay) setNoDelay(fd);
    const address = addressOf(destination);
    this.made = connectDescriptor(fd, address, address.length) === 0;
    const errno = this.made ? 0 : lastError();
    if (errno !== 0 && errno !== EINPROGRESS) return errno;
    return this.watch(!this.made) ? 0 : lastError();
  }

  override ready(events: number): void {
    if (this.made || this.#connected(events)) super.ready(events);
  }

  /** Whether there is a connection now. */
  #connected(events: number): boolean {
    const errno = errorOf(this.fd);
    if (errno !== 0) this.lost(errno);
    else if ((events & EPOLLOUT) !== 0) {
      this.made = true;
      if (this.open) this.#owner.connectionMade();
    }
    return this.made && this.open;
  }

  protected received(memory: Buffer, length: number): void {
    const octets = Buffer.allocUnsafe(length);
    octets.set(memory.subarray(0, length));
    this.#owner.connectionReceived(octets);
  }

  protected ended(): void {
    this.#owner.connectionEnded();
  }

  protected lost(errno: number): void {
    if (!this.open) return;
    this.close();
    this.#owner.connectionLost(errorName(errno));
  }

  protected refused(): void {}

  protected drained(): void {
    this.#owner.connectionDrained();
  }

  write(octets: Uint8Array): boolean {
    return this.sendOne(octets);
  }

  writeAll(pieces: readonly Uint8Array[]): boolean {
    return this.sendAll(pieces);
  }

  close(): void {
    this.cease();
  }
}
