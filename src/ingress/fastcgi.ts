// Drives one FastCGI connection of a web server in front: a socket on one side, requests on the other (fastcgi-request.ts),
// many at once where the web server likes. What an idle nginx does for each request, one read and one write, is all that
// is done here; what several requests write in one turn leaves together.
//
// STDIN has an end of its own, so no web server half-closes a connection: one that ends its side has left, and its
// requests are given up.
import { log } from "../channels.js";
import { VivariumError } from "../errors.js";
import { type ClientSocket, type ClientSocketOwner, type Encoded, lengthOf } from "../net/client-socket.js";
import { Numbered } from "../numbered.js";
import { protocolStatus } from "../protocol/fastcgi/records.js";
import { RequestDecoder, type RequestEvent } from "../protocol/fastcgi/request-decoder.js";
import { encodeEnd, encodeUnknownType, encodeValues } from "../protocol/fastcgi/response-encoder.js";
import { plainAddress } from "../routing/forwarded.js";
import { FastCgiRequest, type RequestOwner } from "./fastcgi-request.js";
import { idleDrainingTicks, lingerDrainingTicks, lingerTicks } from "./http1-phases.js";
import type { IngressConnection, IngressOptions } from "./options.js";
import type { Paced } from "./pace.js";
import type { ReadRequest } from "./recurring-requests.js";

/** Requests at once on a connection; more are refused as FCGI_OVERLOADED. */
export const requestsMost = 1024;

/** What is told who asks (FastCGI 1.0 §4.1). The first two are bounds to plan by, not promises. */
const values = { FCGI_MAX_CONNS: 1024, FCGI_MAX_REQS: requestsMost, FCGI_MPXS_CONNS: 1 } as const;

/** Octets written that the web server has not taken, beyond which nothing more is read from it. */
const unreadMost = 1024 * 1024;

/** No record: version 0. */
const garbled: Uint8Array = Buffer.alloc(8);

export function serveFastCgi(
  socket: ClientSocket,
  options: IngressOptions,
  refusal: VivariumError | undefined,
): IngressConnection {
  return new Connection(socket, options, refusal);
}

class Connection implements IngressConnection, Paced, RequestOwner, ClientSocketOwner {
  /** The end of idleness, of a request's parameters, or of a stall in what is written. Bodies have their own. */
  deadline: number;
  moved = 0;
  readonly options: IngressOptions;
  /** What its requests are answered, where there is no room for them. */
  readonly #refusal: VivariumError | undefined;
  readonly #socket: ClientSocket;
  readonly #decoder: RequestDecoder<ReadRequest>;
  /** Requests whose parameters are whole and that are not answered. */
  readonly #requests = new Numbered<FastCgiRequest>();
  readonly #written: () => void;
  #open = true;
  /** Nothing more is answered here: what still comes is dropped until the web server closes its side. */
  #lingering = false;
  /** A request without FCGI_KEEP_CONN was answered. */
  #last = false;
  #paused = false;
  /** What several requests write in one turn, and who wants to know when it left: it is held back until the turn's end. */
  #gathered: Uint8Array[] = [];
  #gatheredBy: (() => void)[] = [];
  /** Writes that have not left yet; of these those that nobody but this connection wants to know of. */
  #unflushed = 0;
  #undrained = 0;
  /** Octets written. */
  #octets = 0;
  /** What the deadline is of, and how many requests had begun when it was set: what drips in does not move it. */
  #awaits: "octets" | "idle" | "params" | "nothing" = "idle";
  #begunThen = -1;
  #begun = 0;
  /** Requests of which more is to come. */
  #receiving = 0;
  /** Requests whose bodies wait for the disk. */
  #congested = 0;
  /** The tick since which nothing is awaited but what the web server does. */
  #restsSince: number;

  constructor(socket: ClientSocket, options: IngressOptions, refusal: VivariumError | undefined) {
    this.#socket = socket;
    this.options = options;
    this.#refusal = refusal;
    this.#restsSince = options.deadlines.tick;
    const limits = { maxParams: options.limits.maxHead, maxRequests: requestsMost };
    this.#decoder = new RequestDecoder(limits, (octets, malformed) => options.recurring.read(octets, malformed));
    this.#written = () => this.written();
    this.deadline = options.deadlines.tick + options.headTimeout;
    options.deadlines.watch(this);
    socket.setNoDelay();
    socket.start(this);
  }

  // -- from the socket

  socketReceived(memory: Buffer, length: number): void {
    if (this.#lingering) return;
    try {
      const whole = this.#decoder.whole(memory, length);
      if (whole !== undefined) {
        this.#begin(whole.id, whole.params, whole.keepConnection);
        this.#requests.get(whole.id)?.end();
        this.#rest();
        return;
      }
      // A copy: bodies are kept as they came.
      this.#decoder.receive(Buffer.from(memory.subarray(0, length)));
      for (let event = this.#decoder.next(); event !== undefined; event = this.#decoder.next()) {
        this.#take(event);
        if (this.#lingering) return;
      }
    } catch (error) {
      if (!(error instanceof VivariumError)) throw error;
      const peer = plainAddress(this.#socket.remote.address);
      const whence = peer === "" ? "" : ` from ${peer}`;
      log("warning", "ingress", `A FastCGI connection${whence} was closed: ${error.message}`);
      this.destroy();
      return;
    }
    this.#rest();
  }

  socketEnded(): void {
    if (this.#decoder.active > 0) this.destroy();
    else this.#closeSoon();
  }

  socketDrained(): void {
    this.#unflushed -= this.#undrained;
    this.#undrained = 0;
    if (this.#lingering) this.#awaitEnd();
    else this.#eased();
  }

  socketClosed(): void {
    this.#open = false;
    this.#lingering = true;
    this.options.deadlines.unwatch(this);
    for (const request of this.#requests.values()) request.abort();
    this.#requests.clear();
    this.options.connectionClosed(this);
  }

  /** The deadline passed. */
  expire(): void {
    if (this.#awaits === "octets") {
      const client = { address: plainAddress(this.#socket.remote.address), target: this.#target };
      if (!this.options.pace.takes(this, this.#socket, this.#octets, client)) this.destroy();
    } else if (!this.#lingering && this.#decoder.idle) this.#closeSoon();
    else this.destroy();
  }

  /** Of the request whose response waits; of several any. */
  get #target(): string {
    for (const request of this.#requests.values()) return request.target;
    return "several requests";
  }

  drain(): void {
    const { deadlines, drainIdle } = this.options;
    if (this.#decoder.idle) {
      const until = drainIdle > 0 ? deadlines.tick + drainIdle : this.#restsSince + idleDrainingTicks;
      if (until > deadlines.tick && !this.#lingering) this.deadline = Math.min(this.deadline, until);
      else this.#closeSoon();
    } else if (this.#lingering && this.#awaits !== "octets") this.#awaitEnd();
  }

  get restingSince(): number {
    const rests = this.#decoder.idle && this.#unflushed === 0;
    return rests ? this.#restsSince : Number.POSITIVE_INFINITY;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  // -- requests

  #take(event: RequestEvent<ReadRequest>): void {
    switch (event.type) {
      case "request":
        this.#begin(event.id, event.params, event.keepConnection);
        break;
      case "body":
        this.#requests.get(event.id)?.add(event.octets);
        break;
      case "end":
        this.#requests.get(event.id)?.end();
        break;
      case "abort":
        this.#abort(event.id, event.keepConnection);
        break;
      case "too-large":
        this.#add(event.id, event.keepConnection).reject(event.error);
        break;
      case "refused":
        this.write(encodeEnd(event.id, event.protocolStatus));
        this.#maybeClose(event.keepConnection);
        break;
      case "values":
        this.write(encodeValues(event.names, values));
        break;
      case "unknown-type":
        this.write(encodeUnknownType(event.recordType));
        break;
    }
  }

  #add(id: number, keepConnection: boolean): FastCgiRequest {
    this.#begun += 1;
    const request = new FastCgiRequest(this, id, keepConnection);
    this.#requests.set(id, request);
    this.#receiving += 1;
    return request;
  }

  #begin(id: number, request: ReadRequest, keepConnection: boolean): void {
    if (this.options.draining && this.#requests.size > 0) {
      // Else a connection that always has requests would never be over. Whoever carries several at once knows where else
      // to go with one that was refused.
      this.#decoder.release(id);
      this.write(encodeEnd(id, protocolStatus.overloaded));
      return;
    }
    if (this.#refusal === undefined) this.#add(id, keepConnection).begin(request);
    else this.#add(id, false).begin(this.#refusal);
  }

  /** FastCGI 1.0 §5.4: the request is still to be ended. */
  #abort(id: number, keepConnection: boolean): void {
    const request = this.#requests.get(id);
    request?.abort();
    this.write(encodeEnd(id, protocolStatus.requestComplete));
    this.#requests.delete(id);
    this.#decoder.release(id);
    this.#maybeClose(keepConnection, request?.whole === true);
  }

  over(request: FastCgiRequest): void {
    this.#requests.delete(request.id);
    this.#decoder.release(request.id);
    this.#maybeClose(request.keepConnection, request.whole);
    this.#restAlone();
  }

  #maybeClose(keepConnection: boolean, whole = true): void {
    if (!keepConnection) this.#last = true;
    if (this.#decoder.active > 0 || !(this.#last || this.options.draining)) return;
    if (whole) this.#closeSoon();
    else this.#linger();
  }

  /**
   * nginx and Apache take END_REQUEST for the end of a whole response, whatever its status, and nginx even the end of the
   * connection, where it did not ask to keep it. A length that was announced tells all of them; without one, a record
   * that is none does, unlike a reset also on unix sockets and behind what was written. Where others share the connection
   * it must stay: then it is the protocol status that says "not complete", which a peer that multiplexes looks at.
   */
  cut(request: FastCgiRequest, delimited: boolean): void {
    this.#requests.delete(request.id);
    if (this.#decoder.active > 1) {
      this.write(encodeEnd(request.id, protocolStatus.overloaded, 1));
      this.over(request);
      return;
    }
    this.#decoder.release(request.id);
    if (!delimited) this.write(garbled);
    this.#closeSoon();
  }

  // -- the flow

  write(octets: Encoded, flushed?: () => void): void {
    this.#octets += lengthOf(octets);
    if (this.#gatheredBy.length > 0 || this.#requests.size > 1) {
      this.#await();
      this.#gather(octets, flushed ?? this.#written);
    } else if (flushed !== undefined) {
      this.#await();
      this.#socket.write(octets, flushed);
    } else {
      this.#socket.write(octets);
      // Mostly it has left by now.
      if (this.#socket.unsent === 0) return;
      this.#await();
      this.#undrained += 1;
    }
    if (this.#socket.unsent > unreadMost) this.#flow();
  }

  /** There is one more write that is to leave. */
  #await(): void {
    if (this.#unflushed === 0 && !this.#lingering) this.#awaitTaken();
    this.#unflushed += 1;
  }

  #gather(octets: Encoded, flushed: () => void): void {
    if (this.#gatheredBy.length === 0) process.nextTick(() => this.#release());
    if (octets instanceof Uint8Array) this.#gathered.push(octets);
    else this.#gathered.push(...octets);
    this.#gatheredBy.push(flushed);
  }

  #release(): void {
    const by = this.#gatheredBy;
    if (by.length === 0) return;
    const octets = this.#gathered;
    this.#gathered = [];
    this.#gatheredBy = [];
    this.#socket.write(octets, () => {
      for (const flushed of by) flushed();
    });
    if (this.#socket.unsent > unreadMost) this.#flow();
  }

  written(): void {
    this.#unflushed -= 1;
    this.#eased();
  }

  /** Something has left. */
  #eased(): void {
    if (this.#unflushed === 0) this.#rest();
    if (this.#paused) this.#flow();
  }

  received(): void {
    this.#receiving -= 1;
  }

  congested(more: 1 | -1): void {
    this.#congested += more;
    this.#flow();
    this.#rest();
  }

  /** Reads from the web server only while there is room for what it sends and what it asks for. */
  #flow(): void {
    const pause = !this.#lingering && (this.#congested > 0 || this.#socket.unsent > unreadMost);
    if (pause === this.#paused) return;
    this.#paused = pause;
    if (pause) this.#socket.pause();
    else this.#socket.resume();
  }

  /** From now on the web server is to take what was written. How much of it the kernel has, a look will tell. */
  #awaitTaken(): void {
    this.#awaits = "octets";
    this.options.pace.begin(this, Number.NEGATIVE_INFINITY);
  }

  /** All that came was read. */
  #rest(): void {
    if (this.#receiving > 0) for (const request of this.#requests.values()) request.rest();
    this.#restAlone();
  }

  /** Sets the deadline where nothing waits to be written. */
  #restAlone(): void {
    if (this.#unflushed > 0 || this.#lingering) return;
    const { deadlines, keepAlive, headTimeout } = this.options;
    const decoder = this.#decoder;
    const params = decoder.active > this.#requests.size || (this.#receiving === 0 && !decoder.betweenRecords);
    const awaits = decoder.idle ? "idle" : params && this.#congested === 0 ? "params" : "nothing";
    if (awaits === this.#awaits && this.#begunThen === this.#begun) return;
    this.#awaits = awaits;
    this.#begunThen = this.#begun;
    if (awaits === "idle") this.#restsSince = deadlines.tick;
    if (awaits === "nothing") this.deadline = 0;
    else this.deadline = deadlines.tick + (awaits === "idle" ? keepAlive : headTimeout);
  }

  /** Closes the connection as soon as the web server's side of the network took what was written. */
  #closeSoon(): void {
    if (!this.#open) return;
    this.#lingering = true;
    this.#release();
    this.#awaitTaken();
    this.#socket.close();
  }

  /** Closes our side, and the whole when the web server, which still sends, has closed its own: see http1.ts. */
  #linger(): void {
    if (!this.#open) return;
    this.#lingering = true;
    this.#restsSince = this.options.deadlines.tick;
    this.#release();
    if (this.#socket.unsent > 0) this.#awaitTaken();
    else this.#awaitEnd();
    this.#socket.end();
    this.#flow();
  }

  #awaitEnd(): void {
    const { deadlines, draining } = this.options;
    this.#awaits = "nothing";
    this.deadline = deadlines.tick + (draining ? lingerDrainingTicks : lingerTicks);
  }
}
