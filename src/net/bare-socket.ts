// A connection that lives for one request, without the machinery of a net.Socket. Two streams, their events and what they
// leave to the garbage collector are most of what such a connection costs: a server that only accepts, answers and closes
// was measured at 116 µs of CPU a connection with net.Socket and at 81 without, on the same machine at the same load.
//
// What is below a net.Socket is no public interface of Node. So it is looked at before it is used, and where anything is
// not as expected, which a test would notice first, connections are net.Sockets as ever. And it is used for the common case
// only: octets in, one answer out that the kernel takes at once. Whatever else a connection needs, it becomes a net.Socket.
import { type Server, Socket } from "node:net";

/** Told what happens to a bare socket, until it is closed here or has become a net.Socket. */
export interface BareSocketOwner {
  socketReceived(octets: Buffer): void;
  /** The peer ended its side in order. */
  socketEnded(): void;
  /** The connection is gone: the peer's doing, or what `send` was given has left. Not told after `close`. */
  socketClosed(): void;
}

/** A connection as libuv has it. */
interface Handle {
  /** Must always be a function: Node ends the process otherwise. */
  onread: () => void;
  /** What is received goes there, at its beginning. */
  useUserBuffer(buffer: Uint8Array): void;
  readStart(): number;
  readStop(): number;
  /** An error's negative number, or 0. */
  writeBuffer(request: WriteRequest, octets: Uint8Array): number;
  close(): void;
}

interface WriteRequest {
  oncomplete?: (status: number) => void;
  /** Holds the octets while they are written. */
  octets?: Uint8Array;
}

interface ListeningHandle {
  onconnection: ((status: number, handle: unknown) => void) | undefined;
}

/** Node's binding to libuv's streams. */
interface Binding {
  readonly WriteWrap: new () => WriteRequest;
  /** Where the last operation left its results. */
  readonly streamBaseState: { readonly [index: number]: number };
  readonly kReadBytesOrError: number;
  readonly kLastWriteWasAsync: number;
}

/**
 * Whatever any of these connections receives is put here and copied from here: a buffer of its own, which Node would make and
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
    has("streamBaseState", "object") &&
    has("kReadBytesOrError", "number") &&
    has("kLastWriteWasAsync", "number")
  );
}

function isHandle(value: unknown): value is Handle {
  if (typeof value !== "object" || value === null || !("onread" in value)) return false;
  const can = (name: string): boolean => typeof Reflect.get(value, name) === "function";
  return can("useUserBuffer") && can("readStart") && can("readStop") && can("writeBuffer") && can("close");
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

export class BareSocket {
  readonly #handle: Handle;
  readonly #binding: Binding;
  #owner: BareSocketOwner | undefined;

  /** Made by `acceptBare`. */
  constructor(handle: Handle, found: Binding) {
    this.#handle = handle;
    this.#binding = found;
  }

  /** Begins to read. Once. */
  start(owner: BareSocketOwner): void {
    this.#owner = owner;
    this.#handle.useUserBuffer(incoming);
    this.#handle.onread = () => this.#read();
    // Told later: who makes a connection of it has not finished.
    if (this.#handle.readStart() < 0) queueMicrotask(() => this.#lose());
  }

  #read(): void {
    const { streamBaseState, kReadBytesOrError } = this.#binding;
    const length = streamBaseState[kReadBytesOrError] ?? 0;
    if (length > 0) this.#owner?.socketReceived(Buffer.from(incoming.subarray(0, length)));
    else if (length === endOfFile) this.#owner?.socketEnded();
    else if (length < 0) this.#lose();
  }

  #lose(): void {
    const owner = this.#owner;
    this.close();
    owner?.socketClosed();
  }

  /** Closes at once. */
  close(): void {
    if (this.#owner === undefined) return;
    this.#owner = undefined;
    this.#handle.onread = ignored;
    this.#handle.close();
  }

  /** Sends octets, which must not change any more, and closes as soon as the kernel has them. True: it has them, and is closed. */
  send(octets: Uint8Array): boolean {
    const { WriteWrap, streamBaseState, kLastWriteWasAsync } = this.#binding;
    const request = spare ?? new WriteWrap();
    spare = undefined;
    const status = this.#handle.writeBuffer(request, octets);
    if (status !== 0 || streamBaseState[kLastWriteWasAsync] === 0) {
      // libuv has not looked at it where the kernel took all octets at once.
      if (status === 0) spare = request;
      this.close();
      return true;
    }
    request.octets = octets;
    request.oncomplete = () => this.#lose();
    return false;
  }

  /** The connection as a net.Socket, which gives what is received to its owner in place of "data". The bare one is nothing any more. */
  socket(): Socket {
    const owner = this.#owner;
    this.#owner = undefined;
    this.#handle.onread = ignored;
    this.#handle.readStop();
    const callback = (length: number): boolean => {
      owner?.socketReceived(Buffer.from(incoming.subarray(0, length)));
      return true;
    };
    const options = { handle: this.#handle, allowHalfOpen: true, onread: { buffer: incoming, callback } };
    return new Socket(options);
  }
}
