// A request's body that its handler takes while it arrives (exchange.ts, StreamBody). The door gives what it reads, and reads no
// more while this is congested: sooner where all requests together have more memory than they may.
import type { Body, StreamBody, StreamOwner } from "../exchange.js";
import { littleMemory, type RequestMemory } from "./request-memory.js";

/** The door's side. */
export interface StreamSource {
  /** `congested` has become false. */
  bodyFlows(): void;
  /** The handler waits for octets. */
  bodyWanted(): void;
}

/** Octets that the handler has not taken, beyond which the client is not read. */
const untakenMost = 64 * 1024;

const emptyBody: Body = { kind: "empty" };

export class StreamedBody implements StreamBody {
  readonly length: number;
  readonly #source: StreamSource;
  readonly #memory: RequestMemory;
  #owner: StreamOwner | undefined;
  /** What came before the owner. */
  #held: Uint8Array[] = [];
  #received = 0;
  /** They count as memory of requests. */
  #untaken = 0;
  #ended = false;
  #released = false;
  /** More waits for the handler than should. */
  congested = false;

  constructor(source: StreamSource, memory: RequestMemory, length: number) {
    this.#source = source;
    this.#memory = memory;
    this.length = length;
  }

  /** Octets received so far. */
  get received(): number {
    return this.#received;
  }

  #isCongested(): boolean {
    return this.#untaken > (this.#memory.scarce ? littleMemory : untakenMost);
  }

  /** From the door; `octets` may change afterwards. */
  add(octets: Uint8Array): void {
    this.#received += octets.length;
    if (this.#released) return;
    this.#untaken += octets.length;
    this.#memory.take(octets.length);
    this.congested = this.#isCongested();
    if (this.#owner !== undefined) this.#owner.bodyReceived(octets);
    else this.#held.push(Buffer.from(octets));
  }

  /** From the door: there is no more. */
  end(): void {
    this.#ended = true;
    this.#owner?.bodyEnded();
  }

  /** What has come, where all came before it was made an exchange's: its memory is that exchange's to release. */
  whole(): Body {
    this.#released = true;
    const [first] = this.#held;
    if (first === undefined) return emptyBody;
    return { kind: "memory", bytes: this.#held.length === 1 ? first : Buffer.concat(this.#held) };
  }

  start(owner: StreamOwner): void {
    this.#owner = owner;
    const held = this.#held;
    this.#held = [];
    for (const octets of held) owner.bodyReceived(octets);
    if (this.#ended) owner.bodyEnded();
  }

  credit(octets: number): void {
    if (this.#released) return;
    this.#untaken -= octets;
    this.#memory.free(octets);
    if (octets === 0) this.#source.bodyWanted();
    else if (this.congested && !this.#isCongested()) {
      this.congested = false;
      this.#source.bodyFlows();
    }
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.congested = false;
    this.#held = [];
    this.#memory.free(this.#untaken);
    this.#untaken = 0;
  }
}
