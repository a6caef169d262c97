// A connection to a server of an upstream group: makes it, watches its deadlines, and says in one way what ended it. What is
// on the connection is its owner's affair, who says in which phase it is.
import type { Connection, ConnectionOwner, Destination } from "../net/connection.js";
import { later, type Timed, ticks } from "../net/deadline.js";
import { connect } from "../net/system-connect.js";
import type { DriverOptions, FailureKind } from "./driver.js";
import { type JustConnected, tellLastFirst } from "./just-connected.js";

/** What a connection is at; decides how long it may take, and what it is called when that was too long. */
export interface Phase {
  /** Which of the options limits it; a number is ticks, 0 none. */
  readonly limit: "connectTimeout" | "sendTimeout" | "firstByteTimeout" | "idleTimeout" | "tunnelTimeout" | number;
  readonly kind: FailureKind;
  readonly sentence: string;
}

/** Ticks an idle connection is kept: beyond that something between here and there may have forgotten it without a word. */
const keptTicks = ticks(60);
/** Ticks for the server to close a connection whose response is whole: see `UpstreamSocket.linger`. */
const lingerTicks = ticks(2);

type PhaseName = "connecting" | "sending" | "waiting" | "receiving" | "paused" | "tunnelling" | "idle" | "lingering";

export const phases: Readonly<Record<PhaseName, Phase>> = {
  connecting: { limit: "connectTimeout", kind: "connect-timeout", sentence: "No connection was made in time." },
  sending: { limit: "sendTimeout", kind: "send-timeout", sentence: "The server stopped taking the request." },
  waiting: { limit: "firstByteTimeout", kind: "first-byte-timeout", sentence: "No response came in time." },
  receiving: { limit: "idleTimeout", kind: "idle-timeout", sentence: "The response stopped coming." },
  /** The client is slower than the server, who is not to blame. */
  paused: { limit: 0, kind: "closed", sentence: "" },
  /** It speaks HTTP no longer. */
  tunnelling: { limit: "tunnelTimeout", kind: "idle-timeout", sentence: "Nothing went through the tunnel for long." },
  /** No request is on it. */
  idle: { limit: keptTicks, kind: "closed", sentence: "The connection was idle for long." },
  lingering: { limit: lingerTicks, kind: "closed", sentence: "The connection was not closed by the server." },
};

export interface SocketOwner {
  /** Octets may be written from now on. */
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

export class UpstreamSocket implements Timed, ConnectionOwner, JustConnected {
  deadline = 0;
  readonly #options: DriverOptions;
  #owner: SocketOwner;
  #connection: Connection;
  #phase: Phase = phases.connecting;
  #closed = false;
  /** What is to leave at the end of this turn. */
  #gathered: Uint8Array[] | undefined;

  /** Begins to connect. Nothing is told to the owner before the constructor returned. */
  constructor(options: DriverOptions, owner: SocketOwner) {
    this.#options = options;
    this.#owner = owner;
    options.deadlines.watch(this);
    this.enter(phases.connecting);
    this.#connection = this.#connect();
  }

  #connect(): Connection {
    const connection = connect(destinationOf(this.#options), this);
    if (connection.made) tellLastFirst(this);
    return connection;
  }

  tellConnected(): void {
    if (!this.#closed) this.connectionMade();
  }

  /** All is told to another owner from now on. */
  handOver(owner: SocketOwner): void {
    this.#owner = owner;
  }

  connectionMade(): void {
    this.#owner.socketConnected();
  }

  connectionReceived(octets: Buffer): void {
    this.#owner.socketReceived(octets);
  }

  connectionDrained(): void {
    this.#owner.socketDrained();
  }

  connectionEnded(): void {
    if (this.#phase === phases.lingering) this.close();
    else this.#owner.socketInputEnded();
  }

  connectionLost(code: string): void {
    const connecting = this.#phase === phases.connecting;
    // So says a unix socket whose backlog is full (unix(7)); TCP would have waited by itself.
    if (connecting && code === "EAGAIN") {
      later(backlogPause, () => {
        if (!this.#closed) this.#connection = this.#connect();
      });
      return;
    }
    const kind = code === "EMFILE" || code === "ENFILE" ? "exhausted" : "refused";
    this.#lose(connecting ? kind : "closed", sentenceOf(code));
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
    return this.#connection.broken;
  }

  /** Whether all that was written has left this process. */
  get flushed(): boolean {
    return this.#gathered === undefined && this.#connection.flushed;
  }

  /** Writes octets that do not change afterwards. False: wait for `socketDrained`. */
  write(octets: Uint8Array): boolean {
    if (this.#gathered === undefined) return this.#connection.write(octets);
    this.#gathered.push(octets);
    return true;
  }

  /** Several pieces in one system call. */
  writeAll(pieces: readonly Uint8Array[]): boolean {
    if (this.#gathered === undefined) return this.#connection.writeAll(pieces);
    this.#gathered.push(...pieces);
    return true;
  }

  /** What is written from now on leaves at the end of this turn of the event loop, in one piece. */
  gather(): void {
    if (this.#gathered !== undefined) return;
    this.#gathered = [];
    process.nextTick(() => this.#release());
  }

  #release(): void {
    const pieces = this.#gathered;
    this.#gathered = undefined;
    if (pieces !== undefined && pieces.length > 0) this.#connection.writeAll(pieces);
  }

  /** Calls back when all that was written before has left. */
  whenFlushed(flushed: () => void): void {
    this.#release();
    this.#connection.whenFlushed(flushed);
  }

  pause(): void {
    this.#connection.pause();
  }

  resume(): void {
    this.#connection.resume();
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
    this.#options.deadlines.unwatch(this);
    this.#connection.close();
  }
}

const destinations = new WeakMap<DriverOptions, Destination>();

/** The same object each time. */
function destinationOf(options: DriverOptions): Destination {
  const known = destinations.get(options);
  if (known !== undefined) return known;
  const { address, keepAlive } = options;
  // A connection for one request writes it at once, and has no small packet behind a large one to hold back.
  const destination = address.kind === "unix" ? address : { ...address, noDelay: keepAlive > 0 };
  destinations.set(options, destination);
  return destination;
}

function sentenceOf(code: string): string {
  switch (code) {
    case "":
      return "The connection was closed.";
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
    case "EMFILE":
    case "ENFILE":
      return "No descriptor is left for a connection (ulimit -n, LimitNOFILE=).";
    case "EPIPE":
      return "The connection was closed while the request was sent.";
    default:
      return `The connection failed (${code}).`;
  }
}
