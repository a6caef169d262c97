// One request on an HTTP/2 connection: receives its body, gives it to its handler when it is whole (or while it comes, where that
// takes it so), and sends what that answers.
import { constants, type OutgoingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { requestEnded } from "../channels.js";
import { VivariumError, vivariumError } from "../errors.js";
import type { Body, ResponseHead } from "../exchange.js";
import { outflow } from "../net/client-socket.js";
import { decodePath, type Place, type RequestVariables } from "../protocol/cgi/request-variables.js";
import { methodOf, type RequestHead, type RequestHeads } from "../protocol/http2/request-head.js";
import { headersOf, ResponseEncoder } from "../protocol/http2/response-encoder.js";
import { readConnect } from "../protocol/websocket/handshake.js";
import { notMounted, type Route, type Router } from "../routing/router.js";
import { type BodyOwner, BodyReceiver } from "./body.js";
import { httpDate } from "./date.js";
import { pieceOctets, StreamPace } from "./http2-pace.js";
import { type SocketCarrier, StreamSocket } from "./http2-socket.js";
import { IncomingExchange, type ResponseExtras, type ResponseSink } from "./incoming-exchange.js";
import { type Client, type Paced, tooLate } from "./pace.js";
import { plainPage } from "./page.js";
import type { Peer } from "./peer.js";
import { bodyTooLarge } from "./received-request.js";
import { requestRecord } from "./request-record.js";
import { StreamedBody, type StreamSource } from "./streamed-body.js";
import { type Door, offerUpgrade } from "./upgrade.js";
import type { Switched } from "./upgraded.js";
import { reportLength } from "./wrong-length.js";

const { NGHTTP2_NO_ERROR, NGHTTP2_INTERNAL_ERROR, NGHTTP2_ENHANCE_YOUR_CALM } = constants;

const protocol = "HTTP/2";
const nowhere: Place = { scriptName: "", pathInfo: "" };

/** The connection of a request. */
export interface StreamsOwner extends SocketCarrier {
  readonly router: Pick<Router, "find">;
  readonly peer: Peer;
  readonly trustedPeer: string | undefined;
  readonly variables: RequestVariables;
  readonly heads: RequestHeads;
  /** What its requests are answered, where there is no room for them. */
  readonly refusal: VivariumError | undefined;
  readonly inputEnded: boolean;
  over(use: StreamUse): void;
  /** What the stream of `request` is now. */
  switched(request: Http2Request, socket: StreamSocket): void;
}

/** What a stream is used for: a request, or what one has become. */
export interface StreamUse {
  /** All is said, or given up. */
  readonly answered: boolean;
  /** The server stops. */
  drain(): void;
  /** The client's side of the connection is over. */
  inputEnds(): void;
  /** Nothing more can be sent, nor received. */
  lost(): void;
}

/** How long what comes of a request behind its response is dropped, before the client is told that it is not wanted. */
const droppingTicks = 2;

const streamed = { waitForTrailers: true };
const whole = { endStream: true };

export class Http2Request implements BodyOwner, StreamSource, ResponseSink, ResponseExtras, Paced, StreamUse, Door {
  deadline = 0;
  moved = 0;
  readonly takesHints = true;
  /** In HTTP/2 trailers are framing's own: who has no use for them drops them (RFC 9113 §8.1). */
  readonly takesTrailers = true;
  readonly #owner: StreamsOwner;
  readonly #stream: ServerHttp2Stream;
  #encoder = new ResponseEncoder("");
  #head: RequestHead | undefined;
  #route: Route | undefined;
  #remoteAddress = "";
  #receiver: BodyReceiver | undefined;
  /** A body that its handler takes while it arrives. */
  #body: StreamedBody | undefined;
  #awaitsContinue = false;
  /** All of the request is there. */
  #received = false;
  #exchange: IncomingExchange | undefined;
  /** The response is whole, or given up: what happens to the stream is no news. */
  #answered = false;
  /** No more of the response can be sent: its header said that there is no body. */
  #ended = false;
  #trailers: OutgoingHttpHeaders = {};
  /** Octets given to the stream, and those that left the process. */
  #written = 0;
  #flushed = 0;
  readonly #pace: StreamPace;
  /** Looks since the response was whole. */
  #looks = 0;
  #watched = false;
  #over = false;

  constructor(owner: StreamsOwner, stream: ServerHttp2Stream) {
    this.#owner = owner;
    this.#stream = stream;
    this.#pace = new StreamPace(owner, owner.options.pace);
    // What went wrong does not matter: the stream is over, and "close" follows.
    stream.on("error", () => {});
    stream.on("aborted", () => this.#abandoned());
    stream.on("close", () => this.#closed());
  }

  // -- the request

  /** `raw` is the head as received; `ended`: there is no body. */
  begin(raw: readonly string[], ended: boolean): void {
    this.#received = ended;
    // Reset within the same read.
    if (this.#gone) {
      this.#abandoned();
      return;
    }
    const { heads, router, refusal, variables } = this.#owner;
    this.#encoder = new ResponseEncoder(methodOf(raw));
    // Node resets a stream that nobody reads when it has given the response to nghttp2, which then may not send its end.
    if (ended) this.#stream.resume();
    try {
      const head = heads.read(raw);
      this.#head = head;
      if (refusal !== undefined) throw refusal;
      // Before the body: a request that will be refused need not send it.
      this.#route = router.find(variables.hostOf(head), decodePath(head.path));
      if (head.webSocket) this.#begin({ kind: "empty" }, -1);
      else if (ended) this.#begin({ kind: "empty" }, head.contentLength);
      else this.#receive(head);
    } catch (error) {
      if (!(error instanceof VivariumError)) throw error;
      this.#reject(error);
    }
  }

  get answered(): boolean {
    return this.#answered;
  }

  /** It is finished. */
  drain(): void {}

  get #gone(): boolean {
    return this.#stream.destroyed || this.#stream.closed;
  }

  #receive(head: RequestHead): void {
    const route = this.#route;
    if (route === undefined) throw notMounted();
    const stream = this.#stream;
    const { options } = this.#owner;
    if (route.streams?.() === true) {
      this.#body = new StreamedBody(this, options.memory, head.contentLength);
      this.#awaitsContinue = head.expectContinue;
    } else {
      this.#receiver = new BodyReceiver(this, options);
      if (head.expectContinue) stream.additionalHeaders({ ":status": 100 });
    }
    stream.on("data", (octets: Buffer) => this.#receiveBody(octets));
    stream.on("end", () => this.#receiveEnd());
    this.#awaitBody();
    // What came with the head is read before: a body that is whole then is nothing to wait for.
    if (this.#body !== undefined) setImmediate(() => this.#beginStreaming());
  }

  #beginStreaming(): void {
    const body = this.#body;
    if (body !== undefined && this.#exchange === undefined && !this.#answered) {
      this.#begin({ kind: "empty" }, body.length, body);
    }
  }

  #receiveBody(octets: Buffer): void {
    // What comes behind a response is dropped.
    if (this.#answered) return;
    this.#awaitsContinue = false;
    if (this.#size + octets.length > this.#owner.options.limits.maxBody) {
      this.#reject(bodyTooLarge());
      return;
    }
    if (this.#body !== undefined) this.#body.add(octets);
    // A piece of what the session read holds on to all of that.
    else this.#receiver?.add(Buffer.from(octets));
    if (this.#congested) {
      this.#stream.pause();
      this.#awaitBody();
    }
  }

  /** Octets of the body so far. */
  get #size(): number {
    return this.#receiver?.size ?? this.#body?.received ?? 0;
  }

  get #congested(): boolean {
    return this.#receiver?.congested === true || this.#body?.congested === true;
  }

  /** More of the body is to come, unless it is us who are slow. Once there is a response it is that which must move on. */
  #awaitBody(): void {
    if (this.#received || (this.#exchange?.status ?? 0) !== 0) return;
    if (this.#congested || this.#awaitsContinue) this.deadline = 0;
    else this.#await(this.#size);
  }

  #await(moved: number): void {
    const { deadlines, pace } = this.#owner.options;
    if (!this.#watched) deadlines.watch(this);
    this.#watched = true;
    pace.begin(this, moved);
  }

  #receiveEnd(): void {
    // A stream that was reset comes to an end, too.
    if (this.#answered || this.#stream.aborted || this.#over) return;
    this.#received = true;
    const exchange = this.#exchange;
    if (exchange === undefined || exchange.status === 0) this.deadline = 0;
    const body = this.#body;
    this.#body = undefined;
    if (body !== undefined) {
      if (exchange === undefined) this.#begin(body.whole(), body.received);
      else body.end();
      return;
    }
    const octets = this.#receiver?.end();
    if (octets !== undefined) this.bodyWhole(octets);
  }

  bodyFlows(): void {
    if (this.#received || this.#over) return;
    this.#stream.resume();
    this.#awaitBody();
  }

  bodyWanted(): void {
    if (!this.#awaitsContinue) return;
    this.#awaitsContinue = false;
    if (this.#exchange?.status !== 0 || this.#gone) return;
    this.#stream.additionalHeaders({ ":status": 100 });
    this.#awaitBody();
  }

  bodyWhole(body: Body): void {
    const length = this.#receiver?.size ?? 0;
    this.#receiver = undefined;
    this.#begin(body, length);
  }

  bodyFailed(error: VivariumError): void {
    this.#receiver = undefined;
    this.#reject(
      vivariumError(error.code, "The server cannot keep the request's body.", { status: error.status ?? 500 }),
    );
  }

  /** Makes an exchange of it and gives that to the handler. */
  #begin(body: Body, bodyLength: number, stream?: StreamedBody): void {
    const head = this.#head;
    if (head === undefined) return;
    const { options, peer, trustedPeer, variables } = this.#owner;
    const route = this.#route;
    const encoded = variables.encode(head, protocol, route?.place ?? nowhere, bodyLength);
    this.#remoteAddress = variables.remoteAddress;
    const request = {
      method: head.method,
      target: head.target,
      variables: encoded,
      shared: variables.shared,
      again: variables.again,
      body,
      stream,
      fields: head.fields,
      pathRaw: head.path,
      local: peer,
      trustedPeer,
    };
    const started = requestEnded.hasSubscribers ? performance.now() : 0;
    const exchange = new IncomingExchange(this, request, this.#owner.inputEnded, started);
    this.#exchange = exchange;
    options.requestBegan();
    if (route === undefined) exchange.refuse(404, notMounted().message);
    else if (head.webSocket && route.upgrades?.() === true) {
      offerUpgrade(exchange, route.handler, readConnect(head.fields, head.contentLength >= 0), this, options);
    } else exchange.begin(route.handler);
  }

  switchProtocols(_key: string, fields: Uint8Array): Switched {
    const stream = this.#stream;
    const owner = this.#owner;
    // RFC 9110 §8.6: what is accepted has no length, whatever the fields say.
    const { "content-length": _length, ...agreed } = headersOf(fields);
    if (!this.#gone) stream.respond({ ":status": 200, ...agreed });
    for (const event of ["error", "aborted", "close"]) stream.removeAllListeners(event);
    if (this.#watched) owner.options.deadlines.unwatch(this);
    this.#answered = true;
    this.#over = true;
    this.#exchange = undefined;
    const socket = new StreamSocket(owner, stream);
    owner.switched(this, socket);
    return {
      socket,
      rest: new Uint8Array(),
      inputEnded: this.#received || owner.inputEnded,
      head: this.#head,
      protocol,
      client: { ...this.#client, address: this.#remoteAddress },
      taken: (upgraded) => socket.taken(upgraded),
      ingress: undefined,
    };
  }

  /** Answers a request that cannot be accepted, or whose body cannot be had. */
  #reject(error: VivariumError): void {
    this.#receiver?.discard();
    this.#body?.release();
    this.#receiver = undefined;
    const status = error.status ?? 400;
    const exchange = this.#exchange;
    if (exchange !== undefined) {
      const { onGone } = exchange;
      if (exchange.status === 0) exchange.refuse(status, error.message);
      else this.cut(exchange);
      onGone?.();
      return;
    }
    this.#answered = true;
    if (this.#gone) return;
    const page = plainPage(status, error.message);
    this.#send(page.head, page.body, true);
    if (requestEnded.hasSubscribers) this.#publish(this.#owner.peer.remoteAddress, status, 0);
    this.#leave();
  }

  inputEnds(): void {
    const exchange = this.#exchange;
    if (!this.#received) this.#reset(NGHTTP2_NO_ERROR);
    else if (exchange !== undefined) {
      exchange.inputEnded = true;
      exchange.onInputEnd?.();
    }
  }

  // -- the end of the stream

  /** The client gave the request up, or broke the rules. */
  #abandoned(): void {
    if (this.#answered) return;
    this.#owner.bothered();
    this.lost();
    // What was received and not read would keep it open.
    this.#stream.destroy();
  }

  lost(): void {
    const exchange = this.#exchange;
    this.#answered = true;
    this.#receiver?.discard();
    this.#body?.release();
    this.#receiver = undefined;
    if (exchange === undefined) return;
    const { onGone } = exchange;
    this.#endExchange(exchange);
    onGone?.();
  }

  #closed(): void {
    if (this.#over) return;
    this.#over = true;
    // A response without a body is sent before its handler has ended it.
    if (!this.#ended) this.lost();
    if (this.#watched) this.#owner.options.deadlines.unwatch(this);
    outflow.unsent -= this.#written - this.#flushed;
    this.#owner.over(this);
  }

  #reset(code: number): void {
    this.lost();
    if (!this.#gone) this.#stream.close(code);
    // Nobody waits for what was written.
    this.#stream.destroy();
  }

  /** The deadline passed. */
  expire(): void {
    const { pace } = this.#owner.options;
    if (!this.#answered && (this.#exchange?.status ?? 0) === 0) {
      if (!pace.sends(this, this.#size, this.#client)) this.#reject(tooLate("body"));
      return;
    }
    if (this.#dropRest()) return;
    if (this.#pace.holds(this.#flushed > this.moved)) {
      pace.begin(this, this.#flushed);
      return;
    }
    pace.tellTaken(this.#client);
    this.#reset(NGHTTP2_ENHANCE_YOUR_CALM);
    this.#pace.givenUp();
  }

  get #client(): Client {
    return { address: this.#owner.peer.remoteAddress, target: this.#head?.target ?? "", ofMany: true };
  }

  // -- the response

  respond(exchange: IncomingExchange, head: ResponseHead, body: Uint8Array | undefined, last: boolean): void {
    if (this.#head?.webSocket === true && head.status < 300) {
      this.#decline(exchange, last);
      return;
    }
    exchange.status = head.status;
    if (this.#gone) return;
    this.deadline = 0;
    this.#send(head, body, last);
    if (last) this.#finish(exchange);
  }

  /** RFC 8441 §5: a client would take 2xx for a WebSocket, where over HTTP/1.1 only 101 is one. */
  #decline(exchange: IncomingExchange, last: boolean): void {
    const { onGone } = exchange;
    exchange.refuse(501, "What answers at this address does not speak WebSocket.");
    if (!last) onGone?.();
  }

  #send(head: ResponseHead, body: Uint8Array | undefined, last: boolean): void {
    const encoder = this.#encoder;
    const stream = this.#stream;
    const headers = encoder.head(head, last ? (body?.length ?? 0) : -1, httpDate());
    const octets = encoder.data(body, last);
    this.#ended = encoder.bodiless(head.status) || (last && octets.length === 0 && !encoder.short);
    stream.respond(headers, this.#ended ? whole : last ? undefined : streamed);
    if (this.#ended) this.#dropped(body?.length ?? 0);
    else if (last) this.#writeLast(octets);
    else {
      stream.on("wantTrailers", () => {
        if (!this.#gone) stream.sendTrailers(this.#trailers);
      });
      this.#writeOn(octets, body?.length ?? 0);
    }
  }

  write(exchange: IncomingExchange, octets: Uint8Array, last: boolean): void {
    const encoded = this.#encoder.data(octets, last);
    if (this.#ended) this.#dropped(octets.length);
    else if (last) this.#writeLast(encoded);
    else this.#writeOn(encoded, octets.length);
    if (last) this.#finish(exchange);
  }

  end(exchange: IncomingExchange, trailers: Uint8Array): void {
    this.#trailers = headersOf(trailers);
    this.write(exchange, new Uint8Array(), true);
  }

  inform(_exchange: IncomingExchange, status: number, fields: Uint8Array): void {
    if (!this.#gone) this.#stream.additionalHeaders({ ":status": status, ...headersOf(fields) });
  }

  get extras(): ResponseExtras {
    return this;
  }

  cut(exchange: IncomingExchange): void {
    this.#endExchange(exchange);
    this.#reset(NGHTTP2_INTERNAL_ERROR);
  }

  /** Octets that a response without a body does not have: whoever made them may go on. */
  #dropped(octets: number): void {
    const exchange = this.#exchange;
    if (octets === 0 || exchange === undefined) return;
    queueMicrotask(() => {
      if (!exchange.ended) exchange.onFlushed?.(octets);
    });
  }

  /** Sends a part of a response that goes on, and says when its `taken` octets have left. */
  #writeOn(octets: Uint8Array, taken: number): void {
    if (octets.length === 0) {
      this.#dropped(taken);
      return;
    }
    const rest = this.#writePieces(octets);
    this.#stream.write(rest, (error) => this.#left(rest.length, taken - (octets.length - rest.length), error));
  }

  #writeLast(octets: Uint8Array): void {
    if (this.#encoder.short) return;
    if (octets.length === 0) {
      this.#stream.end();
      return;
    }
    const rest = this.#writePieces(octets);
    this.#stream.end(rest, (error?: Error | null) => this.#left(rest.length, 0, error));
  }

  /** Writes all but the last of these octets, each piece by itself: a stream tells only of a whole piece that it has left. */
  #writePieces(octets: Uint8Array): Uint8Array {
    this.#count(octets.length);
    if (octets.length <= pieceOctets) return octets;
    const stream = this.#stream;
    // Else those that wait are made one.
    Reflect.set(stream, "_writev", null);
    let at = 0;
    for (; octets.length - at > pieceOctets; at += pieceOctets) {
      stream.write(octets.subarray(at, at + pieceOctets), (error) => this.#left(pieceOctets, pieceOctets, error));
    }
    return octets.subarray(at);
  }

  #count(octets: number): void {
    const idle = this.#written === this.#flushed;
    this.#written += octets;
    outflow.unsent += octets;
    if (idle) this.#await(this.#flushed);
  }

  #left(octets: number, taken: number, error: Error | null | undefined): void {
    if (this.#over || error) return;
    this.#flushed += octets;
    outflow.unsent -= octets;
    this.#owner.flushed(octets);
    if (this.#written === this.#flushed) {
      if (this.#answered) this.#awaitClose();
      else this.deadline = 0;
    }
    const exchange = this.#exchange;
    if (taken > 0 && exchange !== undefined && !exchange.ended) exchange.onFlushed?.(taken);
  }

  /** The handler has said all. */
  #finish(exchange: IncomingExchange): void {
    const { short, dropped } = this.#encoder;
    if (short || dropped > 0) reportLength(exchange.request, this.#encoder, "its stream was reset");
    if (short) {
      this.cut(exchange);
      return;
    }
    this.#endExchange(exchange);
    this.#leave();
  }

  /**
   * All was said. The stream has to close soon: where the client broke a rule of the connection, nghttp2 sends nothing more, and Node
   * does not say so. What is left of a request is dropped, and soon not wanted any more.
   */
  #leave(): void {
    if (!this.#received) this.#stream.resume();
    this.#awaitClose();
  }

  #awaitClose(): void {
    if (this.#received || this.#flushed < this.#written || this.#stream.closed) {
      if (this.deadline === 0) this.#await(this.#flushed);
      return;
    }
    this.#looks = 0;
    this.#await(this.#flushed);
    this.deadline = this.#owner.options.deadlines.tick + droppingTicks;
  }

  /**
   * RFC 9113 §8.1: NO_ERROR tells a client to send no more of a request that was answered. Only when the response has arrived: a
   * reset overtakes what is not sent yet, its end among that, and then the client would have none.
   */
  #dropRest(): boolean {
    if (!this.#answered || this.#received || this.#flushed < this.#written || this.#stream.closed) return false;
    const { deadlines, pace } = this.#owner.options;
    const { flushed, taken } = this.#owner.outgoing;
    this.#looks += 1;
    if (taken === flushed) {
      this.#stream.close(NGHTTP2_NO_ERROR);
      this.#await(this.#flushed);
    } else if (this.#looks * droppingTicks > pace.window) this.#reset(NGHTTP2_ENHANCE_YOUR_CALM);
    else this.deadline = deadlines.tick + droppingTicks;
    return true;
  }

  /** The exchange is over, however. */
  #endExchange(exchange: IncomingExchange): void {
    if (exchange.ended) return;
    exchange.ended = true;
    this.#answered = true;
    this.#exchange = undefined;
    this.#owner.options.memory.release(exchange.request);
    if (requestEnded.hasSubscribers) this.#publish(this.#remoteAddress, exchange.status, exchange.started);
  }

  #publish(remoteAddress: string, status: number, started: number): void {
    const octets = status === 0 ? 0 : this.#encoder.bodyOctets;
    requestEnded.publish(requestRecord(this.#head, this.#head ? protocol : "", remoteAddress, status, octets, started));
  }
}
