// An epoll instance of our own (epoll(7)), for sockets that are not libuv's. The event loop watches the instance as it would any
// descriptor: as a pipe, of which it tells that there is something to read, and that has no room to read it into. That a pipe can be
// made of any descriptor is no public interface of Node: it is looked at before it is used.
import {
  close,
  EPOLL_CLOEXEC,
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLLET,
  EPOLLIN,
  EPOLLOUT,
  EPOLLRDHUP,
  epollControl,
  epollCreate,
  epollWait,
} from "./socket-calls.js";

/** Something with a descriptor. */
export interface Pollable {
  /** These (EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR) have become so, and are not told again while they are, unless so asked. */
  ready(events: number): void;
}

/** A pipe as libuv has it. Functions give an error's negative number, or 0. */
interface PipeHandle {
  onread: () => void;
  open(fd: number): number;
  /** What is received goes there. */
  useUserBuffer(buffer: Uint8Array): void;
  readStart(): number;
  unref(): void;
}

type PipeClass = new (type: number) => PipeHandle;

const pipeFunctions = ["open", "useUserBuffer", "readStart", "unref"];

function isPipeClass(value: unknown): value is PipeClass {
  if (typeof value !== "function" || typeof value.prototype !== "object" || value.prototype === null) return false;
  const { prototype } = value;
  return pipeFunctions.every((name) => typeof Reflect.get(prototype, name) === "function");
}

/** Undefined where this Node has not what that needs. */
function createPipe(): PipeHandle | undefined {
  try {
    const load: unknown = Reflect.get(process, "binding");
    const binding: unknown = typeof load === "function" ? Reflect.apply(load, process, ["pipe_wrap"]) : undefined;
    if (typeof binding !== "object" || binding === null) return undefined;
    const Pipe: unknown = Reflect.get(binding, "Pipe");
    const constants: unknown = Reflect.get(binding, "constants");
    if (!isPipeClass(Pipe) || typeof constants !== "object" || constants === null) return undefined;
    return new Pipe(Number(Reflect.get(constants, "SOCKET")));
  } catch {
    // A Node that has none any more, or was told to give none.
    return undefined;
  }
}

/** Words of 32 bits in a struct epoll_event: the events, on all machines but x86-64 a gap, and the two of `data` (epoll_ctl(2)). */
const eventWords = process.arch === "x64" ? 3 : 4;
const descriptorAt = eventWords - 2;
const serialAt = eventWords - 1;
/** Read at once. */
const eventsMost = 128;

/** Does not keep the process alive. */
export class Poller {
  readonly #epoll: number;
  readonly #events = new Int32Array(eventWords * eventsMost);
  readonly #event = new Int32Array(eventWords);
  /** The octets of both, as calls want them. */
  readonly #eventsMemory = new Uint8Array(this.#events.buffer);
  readonly #eventMemory = new Uint8Array(this.#event.buffer);
  /** By descriptor. */
  readonly #members: (Pollable | undefined)[] = [];
  /** By descriptor too: which of its members one was. An event may be of one that was closed since it was read. */
  readonly #serials: number[] = [];
  #serial = 0;

  static #own: Poller | undefined;

  /** That of this process; undefined where it cannot be had. */
  static own(): Poller | undefined {
    Poller.#own ??= Poller.#open();
    return Poller.#own;
  }

  static #open(): Poller | undefined {
    const pipe = createPipe();
    const epoll = pipe === undefined ? -1 : epollCreate(EPOLL_CLOEXEC);
    if (pipe === undefined || epoll < 0) return undefined;
    if (pipe.open(epoll) === 0) return new Poller(pipe, epoll);
    close(epoll);
    return undefined;
  }

  private constructor(pipe: PipeHandle, epoll: number) {
    this.#epoll = epoll;
    pipe.useUserBuffer(new Uint8Array(0));
    pipe.onread = () => this.#poll();
    pipe.readStart();
    pipe.unref();
  }

  /** Watches a descriptor until `remove`; that there is room to write only with `writing`. False where it cannot be watched. */
  add(fd: number, member: Pollable, writing: boolean): boolean {
    return this.#add(fd, member, EPOLLET | (writing ? EPOLLOUT : 0));
  }

  /** The same, told again and again while there is something to read. */
  addListening(fd: number, member: Pollable): boolean {
    return this.#add(fd, member, 0);
  }

  #add(fd: number, member: Pollable, events: number): boolean {
    this.#serial = (this.#serial + 1) | 0;
    this.#serials[fd] = this.#serial;
    if (!this.#control(EPOLL_CTL_ADD, fd, events)) return false;
    this.#members[fd] = member;
    return true;
  }

  /** From now on room to write is told too, now at once if there is some. */
  watchWriting(fd: number): boolean {
    return this.#control(EPOLL_CTL_MOD, fd, EPOLLET | EPOLLOUT);
  }

  #control(operation: number, fd: number, events: number): boolean {
    const event = this.#event;
    event[0] = EPOLLIN | EPOLLRDHUP | events;
    event[descriptorAt] = fd;
    event[serialAt] = this.#serials[fd] ?? 0;
    return epollControl(this.#epoll, operation, fd, this.#eventMemory) === 0;
  }

  /** Of a descriptor that is closed next, which is what makes the kernel forget it. */
  remove(fd: number): void {
    this.#members[fd] = undefined;
  }

  /** Of a descriptor that stays open. */
  release(fd: number): void {
    this.#control(EPOLL_CTL_DEL, fd, 0);
    this.remove(fd);
  }

  /** Tells what became ready. What is left beyond the most that is read at once, the event loop tells in its next turn. */
  #poll(): void {
    const events = this.#events;
    const count = epollWait(this.#epoll, this.#eventsMemory, eventsMost, 0);
    for (let at = 0; at < count * eventWords; at += eventWords) {
      const fd = events[at + descriptorAt] ?? 0;
      if (events[at + serialAt] === this.#serials[fd]) this.#members[fd]?.ready(events[at] ?? 0);
    }
  }
}
