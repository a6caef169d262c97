// A client's WebSocket (RFC 6455): messages and control frames on a connection, or on a stream of one. The frames are read and made by
// the library ws; when to ping, when to close and what a slow client means is said here.
import { type Extensions, extension, type FrameSink, PerMessageDeflate, Receiver, Sender } from "ws";
import type { WebSocketOwner, WebSocketStream } from "../exchange.js";
import { ticks } from "../net/deadline.js";
import { lingerDrainingTicks, lingerTicks } from "./http1-phases.js";
import type { IngressOptions } from "./options.js";
import type { Paced } from "./pace.js";
import { littleMemory } from "./request-memory.js";
import type { Upgraded, UpgradedOwner, UpgradedSocket } from "./upgraded.js";

/** permessage-deflate (RFC 7692), as agreed on. */
export interface Compression {
  readonly extensions: Extensions;
  readonly deflate: PerMessageDeflate;
  /** Sec-WebSocket-Extensions. */
  readonly answer: string;
}

/** Of what a client offers, or undefined. A window of 4 KiB costs a tenth of the memory of one of 32, and compresses nearly as well. */
export function acceptCompression(offered: string, maxPayload: number): Compression | undefined {
  if (offered === "") return undefined;
  const name = PerMessageDeflate.extensionName;
  const deflate = new PerMessageDeflate({
    isServer: true,
    maxPayload,
    serverMaxWindowBits: 12,
    zlibDeflateOptions: { memLevel: 5 },
  });
  try {
    const offers = extension.parse(offered)[name];
    if (offers === undefined) return undefined;
    deflate.accept(offers);
  } catch {
    // No offer that there is fits: then nothing is agreed on (RFC 7692 §5).
    return undefined;
  }
  return { extensions: { [name]: deflate }, deflate, answer: extension.format({ [name]: [deflate.params] }) };
}

const uncompressed: Extensions = {};
/** A message below this many octets does not get smaller. */
const compressedFrom = 128;
/** Octets given to be decompressed at once: a thousand times as many may come of them before a slow application stops it. */
const piece = 4096;
/** For a client to answer our Close. */
const closeTicks = ticks(10);
/** Octets that the client has not taken, with which its pings are no longer answered: RFC 6455 §5.5.3 asks only for the latest. */
const unsentMost = 64 * 1024;

/** What an error of the Receiver means to the client; 1002 where it is not one of these. */
const codes: ReadonlyMap<string, number> = new Map([
  ["WS_ERR_INVALID_UTF8", 1007],
  ["WS_ERR_UNSUPPORTED_MESSAGE_LENGTH", 1009],
  ["WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH", 1009],
]);

const nothing: Uint8Array = new Uint8Array(0);
const none: Buffer[] = [];

export class WebSocketConnection implements WebSocketStream, UpgradedOwner, Paced {
  deadline = 0;
  moved: number = Number.NEGATIVE_INFINITY;
  readonly restingSince: number = Number.POSITIVE_INFINITY;
  readonly #upgraded: Upgraded;
  readonly #socket: UpgradedSocket;
  readonly #options: IngressOptions;
  readonly #compression: Compression | undefined;
  readonly #receiver: Inbound;
  readonly #sink: Outbound;
  readonly #sender: Sender;
  #owner: WebSocketOwner | undefined;
  /** "closing": our Close was sent. "over": all was told; what still comes is dropped until the connection is closed. */
  #state: "open" | "closing" | "over" = "open";
  #paused = false;
  /** Whether anything came since the last look. */
  #heard = true;
  #awaitsPong = false;
  /** Octets of a message that is not whole, as they are counted in what all requests have of memory. */
  #counted = 0;
  /** With compression: what the receiver was not given yet. */
  #waiting: Buffer[] = none;
  #decompressing = false;

  constructor(
    upgraded: Upgraded,
    options: IngressOptions,
    owner: WebSocketOwner,
    compression: Compression | undefined,
  ) {
    this.#upgraded = upgraded;
    this.#socket = upgraded.socket;
    this.#options = options;
    this.#owner = owner;
    this.#compression = compression;
    const extensions = compression?.extensions ?? uncompressed;
    if (compression !== undefined) this.#waiting = [];
    this.#receiver = new Inbound(this, options.webSockets.maxSize, extensions);
    this.#sink = new Outbound(upgraded.socket);
    this.#sender = new Sender(this.#sink, extensions);
    options.deadlines.watch(this);
    this.#await();
    upgraded.begin(this);
  }

  // -- from the application

  send(octets: Uint8Array, text: boolean, flushed?: () => void): void {
    if (this.#state !== "open") return;
    const compress = this.#compression !== undefined && octets.length >= compressedFrom;
    this.#sender.send(octets, { fin: true, binary: !text, compress, mask: false }, flushed);
  }

  close(code: number, reason: string): void {
    if (this.#state !== "open") return;
    this.#sender.close(code, reason, false);
    this.#state = "closing";
    const { deadlines, draining } = this.#options;
    this.deadline = deadlines.tick + (draining ? lingerDrainingTicks : closeTicks);
    // What the client says before its Close is to be read past.
    this.resume();
  }

  pause(): void {
    if (this.#state !== "open") return;
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#pump();
  }

  // -- from the socket

  socketReceived(memory: Buffer, length: number): void {
    if (this.#state === "over") return;
    this.#heard = true;
    this.#awaitsPong = false;
    // The receiver unmasks in place.
    const octets = Buffer.from(memory.subarray(0, length));
    this.#count(this.#counted + length);
    if (this.#compression === undefined) this.#receiver.write(octets);
    else {
      for (let at = 0; at < length; at += piece) this.#waiting.push(octets.subarray(at, at + piece));
      this.#socket.pause();
      this.#pump();
    }
    if (this.#counted > littleMemory && this.#options.memory.scarce) {
      this.fail(1013, "The server is short of memory.");
    }
  }

  /** Gives the receiver one piece after the other, then reads on. */
  #pump(): void {
    if (this.#decompressing || this.#paused) return;
    const next = this.#state === "over" ? undefined : this.#waiting.shift();
    if (next === undefined) {
      this.#socket.resume();
      return;
    }
    this.#decompressing = true;
    this.#receiver.write(next, (error) => {
      this.#decompressing = false;
      if (this.#sink.destroyed) this.#compression?.deflate.cleanup();
      else if (!error) this.#pump();
    });
  }

  #count(octets: number): void {
    this.#options.memory.take(octets - this.#counted);
    this.#counted = octets;
  }

  socketEnded(): void {
    this.#finish(1006, "");
    this.#socket.close();
  }

  socketDrained(): void {
    if (this.#state === "over") this.deadline = this.#options.deadlines.tick + this.#lingerTicks;
  }

  socketClosed(): void {
    this.#sink.destroyed = true;
    this.#finish(1006, "");
    this.#count(0);
    // What is being decompressed is needed until it is.
    if (!this.#decompressing) this.#compression?.deflate.cleanup();
    this.#options.deadlines.unwatch(this);
    this.#upgraded.closed(this);
  }

  // -- from the receiver

  message(octets: Uint8Array, binary: boolean): void {
    this.#count(0);
    if (this.#state === "open") this.#owner?.socketMessage(octets, !binary);
  }

  ping(octets: Uint8Array): void {
    if (this.#state === "open" && this.#socket.unsent <= unsentMost) this.#sender.pong(octets, false);
  }

  /** The client's Close. */
  concluded(code: number, reason: string): void {
    if (this.#state === "open") this.#sender.close(code === 1005 ? undefined : code, undefined, false);
    this.#finish(code, reason);
    this.#linger();
  }

  /** Something that no client may send, or that cannot be had: says so and waits no longer. `told`: to the application. */
  fail(code: number, reason: string, told: number = code): void {
    if (this.#state === "open") this.#sender.close(code, reason, false);
    this.#finish(told, reason);
    this.#linger();
  }

  malformed(error: NodeJS.ErrnoException): void {
    this.fail(codes.get(error.code ?? "") ?? 1002, error.message);
  }

  // -- its end

  /** Tells that it is over, once. */
  #finish(code: number, reason: string): void {
    if (this.#state === "over") return;
    this.#state = "over";
    const owner = this.#owner;
    this.#owner = undefined;
    this.#upgraded.over(this.#sink.octets);
    owner?.socketClosed(code, reason);
  }

  /** RFC 6455 §7.1.1: the server closes first, and waits for the client to close, so that nothing that was sent is lost to a reset. */
  #linger(): void {
    this.#socket.end();
    this.#socket.resume();
    this.deadline = this.#options.deadlines.tick + this.#lingerTicks;
  }

  get #lingerTicks(): number {
    return this.#options.draining ? lingerDrainingTicks : lingerTicks;
  }

  get webSockets(): number {
    return 1;
  }

  /** The server stops. */
  drain(): void {
    this.close(1001, "");
  }

  /** What answers it is gone. */
  cut(): void {
    this.close(1011, "The application failed.");
  }

  destroy(): void {
    this.#socket.destroy();
  }

  // -- time

  /** Looks again when the client may be asked whether it is there. */
  #await(): void {
    const { deadlines, webSockets, pace } = this.#options;
    if (webSockets.pingInterval === 0) pace.begin(this, Number.NEGATIVE_INFINITY);
    else this.deadline = deadlines.tick + webSockets.pingInterval;
  }

  expire(): void {
    const { deadlines, webSockets, pace } = this.#options;
    const socket = this.#socket;
    if (this.#state !== "open") socket.destroy();
    else if (socket.unsent > 0) {
      // A ping would come behind it, so that what it takes must tell.
      if (!pace.takes(this, socket, this.#sink.octets, this.#upgraded.client)) socket.destroy();
    } else {
      this.moved = Number.NEGATIVE_INFINITY;
      if (this.#awaitsPong) this.fail(1011, "keepalive ping timeout", 1006);
      else if (this.#heard || this.#paused || webSockets.pingInterval === 0) {
        this.#heard = false;
        this.#await();
      } else {
        this.#awaitsPong = true;
        this.#sender.ping(nothing, false);
        this.deadline = deadlines.tick + webSockets.pingTimeout;
      }
    }
  }
}

/** Ten thousand of these have no closures. */
class Inbound extends Receiver {
  readonly connection: WebSocketConnection;

  constructor(connection: WebSocketConnection, maxPayload: number, extensions: Extensions) {
    super({ isServer: true, maxPayload, extensions });
    this.connection = connection;
    this.on("message", onMessage).on("ping", onPing).on("conclude", onConclude).on("error", onError);
  }
}

function onMessage(this: Inbound, octets: Buffer, binary: boolean): void {
  this.connection.message(octets, binary);
}

function onPing(this: Inbound, octets: Buffer): void {
  this.connection.ping(octets);
}

function onConclude(this: Inbound, code: number, reason: Buffer): void {
  this.connection.concluded(code, reason.toString());
}

function onError(this: Inbound, error: NodeJS.ErrnoException): void {
  this.connection.malformed(error);
}

/** Frames on their way out: a header and what it is of are one write. */
class Outbound implements FrameSink {
  destroyed = false;
  /** In all. */
  octets = 0;
  readonly #socket: UpgradedSocket;
  #pieces: Uint8Array[] | undefined;
  #flushed: (() => void) | undefined;

  constructor(socket: UpgradedSocket) {
    this.#socket = socket;
  }

  cork(): void {
    this.#pieces = [];
  }

  write(octets: Uint8Array, flushed?: () => void): void {
    this.octets += octets.length;
    if (this.#pieces === undefined) {
      this.#socket.write(octets, flushed);
      return;
    }
    this.#pieces.push(octets);
    this.#flushed = flushed;
  }

  uncork(): void {
    const pieces = this.#pieces;
    const flushed = this.#flushed;
    this.#pieces = undefined;
    this.#flushed = undefined;
    if (pieces !== undefined) this.#socket.write(pieces, flushed);
  }
}
