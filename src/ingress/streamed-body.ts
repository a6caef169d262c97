// A request's body that its handler takes while it arrives (exchange.ts, StreamBody). The door gives what it reads, and reads no
// more while this is congested.
import type { Body, StreamBody, StreamOwner } from "../exchange.js";

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
  #owner: StreamOwner | undefined;
  /** What came before the owner. */
  #held: Uint8Array[] = [];
  #received = 0;
  #untaken = 0;
  #ended = false;

  constructor(source: StreamSource, length: number) {
    this.#source = source;
    this.length = length;
  }

  /** Octets received so far. */
  get received(): number {
    return this.#received;
  }

  get congested(): boolean {
    return this.#untaken > untakenMost;
  }

  /** From the door; `octets` may change afterwards. */
  add(octets: Uint8Array): void {
    this.#received += octets.length;
    this.#untaken += octets.length;
    if (this.#owner !== undefined) this.#owner.bodyReceived(octets);
    else this.#held.push(Buffer.from(octets));
  }

  /** From the door: there is no more. */
  end(): void {
    this.#ended = true;
    this.#owner?.bodyEnded();
  }

  /** What has come, where all came before it was made an exchange's. */
  whole(): Body {
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
    const congested = this.congested;
    this.#untaken -= octets;
    if (octets === 0) this.#source.bodyWanted();
    else if (congested && !this.congested) this.#source.bodyFlows();
  }
}
