// Sends what is too large to be read in one go: block by block, each read by Node's thread pool so that a slow disk holds up
// nobody else, with no more blocks under way than a few, whatever the file's size and the client's pace. Their memory is
// used again as soon as a block has left.
import { closeSync, fstatSync, read } from "node:fs";
import { log } from "../channels.js";
import type { Exchange, ResponseHead } from "../exchange.js";
import type { OpenFile } from "./open.js";
import type { ByteRange } from "./ranges.js";

/** Octets to send as they are, or of the file. */
export type Piece = Uint8Array | ByteRange;

export function pieceLength(piece: Piece): number {
  return piece instanceof Uint8Array ? piece.length : piece.to - piece.from;
}

/** Octets of a block. */
const blockSize = 128 * 1024;
/** Blocks read and not taken by the client, beyond which no further is read. */
const blocksMost = 4;

/** Begins the response and sends the pieces, of which there is at least one and none is empty; closes the file in the end. */
export function sendPieces(exchange: Exchange, head: ResponseHead, file: OpenFile, pieces: readonly Piece[]): void {
  new Sending(exchange, head, file, pieces).start();
}

class Sending {
  readonly #exchange: Exchange;
  readonly #file: OpenFile;
  readonly #pieces: readonly Piece[];
  /** Until it was sent. */
  #head: ResponseHead | undefined;
  /** The piece that is sent next, and how many of its octets were sent already. */
  #piece = 0;
  #sent = 0;
  #reading = false;
  #over = false;
  /** What was given to the exchange and has not left, in that order; `block` is what can be read into again then. */
  readonly #underWay: { readonly block: Buffer | undefined; left: number }[] = [];
  readonly #free: Buffer[] = [];

  constructor(exchange: Exchange, head: ResponseHead, file: OpenFile, pieces: readonly Piece[]) {
    this.#exchange = exchange;
    this.#head = head;
    this.#file = file;
    this.#pieces = pieces;
  }

  start(): void {
    this.#exchange.onGone = () => this.#end();
    this.#exchange.onFlushed = (octets) => this.#flushed(octets);
    this.#pump();
  }

  #pump(): void {
    while (!this.#over && !this.#reading && this.#underWay.length < blocksMost) {
      const piece = this.#pieces[this.#piece];
      if (piece === undefined) return;
      if (piece instanceof Uint8Array) this.#give(piece, undefined, piece.length);
      else this.#read(piece);
    }
  }

  #read({ from, to }: ByteRange): void {
    this.#reading = true;
    const block = this.#free.pop() ?? Buffer.allocUnsafeSlow(blockSize);
    const at = from + this.#sent;
    read(this.#file.fd, block, 0, Math.min(block.length, to - at), at, (error, count) => {
      this.#reading = false;
      if (this.#over) closeSync(this.#file.fd);
      else if (error !== null) this.#fail(`cannot be read (${error.code ?? error.message})`);
      else if (count === 0) this.#fail("became shorter while it was sent");
      else {
        this.#give(block.subarray(0, count), block, count);
        this.#pump();
      }
    });
  }

  /** Gives octets to the exchange. They are of the piece whose turn it is. */
  #give(octets: Uint8Array, block: Buffer | undefined, count: number): void {
    const piece = this.#pieces[this.#piece];
    if (piece === undefined) return;
    this.#sent += count;
    if (this.#sent === pieceLength(piece)) {
      this.#piece += 1;
      this.#sent = 0;
    }
    const last = this.#piece === this.#pieces.length;
    if (last && this.#changed()) {
      this.#fail("was changed while it was sent");
      return;
    }
    this.#underWay.push({ block, left: count });
    const head = this.#head;
    this.#head = undefined;
    if (last) this.#end();
    if (head === undefined) this.#exchange.write(octets, last);
    else this.#exchange.respond(head, octets, last);
  }

  #flushed(octets: number): void {
    let left = octets;
    for (;;) {
      const first = this.#underWay[0];
      if (first === undefined || left === 0) break;
      const taken = Math.min(left, first.left);
      first.left -= taken;
      left -= taken;
      if (first.left > 0) break;
      this.#underWay.shift();
      if (first.block !== undefined) this.#free.push(first.block);
    }
    this.#pump();
  }

  /**
   * Whether the octets sent may be of two states of the file. One that only grew, as logs do, still has what was promised.
   */
  #changed(): boolean {
    const { size, mtimeMs } = this.#file.stats;
    try {
      const now = fstatSync(this.#file.fd);
      return now.size < size || (now.size === size && now.mtimeMs !== mtimeMs);
    } catch {
      // A network's file system that lost it.
      return true;
    }
  }

  /** Told only while there is something to send. The client is never left to believe it has the whole. */
  #fail(what: string): void {
    const { method, target } = this.#exchange.request;
    this.#end();
    if (this.#head === undefined) {
      log("warning", "static", `The file for ${method} ${target} ${what}; the response was cut.`);
      this.#exchange.cut();
    } else {
      log("warning", "static", `The file for ${method} ${target} ${what}.`);
      this.#exchange.refuse(500, "The file cannot be read.");
    }
  }

  /** Nothing more will be read. The descriptor stays until a read that is under way has ended: its number may be another file's soon. */
  #end(): void {
    if (this.#over) return;
    this.#over = true;
    if (!this.#reading) closeSync(this.#file.fd);
  }
}
