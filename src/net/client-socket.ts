// The connection of a client, as a door needs it: less than a net.Socket has, and so less than one costs. Two things are one:
// system calls (system-socket.ts), and a net.Socket for TLS, the PROXY protocol, and where system calls cannot be had.
import type { Socket } from "node:net";
import { untakenOf } from "./untaken.js";

/** What an encoder gives: one buffer, or several that belong together. They must not change once they are written. */
export type Encoded = Uint8Array | readonly Uint8Array[];

export function lengthOf(octets: Encoded): number {
  if (octets instanceof Uint8Array) return octets.length;
  return octets.reduce((sum, part) => sum + part.length, 0);
}

/** One end of a connection: "" and -1 on a unix socket. */
export interface End {
  readonly address: string;
  readonly port: number;
}

/** TLS, or a proxy's word for it, protects the client's connection. */
export interface Secure {
  /** What is known of it, as CGI variables (`Request.variables`); possibly "". */
  readonly variables: string;
  /** Whether HTTP/2 was agreed on (ALPN). */
  readonly http2?: boolean;
}

/** What the socket itself does not know of its client. */
export interface Whence {
  /** In place of the socket's own, which are a proxy's. */
  readonly ends?: { readonly remote: End; readonly local: End };
  readonly secure?: Secure;
  /** The socket below, where this is one of TLS. */
  readonly carrier?: Socket;
}

/** Told what happens on a connection, never within a call to it. */
export interface ClientSocketOwner {
  /** The first `length` octets of `memory` are the owner's until it returns: what it keeps it copies. */
  socketReceived(memory: Buffer, length: number): void;
  /** The peer ended its side in order. */
  socketEnded(): void;
  /** `unsent` has become 0. */
  socketDrained(): void;
  /** The connection is gone, whoever closed it. The last that is told. */
  socketClosed(): void;
}

/** Octets written to clients that the kernel has not taken, of all connections of this process: what slow clients cost it. */
export const outflow: { unsent: number } = { unsent: 0 };

export interface ClientSocket {
  /** The number of its descriptor; -1 where that cannot be told. */
  readonly descriptor: number;
  readonly remote: End;
  /** Costs a system call. */
  readonly local: End;
  readonly secure?: Secure | undefined;
  /** The unix socket it was accepted from, set by who did and knows. */
  path?: string;
  /** Octets written that the kernel has not taken. */
  readonly unsent: number;
  /** Octets written that the peer has not taken, as far as can be told; undefined: not yet. Costs a system call. */
  readonly untaken: number | undefined;
  /** Begins to read, before all else. Once more for another owner, who is told everything from now on. */
  start(owner: ClientSocketOwner): void;
  /**
   * As `start`, once, for a connection that is likely to be closed soon, and whose peer has mostly sent all by now. What comes later, its
   * end too, may be told some 30 ms late, unless `attend` says that more is waited for.
   */
  startBriefly(owner: ClientSocketOwner): void;
  attend(): void;
  /** All is told to another owner from now on. */
  handOver(owner: ClientSocketOwner): void;
  /** What is written leaves at once, whether or not what was written before has arrived (TCP_NODELAY). */
  setNoDelay(): void;
  /** `flushed` is called when the kernel has taken them and all before, not where the connection was lost before that. */
  write(octets: Encoded, flushed?: () => void): void;
  pause(): void;
  resume(): void;
  /** Ends our side behind what was written; still reads. */
  end(): void;
  /** Closes behind what was written. */
  close(): void;
  /** Closes at once. */
  destroy(): void;
  /** Closes at once and so that the peer sees that something is missing, if the kind of socket has a way to say so. */
  reset(): void;
  /**
   * The connection as a net.Socket that nobody reads, for who needs one. No owner is told anything any more; what there is to know of the
   * two ends can still be asked here, and nothing done.
   */
  release(): Socket;
}

/** On a net.Socket, which must allow half-open (`allowHalfOpen: true`): FIN is not the end of a client. */
export class NetClientSocket implements ClientSocket {
  path?: string;
  readonly #socket: Socket;
  #released = false;
  /** `socketDrained` is to be told. */
  #waiting = false;
  #closing = false;
  #owner: ClientSocketOwner | undefined;
  readonly #whence: Whence;

  constructor(socket: Socket, whence: Whence = {}) {
    this.#socket = socket;
    this.#whence = whence;
  }

  get secure(): Secure | undefined {
    return this.#whence.secure;
  }

  get descriptor(): number {
    const handle: unknown = Reflect.get(this.#socket, "_handle");
    const fd: unknown = typeof handle === "object" && handle !== null ? Reflect.get(handle, "fd") : undefined;
    return typeof fd === "number" ? fd : -1;
  }

  get remote(): End {
    if (this.#whence.ends !== undefined) return this.#whence.ends.remote;
    const { remoteAddress: address = "", remotePort: port = -1 } = this.#socket;
    return { address, port };
  }

  get local(): End {
    if (this.#whence.ends !== undefined) return this.#whence.ends.local;
    const { localAddress: address = "", localPort: port = -1 } = this.#socket;
    return { address, port };
  }

  get unsent(): number {
    return this.#socket.writableLength;
  }

  get untaken(): number | undefined {
    return untakenOf(Reflect.get(this.#socket, "_handle"), this.unsent);
  }

  start(owner: ClientSocketOwner): void {
    const started = this.#owner !== undefined;
    this.#owner = owner;
    if (started) return;
    const socket = this.#socket;
    socket.on("data", (chunk: Buffer) => this.#owner?.socketReceived(chunk, chunk.length));
    socket.on("end", () => this.#owner?.socketEnded());
    // What went wrong does not matter: the peer is gone, and "close" follows.
    socket.on("error", () => {});
    socket.on("close", () => this.#owner?.socketClosed());
  }

  startBriefly(owner: ClientSocketOwner): void {
    this.start(owner);
  }

  attend(): void {}

  handOver(owner: ClientSocketOwner): void {
    this.#owner = owner;
  }

  release(): Socket {
    this.#released = true;
    if (this.#owner !== undefined) this.#socket.removeAllListeners("data");
    this.#owner = undefined;
    return this.#socket.pause();
  }

  setNoDelay(): void {
    this.#socket.setNoDelay(true);
  }

  write(octets: Encoded, flushed?: () => void): void {
    const socket = this.#socket;
    const length = lengthOf(octets);
    outflow.unsent += length;
    const written = (error?: Error | null): void => {
      outflow.unsent -= length;
      // There is no error where it was destroyed here.
      if (error || socket.destroyed) return;
      flushed?.();
      if (!this.#waiting || socket.writableLength > 0) return;
      this.#waiting = false;
      if (!this.#closing) this.#owner?.socketDrained();
    };
    if (octets instanceof Uint8Array) socket.write(octets, written);
    else {
      socket.cork();
      for (const part of octets) socket.write(part);
      // Where there is nothing to write this still tells when all before has left.
      socket.write("", written);
      socket.uncork();
    }
    this.#waiting = socket.writableLength > 0;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#released) this.#socket.resume();
  }

  end(): void {
    this.#socket.end();
  }

  close(): void {
    this.#closing = true;
    // TLS says that it is the end (RFC 8446 §6.1): without that, a body that has no length looks cut off.
    if (this.#socket.writableLength === 0 && this.#whence.carrier === undefined) this.#socket.destroy();
    else this.#socket.destroySoon();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  reset(): void {
    const socket = this.#whence.carrier ?? this.#socket;
    if (socket.remoteAddress === undefined) socket.destroy();
    else socket.resetAndDestroy();
  }
}
