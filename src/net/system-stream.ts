// A connected socket that is used by system calls: what is read, what the kernel has not taken, and what becomes of both. Whose it
// is says what that means: a connection made to somewhere else (system-connect.ts), a client's (system-socket.ts), or a worker's
// (link-socket.ts).
import type { Pollable, Poller } from "./poller.js";
import {
  close,
  EAGAIN,
  EPOLLERR,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  EPOLLRDHUP,
  lastError,
  MSG_MORE,
  MSG_NOSIGNAL,
  recv,
  send,
} from "./socket-calls.js";
import { unwatched } from "./unwatched.js";

/** Where most put what they receive, and copy it from: buffers made for each read cost page faults. */
const incoming = Buffer.allocUnsafeSlow(65536);
/** Where small pieces are put together that are sent at once. */
const together = Buffer.allocUnsafeSlow(16384);
/** Reads of one connection before others have their turn. */
const readsMost = 16;

interface Waiter {
  /** Pieces that have to be gone before. */
  readonly after: number;
  readonly flushed: () => void;
}

export abstract class SystemStream implements Pollable {
  protected readonly poller: Poller;
  /** -1 where there is none. */
  protected readonly fd: number;
  protected open = true;
  #watched = false;
  /** Its place among those that are watched later (unwatched.ts); -1 where it has none. */
  place = -1;
  /** What the kernel did not take; undefined where there is nothing. */
  #unsent: Uint8Array[] | undefined;
  #unsentOctets = 0;
  /** Pieces that were in `unsent`, and how many of them have left. */
  #queued = 0;
  #gone = 0;
  #waiters: Waiter[] | undefined;
  /** Nothing more can be written. */
  #broken = false;
  #paused = false;
  /** What became ready while it was paused, and was not read. */
  #unread = 0;
  #ended = false;
  /** Something was read since this was false. */
  #looked = false;

  constructor(poller: Poller, fd: number) {
    this.poller = poller;
    this.fd = fd;
  }

  /** Where the next read is to put what comes. */
  protected room(): Buffer {
    return incoming;
  }
  /** The first `length` octets of `memory` came, which `room` gave. */
  protected abstract received(memory: Buffer, length: number): void;
  /** The peer sends nothing more. */
  protected abstract ended(): void;
  /** There is no connection any more. */
  protected abstract lost(errno: number): void;
  /** A write failed: the peer takes nothing more. */
  protected abstract refused(): void;
  /** All has left that the kernel had not taken, or never will. */
  protected abstract drained(): void;
  /** Some of it has. */
  protected moved(): void {}

  ready(events: number): void {
    if ((events & EPOLLOUT) !== 0 && this.#unsent !== undefined) this.#sendOn(this.#unsent);
    if ((events & ~EPOLLOUT) !== 0) this.#read(events);
  }

  /** From now on what comes is told, and with `writing` also that there is room to write. False where it cannot be. */
  protected watch(writing: boolean): boolean {
    if (this.place >= 0) unwatched.remove(this);
    this.#watched = this.poller.add(this.fd, this, writing);
    return this.#watched;
  }

  protected get watched(): boolean {
    return this.#watched;
  }

  /** What is there is read soon; that more comes is told after a while, unless it is watched before. */
  protected lookLater(): void {
    unwatched.add(this);
  }

  /** Reads what is there. What has nothing is watched. */
  look(): void {
    if (this.#watched || !this.open) return;
    this.#looked = false;
    this.#read(EPOLLIN);
    if (!this.#looked) this.watchAfterAll();
  }

  /** It is open after a while. */
  watchAfterAll(): void {
    if (this.open && !this.#watched && !this.watch(false)) this.lost(lastError());
  }

  // -- what comes

  #read(events: number): void {
    for (let reads = 0; this.open && !this.#ended; reads += 1) {
      if (this.#paused) {
        this.#unread |= events;
        return;
      }
      if (reads === readsMost) {
        setImmediate(() => this.#read(events));
        return;
      }
      const memory = this.room();
      const length = recv(this.fd, memory, memory.length, 0);
      if (length === 0) this.#end();
      else if (length < 0) {
        const errno = lastError();
        if (errno !== EAGAIN) this.lost(errno);
        return;
      } else {
        this.#looked = true;
        this.received(memory, length);
        if (length === memory.length) continue;
        // That was all there is. Where its end had come before it was read, it need not be asked for.
        if ((events & (EPOLLRDHUP | EPOLLHUP)) === 0) return;
        if ((events & EPOLLERR) === 0 && !this.#paused) this.#end();
      }
    }
  }

  #end(): void {
    this.#ended = true;
    if (this.open) this.ended();
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

  get broken(): boolean {
    return this.#broken;
  }

  /** Octets that the kernel has not taken. */
  get unsent(): number {
    return this.#unsentOctets;
  }

  /** Whether the kernel took all octets, or nobody will. */
  protected sendOne(octets: Uint8Array): boolean {
    return this.#sendWith(octets, MSG_NOSIGNAL);
  }

  protected sendAll(pieces: readonly Uint8Array[]): boolean {
    let size = 0;
    for (const piece of pieces) size += piece.length;
    if (size > 0 && size <= together.length && this.#unsent === undefined) return this.#sendTogether(pieces, size);
    let taken = true;
    for (let at = 0; at < pieces.length; at += 1) {
      const more = at < pieces.length - 1 ? MSG_MORE : 0;
      taken = this.#sendWith(pieces[at] as Uint8Array, MSG_NOSIGNAL | more);
    }
    return taken;
  }

  /** What is small is copied: that costs less than another call. The kernel has taken all before. */
  #sendTogether(pieces: readonly Uint8Array[], size: number): boolean {
    if (this.#broken || !this.open) return true;
    let at = 0;
    for (const piece of pieces) {
      together.set(piece, at);
      at += piece.length;
    }
    const sent = send(this.fd, together, size, MSG_NOSIGNAL);
    if (sent === size) return true;
    if (sent < 0 && lastError() !== EAGAIN) {
      this.#break();
      return true;
    }
    return this.#keep(Buffer.from(together.subarray(Math.max(sent, 0), size)));
  }

  #sendWith(octets: Uint8Array, flags: number): boolean {
    if (this.#broken || !this.open) return true;
    if (this.#unsent !== undefined) {
      this.#unsent.push(octets);
      this.#unsentOctets += octets.length;
      this.#queued += 1;
      return false;
    }
    const sent = this.#send(octets, flags);
    if (sent === octets.length || this.#broken) return true;
    return this.#keep(octets.subarray(sent));
  }

  /** What the kernel did not take, where it had taken all before. */
  #keep(octets: Uint8Array): boolean {
    this.#unsent = [octets];
    this.#unsentOctets = octets.length;
    this.#queued += 1;
    if (this.#watched ? this.poller.watchWriting(this.fd) : this.watch(true)) return false;
    this.#break();
    return true;
  }

  /** Octets that the kernel took. */
  #send(octets: Uint8Array, flags: number): number {
    if (octets.length === 0) return 0;
    const sent = send(this.fd, octets, octets.length, flags);
    if (sent >= 0) return sent;
    if (lastError() !== EAGAIN) this.#break();
    return 0;
  }

  #sendOn(pieces: Uint8Array[]): void {
    while (pieces.length > 0) {
      const octets = beginningOf(pieces);
      const sent = this.#send(octets, MSG_NOSIGNAL);
      if (this.#broken) return;
      this.#unsentOctets -= sent;
      this.#gone += takeOut(pieces, sent);
      if (sent < octets.length) {
        this.moved();
        this.#tellWaiters();
        return;
      }
    }
    this.#left();
  }

  /** What is left will never leave, and nobody is to wait for it. */
  #break(): void {
    this.#broken = true;
    this.refused();
    if (this.#unsent !== undefined) this.#left();
  }

  #left(): void {
    this.#unsent = undefined;
    this.#unsentOctets = 0;
    this.#gone = this.#queued;
    this.moved();
    this.#tellWaiters();
    if (this.open && this.flushed) this.drained();
  }

  #tellWaiters(): void {
    while (this.open && (this.#waiters?.[0]?.after ?? Infinity) <= this.#gone) this.#waiters?.shift()?.flushed();
  }

  whenFlushed(flushed: () => void): void {
    if (this.flushed) {
      queueMicrotask(() => {
        if (this.open) flushed();
      });
      return;
    }
    this.#waiters ??= [];
    this.#waiters.push({ after: this.#queued, flushed });
  }

  /** The descriptor is another's from now on. */
  protected letGo(): void {
    this.open = false;
    if (this.place >= 0) unwatched.remove(this);
    if (this.#watched) this.poller.release(this.fd);
  }

  /** At once; nothing is told any more. */
  protected cease(): void {
    if (!this.open) return;
    this.open = false;
    this.#unsent = undefined;
    this.#unsentOctets = 0;
    if (this.place >= 0) unwatched.remove(this);
    if (this.#watched) this.poller.remove(this.fd);
    if (this.fd >= 0) close(this.fd);
  }
}

/** Octets that small pieces are put together to, and the most pieces. */
const joinedMost = 65536;
const piecesMost = 256;

/** What is sent at once: the first piece, or several that are small. */
function beginningOf(pieces: readonly Uint8Array[]): Uint8Array {
  const [first] = pieces;
  if (first === undefined || pieces.length === 1 || first.length >= joinedMost) return first ?? nothing;
  let count = 0;
  for (let size = 0; count < piecesMost && count < pieces.length; count += 1) {
    size += (pieces[count] as Uint8Array).length;
    if (size > joinedMost) break;
  }
  return count < 2 ? first : Buffer.concat(pieces.slice(0, count));
}

/** Takes so many octets out at the beginning. How many pieces are gone. */
function takeOut(pieces: Uint8Array[], octets: number): number {
  let left = octets;
  let gone = 0;
  for (; gone < pieces.length; gone += 1) {
    const { length } = pieces[gone] as Uint8Array;
    if (length > left) break;
    left -= length;
  }
  pieces.splice(0, gone);
  const first = pieces[0];
  if (left > 0 && first !== undefined) pieces[0] = first.subarray(left);
  return gone;
}

const nothing = new Uint8Array(0);
