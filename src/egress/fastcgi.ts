// FastCGI to an upstream: connections are kept (FCGI_KEEP_CONN) and, where the configuration allows it and the server says
// that it can (FCGI_MPXS_CONNS), carry many requests at once. Which connection a request goes over is decided here.
import { log } from "../channels.js";
import type {
  DriverOptions,
  FailureKind,
  UpstreamCall,
  UpstreamDriver,
  UpstreamEvents,
  UpstreamRequest,
} from "./driver.js";
import { FastCgiCall } from "./fastcgi-call.js";
import { type ConnectionOwner, FastCgiConnection } from "./fastcgi-connection.js";
import { Scarcity } from "./scarcity.js";

/**
 * Ticks (a second) for which a connection that lies idle is good for a request that must not be sent twice; and the least
 * that it must have lain idle, as long as no connection was ever used again: uWSGI closes those it was asked to keep, and a
 * request would meet that close.
 */
const freshTicks = 4;
const provenTicks = 2;
/** So many connections in a row were closed by the server right after their first request: it keeps none. */
const unkeptMost = 3;

export function fastcgiDriver(options: DriverOptions): UpstreamDriver {
  return new FastCgiDriver(options);
}

class FastCgiDriver implements UpstreamDriver, ConnectionOwner {
  readonly options: DriverOptions;
  /** Whether connections are to be kept. */
  keep: boolean;
  /** Requests at once on a connection; 0 while the server is not asked yet whether it can have several. */
  #most: number;
  /** The connection over which it is asked, and who waits for the answer. */
  #probe: FastCgiConnection | undefined;
  readonly #waiting = new Set<FastCgiCall>();
  /** The one used last is the first to be used again: the others may go. */
  readonly #idle: FastCgiConnection[] = [];
  readonly #busy = new Set<FastCgiConnection>();
  readonly #scarcity: Scarcity<FastCgiConnection>;
  /** A connection was used again. */
  #proven = false;
  #unkept = 0;
  #closed = false;

  constructor(options: DriverOptions) {
    this.options = options;
    this.#scarcity = new Scarcity(options.deadlines, {
      closeIdle: () => this.#closeIdle(),
      tellOthers: () => options.tellScarce?.(),
    });
    this.keep = options.keepAlive > 0 || options.multiplex > 1;
    this.#most = options.multiplex > 1 ? 0 : 1;
  }

  get busy(): number {
    return this.#busy.size;
  }
  get idle(): number {
    return this.#idle.length;
  }
  /** Whether connections may carry several requests at once. */
  get shares(): boolean {
    return this.#most > 1;
  }

  start(request: UpstreamRequest, events: UpstreamEvents, fresh: boolean): UpstreamCall {
    const call = new FastCgiCall(this, request, events);
    if (fresh) this.#open().add(call);
    else this.place(call);
    return call;
  }

  /** Finds a connection for a request. */
  place(call: FastCgiCall): void {
    if (this.#most === 0) {
      this.#waiting.add(call);
      this.#probe ??= new FastCgiConnection(this, true);
      return;
    }
    (this.#shared() ?? this.#take(call.request) ?? this.#open()).add(call);
  }

  /** A connection with requests on it and room for one more. The first that there is: full ones carry most per write. */
  #shared(): FastCgiConnection | undefined {
    if (!this.shares) return undefined;
    for (const connection of this.#busy) if (connection.hasRoom(this.#most)) return connection;
    return undefined;
  }

  #take(request: UpstreamRequest): FastCgiConnection | undefined {
    const last = this.#idle.at(-1);
    if (last === undefined) return undefined;
    const idleFor = this.options.deadlines.tick - last.idleSince;
    if (!request.idempotent && (idleFor > freshTicks || (!this.#proven && idleFor < provenTicks))) return undefined;
    this.#idle.pop();
    this.#busy.add(last);
    return last;
  }

  #open(): FastCgiConnection {
    // One that lies idle and cannot be used may be all that keeps the server from accepting another.
    this.#idle.shift()?.close();
    const connection = new FastCgiConnection(this, false);
    this.#busy.add(connection);
    this.#scarcity.opened(connection);
    return connection;
  }

  /** A request that waits for a connection is not wanted any more. */
  withdraw(call: FastCgiCall): void {
    this.#waiting.delete(call);
  }

  // -- from connections

  park(connection: FastCgiConnection): boolean {
    this.#busy.delete(connection);
    if (connection.used > 1) {
      this.#proven = true;
      this.#unkept = 0;
    }
    if (this.#closed || this.#idle.length >= this.options.keepAlive) return false;
    if (this.#scarcity.waits) return false;
    this.#idle.push(connection);
    return true;
  }

  forget(connection: FastCgiConnection): void {
    this.#scarcity.closed(connection);
    if (this.#busy.delete(connection)) return;
    const at = this.#idle.lastIndexOf(connection);
    if (at < 0) return;
    this.#idle.splice(at, 1);
    if (connection.used !== 1 || this.options.deadlines.tick - connection.idleSince > freshTicks) return;
    this.#unkept += 1;
    if (this.#unkept >= unkeptMost && !this.#proven) this.keep = false;
  }

  probed(most: number, connection: FastCgiConnection | undefined): void {
    this.#probe = undefined;
    if (most < 1) {
      log(
        "warning",
        "upstream",
        `${this.options.name} carries one request at a time on a connection: multiplex is off.`,
      );
    }
    // Who carries several requests on a connection does not close it after the first.
    if (most > 1) this.#proven = true;
    this.#most = Math.max(1, Math.min(this.options.multiplex, most));
    if (connection !== undefined && !this.park(connection)) connection.close();
    this.#placeWaiting();
  }

  probeLost(kind: FailureKind, sentence: string): void {
    this.#probe = undefined;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const call of waiting) call.lost(kind, sentence, false);
  }

  cannotShare(): void {
    if (this.#most !== 1) log("warning", "upstream", `${this.options.name} refuses to multiplex: multiplex is off.`);
    this.#most = 1;
  }

  #placeWaiting(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const call of waiting) this.place(call);
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
