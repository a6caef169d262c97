// One connection of a protocol with one request at a time: sends a request, reads its response, and says what went wrong.
import { VivariumError } from "../errors.js";
import type { Body, ResponseHead } from "../exchange.js";
import { BodyFile, type BodyTaker } from "./body-file.js";
import type { DriverOptions, FailureKind, UpstreamCall, UpstreamEvents, UpstreamRequest } from "./driver.js";
import type { SerialCodec } from "./serial-codec.js";
import { phases, type SocketOwner, UpstreamSocket } from "./socket.js";
import { ServerTunnel } from "./tunnel.js";

/** A body up to this is copied behind its head: one buffer costs less than two. */
const copied = 16384;
/** Octets of a larger one that are written at once, so that it is seen when the server takes no more. */
const piece = 65536;
/** Octets of a body that a server may have left unread; then it closes the connection right behind its answer. */
const unreadBody = 65536;

/** Whose a connection is. */
export interface SerialOwner {
  readonly options: DriverOptions;
  /** A connection's request ended. True: the connection is kept. */
  release(connection: SerialConnection, reusable: boolean): boolean;
  /** A codec whose response is whole, and whose connection is at its end. */
  spare(codec: SerialCodec): void;
  /** A connection that was kept turned out to be closed when a request came. */
  wasClosed(): void;
  /** A connection that was kept is gone. */
  forget(connection: SerialConnection): void;
}

/** One connection, and the call of each request on it. */
export class SerialConnection implements SocketOwner, UpstreamCall, BodyTaker {
  readonly #owner: SerialOwner;
  readonly codec: SerialCodec;
  #socket: UpstreamSocket | undefined;
  /** Those of the request under way; undefined while there is none. */
  #request: UpstreamRequest | undefined;
  #events: UpstreamEvents | undefined;
  #head: Uint8Array | undefined;
  /** Octets of a body in memory that were written. */
  #written = 0;
  #file: BodyFile | undefined;
  /** The request has left whole. */
  #sent = false;
  #anySent = false;
  #anyReceived = false;
  #responding = false;
  #paused = false;
  #inputEnded = false;
  /** It has carried a request before the one under way. */
  used = false;
  idleSince = 0;
  /** The server may not have read the whole body of the last request, and be about to close. */
  doubtful = false;

  constructor(owner: SerialOwner, codec: SerialCodec) {
    this.#owner = owner;
    this.codec = codec;
  }

  /** Whether anything of a response came, since the last request at least. */
  get answered(): boolean {
    return this.used || this.#anyReceived;
  }

  start(request: UpstreamRequest, events: UpstreamEvents): void {
    const { options } = this.#owner;
    this.#head = this.codec.begin(request, options.keepAlive > 0);
    this.#request = request;
    this.#events = events;
    this.#written = 0;
    this.#sent = false;
    this.#anySent = false;
    this.#anyReceived = false;
    this.#responding = false;
    if (this.#socket === undefined) this.#socket = new UpstreamSocket(options, this);
    else this.#send(this.#socket);
  }

  // -- the request

  socketConnected(): void {
    if (this.#socket !== undefined) this.#send(this.#socket);
  }

  #send(socket: UpstreamSocket): void {
    const head = this.#head;
    const body = this.#request?.body;
    if (head === undefined || body === undefined) return;
    this.#head = undefined;
    this.#anySent = true;
    socket.enter(phases.sending);
    if (body.kind === "file") {
      socket.write(head);
      this.#file = new BodyFile(body, this);
      this.#file.go();
    } else if (body.kind === "memory" && body.bytes.length > piece) {
      socket.write(head);
      this.#sendMemory(socket, body.bytes);
    } else {
      if (body.kind === "empty") socket.write(head);
      else if (body.bytes.length > copied) socket.writeAll([head, body.bytes]);
      else socket.write(Buffer.concat([head, body.bytes]));
      this.#allWritten(socket);
    }
  }

  #sendMemory(socket: UpstreamSocket, bytes: Uint8Array): void {
    while (this.#written < bytes.length) {
      const from = this.#written;
      this.#written = Math.min(from + piece, bytes.length);
      if (!socket.write(bytes.subarray(from, this.#written)) && this.#written < bytes.length) return;
    }
    this.#allWritten(socket);
  }

  bodyOctets(octets: Uint8Array, last: boolean): boolean {
    const socket = this.#socket;
    if (socket === undefined) return false;
    const more = socket.write(octets);
    if (last) {
      this.#file = undefined;
      this.#allWritten(socket);
    }
    return more;
  }

  bodyFailed(sentence: string): void {
    this.#file = undefined;
    this.#fail("closed", sentence);
  }

  socketDrained(): void {
    const socket = this.#socket;
    const request = this.#request;
    if (socket === undefined || request === undefined || this.#sent) return;
    if (socket.phase === phases.sending) socket.enter(phases.sending);
    if (this.#file !== undefined) this.#file.go();
    else if (request.body.kind === "memory" && this.#written < request.body.bytes.length && this.#written > 0) {
      this.#sendMemory(socket, request.body.bytes);
    }
  }

  #allWritten(socket: UpstreamSocket): void {
    if (socket.flushed) this.#allSent(socket);
    else {
      const request = this.#request;
      socket.whenFlushed(() => {
        if (this.#request === request) this.#allSent(socket);
      });
    }
  }

  #allSent(socket: UpstreamSocket): void {
    this.#sent = true;
    if (socket.phase === phases.sending) socket.enter(phases.waiting);
  }

  // -- the response

  socketReceived(chunk: Uint8Array): void {
    const socket = this.#socket;
    if (socket === undefined || socket.phase === phases.lingering) return;
    if (this.#request === undefined) {
      // octets that answer no request: nobody knows what the next ones would be
      this.#owner.forget(this);
      this.close();
      return;
    }
    this.#anyReceived = true;
    this.codec.receive(chunk);
    this.#advance(socket);
  }

  socketInputEnded(): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    if (this.#request === undefined) {
      this.#owner.forget(this);
      this.close();
      return;
    }
    this.#inputEnded = true;
    this.codec.receiveEnd();
    this.#advance(socket);
  }

  /** Tells what was received, in as few calls as possible: what is told last may say that it was the last. */
  #advance(socket: UpstreamSocket): void {
    let head: ResponseHead | undefined;
    let octets: Uint8Array | undefined;
    let ended = false;
    let malformed: VivariumError | undefined;
    for (;;) {
      const event = this.#next();
      if (event === undefined) break;
      if (event instanceof VivariumError) {
        malformed = event;
        break;
      }
      if (event.type === "switched") {
        this.#switch(socket, event.fields, event.octets);
        return;
      }
      if (event.type === "end") {
        ended = true;
        break;
      }
      if (event.type === "head") head = event.head;
      else {
        if (octets !== undefined) {
          this.#tell(head, octets, false);
          head = undefined;
          // the client may have left over this
          if (this.#request === undefined) return;
        }
        octets = event.octets;
      }
    }
    if (head !== undefined) this.#responding = true;
    if (ended) this.#end(socket, head, octets);
    else {
      if (head !== undefined || octets !== undefined) this.#tell(head, octets, false);
      if (malformed !== undefined) this.#fail(this.#inputEnded ? "closed" : "malformed", malformed.message);
      else if (this.#responding && !this.#paused && this.#request !== undefined) socket.enter(phases.receiving);
    }
  }

  /** It stays this one's for the driver until it is closed, and is never used again. */
  #switch(socket: UpstreamSocket, fields: Uint8Array, octets: Uint8Array): void {
    const events = this.#events;
    this.#socket = undefined;
    const tunnel = new ServerTunnel(socket, () => {
      this.#finish();
      this.#owner.release(this, false);
    });
    const owner = events?.switched?.(fields, tunnel);
    if (owner === undefined) {
      tunnel.close();
      return;
    }
    tunnel.owner = owner;
    if (octets.length > 0) owner.tunnelReceived(octets);
    if (this.#inputEnded) owner.tunnelEnded();
  }

  #next(): ReturnType<SerialCodec["next"]> | VivariumError {
    try {
      return this.codec.next();
    } catch (error) {
      if (error instanceof VivariumError) return error;
      throw error;
    }
  }

  #tell(head: ResponseHead | undefined, octets: Uint8Array | undefined, last: boolean): void {
    if (head !== undefined) this.#events?.head(head, octets, last);
    else if (octets !== undefined) this.#events?.body(octets, last);
  }

  /**
   * The response is whole. The connection is free before that is told: the client's next request may want it. One that is not
   * kept is closed after: the client need not wait for that.
   */
  #end(socket: UpstreamSocket, head: ResponseHead | undefined, octets: Uint8Array | undefined): void {
    const events = this.#events;
    const sent = this.#sent;
    const inputEnded = this.#inputEnded;
    const reusable = sent && !inputEnded && !socket.broken && this.codec.reusable;
    this.doubtful = sizeOf(this.#request?.body) > unreadBody;
    this.#finish();
    this.idleSince = this.#owner.options.deadlines.tick;
    const kept = this.#owner.release(this, reusable);
    if (!kept) this.#owner.spare(this.codec);
    if (kept) {
      this.used = true;
      socket.enter(phases.idle);
      socket.resume();
    }
    // from here on it may be another's
    else this.#socket = undefined;
    if (head !== undefined) events?.head(head, octets, true);
    else events?.body(octets ?? nothing, true);
    if (kept) return;
    if (sent && !inputEnded && !reusable) socket.linger();
    else socket.close();
  }

  #finish(): void {
    this.#request = undefined;
    this.#events = undefined;
    this.#paused = false;
    this.#file?.stop();
    this.#file = undefined;
  }

  // -- what else happens

  socketLost(kind: FailureKind, sentence: string): void {
    if (this.#request === undefined) this.#owner.forget(this);
    else this.#fail(kind, sentence);
  }

  #fail(kind: FailureKind, sentence: string): void {
    const events = this.#events;
    const stale = kind === "closed" && this.used && !this.#anyReceived;
    if (stale) this.#owner.wasClosed();
    this.#drop();
    events?.failed({ kind: stale ? "stale" : kind, sentence, unprocessed: !this.#anySent });
  }

  #drop(): void {
    if (this.#request === undefined) return;
    this.#finish();
    this.#owner.release(this, false);
    this.close();
  }

  pause(): void {
    this.#paused = true;
    this.#socket?.pause();
    if (this.#responding) this.#socket?.enter(phases.paused);
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#socket?.resume();
    if (this.#responding) this.#socket?.enter(phases.receiving);
  }

  cancel(): void {
    this.#drop();
  }

  close(): void {
    this.#socket?.close();
    this.#socket = undefined;
  }
}

function sizeOf(body: Body | undefined): number {
  if (body === undefined || body.kind === "empty") return 0;
  return body.kind === "memory" ? body.bytes.length : body.size;
}

const nothing: Uint8Array = new Uint8Array(0);
