// A connection made to somewhere else, as who has it sees it, and made with Node's own Socket. See system-connect.ts for what
// is used in its place.
import { type IpcSocketConnectOpts, type OnReadOpts, Socket, type TcpSocketConnectOpts } from "node:net";

/** Where to. `host` is a literal address. */
export type Destination =
  /** `noDelay`: small packets do not wait behind others for the peer to confirm those (TCP_NODELAY). */
  | { readonly kind: "tcp"; readonly host: string; readonly port: number; readonly noDelay: boolean }
  | { readonly kind: "unix"; readonly path: string };

/** Told what happens to a connection. Nothing before the connection was returned to it, nor after `close`. */
export interface ConnectionOwner {
  /** Not where it was `made` when it was returned. */
  connectionMade(): void;
  /** Octets, which are the owner's from now on. */
  connectionReceived(octets: Buffer): void;
  /** After a write was answered false: there is room again. */
  connectionDrained(): void;
  /** The peer has sent all it will. */
  connectionEnded(): void;
  /** There is no connection, or not any more; it is closed. `code` is the error's name: "ECONNREFUSED". */
  connectionLost(code: string): void;
}

export interface Connection {
  /** There is a connection: it can be written to. */
  readonly made: boolean;
  /**
   * The peer takes nothing more: a write failed. What it has sent is still read, for a server may answer before it has read the
   * whole body, and close (gunicorn does, above 64 KiB).
   */
  readonly broken: boolean;
  /** All that was written has left this process. */
  readonly flushed: boolean;
  /** Writes octets, which must not change afterwards. False: there are more than the kernel takes; wait for `connectionDrained`. */
  write(octets: Uint8Array): boolean;
  /** The same with several pieces, in one system call. */
  writeAll(pieces: readonly Uint8Array[]): boolean;
  /** Calls back once when all that was written before has left, or never will. Not after `close`. */
  whenFlushed(flushed: () => void): void;
  pause(): void;
  resume(): void;
  /** At once. */
  close(): void;
}

export type Connect = (destination: Destination, owner: ConnectionOwner) => Connection;

/** What every socket reads into, one read at a time. */
const inbox = Buffer.allocUnsafeSlow(65536);

const empty: Uint8Array = new Uint8Array(0);

export const connectSocket: Connect = (destination, owner) => new SocketConnection(destination, owner);

class SocketConnection implements Connection {
  readonly #owner: ConnectionOwner;
  readonly #socket: HalfSocket;
  #error: NodeJS.ErrnoException | undefined;
  made = false;
  #closed = false;

  constructor(destination: Destination, owner: ConnectionOwner) {
    this.#owner = owner;
    const onread: OnReadOpts = {
      buffer: inbox,
      callback: (length) => {
        if (!this.#closed) owner.connectionReceived(Buffer.from(inbox.subarray(0, length)));
        return true;
      },
    };
    // Half-open, so that Node does not answer a FIN with a shutdown of its own: who has the connection closes it.
    const options = { allowHalfOpen: true, onread };
    const socket = new HalfSocket(options);
    this.#socket = socket;
    this.#tell(socket, "connect", () => {
      this.made = true;
      owner.connectionMade();
    });
    this.#tell(socket, "drain", () => owner.connectionDrained());
    this.#tell(socket, "end", () => owner.connectionEnded());
    this.#tell(socket, "close", () => this.#lose());
    socket.on("error", (error) => {
      this.#error = error;
    });
    socket.connect(optionsOf(destination));
  }

  #tell(socket: Socket, event: string, action: () => void): void {
    socket.on(event, () => {
      if (!this.#closed) action();
    });
  }

  #lose(): void {
    this.#closed = true;
    this.#owner.connectionLost(this.#error?.code ?? "");
  }

  get broken(): boolean {
    return this.#socket.broken;
  }

  get flushed(): boolean {
    return this.#socket.writableLength === 0;
  }

  write(octets: Uint8Array): boolean {
    return this.#socket.write(octets);
  }

  writeAll(pieces: readonly Uint8Array[]): boolean {
    this.#socket.cork();
    let more = true;
    for (const octets of pieces) more = this.#socket.write(octets);
    this.#socket.uncork();
    return more;
  }

  whenFlushed(flushed: () => void): void {
    this.#socket.write(empty, (error) => {
      if (!error && !this.#closed) flushed();
    });
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  close(): void {
    this.#closed = true;
    this.#socket.destroy();
  }
}

function optionsOf(destination: Destination): TcpSocketConnectOpts | IpcSocketConnectOpts {
  if (destination.kind === "unix") return { path: destination.path };
  const { host, port, noDelay } = destination;
  return { host, port, noDelay };
}

type Written = (error?: Error | null) => void;

/** Node destroys a socket when a write fails, and with it what was received and not yet read. This one is still read. */
class HalfSocket extends Socket {
  broken = false;
  #callback: Written | undefined;
  readonly #written = (error?: NodeJS.ErrnoException | null): void => {
    const callback = this.#callback;
    if (error?.code !== "EPIPE" && error?.code !== "ECONNRESET") callback?.(error);
    else {
      this.broken = true;
      callback?.();
    }
  };

  override _write(chunk: Uint8Array, encoding: BufferEncoding, callback: Written): void {
    if (this.broken) callback();
    else {
      this.#callback = callback;
      super._write(chunk, encoding, this.#written);
    }
  }

  override _writev(chunks: { chunk: Uint8Array; encoding: BufferEncoding }[], callback: Written): void {
    if (this.broken) callback();
    else {
      this.#callback = callback;
      super._writev?.(chunks, this.#written);
    }
  }
}
