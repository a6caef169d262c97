// A client's connection without the machinery of a net.Socket. Two streams, their events, their queues and what all of that
// leaves to the garbage collector cost more than what is done with a request: a server that answers a constant on connections
// that are kept was measured at 16.5 µs of CPU a request with net.Socket and at 11.2 without, of which the kernel had 9.5; one that
// accepts, answers and closes at 116 µs a connection and at 81.
//
// What is below a net.Socket is no public interface of Node. So it is looked at before it is used, and where anything is not as
// expected, which a test would notice first, connections are net.Sockets as ever (NetClientSocket).
import { type OnReadOpts, type Server, Socket, type SocketConstructorOpts } from "node:net";
import {
  type ClientSocket,
  type ClientSocketOwner,
  type Encoded,
  type End,
  lengthOf,
  outflow,
} from "./client-socket.js";
import { untakenOf } from "./untaken.js";

/** What a net.Socket is made with; `onread` is documented for `net.connect`. */
export type SocketOptions = SocketConstructorOpts & { readonly onread?: OnReadOpts };

/** A connection as libuv has it. */
interface Handle {
  /** Must always be a function: Node ends the process otherwise. Called as the handle's method. */
  onread: (this: Handle) => void;
  bare?: BareSocket;
  readonly fd?: number;
  /** What is received goes there, at its beginning. */
  useUserBuffer(buffer: Uint8Array): void;
  readStart(): number;
  readStop(): number;
  /** These give an error's negative number, or 0. */
  writeBuffer(request: WriteRequest, octets: Uint8Array): number;
  /** `true`: they are octets, all of them. */
  writev(request: WriteRequest, octets: readonly Uint8Array[], areOctets: true): number;
  shutdown(request: ShutdownRequest): number;
  close(): void;
  /** These are those of TCP. */
  reset?(): number;
  setNoDelay?(on: boolean): number;
  getpeername?(name: SocketName): number;
  getsockname?(name: SocketName): number;
}

interface SocketName {
  address?: string;
  port?: number;
}

interface WriteRequest {
  oncomplete?: (status: number) => void;
  /** Holds the octets while they are written. */
  octets?: Encoded;
}

interface ShutdownRequest {
  oncomplete?: () => void;
}

interface ListeningHandle {
  onconnection: ((status: number, handle: unknown) => void) | undefined;
}

/** Node's binding to libuv's streams. */
interface Binding {
  readonly WriteWrap: new () => WriteRequest;
  readonly ShutdownWrap: new () => ShutdownRequest;
  /** Where the last operation left its results. */
  readonly streamBaseState: { readonly [index: number]: number };
  readonly kReadBytesOrError: number;
  readonly kLastWriteWasAsync: number;
}

/**
 * Whatever any of these connections receives is put here and read here: a buffer of its own, which Node would make and
 * cut to size for each, costs more than all else of the reading, page faults above all.
 */
const incoming = Buffer.allocUnsafeSlow(65536);

/** UV_EOF */
const endOfFile = -4095;

function isBinding(value: unknown): value is Binding {
  if (typeof value !== "object" || value === null) return false;
  const has = (name: string, type: string): boolean => typeof Reflect.get(value, name) === type;
  return (
    has("WriteWrap", "function") &&
    has("ShutdownWrap", "function") &&
    has("streamBaseState", "object") &&
    has("kReadBytesOrError", "number") &&
    has("kLastWriteWasAsync", "number")
  );
}

function isHandle(value: unknown): value is Handle {
  if (typeof value !== "object" || value === null || !("onread" in value)) return false;
  const can = (name: string): boolean => typeof Reflect.get(value, name) === "function";
  return ["useUserBuffer", "readStart", "readStop", "writeBuffer", "writev", "shutdown", "close"].every(can);
}

function isListening(value: unknown): value is ListeningHandle {
  return typeof value === "object" && value !== null && typeof Reflect.get(value, "onconnection") === "function";
}

function findBinding(): Binding | undefined {
  try {
    const load: unknown = Reflect.get(process, "binding");
    const found: unknown = typeof load === "function" ? Reflect.apply(load, process, ["stream_wrap"]) : undefined;
    return isBinding(found) ? found : undefined;
  } catch {
    // A Node that has none any more, or was told to give none.
    return undefined;
  }
}

function ignored(): void {}

/** One for all: ten thousand idle connections have no closures. */
function onRead(this: Handle): void {
  this.bare?.read();
}

let binding: Binding | undefined;
let spare: WriteRequest | undefined;

/**
 * From now on gives the connections of a listening server to `accept`, bare, in place of its "connection" event. False where
 * this Node has not what that needs: then nothing is changed. `Server.close` does not wait for such connections.
 */
export function acceptBare(server: Server, accept: (socket: BareSocket) => void): boolean {
  binding ??= findBinding();
  const listening: unknown = Reflect.get(server, "_handle");
  if (binding === undefined || !isListening(listening)) return false;
  const through = listening.onconnection;
  const found = binding;
  listening.onconnection = function (status, handle): void {
    if (status === 0 && isHandle(handle)) accept(new BareSocket(handle, found));
    // Node's own way, which also tells of what cannot be accepted.
    else through?.call(this, status, handle);
  };
  return true;
}

const nothing = Buffer.alloc(0);
const nowhere: End = { address: "", port: -1 };

export class BareSocket implements ClientSocket {
  path?: string;
  readonly #handle: Handle;
  readonly #binding: Binding;
  #owner: ClientSocketOwner | undefined;
  #open = true;
  #reading = false;
  /** The peer ended its side. */
  #ended = false;
  /** To be closed when all is written. */
  #closing = false;
  /** Writes that the kernel has not taken yet, and their octets. */
  #writing = 0;
  #unsent = 0;

  /** Made by `acceptBare`. */
  constructor(handle: Handle, found: Binding) {
    this.#handle = handle;
    this.#binding = found;
  }

  get descriptor(): number {
    return this.#handle.fd ?? -1;
  }

  get remote(): End {
    return this.#end((name) => this.#handle.getpeername?.(name));
  }

  get local(): End {
    return this.#end((name) => this.#handle.getsockname?.(name));
  }

  #end(ask: (name: SocketName) => number | undefined): End {
    const name: SocketName = {};
    if (!this.#open || ask(name) !== 0) return nowhere;
    const { address = "", port = -1 } = name;
    return { address, port };
  }

  get unsent(): number {
    return this.#unsent;
  }

  get untaken(): number | undefined {
    return untakenOf(this.#handle, this.#unsent);
  }

  start(owner: ClientSocketOwner): void {
    const started = this.#owner !== undefined;
    this.#owner = owner;
    if (started) return;
    this.#handle.useUserBuffer(incoming);
    this.#handle.bare = this;
    this.#handle.onread = onRead;
    this.resume();
  }

  handOver(owner: ClientSocketOwner): void {
    this.#owner = owner;
  }

  setNoDelay(): void {
    this.#handle.setNoDelay?.(true);
  }

  /** Called by the handle. */
  read(): void {
    const { streamBaseState, kReadBytesOrError } = this.#binding;
    const length = streamBaseState[kReadBytesOrError] ?? 0;
    if (length > 0) this.#owner?.socketReceived(incoming, length);
    else if (length === endOfFile) {
      this.#ended = true;
      this.#reading = false;
      this.#owner?.socketEnded();
    } else if (length < 0) this.destroy();
  }

  pause(): void {
    if (!this.#reading) return;
    this.#reading = false;
    this.#handle.readStop();
  }

  resume(): void {
    if (this.#reading || this.#ended || !this.#open) return;
    this.#reading = true;
    if (this.#handle.readStart() < 0) this.destroy();
  }

  write(octets: Encoded, flushed?: () => void): void {
    if (!this.#open) return;
    const { WriteWrap, streamBaseState, kLastWriteWasAsync } = this.#binding;
    const request = spare ?? new WriteWrap();
    const handle = this.#handle;
    const status =
      octets instanceof Uint8Array
        ? handle.writeBuffer(request, octets)
        : octets.length > 1
          ? handle.writev(request, octets, true)
          : // Where there is nothing to write this still tells when all before has left.
            handle.writeBuffer(request, octets[0] ?? nothing);
    if (status !== 0) {
      spare = undefined;
      this.destroy();
    } else if (streamBaseState[kLastWriteWasAsync] === 0) {
      // libuv has not looked at the request where the kernel took all octets at once.
      spare = request;
      if (flushed !== undefined) queueMicrotask(() => this.#open && flushed());
    } else {
      spare = undefined;
      const length = lengthOf(octets);
      this.#writing += 1;
      this.#unsent += length;
      outflow.unsent += length;
      request.octets = octets;
      request.oncomplete = (failed) => this.#written(failed, length, flushed);
    }
  }

  #written(failed: number, length: number, flushed: (() => void) | undefined): void {
    if (!this.#open) return;
    this.#writing -= 1;
    this.#unsent -= length;
    outflow.unsent -= length;
    if (failed !== 0) {
      this.destroy();
      return;
    }
    flushed?.();
    if (this.#writing > 0 || !this.#open) return;
    if (this.#closing) this.destroy();
    else this.#owner?.socketDrained();
  }

  end(): void {
    if (!this.#open) return;
    const request = new this.#binding.ShutdownWrap();
    request.oncomplete = ignored;
    if (this.#handle.shutdown(request) < 0) this.destroy();
  }

  /**
   * The kernel sends its FIN behind what it has when a connection is closed: a `shutdown` before that would only cost its system
   * call and another turn of the event loop, a fifth of what a connection costs that carries one request.
   */
  close(): void {
    this.#closing = true;
    if (this.#writing === 0) this.destroy();
  }

  destroy(): void {
    if (this.#ceases()) this.#handle.close();
  }

  reset(): void {
    if (!this.#ceases()) return;
    // It cannot be while a FIN is on its way.
    if (this.#handle.reset === undefined || this.#handle.reset() !== 0) this.#handle.close();
  }

  release(how: SocketOptions = { allowHalfOpen: true }): Socket {
    this.pause();
    this.#owner = undefined;
    delete this.#handle.bare;
    // As net.Server makes them; it sets what the handle calls.
    const options: SocketOptions & { readonly handle: unknown } = { ...how, handle: this.#handle };
    return new Socket(options);
  }

  #ceases(): boolean {
    if (!this.#open) return false;
    this.#open = false;
    outflow.unsent -= this.#unsent;
    this.#unsent = 0;
    this.#handle.onread = ignored;
    queueMicrotask(() => this.#owner?.socketClosed());
    return true;
  }
}
