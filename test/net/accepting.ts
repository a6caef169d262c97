// Listening sockets of tests whose connections are accepted by system calls.
import assert from "node:assert/strict";
import { AF_INET, AF_UNIX, libc, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM } from "../../src/net/libc.js";
import { sockaddrUnix, sockaddrV4 } from "../../src/net/socket-address.js";
import { acceptBySystemCalls, type SystemSocket } from "../../src/net/system-socket.js";

export interface Listening {
  /** What connects there: 0 for a unix socket. */
  readonly port: number;
  close(): void;
}

/** Listens on the unix socket at `path`, or on a port of the loopback. */
export async function listenFor(accept: (socket: SystemSocket) => void, path = ""): Promise<Listening> {
  const calls = await libc();
  const fd = calls.socket(path === "" ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK);
  calls.bind(fd, path === "" ? sockaddrV4(calls, "127.0.0.1", 0) : sockaddrUnix(path));
  calls.listen(fd, 128);
  const port = path === "" ? calls.getsockname(fd).readUInt16BE(2) : 0;
  const accepting = acceptBySystemCalls(fd, accept, false);
  assert.ok(accepting !== undefined, "this Node has what it needs");
  return { port, close: () => accepting.close() };
}
