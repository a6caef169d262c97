// Drives one HTTP/1 connection: a socket on one side, the codec's two server roles in the middle, exchanges on the other.
// One request at a time; what a client pipelines stays in the decoder until its turn, so answers are in order
// (RFC 9112 §9.3.2). An exchange begins when its request is whole. No promise, timer or event emitter per request: the
// hello-world path is one read, one handler call, one write.
import { requestEnded } from "../channels.js";
import { VivariumError, vivariumError } from "../errors.js";
import type { Body, ResponseHead } from "../exchange.js";
import type { ClientSocket, ClientSocketOwner, Encoded } from "../net/client-socket.js";
import { decodePath, type Place, type RequestVariables } from "../protocol/cgi/request-variables.js";
import { listElements } from "../protocol/http1/grammar.js";
import { RequestDecoder, type RequestHead } from "../protocol/http1/request-decoder.js";
import { continue100, interimHead, ResponseEncoder, switchingHead } from "../protocol/http1/response-encoder.js";
import { acceptOf, readHandshake } from "../protocol/websocket/handshake.js";
import { notMounted, type Route, type Router } from "../routing/router.js";
import { type BodyOwner, BodyReceiver } from "./body.js";
import { httpDate } from "./date.js";
import {
  discardedMost,
  idleDrainingTicks,
  lingerDrainingTicks,
  lingerTicks,
  type Phase,
  phases,
  pipelinedMost,
} from "./http1-phases.js";
import { IncomingExchange, type ResponseExtras, type ResponseSink } from "./incoming-exchange.js";
import type { IngressConnection, IngressOptions } from "./options.js";
import { type Client, type Paced, tooLate } from "./pace.js";
import { plainPage } from "./page.js";
import { Peer, requestVariables } from "./peer.js";
import { littleMemory, noMemory } from "./request-memory.js";
import { protocolOf, requestRecord } from "./request-record.js";
import { StreamedBody, type StreamSource } from "./streamed-body.js";
import { type Door, offerUpgrade } from "./upgrade.js";
import type { Switched } from "./upgraded.js";
import { reportLength } from "./wrong-length.js";

const nowhere: Place = { scriptName: "", pathInfo: "" };

export function serveHttp1(
  socket: ClientSocket,
  options: IngressOptions,
  refusal: VivariumError | undefined,
  router: Pick<Router, "find"> = options.router,
): IngressConnection & ClientSocketOwner {
  return new Connection(socket, options, refusal, router);
}

class Connection
  implements IngressConnection, Paced, BodyOwner, StreamSource, ResponseSink, ResponseExtras, Door, ClientSocketOwner
{
  deadline: number;
  moved = 0;
  readonly #socket: ClientSocket;
  readonly #options: IngressOptions;
  readonly #router: Pick<Router, "find">;
  /** What its request is answered, where there is no room for it. */
  readonly #refusal: VivariumError | undefined;
  readonly #decoder: RequestDecoder;
  readonly #encoder = new ResponseEncoder();
  readonly #variables: RequestVariables;
  readonly #peer: Peer;
  readonly #trustedPeer: string | undefined;
  #phase: Phase = phases.idle;
  /** The loop that takes events from the decoder is running: a response that ends meanwhile must not start another. */
  #advancing = false;
  #inputEnded = false;
  /** The rest of a body cannot be had, nor what follows it. */
  #inputBroken = false;
  #head: RequestHead | undefined;
  /** The head that `route` was found for; undefined for a path outside all mounts. */
  #routed: RequestHead | undefined;
  #route: Route | undefined;
  #receiver: BodyReceiver | undefined;
  /** A body that its handler takes while it arrives, until it is whole. */
  #stream: StreamedBody | undefined;
  /** The client waits for 100 (Continue). */
  #awaitsContinue = false;
  /** Octets of a body dropped behind its response. */
  #discarded = 0;
  #exchange: IncomingExchange | undefined;
  /** Writes of the current exchange that the socket has not reported yet. */
  #unflushed = 0;
  /** Octets in the decoder, as they are counted in what all requests have of memory. */
  #counted = 0;
  /** The tick since which nothing is awaited but what the client does. */
  #restsSince: number;

  constructor(
    socket: ClientSocket,
    options: IngressOptions,
    refusal: VivariumError | undefined,
    router: Pick<Router, "find">,
  ) {
    this.#socket = socket;
    this.#options = options;
    this.#router = router;
    this.#refusal = refusal;
    this.#restsSince = options.deadlines.tick;
    this.#decoder = new RequestDecoder(options.limits);
    const peer = new Peer(socket, options.software);
    this.#peer = peer;
    const trusted = options.trusted;
    this.#trustedPeer = trusted.trusts(peer.remoteAddress) ? peer.remoteAddress : undefined;
    this.#variables = requestVariables(peer, trusted);
    this.deadline = options.deadlines.tick + options.headTimeout;
    options.deadlines.watch(this);
    // Streaming responses go out chunk by chunk, and pipelined ones one behind the other.
    socket.setNoDelay();
    socket.start(this);
  }

  // -- from the socket

  socketReceived(memory: Buffer, length: number): void {
    if (this.#phase === phases.lingering) return;
    this.#decoder.receive(memory, length);
    if (this.#phase.reads) this.#advance();
    else if (this.#decoder.pending > (this.#options.memory.scarce ? littleMemory : pipelinedMost)) this.#socket.pause();
    this.#decoder.keep();
    if (this.#decoder.pending !== this.#counted) this.#count();
  }

  socketEnded(): void {
    this.#inputEnded = true;
    const exchange = this.#exchange;
    switch (this.#phase.fin) {
      case "close":
        // A whole request that waits in the decoder was begun before; what is left is none, or not whole.
        this.#closeSoon();
        break;
      case "destroy":
        // What it has begun to send will never be whole.
        this.destroy();
        break;
      case "note":
        if (exchange !== undefined) {
          exchange.inputEnded = true;
          exchange.onInputEnd?.();
        }
        break;
      case "nothing":
    }
  }

  socketDrained(): void {
    if (this.#phase === phases.flushing) this.#next();
    else if (this.#phase === phases.lingering) this.deadline = this.#lingerDeadline();
  }

  socketClosed(): void {
    this.#phase = phases.closed;
    this.#options.deadlines.unwatch(this);
    this.#receiver?.discard();
    this.#stream?.release();
    this.#options.memory.free(this.#counted);
    const exchange = this.#exchange;
    if (exchange !== undefined) {
      const { onGone } = exchange;
      this.#end(exchange);
      onGone?.();
    }
    this.#options.connectionClosed(this);
  }

  /** The deadline passed. */
  expire(): void {
    // Where a body is taken while it arrives, it is waited for until there is a response, and then for the client to take that.
    const answers = this.#phase === phases.streaming && this.#exchange?.status !== 0;
    switch (answers ? "taking" : this.#phase.expiry) {
      case "timeout":
        this.#reject(tooLate("head"));
        break;
      case "sending":
        if (!this.#options.pace.sends(this, this.#received, this.#client)) this.#reject(tooLate("body"));
        break;
      case "taking":
        if (!this.#options.pace.takes(this, this.#socket, this.#encoder.bodyOctets, this.#client)) this.destroy();
        break;
      case "close":
        this.destroy();
        break;
      case "nothing":
    }
  }

  /** Octets of the body that is read. */
  get #received(): number {
    return this.#receiver?.size ?? this.#stream?.received ?? 0;
  }

  get #client(): Client {
    return { address: this.#peer.remoteAddress, target: this.#head?.target ?? "" };
  }

  drain(): void {
    const { deadlines, drainIdle } = this.#options;
    if (this.#phase === phases.idle) {
      const until = drainIdle > 0 ? deadlines.tick + drainIdle : this.#restsSince + idleDrainingTicks;
      if (until > deadlines.tick) this.deadline = Math.min(this.deadline, until);
      else this.#closeSoon();
    } else if (this.#phase === phases.lingering && this.#socket.unsent === 0) this.deadline = this.#lingerDeadline();
  }

  get restingSince(): number {
    const rests = this.#phase === phases.idle || (this.#phase === phases.lingering && this.#socket.unsent === 0);
    return rests ? this.#restsSince : Number.POSITIVE_INFINITY;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  // -- requests

  #count(): void {
    const { pending } = this.#decoder;
    this.#options.memory.take(pending - this.#counted);
    this.#counted = pending;
  }

  /** Takes events from the decoder for as long as there are any and it is their turn. */
  #advance(): void {
    if (this.#advancing) return;
    this.#advancing = true;
    while (this.#phase.reads && this.#step());
    this.#advancing = false;
  }

  /** One event. False where more octets are needed. */
  #step(): boolean {
    try {
      const event = this.#decoder.next();
      if (event === undefined) return this.#starve();
      if (event.type === "head") this.#receiveHead(event.head);
      else if (event.type === "body") this.#receiveBody(event.octets);
      else this.#receiveEnd();
    } catch (error) {
      if (!(error instanceof VivariumError)) throw error;
      this.#reject(error);
    }
    return true;
  }

  /** More octets are needed. True where there is something to do first. */
  #starve(): boolean {
    const { deadlines, keepAlive, headTimeout, draining, drainIdle, memory } = this.#options;
    const idle = this.#decoder.idle;
    if (this.#decoder.pending !== this.#counted) this.#count();
    if (this.#inputEnded) {
      this.#closeSoon();
      return false;
    }
    if (this.#phase === phases.idle) {
      if (idle) {
        this.#restsSince = deadlines.tick;
        // Draining, its last response promised that the connection stays: that it began to, the client cannot know yet.
        this.deadline = deadlines.tick + (draining ? drainIdle || idleDrainingTicks : keepAlive);
      } else {
        this.#phase = phases.head;
        this.deadline = deadlines.tick + headTimeout;
      }
    }
    if (this.#phase === phases.head) {
      if (this.#counted > littleMemory && memory.scarce) throw noMemory;
    } else if (this.#phase === phases.body) {
      if (this.#stream !== undefined) {
        this.#begin({ kind: "empty" }, this.#stream.length);
        return true;
      }
      if (this.#receiver?.congested === true) {
        // It is the disk that is slow now, not the client.
        this.deadline = 0;
        this.#socket.pause();
        return false;
      }
      if (this.deadline === 0) this.#options.pace.begin(this, this.#receiver?.size ?? 0);
    } else if (this.#phase === phases.streaming) {
      if (!this.#awaitBody()) return false;
    } else if (this.#phase === phases.discarding) {
      if (this.deadline === 0) this.#options.pace.begin(this, this.#discarded);
    }
    this.#socket.resume();
    return false;
  }

  /** More of a body is needed that its handler takes while it arrives. False where it has enough for now. */
  #awaitBody(): boolean {
    const stream = this.#stream;
    const congested = stream?.congested === true;
    // Once there is a response it is that which must move on: many clients say more when they have heard something.
    if (this.#exchange?.status === 0) {
      if (congested || this.#awaitsContinue) this.deadline = 0;
      else if (this.deadline === 0) this.#options.pace.begin(this, stream?.received ?? 0);
    }
    if (congested) this.#socket.pause();
    return !congested;
  }

  #receiveHead(head: RequestHead): void {
    this.#head = head;
    if (this.#refusal !== undefined) throw this.#refusal;
    // Before the body: a request that will be refused need not send it.
    if (head !== this.#routed) {
      this.#route = this.#router.find(this.#variables.hostOf(head), decodePath(head.path));
      this.#routed = head;
    }
    if (head.framing === "none") return;
    if (this.#route === undefined) throw notMounted();
    this.#phase = phases.body;
    const waits = head.expectContinue && this.#decoder.pending === 0;
    this.deadline = 0;
    if (this.#route.streams?.() === true) {
      this.#stream = new StreamedBody(this, this.#options.memory, head.framing === "length" ? head.contentLength : -1);
      this.#awaitsContinue = waits;
      return;
    }
    this.#receiver = new BodyReceiver(this, this.#options);
    // A client that has begun to send the body does not wait (RFC 9110 §10.1.1).
    if (waits) this.#socket.write(continue100());
  }

  #receiveBody(octets: Uint8Array): void {
    if (this.#phase === phases.discarding) {
      this.#discarded += octets.length;
      if (this.#discarded > discardedMost) this.#linger();
    } else if (this.#stream !== undefined) {
      this.#awaitsContinue = false;
      this.#stream.add(octets);
    } else this.#receiver?.add(Buffer.from(octets));
  }

  #receiveEnd(): void {
    const stream = this.#stream;
    this.#stream = undefined;
    if (this.#phase === phases.discarding) {
      this.#afterResponse();
      return;
    }
    if (stream !== undefined) {
      if (this.#phase === phases.body) this.#begin(stream.whole(), stream.received);
      else {
        this.#phase = phases.answering;
        if (this.#exchange?.status === 0) this.deadline = 0;
        stream.end();
      }
      return;
    }
    const receiver = this.#receiver;
    if (receiver === undefined) {
      this.#begin({ kind: "empty" }, -1);
      return;
    }
    const body = receiver.end();
    if (body !== undefined) {
      this.bodyWhole(body);
    } else {
      this.#phase = phases.storing;
      this.deadline = 0;
      this.#socket.resume();
    }
  }

  bodyFlows(): void {
    if (this.#phase === phases.body || this.#phase === phases.streaming) this.#advance();
  }

  bodyWanted(): void {
    if (!this.#awaitsContinue) return;
    this.#awaitsContinue = false;
    if (this.#exchange?.status !== 0) return;
    this.#socket.write(continue100());
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

  /** The request is whole: makes an exchange of it and gives that to the handler. */
  #begin(body: Body, contentLength: number): void {
    const head = this.#head;
    if (head === undefined) return;
    const stream = this.#stream;
    this.#phase = stream === undefined ? phases.answering : phases.streaming;
    this.deadline = 0;
    const route = this.#route;
    const variables = this.#variables.encode(head, protocolOf(head), route?.place ?? nowhere, contentLength);
    const request = {
      method: head.method,
      target: head.target,
      variables,
      shared: this.#variables.shared,
      again: this.#variables.again,
      body,
      stream,
      fields: head.fields,
      pathRaw: head.path,
      local: this.#peer,
      trustedPeer: this.#trustedPeer,
    };
    const started = requestEnded.hasSubscribers ? performance.now() : 0;
    const exchange = new IncomingExchange(this, request, this.#inputEnded, started);
    this.#exchange = exchange;
    this.#options.requestBegan();
    if (route === undefined) exchange.refuse(404, notMounted().message);
    // RFC 6455 §4.1: it is asked for with GET; with another method the field is one of those that a server need not know (RFC 9110 §7.8).
    else if (head.webSocket && head.method === "GET" && route.upgrades?.() === true) {
      const handshake = readHandshake(head.fields, head.framing !== "none");
      offerUpgrade(exchange, route.handler, handshake, this, this.#options);
    } else exchange.begin(route.handler);
  }

  switchProtocols(key: string, fields: Uint8Array): Switched {
    const socket = this.#socket;
    const head = this.#head;
    const options = this.#options;
    socket.write(switchingHead(acceptOf(key), fields));
    this.#phase = phases.closed;
    this.#exchange = undefined;
    const rest = this.#decoder.release();
    options.deadlines.unwatch(this);
    options.memory.free(this.#counted);
    this.#counted = 0;
    return {
      socket,
      rest,
      inputEnded: this.#inputEnded,
      head,
      protocol: "HTTP/1.1",
      client: { address: this.#variables.remoteAddress, target: head?.target ?? "" },
      taken: (owner) => options.connectionReplaced(this, owner),
      ingress: options,
    };
  }

  /** Answers a request that cannot be accepted, and closes. */
  #reject(error: VivariumError): void {
    this.#receiver?.discard();
    this.#stream?.release();
    this.#receiver = undefined;
    const exchange = this.#exchange;
    if (exchange !== undefined) {
      this.#fail(exchange, error);
      return;
    }
    this.#stream = undefined;
    const status = error.status ?? 400;
    const page = plainPage(status, error.message);
    const head = this.#head;
    this.#encoder.begin(head?.method ?? this.#decoder.method, head?.minor ?? 1, false);
    this.#socket.write(this.#encoder.head(page.head, page.body, true, httpDate()));
    if (requestEnded.hasSubscribers) this.#publish(this.#peer.remoteAddress, status, 0);
    this.#head = undefined;
    this.#linger();
  }

  /** The rest of a body that its handler has begun to take cannot be had. */
  #fail(exchange: IncomingExchange, error: VivariumError): void {
    const { onGone } = exchange;
    if (exchange.status === 0) {
      this.#inputBroken = true;
      exchange.refuse(error.status ?? 400, error.message);
    } else this.destroy();
    onGone?.();
  }

  // -- responses

  respond(exchange: IncomingExchange, head: ResponseHead, body: Uint8Array | undefined, last: boolean): void {
    const request = this.#head;
    if (request === undefined) return;
    const encoder = this.#encoder;
    // A client that ended its side can send nothing more: what is in the decoder is all there will be.
    const over =
      this.#options.draining ||
      (this.#inputEnded && this.#decoder.pending === 0) ||
      this.#inputBroken ||
      (this.#stream !== undefined && this.#leavesTooMuch(this.#stream, last));
    if (this.#phase === phases.streaming) this.deadline = 0;
    encoder.begin(request.method, request.minor, request.keepAlive && !over && head.closes !== true);
    exchange.status = head.status;
    exchange.delimited = request.minor === 1 || head.contentLength >= 0;
    const octets = encoder.head(head, body, last, httpDate());
    if (last) {
      this.#socket.write(octets);
      this.#finish(exchange);
    } else {
      this.#writeOn(exchange, octets, body?.length ?? 0);
    }
  }

  write(exchange: IncomingExchange, octets: Uint8Array, last: boolean): void {
    const encoded = this.#encoder.data(octets, last);
    if (last) {
      this.#socket.write(encoded);
      this.#finish(exchange);
    } else {
      this.#writeOn(exchange, encoded, octets.length);
    }
  }

  end(exchange: IncomingExchange, trailers: Uint8Array): void {
    this.#socket.write(this.#encoder.end(trailers));
    this.#finish(exchange);
  }

  inform(_exchange: IncomingExchange, status: number, fields: Uint8Array): void {
    this.#socket.write(interimHead(status, fields));
  }

  get extras(): ResponseExtras {
    return this;
  }

  /** RFC 9110 §15.2: a client of HTTP/1.0 knows no interim responses. */
  get takesHints(): boolean {
    return this.#head?.minor === 1;
  }

  /** RFC 9110 §6.5.1: whoever takes trailers says so in TE. */
  get takesTrailers(): boolean {
    const head = this.#head;
    if (head?.minor !== 1) return false;
    const at = head.fields.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === "te");
    return at >= 0 && listElements((head.fields[at + 1] ?? "").toLowerCase()).includes("trailers");
  }

  /** Whether behind a response that is whole there would be more of the request's body than is worth reading. */
  #leavesTooMuch(stream: StreamedBody, last: boolean): boolean {
    // Nobody knows whether a client that waits for 100 (Continue) still sends the body (RFC 9110 §10.1.1).
    if (this.#awaitsContinue) return true;
    return last && stream.length - stream.received > discardedMost;
  }

  cut(exchange: IncomingExchange): void {
    this.#end(exchange);
    // Without its last chunk or the octets promised, a response that ends is seen to be incomplete, and what went out
    // before stays readable. Where the end of the connection is the end of the body, only a reset tells.
    this.#phase = phases.lingering;
    this.#awaitTaken();
    if (exchange.delimited) this.#socket.close();
    else this.#socket.reset();
  }

  /** Writes a part of a response that goes on, and says when its `taken` body octets have left. */
  #writeOn(exchange: IncomingExchange, octets: Encoded, taken: number): void {
    this.#unflushed += 1;
    this.#socket.write(octets, () => {
      if (exchange.ended) return;
      this.#unflushed -= 1;
      if (this.#unflushed === 0) this.deadline = 0;
      if (taken > 0) exchange.onFlushed?.(taken);
    });
    if (this.deadline === 0) this.#awaitTaken();
  }

  /** From now on the client is to take what was written. How much of it the kernel has, a look will tell. */
  #awaitTaken(): void {
    this.#options.pace.begin(this, Number.NEGATIVE_INFINITY);
  }

  /** The response is encoded whole. */
  #finish(exchange: IncomingExchange): void {
    const encoder = this.#encoder;
    if (encoder.short || encoder.dropped > 0) reportLength(exchange.request, this.#encoder, "the connection was cut");
    if (encoder.short) {
      this.cut(exchange);
      return;
    }
    const stream = this.#stream;
    this.#end(exchange);
    if (!encoder.keepAlive || (stream !== undefined && this.#leavesTooMuch(stream, true))) {
      this.#closeAfterResponse();
    } else if (stream !== undefined) {
      this.#phase = phases.discarding;
      this.#discarded = 0;
      this.#advance();
    } else {
      this.#afterResponse();
    }
  }

  /** Response and request are whole. */
  #afterResponse(): void {
    if (this.#socket.unsent > 0) {
      this.#phase = phases.flushing;
      this.#awaitTaken();
    } else {
      this.#next();
    }
  }

  #next(): void {
    this.#phase = phases.idle;
    this.#head = undefined;
    this.#advance();
  }

  #closeAfterResponse(): void {
    // A client that asked for it sends nothing more and needs no lingering.
    if (this.#head?.keepAlive === false && this.#decoder.pending === 0 && this.#stream === undefined) {
      this.#closeSoon();
    } else {
      this.#linger();
    }
  }

  /** Closes the connection as soon as the client's side of the network took what was written. */
  #closeSoon(): void {
    this.#phase = phases.lingering;
    this.#awaitTaken();
    this.#socket.close();
  }

  /**
   * Closes our side only, and the whole when the client has closed its own. Closed at once, a socket that still receives
   * answers with a reset, and that takes the response away from a client which has not read it yet (RFC 9112 §9.6).
   */
  #linger(): void {
    this.#phase = phases.lingering;
    this.#restsSince = this.#options.deadlines.tick;
    if (this.#socket.unsent > 0) this.#awaitTaken();
    else this.deadline = this.#lingerDeadline();
    if (this.#inputEnded) this.#socket.close();
    else this.#socket.end();
    this.#socket.resume();
  }

  #lingerDeadline(): number {
    const { deadlines, draining } = this.#options;
    return deadlines.tick + (draining ? lingerDrainingTicks : lingerTicks);
  }

  /** The exchange is over, however. */
  #end(exchange: IncomingExchange): void {
    exchange.ended = true;
    this.#exchange = undefined;
    this.#unflushed = 0;
    this.deadline = 0;
    this.#options.memory.release(exchange.request);
    if (requestEnded.hasSubscribers) this.#publish(this.#variables.remoteAddress, exchange.status, exchange.started);
  }

  #publish(remoteAddress: string, status: number, started: number): void {
    const octets = status === 0 ? 0 : this.#encoder.bodyOctets;
    requestEnded.publish(requestRecord(this.#head, protocolOf(this.#head), remoteAddress, status, octets, started));
  }
}
