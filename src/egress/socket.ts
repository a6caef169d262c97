// A connection to a server of an upstream group: makes it, watches its deadlines, and says in one way what ended it. What is
// on the connection is its owner's affair, who says in which phase it is.
//
// Protocols with a connection for each request make thousands a second, and of what Node's Socket then costs, half is its
// construction (60 µs of CPU a connection; 33 with a Socket that is connected again, as little as with libuv's handle alone).
// So a socket that served and was closed in order is kept, in a SocketPool, and connected again.
import type { IpcSocketConnectOpts, OnReadOpts, TcpSocketConnectOpts } from "node:net";
import { later, type Timed, ticks } from "../net/deadline.js";
import type { DriverOptions, FailureKind } from "./driver.js";
import { ReadToTheEnd } from "./read-to-the-end.js";

/** What a connection is at; decides how long it may take, and what it is called when that was too long. */
export interface Phase {
  /** Which of the options limits it; a number is ticks, 0 none. */
  readonly limit: "connectTimeout" | "sendTimeout" | "firstByteTimeout" | "idleTimeout" | number;
  readonly kind: FailureKind;
  readonly sentence: string;
}

/** Ticks an idle connection is kept: beyond that something between here and there may have forgotten it without a word. */
const keptTicks = ticks(60);
/** Ticks for the server to close a connection whose response is whole: see `UpstreamSocket.linger`. */
const lingerTicks = ticks(2);

type PhaseName = "connecting" | "sending" | "waiting" | "receiving" | "paused" | "idle" | "lingering";

export const phases: Readonly<Record<PhaseName, Phase>> = {
  connecting: { limit: "connectTimeout", kind: "connect-timeout", sentence: "No connection was made in time." },
  sending: { limit: "sendTimeout", kind: "send-timeout", sentence: "The server stopped taking the request." },
  waiting: { limit: "firstByteTimeout", kind: "first-byte-timeout", sentence: "No response came in time." },
  receiving: { limit: "idleTimeout", kind: "idle-timeout", sentence: "The response stopped coming." },
  /** The client is slower than the server, who is not to blame. */
  paused: { limit: 0, kind: "closed", sentence: "" },
  /** No request is on it. */
  idle: { limit: keptTicks, kind: "closed", sentence: "The connection was idle for long." },
  lingering: { limit: lingerTicks, kind: "closed", sentence: "The connection was not closed by the server." },
};

export interface SocketOwner {
  socketConnected(): void;
  socketReceived(chunk: Uint8Array): void;
  /** After `write` was false: there is room again. */
  socketDrained(): void;
  /** The server has sent all it will. */
  socketInputEnded(): void;
  /** The connection is gone, and nothing more comes of it. Not called after `close`. */
  socketLost(kind: FailureKind, sentence: string): void;
}

/** Milliseconds after which a unix socket whose backlog was full is tried again. */
const backlogPause = 5;

const empty: Uint8Array = new Uint8Array(0);

/** What every socket reads into, one read at a time. */
const inbox = Buffer.allocUnsafeSlow(65536);

/** The most closed sockets kept. */
const closedMost = 256;

/** The sockets of one server: gives new connections, each perhaps on a socket that had one before. */
export class SocketPool {
  readonly #options: DriverOptions;
  readonly #closed: UpstreamSocket[] = [];

  constructor(options: DriverOptions) {
    this.#options = options;
  }

  /** Begins to connect. Nothing is told to the owner before this returned. */
  open(owner: SocketOwner): UpstreamSocket {
    const socket = this.#closed.pop();
    if (socket === undefined) return new UpstreamSocket(this.#options, owner, this);
    socket.reopen(owner);
    return socket;
  }

  /** A socket is closed and as good as new. */
  keep(socket: UpstreamSocket): void {
    if (this.#closed.length < closedMost) this.#closed.push(socket);
  }
}

export class UpstreamSocket implements Timed {
  deadline = 0;
  readonly #options: DriverOptions;
  readonly #pool: SocketPool | undefined;
  readonly #destination: TcpSocketConnectOpts | IpcSocketConnectOpts;
  #owner: SocketOwner;
  #socket: ReadToTheEnd;
  #phase: Phase = phases.connecting;
  #error: NodeJS.ErrnoException | undefined;
  #closed = false;
  /** When it was closed, everything that was written had left, and nothing had gone wrong. */
  #clean = false;
  #reading = true;
  #gathering = false;

  /** Begins to connect. Nothing is told to the owner before the constructor returned. */
  constructor(options: DriverOptions, owner: SocketOwner, pool?: SocketPool) {
    const { address, keepAlive } = options;
    this.#options = options;
    this.#owner = owner;
    this.#pool = pool;
    // A connection for one request writes it at once, and has no small packet behind a large one to hold back.
    this.#destination =
      address.kind === "unix"
        ? { path: address.path }
        : { host: address.host, port: address.port, noDelay: keepAlive > 0 };
    this.#begin();
    this.#socket = this.#create();
  }

  /** As the constructor, for a socket that its pool kept. */
  reopen(owner: SocketOwner): void {
    this.#owner = owner;
    this.#begin();
    this.#socket.connect(this.#destination);
  }

  #begin(): void {
    this.#closed = false;
    this.#clean = false;
    this.#reading = true;
    this.#gathering = false;
    this.#options.deadlines.watch(this);
    this.enter(phases.connecting);
  }

  #create(): ReadToTheEnd {
    // Half-open, so that Node does not answer a FIN with a shutdown of its own: one system call less, we close anyway. With
    // `onread` nothing is ever kept in the Socket, so that none of it can come out in its next connection.
    const onread: OnReadOpts = {
      buffer: inbox,
      callback: (length) => {
        if (!this.#closed) this.#owner.socketReceived(Buffer.from(inbox.subarray(0, length)));
        return true;
      },
    };
    const options = { allowHalfOpen: true, onread };
    const socket = new ReadToTheEnd(options);
    socket.on("connect", () => {
      if (!this.#closed) this.#owner.socketConnected();
    });
    socket.on("drain", () => {
      if (!this.#closed) this.#owner.socketDrained();
    });
    socket.on("end", () => this.#inputEnded());
    socket.on("error", (error) => {
      this.#error = error;
    });
    socket.on("close", () => this.#onClose());
    socket.connect(this.#destination);
    return socket;
  }

  #inputEnded(): void {
    if (this.#closed) return;
    if (this.#phase === phases.lingering) this.close();
    else this.#owner.socketInputEnded();
  }

  #onClose(): void {
    if (this.#closed) {
      if (this.#clean && this.#error === undefined) this.#pool?.keep(this);
      return;
    }
    const error = this.#error;
    const connecting = this.#phase === phases.connecting;
    // So says a unix socket whose backlog is full (unix(7)); TCP would have waited by itself.
    if (connecting && error?.code === "EAGAIN") {
      this.#error = undefined;
      later(backlogPause, () => {
        if (!this.#closed) this.#socket = this.#create();
      });
      return;
    }
    this.#lose(connecting ? "refused" : "closed", sentenceOf(error));
  }

  /** The deadline passed. */
  expire(): void {
    this.#lose(this.#phase.kind, this.#phase.sentence);
  }

  #lose(kind: FailureKind, sentence: string): void {
    if (this.#closed) return;
    this.close();
    this.#owner.socketLost(kind, sentence);
  }

  /** The phase begins, with its deadline; again, where it is the one that is on: something moved. */
  enter(phase: Phase): void {
    this.#phase = phase;
    const { limit } = phase;
    const most = typeof limit === "number" ? limit : this.#options[limit];
    this.deadline = most === 0 ? 0 : this.#options.deadlines.tick + most;
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** The server takes nothing more. What it has sent is still read. */
  get broken(): boolean {
    return this.#socket.broken !== undefined;
  }

  /** Whether all that was written has left this process. */
  get flushed(): boolean {
    return this.#socket.writableLength === 0;
  }

  /** Writes octets that do not change afterwards. False: wait for `socketDrained`. */
  write(octets: Uint8Array): boolean {
    return this.#socket.write(octets);
  }

  /** Several pieces in one system call. */
  writeAll(pieces: readonly Uint8Array[]): boolean {
    this.#socket.cork();
    let more = true;
    for (const octets of pieces) more = this.#socket.write(octets);
    this.#socket.uncork();
    return more;
  }

  /** What is written from now on leaves at the end of this turn of the event loop, in one piece. */
  gather(): void {
    if (this.#gathering) return;
    this.#gathering = true;
    this.#socket.cork();
    process.nextTick(() => {
      this.#gathering = false;
      this.#socket.uncork();
    });
  }

  /** Calls back when all that was written before has left. */
  whenFlushed(flushed: () => void): void {
    this.#socket.write(empty, (error) => {
      if (!error && !this.#closed) flushed();
    });
  }

  pause(): void {
    if (!this.#reading) return;
    this.#reading = false;
    this.#socket.pause();
  }

  resume(): void {
    if (this.#reading) return;
    this.#reading = true;
    this.#socket.resume();
  }

  /**
   * The response is whole, and the connection serves for nothing else. Over TCP waits a little for the server to close it: who
   * closes first keeps the pair of ports for a minute (TIME_WAIT), and here, with all connections to one port, they would run
   * out.
   */
  linger(): void {
    if (this.#options.address.kind === "unix") {
      this.close();
      return;
    }
    this.enter(phases.lingering);
    this.resume();
  }

  /** Ends the connection; the owner is told nothing any more. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const socket = this.#socket;
    this.#clean =
      socket.broken === undefined &&
      !socket.connecting &&
      socket.writableLength === 0 &&
      !socket.writableNeedDrain &&
      this.#reading;
    this.#options.deadlines.unwatch(this);
    socket.destroy();
  }
}

function sentenceOf(error: NodeJS.ErrnoException | undefined): string {
  switch (error?.code) {
    case undefined:
      return error === undefined ? "The connection was closed." : `The connection failed: ${error.message}.`;
    case "ECONNREFUSED":
      return "The connection was refused.";
    case "ENOENT":
      return "There is no such socket.";
    case "EACCES":
      return "This process may not use the socket.";
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return "The server cannot be reached.";
    case "ECONNRESET":
      return "The connection was reset.";
    case "EPIPE":
      return "The connection was closed while the request was sent.";
    default:
      return `The connection failed (${error?.code}).`;
  }
}
