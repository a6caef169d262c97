// Listening sockets, made by the supervisor and handed to a front through its stdio, so that they outlive the front:
// when it dies, connections wait in the backlog for its successor. Node closes a listening socket with the process (or
// cluster worker) that listens, hence the system calls.
import { lookup } from "node:dns/promises";
import { chmodSync, lchownSync, lstatSync, readFileSync, rmSync, unlinkSync } from "node:fs";
import { isIPv4, isIPv6 } from "node:net";
import { dirname } from "node:path";
import type { ListenAddress } from "../config/config.js";
import { type VivariumError, vivariumError } from "../errors.js";
import { backlog } from "./backlog.js";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  IPPROTO_IPV6,
  IPV6_V6ONLY,
  type Libc,
  libc,
  SO_ACCEPTCONN,
  SO_REUSEADDR,
  SO_TYPE,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
  SystemError,
} from "./libc.js";
import { inheritedUrl, isExposed, sockaddrUnix, sockaddrV4, sockaddrV6, tcpUrl } from "./socket-address.js";
import { tcpHolder, unixHolder } from "./socket-holder.js";
import { clearStaleSocket } from "./stale-socket.js";

/** sizeof(sockaddr_un.sun_path) less the closing NUL (unix(7)). */
const UNIX_PATH_MOST = 107;

/** A socket that listens. Its descriptor is close-on-exec: a child has it only through the `stdio` of its spawn. */
export interface Listener {
  readonly fd: number;
  /** Where it listens, with the port the system chose: `http://127.0.0.1:43125`. */
  readonly url: string;
  readonly address: ListenAddress;
  /** Whether other machines may be able to connect. */
  readonly exposed: boolean;
  /**
   * Lets no client connect any more, by whichever process's descriptor, unless the socket was inherited; removes the socket file it
   * made, and closes this process's descriptor. Harmless when repeated.
   */
  close(): void;
}

/** How the files of unix sockets are made; what `Config` says of them. */
export interface SocketFiles {
  readonly socketMode: number;
  /** `USER`, `USER:GROUP` or `:GROUP`; "" leaves them to the process's own. */
  readonly socketOwner: string;
}

const ownFiles: SocketFiles = { socketMode: 0o660, socketOwner: "" };

/** Rejects with a `VivariumError` (ERR_LISTEN_…) whose sentence says what to do. */
export async function openListener(address: ListenAddress, files: SocketFiles = ownFiles): Promise<Listener> {
  const calls = await libc();
  const { endpoint } = address;
  if (endpoint.kind === "tcp") return openTcp(calls, address, endpoint.host, endpoint.port);
  if (endpoint.kind === "unix") return openUnix(calls, address, endpoint.path, files);
  return adopt(calls, address, endpoint.fd);
}

/** Opens all of them, or none. */
export async function openListeners(
  addresses: readonly ListenAddress[],
  files: SocketFiles = ownFiles,
): Promise<readonly Listener[]> {
  const listeners: Listener[] = [];
  try {
    // One after the other: two that collide are then told by the second one's name.
    for (const address of addresses) listeners.push(await openListener(address, files));
  } catch (error) {
    for (const listener of listeners) listener.close();
    throw error;
  }
  return listeners;
}

async function openTcp(calls: Libc, address: ListenAddress, host: string, port: number): Promise<Listener> {
  if (host === "") {
    try {
      return listenTcp(calls, address, "::", port, false);
    } catch (error) {
      // A kernel without IPv6 (or with it disabled) still has every IPv4 address.
      if (!(error instanceof SystemError && ["EAFNOSUPPORT", "EADDRNOTAVAIL"].includes(error.code))) {
        throw explainTcp(error, address, "::", port);
      }
    }
  }
  const literal = host === "" ? "0.0.0.0" : await resolve(address, host);
  try {
    return listenTcp(calls, address, literal, port, true);
  } catch (error) {
    throw explainTcp(error, address, literal, port);
  }
}

/** A name stands for its first address, IPv4 before IPv6: clients that are given both try both. */
async function resolve(address: ListenAddress, host: string): Promise<string> {
  if (isIPv4(host) || isIPv6(host)) return host;
  try {
    return (await lookup(host, { verbatim: false })).address;
  } catch (cause) {
    throw vivariumError(
      "ERR_LISTEN_ADDRESS",
      `Cannot listen on ${address.url}: the name "${host}" is not known to this machine; give an address, such as 127.0.0.1.`,
      { cause },
    );
  }
}

function listenTcp(calls: Libc, address: ListenAddress, host: string, port: number, onlyV6: boolean): Listener {
  const v6 = host.includes(":"); // it is an address by now; isIPv6 would cost a start milliseconds
  const fd = calls.socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK);
  try {
    // Without it a restart fails for a minute on connections of the last run in TIME_WAIT. Linux does not let two
    // sockets listen on one port through it (socket(7)).
    calls.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    // http://[::]:80 beside http://0.0.0.0:80 works only when the first leaves IPv4 alone; net.ipv6.bindv6only, the
    // system's default for this option, would make the meaning of an address depend on the machine.
    if (v6) calls.setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, onlyV6 ? 1 : 0);
    calls.bind(fd, v6 ? sockaddrV6(calls, host, port) : sockaddrV4(calls, host, port));
    calls.listen(fd, backlog);
    const name = calls.getsockname(fd);
    return listener(calls, address, fd, tcpUrl(address, name.readUInt16BE(2)), isExposed(name), () => {
      // Others have the socket, and accept what waits there before they close it. A client whose first segment is dropped
      // sends it again a second later, and is refused then.
      calls.admitNoMore(fd);
    });
  } catch (error) {
    calls.close(fd);
    throw error;
  }
}

async function openUnix(
  calls: Libc,
  address: ListenAddress,
  path: string,
  { socketMode, socketOwner }: SocketFiles,
): Promise<Listener> {
  const length = Buffer.byteLength(path);
  if (length > UNIX_PATH_MOST) {
    throw vivariumError(
      "ERR_LISTEN_PATH",
      `Cannot listen on ${address.url}: a socket's path has at most ${UNIX_PATH_MOST} octets, this one ${length}; choose a shorter one.`,
    );
  }
  const owner = socketOwner === "" ? undefined : ownerOf(calls, address, socketOwner);
  await clearPath(address, path);
  const fd = calls.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK);
  // Connecting needs write permission (unix(7)). By default owner and group have it, which lets a web server in the group in
  // and no one else. By umask, not chmod after the fact, and the owner before it listens: there is no moment at which
  // others could connect.
  const umask = process.umask(0o777 & ~socketMode);
  let bound = false;
  try {
    calls.bind(fd, sockaddrUnix(path));
    bound = true;
    if (owner !== undefined) lchownSync(path, owner.uid, owner.gid);
    calls.listen(fd, backlog);
  } catch (error) {
    if (bound) unlinkSync(path);
    calls.close(fd);
    throw explainUnix(error, address, path, socketOwner);
  } finally {
    process.umask(umask);
  }
  const { ino } = lstatSync(path);
  return listener(calls, address, fd, address.url, false, () => {
    // A successor may already listen under this name: only our own file is removed.
    if (lstatSync(path, { throwIfNoEntry: false })?.ino === ino) unlinkSync(path);
  });
}

/** Throws where something is in the way that is left untouched. */
async function clearPath(address: ListenAddress, path: string): Promise<void> {
  switch (await clearStaleSocket(path)) {
    case "nothing":
      return;
    case "not-a-socket":
      throw vivariumError(
        "ERR_LISTEN_PATH",
        `Cannot listen on ${address.url}: ${path} exists and is not a socket; choose another path or move that file away.`,
      );
    case "forbidden":
      throw vivariumError(
        "ERR_LISTEN_IN_USE",
        `Cannot listen on ${address.url}: a socket of another user is there; choose another path.`,
      );
    case "another-server":
      throw vivariumError(
        "ERR_LISTEN_IN_USE",
        `Cannot listen on ${address.url}: ${unixHolder(path) ?? "another server"} answers there; stop it or choose another path.`,
      );
  }
}

/** A unix socket to which only this process's user can connect. Removes what has its path. Rejects with a `SystemError`. */
export async function listenPrivately(path: string): Promise<number> {
  const calls = await libc();
  rmSync(path, { force: true });
  const fd = calls.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK);
  try {
    calls.bind(fd, sockaddrUnix(path));
    chmodSync(path, 0o600);
    calls.listen(fd, backlog);
    return fd;
  } catch (error) {
    calls.close(fd);
    throw error;
  }
}

/** A socket inherited from whoever started this process: systemd, lighttpd, a parent of one's own. */
function adopt(calls: Libc, address: ListenAddress, fd: number): Listener {
  const refuse = (why: string): VivariumError =>
    vivariumError(
      "ERR_LISTEN_DESCRIPTOR",
      `Cannot listen on ${address.url}: ${why}; whoever starts Vivarium must hand it a listening stream socket as descriptor ${fd}.`,
    );
  try {
    if (calls.getsockopt(fd, SOL_SOCKET, SO_TYPE) !== SOCK_STREAM)
      throw refuse(`descriptor ${fd} is not a stream socket`);
    if (calls.getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN) === 0) throw refuse(`the socket ${fd} does not listen`);
    calls.closeOnExec(fd);
    const name = calls.getsockname(fd);
    return listener(calls, address, fd, inheritedUrl(address, name), isExposed(name), () => {});
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw refuse(error.code === "EBADF" ? `there is no descriptor ${fd}` : `descriptor ${fd} is not a socket`);
  }
}

function listener(
  calls: Libc,
  address: ListenAddress,
  fd: number,
  url: string,
  exposed: boolean,
  admitNoMore: () => void,
): Listener {
  let open = true;
  return {
    fd,
    url,
    address,
    exposed,
    close() {
      if (!open) return;
      open = false;
      // This first: where a socket has a file, a client then meets "no such file" and never a socket that refuses.
      admitNoMore();
      calls.close(fd);
    },
  };
}

/** The ids of `USER`, `USER:GROUP` or `:GROUP`, -1 for what stays as it is (chown(2)). */
function ownerOf(calls: Libc, address: ListenAddress, text: string): { readonly uid: number; readonly gid: number } {
  const [user = "", group = ""] = text.split(":");
  const id = (name: string, what: "user" | "group"): number => {
    if (name === "") return -1;
    if (/^\d{1,9}$/u.test(name)) return Number(name);
    const found = what === "user" ? calls.userId(name) : calls.groupId(name);
    if (found !== undefined) return found;
    throw vivariumError(
      "ERR_LISTEN_OWNER",
      `Cannot listen on ${address.url}: this machine has no ${what} "${name}" (--socket-owner).`,
    );
  };
  return { uid: id(user, "user"), gid: id(group, "group") };
}

// ---- one sentence each ----

function explainTcp(error: unknown, address: ListenAddress, host: string, port: number): unknown {
  if (!(error instanceof SystemError)) return error;
  const cannot = `Cannot listen on ${address.url}`;
  switch (error.code) {
    case "EADDRINUSE": {
      const holder = tcpHolder(port);
      return vivariumError(
        "ERR_LISTEN_IN_USE",
        `${cannot}: port ${port} is in use${holder === undefined ? "" : ` by ${holder}`}; stop that server or choose another port with --listen.`,
        { cause: error },
      );
    }
    case "EACCES":
      return vivariumError(
        "ERR_LISTEN_FORBIDDEN",
        `${cannot}: ports below ${unprivilegedPort()} are reserved for privileged users; choose a higher one, or give the service the capability CAP_NET_BIND_SERVICE.`,
        { cause: error },
      );
    case "EADDRNOTAVAIL":
    case "EAFNOSUPPORT":
    case "EINVAL":
      return vivariumError(
        "ERR_LISTEN_ADDRESS",
        `${cannot}: no network interface of this machine has the address ${host}; use 127.0.0.1 for this machine alone or 0.0.0.0 for every address.`,
        { cause: error },
      );
    default:
      return vivariumError("ERR_LISTEN_FAILED", `${cannot}: the system answers ${error.message}.`, { cause: error });
  }
}

function explainUnix(error: unknown, address: ListenAddress, path: string, owner: string): unknown {
  if (!(error instanceof SystemError)) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code !== "EPERM") return error;
    return vivariumError(
      "ERR_LISTEN_OWNER",
      `Cannot listen on ${address.url}: this user may not give the socket to ${owner} (--socket-owner); root may, and anybody to a group of their own.`,
      { cause: error },
    );
  }
  const cannot = `Cannot listen on ${address.url}`;
  const directory = dirname(path);
  const sentences: Readonly<Record<string, string>> = {
    ENOENT: `${cannot}: the directory ${directory} does not exist; create it or choose another path.`,
    ENOTDIR: `${cannot}: ${directory} is not a directory; choose another path.`,
    EACCES: `${cannot}: this user may not create files in ${directory}; choose another path or change its permissions.`,
    EROFS: `${cannot}: ${directory} is on a read-only file system; choose another path.`,
    EADDRINUSE: `${cannot}: another server has just taken this path; stop it or choose another path.`,
  };
  const sentence = sentences[error.code];
  return sentence === undefined
    ? vivariumError("ERR_LISTEN_FAILED", `${cannot}: the system answers ${error.message}.`, { cause: error })
    : vivariumError(error.code === "EADDRINUSE" ? "ERR_LISTEN_IN_USE" : "ERR_LISTEN_PATH", sentence, { cause: error });
}

function unprivilegedPort(): number {
  try {
    return Number(readFileSync("/proc/sys/net/ipv4/ip_unprivileged_port_start", "latin1"));
  } catch {
    return 1024;
  }
}
