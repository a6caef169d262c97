// Requests to one worker, gathered in a slab and sent with one write: one system call, one wake-up of the worker.
import { bodyFlag, messageFlag, placed, placeSize, toWorker, toWorkerHeader } from "./frames.js";
import { type Bodies, sharedLeast } from "./shared-bodies.js";

/** Where the octets go; the pool bounds what a worker is given. */
export interface Sink {
  write(octets: Uint8Array): void;
  /** Octets given to `write` and not yet taken by the kernel. */
  readonly unsent: number;
}

const slabSize = 64 * 1024;
/** Requests sent at once, though more may follow: the worker begins with these while the front reads what other clients sent. */
const requestsAtOnce = 16;
/** What the field holds; more is not worth keeping. */
const sharedMost = 0xffff;
const numberShift = 2 ** 16;
const nothing = new Uint8Array(0);

export class RequestWriter {
  readonly #sink: Sink;
  #slab = Buffer.allocUnsafeSlow(slabSize);
  #used = 0;
  #requests = 0;
  /** Where bodies are put, once the worker has it, too. */
  bodies: Bodies | undefined;
  /** Where the last was put, and its octets. */
  readonly #place = Buffer.alloc(placeSize);

  constructor(sink: Sink) {
    this.#sink = sink;
  }

  /** Octets gathered and not yet sent. */
  get pending(): number {
    return this.#used;
  }

  /**
   * A REQUEST frame; `flags` are `requestFlag`. `shared` is `Request.shared`. `body` is the body itself, or with `bodyInFile` the path of
   * a file that holds it. `number`, with `numbered`: the worker is to keep the variables by it; where they are "", it has.
   */
  request(
    id: number,
    flags: number,
    variables: string,
    shared: number,
    body: Uint8Array | undefined,
    number = 0,
  ): void {
    const octets = body === undefined ? nothing : this.#put(body);
    const type = octets === this.#place ? toWorker.request | placed : toWorker.request;
    const large = octets.length >= slabSize / 2;
    const start = this.#reserve(toWorkerHeader + variables.length + (large ? 0 : octets.length));
    const extra = number * numberShift + variables.length;
    this.#header(start, variables.length + octets.length, id, type, flags, extra);
    if (shared <= sharedMost) this.#slab.writeUInt16LE(shared, start + 10);
    this.#slab.write(variables, start + toWorkerHeader, variables.length, "latin1");
    this.#requests += 1;
    if (large) {
      this.flush();
      this.#sink.write(octets);
      return;
    }
    if (octets.length > 0) this.#slab.set(octets, start + toWorkerHeader + variables.length);
    if (this.#requests === requestsAtOnce) this.flush();
  }

  /** A BODY frame, of a REQUEST with `bodyFollows`. The octets are copied. */
  body(id: number, octets: Uint8Array, last: boolean): void {
    const inFrame = this.#put(octets);
    const type = inFrame === this.#place ? toWorker.body | placed : toWorker.body;
    const start = this.#reserve(toWorkerHeader + inFrame.length);
    this.#header(start, inFrame.length, id, type, last ? bodyFlag.last : 0, 0);
    this.#slab.set(inFrame, start + toWorkerHeader);
  }

  /** A SHARED frame: the worker finds the memory for bodies there. */
  share(path: string): void {
    const start = this.#reserve(toWorkerHeader + path.length);
    this.#header(start, path.length, 0, toWorker.shared, 0, 0);
    this.#slab.write(path, start + toWorkerHeader, path.length, "latin1");
  }

  /** A MESSAGE frame, of a REQUEST that became a WebSocket. Large octets are not copied. */
  message(id: number, octets: Uint8Array, text: boolean): void {
    const small = octets.length < slabSize / 2;
    const start = this.#reserve(toWorkerHeader + (small ? octets.length : 0));
    this.#header(start, octets.length, id, toWorker.message, text ? messageFlag.text : 0, 0);
    if (small) this.#slab.set(octets, start + toWorkerHeader);
    else {
      this.flush();
      this.#sink.write(octets);
    }
  }

  /** A CLOSE frame: no message follows. */
  close(id: number, code: number, reason: string): void {
    const octets = Buffer.from(reason);
    const start = this.#reserve(toWorkerHeader + octets.length);
    this.#header(start, octets.length, id, toWorker.close, 0, code);
    this.#slab.set(octets, start + toWorkerHeader);
  }

  /** A CANCEL frame. */
  cancel(id: number): void {
    this.#header(this.#reserve(toWorkerHeader), 0, id, toWorker.cancel, 0, 0);
  }

  /** An INPUT-ENDED frame. */
  inputEnded(id: number): void {
    this.#header(this.#reserve(toWorkerHeader), 0, id, toWorker.inputEnded, 0, 0);
  }

  /** A CREDIT frame for `octets`. */
  credit(id: number, octets: number): void {
    this.#header(this.#reserve(toWorkerHeader), 0, id, toWorker.credit, 0, octets);
  }

  /** A LIMIT frame, before the request with this id: it may be executed for so long, 0 for as long as it takes. */
  limit(id: number, milliseconds: number): void {
    this.#header(this.#reserve(toWorkerHeader), 0, id, toWorker.limit, 0, milliseconds);
  }

  /** An END frame: no further request will come. */
  end(): void {
    this.#header(this.#reserve(toWorkerHeader), 0, 0, toWorker.end, 0, 0);
  }

  /** Sends what was gathered. */
  flush(): void {
    if (this.#used === 0) return;
    this.#sink.write(this.#slab.subarray(0, this.#used));
    this.#used = 0;
    this.#requests = 0;
    // What the kernel did not take at once is still to be read from this slab.
    if (this.#sink.unsent > 0) this.#slab = Buffer.allocUnsafeSlow(slabSize);
  }

  /** What stands of a body in its frame: itself, or `#place`, filled. */
  #put(body: Uint8Array): Uint8Array {
    const at = this.bodies === undefined || body.length < sharedLeast ? 0 : this.bodies.put(body);
    if (at === 0) return body;
    this.#place.writeUInt32LE(at, 0);
    this.#place.writeUInt32LE(body.length, 4);
    return this.#place;
  }

  #reserve(size: number): number {
    if (this.#used + size > this.#slab.length) {
      this.flush();
      if (size > this.#slab.length) this.#slab = Buffer.allocUnsafeSlow(size);
    }
    const start = this.#used;
    this.#used += size;
    return start;
  }

  #header(at: number, size: number, id: number, type: number, flags: number, extra: number): void {
    const slab = this.#slab;
    slab.writeUInt32LE(size, at);
    slab.writeUInt32LE(id, at + 4);
    slab[at + 8] = type;
    slab[at + 9] = flags;
    slab[at + 10] = 0;
    slab[at + 11] = 0;
    slab.writeUInt32LE(extra, at + 12);
  }
}
