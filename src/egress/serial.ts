// The driver of every protocol with one request at a time on a connection. The protocols differ in a codec
// (serial-codec.ts); connections, their phases and what a failure is are the same for all.
import type { DriverOptions, UpstreamCall, UpstreamDriver, UpstreamEvents, UpstreamRequest } from "./driver.js";
import { Scarcity } from "./scarcity.js";
import type { CreateSerialCodec, SerialCodec } from "./serial-codec.js";
import { SerialConnection, type SerialOwner } from "./serial-connection.js";

/**
 * Ticks (a second) for which a connection that lies idle is good for a request that must not be sent twice. Servers close
 * idle connections after a time of their own; a request that meets such a close is lost if it cannot be repeated.
 */
const freshTicks = 4;
/** Ticks after which it would have been seen that the server closed a connection right behind its answer. */
const settledTicks = 2;
/** Codecs kept for further connections, which know what the server answered last. */
const sparesMost = 64;

export class SerialDriver implements UpstreamDriver, SerialOwner {
  readonly options: DriverOptions;
  readonly #createCodec: CreateSerialCodec;
  /** The one used last is the first to be used again: the others may go. */
  readonly #idle: SerialConnection[] = [];
  readonly #scarcity: Scarcity<SerialConnection>;
  readonly #spares: SerialCodec[] = [];
  #busy = 0;
  #closed = false;
  /**
   * A connection has carried a second request, so the server does keep them. Some close without having said so (uWSGI's
   * http-socket): until it is known, only a connection that lay open for a while is risked for a request that must not be
   * sent twice.
   */
  #keeps = false;

  constructor(options: DriverOptions, createCodec: CreateSerialCodec) {
    this.options = options;
    this.#scarcity = new Scarcity(options.deadlines, {
      closeIdle: () => this.#closeIdle(),
      tellOthers: () => options.tellScarce?.(),
    });
    this.#createCodec = createCodec;
  }

  get busy(): number {
    return this.#busy;
  }
  get idle(): number {
    return this.#idle.length;
  }

  start(request: UpstreamRequest, events: UpstreamEvents, fresh: boolean): UpstreamCall {
    const kept = fresh ? undefined : this.#take(request);
    const connection = kept ?? new SerialConnection(this, this.#spares.pop() ?? this.#createCodec(this.options));
    try {
      connection.start(request, events);
    } catch (error) {
      if (connection.used) this.#idle.push(connection);
      throw error;
    }
    if (kept === undefined && this.options.keepAlive > 0) {
      // One that lies idle and cannot be used may be all that keeps the server from accepting another.
      this.#idle.shift()?.close();
      this.#scarcity.opened(connection);
    }
    this.#busy += 1;
    return connection;
  }

  #take({ idempotent }: UpstreamRequest): SerialConnection | undefined {
    if (idempotent) return this.#idle.pop();
    const at = this.#keeps ? this.#idle.length - 1 : 0;
    const connection = this.#idle[at];
    if (connection === undefined) return undefined;
    const idleFor = this.options.deadlines.tick - connection.idleSince;
    const doubtful = connection.doubtful || !this.#keeps;
    if (idleFor > freshTicks || (doubtful && idleFor < settledTicks)) return undefined;
    this.#idle.splice(at, 1);
    return connection;
  }

  release(connection: SerialConnection, reusable: boolean): boolean {
    this.#busy -= 1;
    if (connection.used && reusable) this.#keeps = true;
    if (!reusable) this.#scarcity.closed(connection);
    if (!reusable || this.#closed || this.#idle.length >= this.options.keepAlive) return false;
    if (this.#scarcity.waits) return false;
    this.#idle.push(connection);
    return true;
  }

  spare(codec: SerialCodec): void {
    if (codec.clean && this.#spares.length < sparesMost) this.#spares.push(codec);
  }

  wasClosed(): void {
    this.#keeps = false;
  }

  forget(connection: SerialConnection): void {
    const at = this.#idle.lastIndexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
  }

  makeRoom(): void {
    this.#scarcity.makeRoom();
  }

  close(): void {
    this.#closed = true;
    this.#closeIdle();
  }

  #closeIdle(): void {
    for (const connection of this.#idle.splice(0)) connection.close();
  }
}
