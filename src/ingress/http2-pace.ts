// How fast a client of HTTP/2 takes what is written on one stream, seen from the frames that leave: streams take turns on their
// connection, and one whose turn it is not waits through no fault of its client.
import type { Pace } from "./pace.js";

/** What a connection has sent of all its streams, octets. */
export interface Outgoing {
  /** Given to the kernel. */
  readonly flushed: number;
  /** Of those, taken by the client; undefined: not known yet. */
  readonly taken: number | undefined;
  /** How many streams take turns. */
  readonly streams: number;
}

/** The connection of a stream. */
export interface Carrier {
  readonly outgoing: Outgoing;
  destroy(): void;
}

/** Of what is larger so much is given to the session at once: a frame. */
export const pieceOctets = 16384;
/** A stream gets its turn before others had so many octets each. */
const turnOctets: number = 4 * pieceOctets;

export class StreamPace {
  readonly #carrier: Carrier;
  readonly #pace: Pace;
  /** What the connection had sent when this stream had its turn, and at the two last looks. */
  #turn: Outgoing = { flushed: 0, taken: 0, streams: 0 };
  #before: Outgoing = this.#turn;
  #looked: Outgoing = this.#turn;
  /** Looks since a piece has left. */
  #looks = 0;

  constructor(carrier: Carrier, pace: Pace) {
    this.#carrier = carrier;
    this.#pace = pace;
  }

  /** Looks whether the client is to be waited for; `moves`: something of the stream has left since the last look. */
  holds(moves: boolean): boolean {
    const now = this.#carrier.outgoing;
    this.#before = this.#looked;
    this.#looked = now;
    this.#looks = moves ? 0 : this.#looks + 1;
    if (moves) this.#turn = now;
    return moves || this.#looks < this.#pace.looksFor(pieceOctets) || this.#waitsForOthers();
  }

  /** Whether it is only not its turn yet, on a connection that moves, rather than its own window that is closed. */
  #waitsForOthers(): boolean {
    const { flushed, taken, streams } = this.#looked;
    if (taken === undefined) return true;
    if (taken === flushed || this.#stands) return false;
    return flushed - this.#turn.flushed < streams * turnOctets;
  }

  /** At the last look the connection did not move, or too slowly. */
  get #stands(): boolean {
    const { taken } = this.#looked;
    return taken !== undefined && !this.#pace.suffices(taken - (this.#before.taken ?? 0));
  }

  /** The stream was given up. Where it is the whole connection that does not move, a word about one stream would not get through. */
  givenUp(): void {
    const { flushed, taken } = this.#looked;
    if (taken !== undefined && taken < flushed && this.#stands) this.#carrier.destroy();
  }
}
