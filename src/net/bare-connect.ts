// Connections made to somewhere else, without the machinery of a net.Socket, as bare-socket.ts has those that are accepted:
// to make, use and close one for a request costs half of what it does with net.Socket. What is below a net.Socket is no public
// interface, so it is looked at before it is used, and where anything is not as expected connections are net.Sockets.

import { isIPv6 } from "node:net";
import { constants } from "node:os";
import { getSystemErrorName } from "node:util";
import { type Connect, type Connection, type ConnectionOwner, connectSocket, type Destination } from "./connection.js";
import { ownDescriptors } from "./descriptors.js";

interface Request {
  oncomplete?: (status: number) => void;
  /** Holds the octets while they are written. */
  octets?: Uint8Array | readonly Uint8Array[];
}

type RequestClass = new () => Request;

/** A connection as libuv has it. Functions give an error's negative number, or 0. */
interface Handle {
  /** Must always be a function: Node ends the process otherwise. */
  onread: () => void;
  readonly fd?: number;
  /** What is received goes there, at its beginning. */
  useUserBuffer(buffer: Uint8Array): void;
  readStart(): number;
  readStop(): number;
  writeBuffer(request: Request, octets: Uint8Array): number;
  /** With true, `pieces` are all octets. */
  writev(request: Request, pieces: readonly Uint8Array[], octets: true): number;
  close(): void;
}

interface PipeHandle extends Handle {
  connect(request: Request, path: string): number;
}

interface TcpHandle extends Handle {
  connect(request: Request, host: string, port: number): number;
  connect6(request: Request, host: string, port: number): number;
  setNoDelay(enable: boolean): number;
}

/** Node's bindings to libuv's streams. */
interface Bindings {
  readonly WriteWrap: RequestClass;
  /** Where the last operation left its results. */
  readonly state: { readonly [index: number]: number };
  readonly readBytesOrError: number;
  readonly lastWriteWasAsync: number;
  readonly PipeConnectWrap: RequestClass;
  readonly TCPConnectWrap: RequestClass;
  /** One that connects, and serves for nothing else. */
  readonly createPipe: () => PipeHandle;
  readonly createTcp: () => TcpHandle;
}

const handleFunctions = ["useUserBuffer", "readStart", "readStop", "writeBuffer", "writev", "close", "connect"];

type HandleClass<H> = new (type: number) => H;

function isRequestClass(value: unknown): value is RequestClass {
  return typeof value === "function";
}

function isState(value: unknown): value is Bindings["state"] {
  return typeof value === "object" && value !== null;
}

function isHandleClass<H extends Handle>(value: unknown, more: readonly string[]): value is HandleClass<H> {
  if (typeof value !== "function" || typeof value.prototype !== "object" || value.prototype === null) return false;
  const { prototype } = value;
  return [...handleFunctions, ...more].every((name) => typeof Reflect.get(prototype, name) === "function");
}

function findBindings(): Bindings | undefined {
  const load: unknown = Reflect.get(process, "binding");
  if (typeof load !== "function") return undefined;
  const binding = (name: string): object => {
    const found: unknown = Reflect.apply(load, process, [name]);
    return typeof found === "object" && found !== null ? found : {};
  };
  const number = (from: object, name: string): number => {
    const value: unknown = Reflect.get(from, name);
    return typeof value === "number" ? value : -1;
  };
  const stream = binding("stream_wrap");
  const pipe = binding("pipe_wrap");
  const tcp = binding("tcp_wrap");
  const WriteWrap: unknown = Reflect.get(stream, "WriteWrap");
  const state: unknown = Reflect.get(stream, "streamBaseState");
  const readBytesOrError = number(stream, "kReadBytesOrError");
  const lastWriteWasAsync = number(stream, "kLastWriteWasAsync");
  const PipeConnectWrap: unknown = Reflect.get(pipe, "PipeConnectWrap");
  const TCPConnectWrap: unknown = Reflect.get(tcp, "TCPConnectWrap");
  const Pipe: unknown = Reflect.get(pipe, "Pipe");
  const TCP: unknown = Reflect.get(tcp, "TCP");
  const pipeType = socketType(pipe);
  const tcpType = socketType(tcp);
  if (!isRequestClass(WriteWrap) || !isRequestClass(PipeConnectWrap) || !isRequestClass(TCPConnectWrap)) return;
  if (!isHandleClass<PipeHandle>(Pipe, []) || !isHandleClass<TcpHandle>(TCP, ["connect6", "setNoDelay"])) return;
  if (!isState(state) || readBytesOrError < 0 || lastWriteWasAsync < 0 || pipeType < 0 || tcpType < 0) return;
  const createPipe = (): PipeHandle => new Pipe(pipeType);
  const createTcp = (): TcpHandle => new TCP(tcpType);
  const requests = { WriteWrap, PipeConnectWrap, TCPConnectWrap };
  return { ...requests, state, readBytesOrError, lastWriteWasAsync, createPipe, createTcp };
}

/** What a handle is told that it is for. */
function socketType(binding: object): number {
  const constants: unknown = Reflect.get(binding, "constants");
  const value: unknown =
    typeof constants === "object" && constants !== null ? Reflect.get(constants, "SOCKET") : undefined;
  return typeof value === "number" ? value : -1;
}

/** Connects without a net.Socket; undefined where this Node has not what that needs. */
export function findBareConnect(): Connect | undefined {
  try {
    const found = findBindings();
    if (found === undefined) return undefined;
    return (destination, owner) => new BareConnection(found, destination, owner);
  } catch {
    // A Node that has none any more, or was told to give none.
    return undefined;
  }
}

let found: Connect | undefined;

/** Connects in the cheapest way there is. */
export const connect: Connect = (destination, owner) => {
  found ??= findBareConnect() ?? connectSocket;
  return found(destination, owner);
};

/** Whatever any connection receives is put here, and copied from here: buffers made for each read cost page faults. */
const incoming = Buffer.allocUnsafeSlow(65536);

/** UV_EOF */
const endOfFile = -4095;

function ignored(): void {}

/** A request that was not needed in the end: libuv has not looked at it where the kernel took all octets at once. */
let spare: Request | undefined;

interface Waiter {
  /** Writes that have to be over before. */
  readonly after: number;
  readonly flushed: () => void;
}

class BareConnection implements Connection {
  broken = false;
  readonly #bindings: Bindings;
  readonly #handle: Handle;
  /** Undefined when it is closed. */
  #owner: ConnectionOwner | undefined;
  /** Writes that the kernel did not take at once, and how many of them are over. */
  #begun = 0;
  #over = 0;
  #waiters: Waiter[] | undefined;
  #paused = false;
  #ended = false;

  constructor(bindings: Bindings, destination: Destination, owner: ConnectionOwner) {
    this.#bindings = bindings;
    this.#owner = owner;
    const made = (status: number): void => this.#made(status);
    let status: number;
    if (destination.kind === "unix") {
      const handle = bindings.createPipe();
      const request = new bindings.PipeConnectWrap();
      request.oncomplete = made;
      this.#handle = handle;
      status = handle.connect(request, destination.path);
    } else {
      const { host, port, noDelay } = destination;
      const handle = bindings.createTcp();
      const request = new bindings.TCPConnectWrap();
      request.oncomplete = made;
      this.#handle = handle;
      status = isIPv6(host) ? handle.connect6(request, host, port) : handle.connect(request, host, port);
      if (noDelay && status === 0) handle.setNoDelay(true);
    }
    // The last descriptors are kept (descriptors.ts).
    if (status === 0 && (this.#handle.fd ?? -1) >= ownDescriptors().requestsEnd) status = -constants.errno.EMFILE;
    this.#handle.onread = () => this.#read();
    this.#handle.useUserBuffer(incoming);
    if (status !== 0) queueMicrotask(() => this.#lose(status));
    // Nothing is read before there is a connection; but so the kernel is told once what is waited for, not twice. Refused where
    // it is known already that there is none, which `made` is told.
    else this.#handle.readStart();
  }

  #made(status: number): void {
    if (this.#owner === undefined) return;
    if (status !== 0) {
      this.#lose(status);
      return;
    }
    this.#owner.connectionMade();
  }

  #read(): void {
    const length = this.#bindings.state[this.#bindings.readBytesOrError] ?? 0;
    if (length > 0) {
      const octets = Buffer.allocUnsafe(length);
      incoming.copy(octets, 0, 0, length);
      this.#owner?.connectionReceived(octets);
    } else if (length === endOfFile) {
      this.#ended = true;
      this.#owner?.connectionEnded();
    } else if (length < 0) this.#lose(length);
  }

  #lose(status: number): void {
    const owner = this.#owner;
    this.close();
    owner?.connectionLost(getSystemErrorName(status));
  }

  get flushed(): boolean {
    return this.#begun === this.#over;
  }

  write(octets: Uint8Array): boolean {
    if (this.broken || this.#owner === undefined) return true;
    const request = this.#request();
    return this.#wrote(request, this.#handle.writeBuffer(request, octets), octets);
  }

  writeAll(pieces: readonly Uint8Array[]): boolean {
    if (this.broken || this.#owner === undefined) return true;
    const request = this.#request();
    return this.#wrote(request, this.#handle.writev(request, pieces, true), pieces);
  }

  #request(): Request {
    const request = spare ?? new this.#bindings.WriteWrap();
    spare = undefined;
    return request;
  }

  #wrote(request: Request, status: number, octets: Uint8Array | readonly Uint8Array[]): boolean {
    if (status !== 0) {
      this.broken = true;
      return true;
    }
    if (this.#bindings.state[this.#bindings.lastWriteWasAsync] === 0) {
      spare = request;
      return true;
    }
    this.#begun += 1;
    request.octets = octets;
    request.oncomplete = (result) => this.#left(result);
    return false;
  }

  /** The oldest of the writes under way is over. */
  #left(status: number): void {
    this.#over += 1;
    if (status !== 0) this.broken = true;
    if (this.flushed) this.#owner?.connectionDrained();
    while (this.#owner !== undefined && (this.#waiters?.[0]?.after ?? Infinity) <= this.#over) {
      this.#waiters?.shift()?.flushed();
    }
  }

  whenFlushed(flushed: () => void): void {
    if (this.flushed) {
      queueMicrotask(() => {
        if (this.#owner !== undefined) flushed();
      });
      return;
    }
    this.#waiters ??= [];
    this.#waiters.push({ after: this.#begun, flushed });
  }

  pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    if (this.#owner !== undefined) this.#handle.readStop();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (this.#owner === undefined || this.#ended) return;
    const status = this.#handle.readStart();
    if (status !== 0) queueMicrotask(() => this.#lose(status));
  }

  close(): void {
    if (this.#owner === undefined) return;
    this.#owner = undefined;
    this.#handle.onread = ignored;
    this.#handle.close();
  }
}
