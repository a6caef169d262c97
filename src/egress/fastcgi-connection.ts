// One FastCGI connection to an upstream, with one request on it or many.
//
// A client that takes its response slowly must not hold up the others on the connection. What comes for it is kept, up to
// `responseMemory`; then the connection is not read until it has taken some. That may go on for five seconds in all; after
// that the request is given up, so that the others go on. On a connection with one request nobody waits but its client.
import { VivariumError } from "../errors.js";
import { Numbered } from "../numbered.js";
import { encodeAbort, encodeGetValues, idMost } from "../protocol/fastcgi/request-encoder.js";
import { ResponseDecoder, type ResponseEvent } from "../protocol/fastcgi/response-decoder.js";
import type { DriverOptions, FailureKind } from "./driver.js";
import type { FastCgiCall } from "./fastcgi-call.js";
import { type Phase, phases, type SocketOwner, UpstreamSocket } from "./socket.js";

/** Who has the connections. */
export interface ConnectionOwner {
  readonly options: DriverOptions;
  /** Whether the server is asked to keep connections (FCGI_KEEP_CONN). */
  readonly keep: boolean;
  /** Whether connections may carry several requests at once. */
  readonly shares: boolean;
  /** A connection has no request on it any more, and can have others. False: it is not wanted. */
  park(connection: FastCgiConnection): boolean;
  /** A connection is not to be used any more. */
  forget(connection: FastCgiConnection): void;
  /**
   * The server was asked how many requests at once a connection can carry: `most`, 0 where it did not say. `connection` is
   * the one over which it was asked, where that is still there.
   */
  probed(most: number, connection: FastCgiConnection | undefined): void;
  /** There is no connection to ask over. */
  probeLost(kind: FailureKind, sentence: string): void;
  /** The server says that a connection cannot carry several requests. */
  cannotShare(): void;
  /** Finds another connection. */
  place(call: FastCgiCall): void;
  withdraw(call: FastCgiCall): void;
}

/** A second, for a server that does not know the question. */
const probing: Phase = { limit: 4, kind: "closed", sentence: "" };
/** Requests are on it, and have deadlines of their own. */
const carrying: Phase = { limit: 0, kind: "closed", sentence: "" };

const asked = ["FCGI_MPXS_CONNS", "FCGI_MAX_REQS"] as const;

export class FastCgiConnection implements SocketOwner {
  readonly #owner: ConnectionOwner;
  readonly #socket: UpstreamSocket;
  readonly #decoder = new ResponseDecoder();
  /** Requests that were not ended by the server, by id; some may have been given up. */
  readonly #calls = new Numbered<FastCgiCall>();
  readonly #keep: boolean;
  /** Whether it may carry several requests at once. */
  #shared: boolean;
  #probing: boolean;
  #connected = false;
  #lastId = 0;
  /** No request is put on it any more. */
  #closing = false;
  /** It is not read, because some client is slow. */
  #held = false;
  /** Requests whose clients are slow. */
  #slow = 0;
  /** Requests that got something in the read under way. */
  #touched: FastCgiCall[] = [];
  /** Requests that it has carried and that are over. */
  used = 0;
  idleSince = 0;
  /** Chunks received so far. */
  received = 0;

  constructor(owner: ConnectionOwner, probe: boolean) {
    this.#owner = owner;
    this.#probing = probe;
    this.#keep = owner.keep;
    this.#shared = owner.shares;
    this.#socket = new UpstreamSocket(owner.options, this);
  }

  get answered(): boolean {
    return this.received > 0;
  }

  hasRoom(most: number): boolean {
    return this.#shared && !this.#closing && !this.#held && this.#calls.size < most;
  }

  // -- requests

  /** Puts a request on it. */
  add(call: FastCgiCall): void {
    if (this.#calls.size === 0) this.#socket.enter(this.#connected ? carrying : phases.connecting);
    call.placed(this, this.#nextId());
    this.#calls.set(call.id, call);
    if (this.#connected) this.#send(call);
  }

  /** Always 1 where there is one request at a time: what some servers are used to. */
  #nextId(): number {
    if (this.#calls.size === 0) this.#lastId = 0;
    do this.#lastId = this.#lastId === idMost ? 1 : this.#lastId + 1;
    while (this.#calls.has(this.#lastId));
    return this.#lastId;
  }

  socketConnected(): void {
    this.#connected = true;
    if (this.#probing) {
      this.#socket.enter(probing);
      this.#socket.write(encodeGetValues(asked));
      return;
    }
    this.#socket.enter(carrying);
    for (const call of this.#calls.values()) this.#send(call);
  }

  #send(call: FastCgiCall): void {
    this.#decoder.begin(call.id);
    // What several send in one turn leaves together.
    if (this.#shared) this.#socket.gather();
    call.send(this.#keep);
  }

  /** False: wait for `drained`. */
  write(octets: Uint8Array | readonly Uint8Array[]): boolean {
    return octets instanceof Uint8Array ? this.#socket.write(octets) : this.#socket.writeAll(octets);
  }

  /** Calls back when all that was written before has left. */
  whenFlushed(flushed: () => void): void {
    if (this.#socket.flushed) flushed();
    else this.#socket.whenFlushed(flushed);
  }

  socketDrained(): void {
    for (const call of this.#calls.values()) call.drained();
  }

  /** A request is not waited for any more. True: it is still the server's, who has to end it. */
  abandon(call: FastCgiCall): boolean {
    if (this.#connected && this.#shared) {
      this.write(encodeAbort(call.id));
      return true;
    }
    this.#calls.delete(call.id);
    // Where nothing was sent yet, others may wait for the connection too.
    if (this.#calls.size === 0) this.#discard();
    return false;
  }

  /** The server did not end a request that was given up: nobody knows what its id is about. */
  giveUp(call: FastCgiCall): void {
    this.#calls.delete(call.id);
    this.#closing = true;
    if (this.#calls.size === 0) this.#discard();
  }

  #discard(): void {
    this.#owner.forget(this);
    this.close();
  }

  close(): void {
    this.#socket.close();
  }

  // -- responses

  socketReceived(chunk: Uint8Array): void {
    if (this.#socket.phase === phases.lingering) return;
    this.received += 1;
    this.#decoder.receive(chunk);
    try {
      for (let event = this.#decoder.next(); event !== undefined; event = this.#decoder.next()) this.#take(event);
    } catch (error) {
      if (!(error instanceof VivariumError)) throw error;
      this.socketLost("malformed", error.message);
      this.close();
      return;
    }
    for (let call = this.#touched.shift(); call !== undefined; call = this.#touched.shift()) call.deliver();
    if (this.#slow > 0) this.weigh();
  }

  #take(event: ResponseEvent): void {
    switch (event.type) {
      case "stdout": {
        const call = this.#calls.get(event.id);
        if (call?.receive(event.octets) === true && !this.#touched.includes(call)) this.#touched.push(call);
        break;
      }
      case "stderr":
        this.#calls.get(event.id)?.receiveErrors(event.octets);
        break;
      case "end": {
        const call = this.#calls.get(event.id);
        if (call === undefined) break;
        this.#touched = this.#touched.filter((each) => each !== call);
        this.#end(call);
        call.end(event.protocolStatus, event.applicationStatus);
        break;
      }
      case "values":
        this.#answered(mostOf(event.pairs));
        break;
      case "unknown-type":
        this.#answered(0);
        break;
    }
  }

  #answered(most: number): void {
    if (!this.#probing) return;
    this.#probing = false;
    this.#shared = most > 1;
    this.#rest();
    this.#owner.probed(most, this);
  }

  /** The server has ended a request. The connection is free before that is told: the client's next one may want it. */
  #end(call: FastCgiCall): void {
    this.#calls.delete(call.id);
    this.used += 1;
    // Not so on a shared one: who multiplexes knows that what still comes for an id that is not active means nothing (§3.3).
    if (!this.#keep || (!call.sent && !this.#shared)) this.#closing = true;
    if (this.#calls.size > 0) return;
    if (this.#closing) {
      this.#owner.forget(this);
      if (call.sent) this.#socket.linger();
      else this.close();
      return;
    }
    this.#rest();
    if (!this.#owner.park(this)) this.close();
  }

  #rest(): void {
    this.idleSince = this.#owner.options.deadlines.tick;
    this.#socket.enter(phases.idle);
  }

  socketInputEnded(): void {
    this.socketLost("closed", "The connection was closed.");
    this.close();
  }

  socketLost(kind: FailureKind, sentence: string): void {
    const calls = this.#calls.values();
    this.#calls.clear();
    this.#touched = [];
    this.#owner.forget(this);
    if (this.#probing) {
      this.#probing = false;
      // A server that closes the connection over the question, or says nothing, does not know it.
      if (this.#connected) this.#owner.probed(0, undefined);
      else this.#owner.probeLost(kind, sentence);
    }
    for (const call of calls) call.lost(kind, sentence, this.#connected);
  }

  // -- the flow of responses

  /** A request's client has become slow (1), or is not any more (-1). */
  slow(more: 1 | -1): void {
    this.#slow += more;
    this.weigh();
  }

  /** Reads, or not: see above. */
  weigh(): void {
    const alone = this.#calls.size === 1;
    let held = false;
    if (this.#slow > 0) {
      for (const call of this.#calls.values()) {
        if (call.weigh(alone, this.#owner.options.responses.most)) held = true;
      }
    }
    if (held === this.#held) return;
    this.#held = held;
    if (held) this.#socket.pause();
    else this.#socket.resume();
  }
}

/** How many requests at once a connection can carry. */
function mostOf(pairs: readonly string[]): number {
  const values = new Map<string, number>();
  for (let at = 0; at + 1 < pairs.length; at += 2) values.set(pairs[at] ?? "", Number(pairs[at + 1]));
  if (values.get("FCGI_MPXS_CONNS") !== 1) return 0;
  const most = values.get("FCGI_MAX_REQS") ?? idMost;
  return most >= 1 && most <= idMost ? Math.floor(most) : idMost;
}
