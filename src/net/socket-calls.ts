// The system calls of a connection, through FFI to the C library this process runs on (libc.ts has those of sockets that listen).
// They throw nothing: a negative result says that the call failed, and `lastError` why. Linux only.
import { constants } from "node:os";
import { getSystemErrorName } from "node:util";
import koffi from "koffi";
import { SOL_SOCKET } from "./libc.js";

export const EAGAIN: number = constants.errno.EAGAIN;
export const EINPROGRESS: number = constants.errno.EINPROGRESS;

/** A broken connection is an error, and no signal. */
export const MSG_NOSIGNAL = 0x4000;
/** More is written at once: it may leave together. */
export const MSG_MORE = 0x8000;

export const EPOLLIN = 0x1;
export const EPOLLOUT = 0x4;
export const EPOLLERR = 0x8;
export const EPOLLHUP = 0x10;
/** The peer sends nothing more. */
export const EPOLLRDHUP = 0x2000;
/** Told when it becomes so, not as long as it is. */
export const EPOLLET: number = 1 << 31;
export const EPOLL_CTL_ADD = 1;
export const EPOLL_CTL_MOD = 3;
export const EPOLL_CLOEXEC = 0o2000000;

const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const SO_ERROR = 4;

const library = koffi.load(null);

type Open = (domain: number, type: number, protocol: number) => number;
type WithAddress = (fd: number, address: Uint8Array, length: number) => number;
/** Octets that were moved. */
type Move = (fd: number, octets: Uint8Array, length: number, flags: number) => number;
type Option = (fd: number, level: number, option: number, value: Uint8Array, length: number) => number;
type AskOption = (fd: number, level: number, option: number, value: Uint8Array, length: Uint8Array) => number;
type Control = (epoll: number, operation: number, fd: number, event: Uint8Array) => number;
type Wait = (epoll: number, events: Uint8Array, most: number, milliseconds: number) => number;

export const socket: Open = library.func("int socket(int, int, int)");
export const connect: WithAddress = library.func("int connect(int, const void *, uint)");
export const send: Move = library.func("long send(int, const void *, ulong, int)");
export const recv: Move = library.func("long recv(int, void *, ulong, int)");
export const close: (fd: number) => number = library.func("int close(int)");
export const epollCreate: (flags: number) => number = library.func("int epoll_create1(int)");
export const epollControl: Control = library.func("int epoll_ctl(int, int, int, const void *)");
export const epollWait: Wait = library.func("int epoll_wait(int, void *, int, int)");
const inetPton: (family: number, text: string, octets: Uint8Array) => number = library.func(
  "int inet_pton(int, const char *, void *)",
);
const setsockopt: Option = library.func("int setsockopt(int, int, int, const void *, uint)");
const getsockopt: AskOption = library.func("int getsockopt(int, int, int, void *, void *)");

/** The errno of the call that has just failed. */
export function lastError(): number {
  return koffi.errno();
}

/** "ECONNREFUSED". */
export function errorName(errno: number): string {
  return getSystemErrorName(-errno);
}

const word = Buffer.alloc(4);
const wordLength = Buffer.from([4, 0, 0, 0]);

/** What is written leaves at once, whether or not what was written before has arrived. */
export function setNoDelay(fd: number): void {
  word.writeInt32LE(1);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, word, 4);
}

/** The errno of what went wrong with a connection, 0 where nothing has; told once (socket(7)). */
export function errorOf(fd: number): number {
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, word, wordLength) < 0 ? lastError() : word.readInt32LE(0);
}

/** An address in text form as octets, undefined where the text is not one. */
export function addressOctets(family: number, text: string, length: number): Buffer | undefined {
  const octets = Buffer.alloc(length);
  return inetPton(family, text, octets) === 1 ? octets : undefined;
}
