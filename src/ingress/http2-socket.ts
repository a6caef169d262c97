// A stream of HTTP/2 that carries a WebSocket (RFC 8441), as a connection of its own: octets both ways, and an end of each side.
import { constants, type ServerHttp2Stream } from "node:http2";
import { type ClientSocketOwner, type Encoded, lengthOf, outflow } from "../net/client-socket.js";
import type { Timed } from "../net/deadline.js";
import { lingerDrainingTicks } from "./http1-phases.js";
import { type Carrier, pieceOctets, StreamPace } from "./http2-pace.js";
import type { IngressOptions } from "./options.js";
import type { UpgradedOwner, UpgradedSocket } from "./upgraded.js";

const { NGHTTP2_CANCEL } = constants;

/** The connection of such a stream. */
export interface SocketCarrier extends Carrier {
  readonly options: IngressOptions;
  flushed(octets: number): void;
  /** The client had something done for nothing. */
  bothered(): void;
  over(use: StreamSocket): void;
}

/** What is written together is told together that it has left. */
interface Told {
  /** Octets written in all before it is told. */
  readonly at: number;
  readonly flushed: () => void;
}

export class StreamSocket implements UpgradedSocket, Timed {
  deadline = 0;
  readonly #carrier: SocketCarrier;
  readonly #stream: ServerHttp2Stream;
  readonly #pace: StreamPace;
  /** Who speaks on it, from `taken` on. */
  #upgraded: UpgradedOwner | undefined;
  #owner: ClientSocketOwner | undefined;
  /** What the session was not given yet. */
  #waiting: Uint8Array[] = [];
  #telling: Told[] = [];
  /** Octets given to `write`, and those that left the process; then and at the last look. */
  #written = 0;
  #flushed = 0;
  #looked = 0;
  /** A piece is with the session. */
  #sending = false;
  #ending = false;
  #closing = false;
  #cancelled = false;
  #over = false;

  constructor(carrier: SocketCarrier, stream: ServerHttp2Stream) {
    this.#carrier = carrier;
    this.#stream = stream;
    this.#pace = new StreamPace(carrier, carrier.options.pace);
    stream.on("data", (octets: Buffer) => this.#receive(octets));
    stream.pause();
    stream.on("end", () => this.#receiveEnd());
    // What went wrong does not matter: the stream is over, and "close" follows.
    stream.on("error", () => {});
    stream.on("aborted", () => this.#abandoned());
    stream.on("close", () => this.lost());
  }

  // -- for its connection

  /** `upgraded` is to be told when the server stops. */
  taken(upgraded: UpgradedOwner): void {
    this.#upgraded = upgraded;
    if (this.#carrier.options.draining) upgraded.drain();
  }

  get answered(): boolean {
    return this.#closing;
  }

  drain(): void {
    this.#upgraded?.drain();
  }

  /** The client's side of the connection is over. */
  inputEnds(): void {
    if (!this.#over) this.#owner?.socketEnded();
  }

  /** Nothing more can be sent, nor received. */
  lost(): void {
    if (this.#over) return;
    this.#over = true;
    const { options } = this.#carrier;
    if (this.#closing) options.deadlines.unwatch(this);
    outflow.unsent -= this.unsent;
    this.#waiting = [];
    this.#telling = [];
    this.#carrier.over(this);
    const owner = this.#owner;
    this.#owner = undefined;
    owner?.socketClosed();
  }

  // -- from the client

  #receive(octets: Buffer): void {
    if (!this.#closing) this.#owner?.socketReceived(octets, octets.length);
  }

  #receiveEnd(): void {
    // A stream that was reset comes to an end, too.
    if (this.#over || this.#stream.aborted || this.#closing) return;
    this.#owner?.socketEnded();
  }

  /** The client reset it; or we did, of which Node tells in the same way. */
  #abandoned(): void {
    if (this.#cancelled) return;
    if (!this.#closing) this.#carrier.bothered();
    // What was received and not read would keep it open.
    this.#stream.destroy();
  }

  // -- for who has it

  handOver(owner: ClientSocketOwner): void {
    this.#owner = owner;
  }

  get unsent(): number {
    return this.#written - this.#flushed;
  }

  /** As long as the client is to be waited for, nothing is said of it. That depends on what was when it was asked for before. */
  get untaken(): number | undefined {
    const moves = this.#flushed > this.#looked;
    this.#looked = this.#flushed;
    return this.#pace.holds(moves) ? undefined : this.unsent;
  }

  write(octets: Encoded, flushed?: () => void): void {
    if (this.#over || this.#ending) return;
    const length = lengthOf(octets);
    if (this.unsent === 0) this.#looked = this.#flushed;
    this.#written += length;
    outflow.unsent += length;
    if (octets instanceof Uint8Array) this.#waiting.push(octets);
    else this.#waiting.push(...octets);
    if (flushed !== undefined) this.#telling.push({ at: this.#written, flushed });
    this.#send();
  }

  /** Gives the session a piece when it has sent the one before: it tells only of a whole one that it has left. */
  #send(): void {
    if (this.#sending || this.#over) return;
    const piece = this.#nextPiece();
    if (piece.length === 0) {
      if (this.#ending) this.#stream.end();
      return;
    }
    this.#sending = true;
    this.#stream.write(piece, (error) => {
      this.#sending = false;
      if (error || this.#over) return;
      this.#left(piece.length);
      this.#send();
    });
  }

  #nextPiece(): Uint8Array {
    const pieces: Uint8Array[] = [];
    let size = 0;
    let count = 0;
    for (const octets of this.#waiting) {
      const rest = octets.subarray(0, pieceOctets - size);
      pieces.push(rest);
      size += rest.length;
      if (rest.length < octets.length) {
        this.#waiting[count] = octets.subarray(rest.length);
        break;
      }
      count += 1;
      if (size === pieceOctets) break;
    }
    this.#waiting.splice(0, count);
    const [only] = pieces;
    return pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces);
  }

  #left(octets: number): void {
    this.#flushed += octets;
    outflow.unsent -= octets;
    this.#carrier.flushed(octets);
    const next = this.#telling.findIndex(({ at }) => at > this.#flushed);
    const told = this.#telling.splice(0, next < 0 ? this.#telling.length : next);
    for (const { flushed } of told) flushed();
    if (this.unsent === 0 && !this.#over) this.#owner?.socketDrained();
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    if (!this.#over) this.#stream.resume();
  }

  /** RFC 8441 §5: END_STREAM is the end of a side, as FIN is. */
  end(): void {
    if (this.#ending) return;
    this.#ending = true;
    this.#send();
  }

  /** What comes is dropped until the client ends its side, or for a moment: a reset could overtake what it has not read. */
  close(): void {
    if (this.#closing || this.#over) return;
    this.#closing = true;
    const { deadlines } = this.#carrier.options;
    deadlines.watch(this);
    this.deadline = deadlines.tick + lingerDrainingTicks;
    this.end();
    this.#stream.resume();
  }

  /** The deadline passed. */
  expire(): void {
    const { deadlines, pace } = this.#carrier.options;
    const moves = this.#flushed > this.#looked;
    this.#looked = this.#flushed;
    if (this.unsent > 0 && this.#pace.holds(moves)) this.deadline = deadlines.tick + pace.window;
    else this.destroy();
  }

  /** RFC 8441 §5: CANCEL is what a reset of a TCP connection is. */
  destroy(): void {
    const stream = this.#stream;
    if (!this.#over && !stream.destroyed) {
      this.#cancelled = true;
      if (!stream.closed) stream.close(NGHTTP2_CANCEL);
      // Nobody waits for what was written.
      stream.destroy();
    }
    if (this.unsent > 0) this.#pace.givenUp();
  }

  reset(): void {
    this.destroy();
  }
}
