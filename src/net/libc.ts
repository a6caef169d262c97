// The few system calls Node does not offer, through FFI to the C library this process already runs on. Linux only; the
// constants are those of its generic ABI (x86-64, arm64, riscv64), which are also the machines koffi is built for.
// Loading koffi takes milliseconds, so it happens at the first use.
import { getSystemErrorName } from "node:util";

export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCK_STREAM = 1;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;
export const SOL_SOCKET = 1;
export const SO_REUSEADDR = 2;
export const SO_TYPE = 3;
export const SO_ATTACH_FILTER = 26;
export const SO_ACCEPTCONN = 30;
export const IPPROTO_IPV6 = 41;
export const IPV6_V6ONLY = 26;
export const F_SETFD = 2;
export const FD_CLOEXEC = 1;
const SIOCOUTQ = 0x5411;

/** A system call that failed; `name` is the error's: "EADDRINUSE". */
export class SystemError extends Error {
  readonly code: string;
  readonly call: string;
  constructor(call: string, code: string) {
    super(`${call}: ${code}`);
    this.call = call;
    this.code = code;
  }
}

/** Each function throws `SystemError` where the call returns -1. */
export interface Libc {
  socket(domain: number, type: number): number;
  setsockopt(fd: number, level: number, option: number, value: number): void;
  getsockopt(fd: number, level: number, option: number): number;
  bind(fd: number, address: Uint8Array): void;
  listen(fd: number, backlog: number): void;
  /** From now on a TCP socket that listens is sent nothing that begins a connection. Nothing where the system cannot do that. */
  admitNoMore(fd: number): void;
  /** The `struct sockaddr` the socket is bound to. */
  getsockname(fd: number): Buffer;
  closeOnExec(fd: number): void;
  /** Octets written to a socket that its peer has not acknowledged (tcp(7)). */
  unacknowledged(fd: number): number;
  close(fd: number): void;
  /** Octets of an address in text form, undefined where the text is not one. */
  inetPton(family: number, text: string): Buffer | undefined;
  /** By name, from wherever this machine keeps its users (nsswitch.conf(5)); undefined where there is none such. */
  userId(name: string): number | undefined;
  groupId(name: string): number | undefined;
}

let loaded: Promise<Libc> | undefined;

export function libc(): Promise<Libc> {
  loaded ??= load();
  return loaded;
}

async function load(): Promise<Libc> {
  const { default: koffi } = await import("koffi");
  // A null path means the process itself: whatever C library it runs on, glibc or musl.
  const library = koffi.load(null);
  const socket = library.func("int socket(int, int, int)");
  const setsockopt = library.func("int setsockopt(int, int, int, const void *, uint)");
  const getsockopt = library.func("int getsockopt(int, int, int, void *, void *)");
  const bind = library.func("int bind(int, const void *, uint)");
  const listen = library.func("int listen(int, int)");
  const getsockname = library.func("int getsockname(int, void *, void *)");
  const fcntl = library.func("int fcntl(int, int, ...)");
  const ioctl = library.func("int ioctl(int, ulong, ...)");
  const close = library.func("int close(int)");
  // Of both structures the beginning is the same (getpwnam(3), getgrnam(3)): name, password, number.
  const entry = koffi.struct({ name: "str", password: "str", id: "uint" });
  const getpwnam = library.func("void *getpwnam(str)");
  const getgrnam = library.func("void *getgrnam(str)");
  // struct sock_fprog (socket(7)): the number of instructions, and where they are.
  const program = koffi.struct({ count: "ushort", instructions: "const void *" });
  const attachFilter = library.func("setsockopt", "int", ["int", "int", "int", koffi.pointer(program), "uint"]);
  const inetPton = library.func("int inet_pton(int, const char *, void *)");

  function checked(call: string, result: number): number {
    if (result === -1) throw new SystemError(call, getSystemErrorName(-koffi.errno()));
    return result;
  }
  function idIn(found: unknown): number | undefined {
    return found === null ? undefined : Number(koffi.decode(found, entry).id);
  }
  return {
    socket: (domain, type) => checked("socket", socket(domain, type, 0)),
    setsockopt(fd, level, option, value) {
      checked("setsockopt", setsockopt(fd, level, option, word(value), 4));
    },
    getsockopt(fd, level, option) {
      const value = word(0);
      checked("getsockopt", getsockopt(fd, level, option, value, word(4)));
      return value.readInt32LE(0);
    },
    bind(fd, address) {
      checked("bind", bind(fd, address, address.length));
    },
    listen(fd, backlog) {
      checked("listen", listen(fd, backlog));
    },
    admitNoMore(fd) {
      const count = noNewConnections.length / instructionSize;
      attachFilter(fd, SOL_SOCKET, SO_ATTACH_FILTER, { count, instructions: noNewConnections }, koffi.sizeof(program));
    },
    getsockname(fd) {
      const address = Buffer.alloc(128); // sizeof(struct sockaddr_storage)
      const length = word(address.length);
      checked("getsockname", getsockname(fd, address, length));
      return address.subarray(0, length.readInt32LE(0));
    },
    closeOnExec(fd) {
      checked("fcntl", fcntl(fd, F_SETFD, "int", FD_CLOEXEC));
    },
    unacknowledged(fd) {
      const value = word(0);
      checked("ioctl", ioctl(fd, SIOCOUTQ, "void *", value));
      return value.readInt32LE(0);
    },
    close(fd) {
      checked("close", close(fd));
    },
    inetPton(family, text) {
      const octets = Buffer.alloc(family === AF_INET6 ? 16 : 4);
      return inetPton(family, text, octets) === 1 ? octets : undefined;
    },
    userId: (name) => idIn(getpwnam(name)),
    groupId: (name) => idIn(getgrnam(name)),
  };
}

/** sizeof(struct sock_filter): code, where to go on if it holds and if not, and the value. */
const instructionSize = 8;

/** A filter over TCP segments, the header first (RFC 9293 §3.1): those with SYN and without ACK are dropped, others pass. */
const noNewConnections: Buffer = Buffer.concat([
  instruction(0x30, 0, 0, 13), // load the octet of the flags
  instruction(0x54, 0, 0, 0x12), // of these ACK and SYN
  instruction(0x15, 0, 1, 0x02), // SYN alone?
  instruction(0x06, 0, 0, 0), // drop
  instruction(0x06, 0, 0, 0xffffffff), // pass
]);

function instruction(code: number, then: number, otherwise: number, value: number): Buffer {
  const octets = Buffer.alloc(instructionSize);
  octets.writeUInt16LE(code, 0);
  octets[2] = then;
  octets[3] = otherwise;
  octets.writeUInt32LE(value, 4);
  return octets;
}

function word(value: number): Buffer {
  const octets = Buffer.alloc(4);
  octets.writeInt32LE(value);
  return octets;
}
