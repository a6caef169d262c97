// Sends what is too large to be read in one go: block by block, with no more under way than two, whatever the file's size and
// the client's pace. A block's memory is used again as soon as it has left.
//
// Blocks are read at once for as long as the system has them in memory: Node's thread pool would cost three times what the
// reading does (128 KiB: 41 µs of CPU against 11). The first that takes a disk's time is the last of its file that everybody
// else waits for; from there on the thread pool reads.
import { closeSync, fstatSync, read, readSync } from "node:fs";
import { performance } from "node:perf_hooks";
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
const blocksMost = 2;
/** Blocks after which others have their turn. */
const blocksPerTurn = 8;
/** A read that takes longer, milliseconds, was not from memory. */
const slowRead = 1;

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
  /** A read took long: the rest is left to the thread pool. */
  #slow = false;
  /** Blocks given since others had their turn. */
  #turn = 0;
  #yielding = false;
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
      if (this.#turn === blocksPerTurn) {
        this.#yield();
        return;
      }
      this.#turn += 1;
      const piece = this.#pieces[this.#piece];
      if (piece === undefined) return;
      if (piece instanceof Uint8Array) this.#give(piece, undefined, piece.length);
      else this.#read(piece);
    }
  }

  /** Lets others have their turn: a client as fast as this process would keep it to itself until the end of the file. */
  #yield(): void {
    if (this.#yielding) return;
    this.#yielding = true;
    setImmediate(() => {
      this.#yielding = false;
      this.#turn = 0;
      this.#pump();
    });
  }

  #read({ from, to }: ByteRange): void {
    const block = this.#free.pop() ?? Buffer.allocUnsafeSlow(blockSize);
    const at = from + this.#sent;
    const length = Math.min(block.length, to - at);
    if (this.#slow) {
      this.#reading = true;
      read(this.#file.fd, block, 0, length, at, (error, count) => {
        this.#reading = false;
        if (this.#over) {
          closeSync(this.#file.fd);
        } else {
          this.#took(block, error, count);
          this.#pump();
        }
      });
      return;
    }
    const began = performance.now();
    let count = 0;
    let failure: unknown = null;
    try {
      count = readSync(this.#file.fd, block, 0, length, at);
    } catch (error) {
      failure = error;
    }
    this.#slow = performance.now() - began > slowRead;
    this.#took(block, failure, count);
  }

  /** A read has ended. */
  #took(block: Buffer, error: unknown, count: number): void {
    if (error !== null) this.#fail(`cannot be read (${error instanceof Error ? error.message : String(error)})`);
    else if (count === 0) this.#fail("became shorter while it was sent");
    else this.#give(block.subarray(0, count), block, count);
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
