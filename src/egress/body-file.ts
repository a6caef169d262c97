// Sends a request's body that is in a file, as fast as it is taken and no faster.
import { read } from "node:fs";
import type { FileBody } from "../exchange.js";

/** Octets read at once. */
const piece = 65536;

/** Who sends the octets on. */
export interface BodyTaker {
  /** Takes octets, which do not change afterwards. False: no more until `go` is called again. */
  bodyOctets(octets: Uint8Array, last: boolean): boolean;
  /** The file cannot be read; nothing more comes. */
  bodyFailed(sentence: string): void;
}

export class BodyFile {
  readonly #body: FileBody;
  readonly #taker: BodyTaker;
  #at = 0;
  #reading = false;
  #wanted = false;
  #stopped = false;

  /** The body has at least one octet. Holds the file until all was taken, or `stop`. */
  constructor(body: FileBody, taker: BodyTaker) {
    this.#body = body;
    this.#taker = taker;
    body.hold();
  }

  /** Gives octets until the taker says that it is enough. */
  go(): void {
    this.#wanted = true;
    if (!this.#reading && !this.#stopped) this.#read();
  }

  /** Gives nothing more. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    // under a read the descriptor must not become another file's
    if (!this.#reading) this.#body.release();
  }

  #read(): void {
    const { fd, size } = this.#body;
    const octets = Buffer.allocUnsafeSlow(Math.min(piece, size - this.#at));
    this.#reading = true;
    read(fd, octets, 0, octets.length, this.#at, (error, length) => {
      this.#reading = false;
      if (this.#stopped) this.#body.release();
      else if (error !== null) this.#fail(`The request's body cannot be read: ${error.message}.`);
      // nobody else can open a file without a name; a disk can fail
      else if (length === 0) this.#fail("The request's body is shorter than it was.");
      else this.#give(octets.subarray(0, length));
    });
  }

  #give(octets: Uint8Array): void {
    this.#at += octets.length;
    const last = this.#at === this.#body.size;
    if (last) this.stop();
    this.#wanted = false;
    if (this.#taker.bodyOctets(octets, last)) this.#wanted = true;
    if (this.#wanted && !this.#reading && !this.#stopped) this.#read();
  }

  #fail(sentence: string): void {
    this.stop();
    this.#taker.bodyFailed(sentence);
  }
}
