// A connection to a server of an upstream group: makes it, watches its deadlines, and says in one way what ended it. What is
// on the connection is its owner's affair, who says in which phase it is.
import { Socket } from "node:net";
import { later, type Timed, ticks } from "../net/deadline.js";
import type { DriverOptions, FailureKind } from "./driver.js";

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

/**
 * Node destroys a socket when a write fails, and with it what was received and not yet read. A server may answer before it
 * has read the whole body, and close (gunicorn does, above 64 KiB): the write fails, and its answer is there to be read.
 * Here a failed write only means that nothing more is sent; what ends the connection is read, too.
 */
class ReadToTheEnd extends Socket {
  /** Why nothing is sent any more. */
  broken: NodeJS.ErrnoException | undefined;
  #callback: ((error?: Error | null) => void) | undefined;
  readonly #written = (error?: NodeJS.ErrnoException | null): void => {
    const callback = this.#callback;
    if (error?.code !== "EPIPE" && error?.code !== "ECONNRESET") callback?.(error);
    else {
      this.broken = error;
      callback?.();
    }
  };

  override _write(chunk: Uint8Array, encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    if (this.broken !== undefined) callback();
    else {
      this.#callback = callback;
      super._write(chunk, encoding, this.#written);
    }
  }

  override _writev(
    chunks: { chunk: Uint8Array; encoding: BufferEncoding }[],
    callback: (error?: Error | null) => void,
  ): void {
    if (this.broken !== undefined) callback();
    else {
      this.#callback = callback;
      super._writev?.(chunks, this.#written);
    }
  }
}

export class UpstreamSocket implements Timed {
  deadline = 0;
  readonly #options: DriverOptions;
  readonly #owner: SocketOwner;
  #socket: ReadToTheEnd;
  #phase: Phase = phases.connecting;
  #error: NodeJS.ErrnoException | undefined;
  #closed = false;
  #reading = true;
  #gathering = false;

  /** Begins to connect. Nothing is told to the owner before the constructor returned. */
  constructor(options: DriverOptions, owner: SocketOwner) {
    this.#options = options;
    this.#owner = owner;
    options.deadlines.watch(this);
    this.enter(phases.connecting);
    this.#socket = this.#connect();
  }

  #connect(): ReadToTheEnd {
    const { address, keepAlive } = this.#options;
    // Half-open, so that Node does not answer a FIN with a shutdown of its own: one system call less, we close anyway.
    const socket = new ReadToTheEnd({ allowHalfOpen: true });
    socket.on("connect", () => this.#owner.socketConnected());
    socket.on("data", (chunk: Buffer) => {
      if (!this.#closed) this.#owner.socketReceived(chunk);
    });
    socket.on("drain", () => {
      if (!this.#closed) this.#owner.socketDrained();
    });
    socket.on("end", () => this.#inputEnded());
    socket.on("error", (error) => {
      this.#error = error;
    });
    socket.on("close", () => this.#onClose());
    if (address.kind === "unix") socket.connect({ path: address.path });
    // A connection for one request writes it at once, and has no small packet behind a large one to hold back.
    else socket.connect({ host: address.host, port: address.port, noDelay: keepAlive > 0 });
    return socket;
  }

  #inputEnded(): void {
    if (this.#closed) return;
    if (this.#phase === phases.lingering) this.close();
    else this.#owner.socketInputEnded();
  }

  #onClose(): void {
    if (this.#closed) return;
    const error = this.#error;
    const connecting = this.#phase === phases.connecting;
    // So says a unix socket whose backlog is full (unix(7)); TCP would have waited by itself.
    if (connecting && error?.code === "EAGAIN") {
      this.#error = undefined;
      later(backlogPause, () => {
        if (!this.#closed) this.#socket = this.#connect();
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
   * The response is whole, and the connection serves for nothing else: waits a little for the server to close it. Who closes
   * first keeps the pair of ports for a minute (TIME_WAIT), and here, with all connections to one port, they would run out.
   */
  linger(): void {
    this.enter(phases.lingering);
    this.resume();
  }

  /** Ends the connection; the owner is told nothing any more. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.deadlines.unwatch(this);
    this.#socket.destroy();
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
