// The system calls of a connection, through FFI to the C library this process runs on (libc.ts has those of sockets that listen).
// They throw nothing: a negative result says that the call failed, and `lastError` why. Linux only.
import { constants } from "node:os";
import { getSystemErrorName } from "node:util";
import koffi from "koffi";
import { SOCK_NONBLOCK, SOL_SOCKET } from "./libc.js";

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
export const EPOLL_CTL_DEL = 2;
export const EPOLL_CTL_MOD = 3;
export const EPOLL_CLOEXEC = 0o2000000;

export const SHUT_WR = 1;

const F_GETFL = 3;
const F_SETFL = 4;
const SIOCOUTQ = 0x5411;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const SO_ERROR = 4;
const SO_LINGER = 13;

const library = koffi.load(null);

type Open = (domain: number, type: number, protocol: number) => number;
type WithAddress = (fd: number, address: Uint8Array, length: number) => number;
/** Octets that were moved. */
type Move = (fd: number, octets: Uint8Array, length: number, flags: number) => number;
type Accept = (fd: number, address: null, length: null, flags: number) => number;
type Name = (fd: number, address: Uint8Array, length: Uint8Array) => number;
type Option = (fd: number, level: number, option: number, value: Uint8Array, length: number) => number;
type AskOption = (fd: number, level: number, option: number, value: Uint8Array, length: Uint8Array) => number;
type Control = (epoll: number, operation: number, fd: number, event: Uint8Array) => number;
type Wait = (epoll: number, events: Uint8Array, most: number, milliseconds: number) => number;

export const socket: Open = library.func("int socket(int, int, int)");
export const connect: WithAddress = library.func("int connect(int, const void *, uint)");
export const send: Move = library.func("long send(int, const void *, ulong, int)");
export const recv: Move = library.func("long recv(int, void *, ulong, int)");
export const accept: Accept = library.func("int accept4(int, void *, void *, int)");
export const listen: (fd: number, backlog: number) => number = library.func("int listen(int, int)");
export const shutdown: (fd: number, how: number) => number = library.func("int shutdown(int, int)");
export const close: (fd: number) => number = library.func("int close(int)");
export const epollCreate: (flags: number) => number = library.func("int epoll_create1(int)");
export const epollControl: Control = library.func("int epoll_ctl(int, int, int, const void *)");
export const epollWait: Wait = library.func("int epoll_wait(int, void *, int, int)");
const inetPton: (family: number, text: string, octets: Uint8Array) => number = library.func(
  "int inet_pton(int, const char *, void *)",
);
const fcntl: (fd: number, command: number, value: number) => number = library.func("int fcntl(int, int, long)");
const inetNtop: (family: number, octets: Uint8Array, text: Uint8Array, size: number) => unknown = library.func(
  "void *inet_ntop(int, const void *, void *, uint)",
);
const ioctl: (fd: number, request: number, value: Uint8Array) => number = library.func("int ioctl(int, ulong, void *)");
const getpeername: Name = library.func("int getpeername(int, void *, void *)");
const getsockname: Name = library.func("int getsockname(int, void *, void *)");
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

/** No call waits, from now on, for whoever has the socket. */
export function setNonblocking(fd: number): void {
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL, 0) | SOCK_NONBLOCK);
}

/** What is written leaves at once, whether or not what was written before has arrived. */
export function setNoDelay(fd: number): void {
  word.writeInt32LE(1);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, word, 4);
}

/** The errno of what went wrong with a connection, 0 where nothing has; told once (socket(7)). */
export function errorOf(fd: number): number {
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, word, wordLength) < 0 ? lastError() : word.readInt32LE(0);
}

/** An address as text: `192.0.2.1`, `2001:db8::1`. */
export function addressText(family: number, octets: Uint8Array): string {
  const text = Buffer.alloc(46); // INET6_ADDRSTRLEN
  inetNtop(family, octets, text, text.length);
  return text.toString("latin1", 0, text.indexOf(0));
}

/** An address in text form as octets, undefined where the text is not one. */
export function addressOctets(family: number, text: string, length: number): Buffer | undefined {
  const octets = Buffer.alloc(length);
  return inetPton(family, text, octets) === 1 ? octets : undefined;
}

/** sizeof(struct sockaddr_storage) */
const nameSize = 128;

/** The `struct sockaddr` of an end of a connection; empty where it cannot be told. */
export function nameOf(fd: number, end: "remote" | "local"): Buffer {
  const octets = Buffer.alloc(nameSize);
  const length = Buffer.alloc(4);
  length.writeInt32LE(nameSize);
  const failed = (end === "remote" ? getpeername : getsockname)(fd, octets, length) < 0;
  return octets.subarray(0, failed ? 0 : length.readInt32LE(0));
}

/** Octets written that the peer has not acknowledged (tcp(7)), or on a unix socket not read; 0 where that cannot be told. */
export function unacknowledged(fd: number): number {
  return ioctl(fd, SIOCOUTQ, word) < 0 ? 0 : word.readInt32LE(0);
}

/** When it is closed, what was not sent is dropped, and the peer is sent a reset (socket(7)). */
export function closeByReset(fd: number): void {
  setsockopt(fd, SOL_SOCKET, SO_LINGER, Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]), 8);
}
