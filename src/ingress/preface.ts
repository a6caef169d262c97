// A connection in clear text that may be one of HTTP/2 with prior knowledge (RFC 9113 §3.3): the first octets tell.
import type { ClientSocket, ClientSocketOwner } from "../net/client-socket.js";
import type { Timed } from "../net/deadline.js";
import { idleDrainingTicks } from "./http1-phases.js";
import type { IngressConnection, IngressOptions } from "./options.js";

/** RFC 9113 §3.4. No request of HTTP/1 begins so. */
const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/**
 * A first line that is whole and names no HTTP of any version is neither protocol's: RFC 9113 §3.4 has the connection closed, and who sent
 * that would not understand an answer in HTTP/1. An empty line may be before a request (RFC 9112 §2.2).
 */
const neither = /^(?!.*http\/)[^\r\n].*\r?\n/i;
/** Of a longer line HTTP/1 says what is wrong with it. */
const lineMost = 256;

export class Preface implements IngressConnection, ClientSocketOwner, Timed {
  deadline: number;
  readonly #socket: ClientSocket;
  readonly #options: IngressOptions;
  readonly #heard: (http2: boolean, octets: Buffer) => void;
  readonly #since: number;
  #held: Buffer = Buffer.alloc(0);

  /**
   * `heard` is called once, and the connection is another owner's from then on; or never, where that is closed before. `octets` are what was
   * received, until it returns.
   */
  constructor(socket: ClientSocket, options: IngressOptions, heard: (http2: boolean, octets: Buffer) => void) {
    this.#socket = socket;
    this.#options = options;
    this.#heard = heard;
    this.#since = options.deadlines.tick;
    this.deadline = this.#since + options.headTimeout;
    options.deadlines.watch(this);
    socket.start(this);
  }

  socketReceived(memory: Buffer, length: number): void {
    const held = this.#held;
    const octets = held.length === 0 ? memory.subarray(0, length) : Buffer.concat([held, memory.subarray(0, length)]);
    const compared = Math.min(octets.length, preface.length);
    const same = octets.compare(preface, 0, compared, 0, compared) === 0;
    if (same && compared < preface.length) this.#held = Buffer.from(octets);
    else {
      this.#options.deadlines.unwatch(this);
      if (!same && neither.test(octets.toString("latin1", 0, lineMost))) this.#socket.close();
      else this.#heard(same, octets);
    }
  }

  socketEnded(): void {
    this.#socket.close();
  }

  socketDrained(): void {}

  socketClosed(): void {
    this.#options.deadlines.unwatch(this);
    this.#options.connectionClosed(this);
  }

  expire(): void {
    this.destroy();
  }

  drain(): void {
    const { deadlines, drainIdle } = this.#options;
    const until = drainIdle > 0 ? deadlines.tick + drainIdle : this.#since + idleDrainingTicks;
    if (until > deadlines.tick) this.deadline = Math.min(this.deadline, until);
    else this.#socket.close();
  }

  get restingSince(): number {
    return this.#held.length === 0 ? this.#since : Number.POSITIVE_INFINITY;
  }

  destroy(): void {
    this.#socket.destroy();
  }
}
