// Connections made to somewhere else, by system calls. A server that wants a connection for each request (uwsgi, SCGI) is asked in
// one go: connected, written to, and watched, where libuv's handles wait for a turn of the event loop before anything can be
// written, and have to be made and freed. In front of uWSGI a gateway does a tenth to a seventh more requests so, and a page for the same CPU.
import { isIPv6 } from "node:net";
import { constants } from "node:os";
import { type Connect, type Connection, type ConnectionOwner, connectSocket, type Destination } from "./connection.js";
import { ownDescriptors } from "./descriptors.js";
import { AF_INET, AF_INET6, AF_UNIX, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM } from "./libc.js";
import { type Pollable, Poller } from "./poller.js";
import { sockaddrUnix, sockaddrV4, sockaddrV6 } from "./socket-address.js";
import {
  addressOctets,
  close,
  connect as connectDescriptor,
  EAGAIN,
  EINPROGRESS,
  EPOLLERR,
  EPOLLHUP,
  EPOLLOUT,
  EPOLLRDHUP,
  errorName,
  errorOf,
  lastError,
  MSG_MORE,
  MSG_NOSIGNAL,
  recv,
  send,
  setNoDelay,
  socket,
} from "./socket-calls.js";

/** Connects by system calls; undefined where this Node has not what that needs. */
export function findSystemConnect(): Connect | undefined {
  const poller = Poller.open();
  return poller && ((destination, owner) => new SystemConnection(poller, destination, owner));
}

let found: Connect | undefined;

/** Connects in the cheapest way there is. */
export const connect: Connect = (destination, owner) => {
  found ??= findSystemConnect() ?? connectSocket;
  return found(destination, owner);
};

/** Whatever any connection receives is put here, and copied from here: buffers made for each read cost page faults. */
const incoming = Buffer.allocUnsafeSlow(65536);
/** Reads of one connection before others have their turn. */
const readsMost = 16;

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

interface Waiter {
  /** Pieces that have to be gone before. */
  readonly after: number;
  readonly flushed: () => void;
}

class SystemConnection implements Connection, Pollable {
  broken = false;
  made = false;
  readonly #poller: Poller;
  readonly #fd: number;
  /** Undefined when it is closed. */
  #owner: ConnectionOwner | undefined;
  #watched = false;
  /** What the kernel did not take; undefined where there is nothing. */
  #unsent: Uint8Array[] | undefined;
  /** Pieces that were in `unsent`, and how many of them have left. */
  #queued = 0;
  #gone = 0;
  #waiters: Waiter[] | undefined;
  #paused = false;
  /** What became ready while it was paused, and was not read. */
  #unread = 0;
  #ended = false;

  constructor(poller: Poller, destination: Destination, owner: ConnectionOwner) {
    this.#poller = poller;
    this.#owner = owner;
    this.#fd = socket(familyOf(destination), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const errno = this.#fd < 0 ? lastError() : this.#begin(destination);
    if (errno !== 0) queueMicrotask(() => this.#lose(errno));
  }

  /** 0, or why there will be no connection. */
  #begin(destination: Destination): number {
    const fd = this.#fd;
    // The last descriptors are kept (descriptors.ts).
    if (fd >= ownDescriptors().requestsEnd) return constants.errno.EMFILE;
    if (destination.kind === "tcp" && destination.noDelay) setNoDelay(fd);
    const address = addressOf(destination);
    this.made = connectDescriptor(fd, address, address.length) === 0;
    const errno = this.made ? 0 : lastError();
    if (errno !== 0 && errno !== EINPROGRESS) return errno;
    this.#watched = this.#poller.add(fd, this, !this.made);
    return this.#watched ? 0 : lastError();
  }

  ready(events: number): void {
    if (!this.made && !this.#connected(events)) return;
    if ((events & EPOLLOUT) !== 0 && this.#unsent !== undefined) this.#sendOn(this.#unsent);
    if ((events & ~EPOLLOUT) !== 0) this.#read(events);
  }

  /** Whether there is a connection now. */
  #connected(events: number): boolean {
    const errno = errorOf(this.#fd);
    if (errno !== 0) this.#lose(errno);
    else if ((events & EPOLLOUT) !== 0) {
      this.made = true;
      this.#owner?.connectionMade();
    }
    return this.made && this.#owner !== undefined;
  }

  // -- what comes

  #read(events: number): void {
    for (let reads = 0; this.#owner !== undefined && !this.#ended; reads += 1) {
      if (this.#paused) {
        this.#unread |= events;
        return;
      }
      if (reads === readsMost) {
        setImmediate(() => this.#read(events));
        return;
      }
      const length = recv(this.#fd, incoming, incoming.length, 0);
      if (length === 0) this.#end();
      else if (length < 0) {
        const errno = lastError();
        if (errno !== EAGAIN) this.#lose(errno);
        return;
      } else {
        const octets = Buffer.allocUnsafe(length);
        octets.set(incoming.subarray(0, length));
        this.#owner.connectionReceived(octets);
        if (length === incoming.length) continue;
        // That was all there is. Where its end had come before it was read, it need not be asked for.
        if ((events & (EPOLLRDHUP | EPOLLHUP)) === 0) return;
        if ((events & EPOLLERR) === 0 && !this.#paused) this.#end();
      }
    }
  }

  #end(): void {
    this.#ended = true;
    this.#owner?.connectionEnded();
  }

  #lose(errno: number): void {
    const owner = this.#owner;
    this.close();
    owner?.connectionLost(errorName(errno));
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    const events = this.#unread;
    this.#unread = 0;
    if (events !== 0) setImmediate(() => this.#read(events));
  }

  // -- what goes

  get flushed(): boolean {
    return this.#unsent === undefined;
  }

  write(octets: Uint8Array): boolean {
    return this.#write(octets, MSG_NOSIGNAL);
  }

  writeAll(pieces: readonly Uint8Array[]): boolean {
    let flags = MSG_NOSIGNAL | MSG_MORE;
    let room = true;
    for (let at = 0; at < pieces.length; at += 1) {
      if (at === pieces.length - 1) flags = MSG_NOSIGNAL;
      room = this.#write(pieces[at] as Uint8Array, flags);
    }
    return room;
  }

  #write(octets: Uint8Array, flags: number): boolean {
    if (this.broken || this.#owner === undefined) return true;
    if (this.#unsent !== undefined) {
      this.#unsent.push(octets);
      this.#queued += 1;
      return false;
    }
    const sent = this.#send(octets, flags);
    if (sent === octets.length || this.broken) return true;
    this.#unsent = [octets.subarray(sent)];
    this.#queued += 1;
    if (this.#poller.watchWriting(this.#fd)) return false;
    this.#break();
    return true;
  }

  /** Octets that the kernel took; of a connection that takes none any more all. */
  #send(octets: Uint8Array, flags: number): number {
    if (octets.length === 0) return 0;
    const sent = send(this.#fd, octets, octets.length, flags);
    if (sent >= 0) return sent;
    if (lastError() !== EAGAIN) this.#break();
    return 0;
  }

  #sendOn(pieces: Uint8Array[]): void {
    for (let octets = pieces[0]; octets !== undefined; octets = pieces[0]) {
      const sent = this.#send(octets, MSG_NOSIGNAL);
      if (this.broken) return;
      if (sent < octets.length) {
        pieces[0] = octets.subarray(sent);
        this.#tellWaiters();
        return;
      }
      pieces.shift();
      this.#gone += 1;
    }
    this.#left();
  }

  /** What is left will never leave, and nobody waits for it. */
  #break(): void {
    this.broken = true;
    if (this.#unsent !== undefined) this.#left();
  }

  #left(): void {
    this.#unsent = undefined;
    this.#gone = this.#queued;
    this.#owner?.connectionDrained();
    this.#tellWaiters();
  }

  #tellWaiters(): void {
    while (this.#owner !== undefined && (this.#waiters?.[0]?.after ?? Infinity) <= this.#gone) {
      this.#waiters?.shift()?.flushed();
    }
  }

  whenFlushed(flushed: () => void): void {
    if (this.flushed) {
      queueMicrotask(() => {
        if (this.#owner !== undefined) flushed();
      });
      return;
    }
    this.#waiters ??= [];
    this.#waiters.push({ after: this.#queued, flushed });
  }

  close(): void {
    if (this.#owner === undefined) return;
    this.#owner = undefined;
    if (this.#watched) this.#poller.remove(this.#fd);
    if (this.#fd >= 0) close(this.#fd);
  }
}
