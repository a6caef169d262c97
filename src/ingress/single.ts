// Drives a connection that carries one request (SCGI, uwsgi): a socket on one side, the codec's two server roles in the
// middle, an exchange on the other. A web server in front makes such a connection for each request, so that its cost is
// that of accepting and closing it: there is nothing here that a request does not need.
import { log, requestEnded } from "../channels.js";
import { VivariumError, vivariumError } from "../errors.js";
import type { Body, ResponseHead } from "../exchange.js";
import type { ClientSocket, ClientSocketOwner, Encoded } from "../net/client-socket.js";
import type { ReceivedRequest } from "../protocol/cgi/received-variables.js";
import type { RequestLimits } from "../protocol/http1/request-decoder.js";
import type { ResponseFacts } from "../protocol/http1/response-encoder.js";
import type { ReadHead, RequestEvent, RequestHead } from "../protocol/uwsgi/request-decoder.js";
import { plainAddress } from "../routing/forwarded.js";
import { notMounted, type Route } from "../routing/router.js";
import { type BodyOwner, BodyReceiver } from "./body.js";
import { idleDrainingTicks, lingerDrainingTicks, lingerTicks, type Phase, phases } from "./http1-phases.js";
import { IncomingExchange, type ResponseSink } from "./incoming-exchange.js";
import type { IngressConnection, IngressOptions } from "./options.js";
import { type Client, type Paced, tooLate } from "./pace.js";
import { plainPage } from "./page.js";
import { receivedRecord } from "./received-request.js";
import { littleMemory, noMemory } from "./request-memory.js";
import { reportLength } from "./wrong-length.js";

export interface SingleDecoder {
  readonly idle: boolean;
  readonly pending: number;
  receive(memory: Uint8Array, length: number): void;
  keep(): void;
  next(): RequestEvent | undefined;
}

export interface SingleEncoder {
  readonly bodyOctets: number;
  readonly short: boolean;
  readonly dropped: number;
  begin(method: string): void;
  head(facts: ResponseFacts, body: Uint8Array | undefined, last: boolean): Encoded;
  data(octets: Uint8Array, last: boolean): Encoded;
}

/** What is spoken on a connection. */
export interface SingleProtocol {
  /** For the log. */
  readonly name: string;
  readonly Decoder: new (limits: RequestLimits, read: ReadHead) => SingleDecoder;
  readonly readHead: ReadHead;
  readonly Encoder: new () => SingleEncoder;
  /** Whether CONTENT_LENGTH is there without a body too, so that a length of 0 says nothing. */
  readonly alwaysHasLength: boolean;
  /** Answers a "ping", where there is one. */
  readonly pong?: Uint8Array;
}

/** Serves one request. */
export function serveSingle(
  socket: ClientSocket,
  options: IngressOptions,
  refusal: VivariumError | undefined,
  protocol: SingleProtocol,
): IngressConnection {
  return new Connection(socket, options, refusal, protocol);
}

class Connection implements IngressConnection, Paced, BodyOwner, ResponseSink, ClientSocketOwner {
  deadline: number;
  moved = 0;
  readonly #socket: ClientSocket;
  readonly #options: IngressOptions;
  /** What its request is answered, where there is no room for it. */
  readonly #refusal: VivariumError | undefined;
  readonly #protocol: SingleProtocol;
  readonly #decoder: SingleDecoder;
  readonly #encoder: SingleEncoder;
  #phase: Phase = phases.idle;
  #inputEnded = false;
  #request: ReceivedRequest | undefined;
  #route: Route | undefined;
  #receiver: BodyReceiver | undefined;
  #exchange: IncomingExchange | undefined;
  /** Writes of the response that the socket has not reported yet. */
  #unflushed = 0;
  /** Octets in the decoder, as they are counted in what all requests have of memory. */
  #counted = 0;
  /** The tick since which nothing is awaited but what the web server does. */
  #restsSince: number;

  constructor(
    socket: ClientSocket,
    options: IngressOptions,
    refusal: VivariumError | undefined,
    protocol: SingleProtocol,
  ) {
    this.#socket = socket;
    this.#options = options;
    this.#refusal = refusal;
    this.#restsSince = options.deadlines.tick;
    this.#protocol = protocol;
    this.#decoder = new protocol.Decoder(options.limits, options.recurring.heads(protocol.readHead));
    this.#encoder = new protocol.Encoder();
    this.deadline = options.deadlines.tick + options.headTimeout;
    options.deadlines.watch(this);
    socket.startBriefly(this);
  }

  // -- from the socket

  socketReceived(memory: Buffer, length: number): void {
    if (!this.#phase.reads) return;
    this.#decoder.receive(memory, length);
    this.#advance();
    this.#decoder.keep();
    this.#count();
    if (this.#phase.reads) this.#socket.attend();
  }

  socketEnded(): void {
    this.#inputEnded = true;
    const exchange = this.#exchange;
    if (this.#phase === phases.lingering) {
      this.#socket.close();
    } else if (this.#phase.fin === "close") {
      // Nothing came, or not all that was announced: there is nobody to be told.
      this.destroy();
    } else if (exchange !== undefined) {
      exchange.inputEnded = true;
      exchange.onInputEnd?.();
    }
  }

  socketDrained(): void {
    if (this.#phase === phases.lingering) this.deadline = this.#lingerDeadline();
  }

  socketClosed(): void {
    this.#phase = phases.closed;
    this.#options.deadlines.unwatch(this);
    this.#receiver?.discard();
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
    switch (this.#phase.expiry) {
      case "timeout":
        this.#reject(tooLate("head"));
        break;
      case "sending":
        if (!this.#options.pace.sends(this, this.#receiver?.size ?? 0, this.#client)) this.#reject(tooLate("body"));
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

  get #client(): Client {
    return { address: this.#request?.remoteAddress ?? "", target: this.#request?.target ?? "" };
  }

  drain(): void {
    if (this.#phase === phases.idle) {
      const until = this.#restsSince + idleDrainingTicks;
      if (until > this.#options.deadlines.tick) this.deadline = Math.min(this.deadline, until);
      else this.destroy();
    } else if (this.#phase === phases.lingering && this.#socket.unsent === 0) this.deadline = this.#lingerDeadline();
  }

  get restingSince(): number {
    const rests = this.#phase === phases.idle || (this.#phase === phases.lingering && this.#socket.unsent === 0);
    return rests ? this.#restsSince : Number.POSITIVE_INFINITY;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  // -- the request

  #count(): void {
    const { pending } = this.#decoder;
    if (pending === this.#counted) return;
    this.#options.memory.take(pending - this.#counted);
    this.#counted = pending;
  }

  /** Takes events from the decoder until it needs more octets, or the request is whole. */
  #advance(): void {
    try {
      while (this.#phase.reads) {
        const event = this.#decoder.next();
        if (event === undefined) {
          this.#starve();
          return;
        }
        if (event.type === "head") this.#receiveHead(event.head);
        else if (event.type === "body") this.#receiver?.add(Buffer.from(event.octets));
        else if (event.type === "end") this.#receiveEnd();
        else this.#answerPing();
      }
    } catch (error) {
      if (!(error instanceof VivariumError)) throw error;
      this.#reject(error);
    }
  }

  #starve(): void {
    const { deadlines, headTimeout, memory } = this.#options;
    if (this.#phase === phases.idle) {
      if (this.#decoder.idle) return;
      this.#phase = phases.head;
      this.deadline = deadlines.tick + headTimeout;
    }
    if (this.#phase === phases.head) {
      this.#count();
      if (this.#counted > littleMemory && memory.scarce) throw noMemory;
    } else if (this.#phase === phases.body) {
      if (this.#receiver?.congested === true) {
        // It is the disk that is slow now, not the web server in front.
        this.deadline = 0;
        this.#socket.pause();
        return;
      }
      if (this.deadline === 0) this.#options.pace.begin(this, this.#receiver?.size ?? 0);
      this.#socket.resume();
    }
  }

  #receiveHead(head: RequestHead): void {
    const options = this.#options;
    const request = options.recurring.request(head);
    if (request instanceof VivariumError) throw request;
    this.#request = request;
    if (this.#refusal !== undefined) throw this.#refusal;
    // Before the body: a request that will be refused need not send it.
    this.#route = options.router.find(request.host, request.path);
    if (head.framing === "none" || (head.framing === "length" && head.contentLength === 0)) return;
    if (this.#route === undefined) throw notMounted();
    this.#phase = phases.body;
    this.deadline = 0;
    this.#receiver = new BodyReceiver(this, options);
  }

  #receiveEnd(): void {
    const receiver = this.#receiver;
    const request = this.#request;
    if (request === undefined) return;
    if (receiver === undefined) {
      const said = request.contentLength === 0 && !(this.#protocol.alwaysHasLength && !mayHaveBody.has(request.method));
      this.#begin(request, { kind: "empty" }, said ? 0 : -1);
      return;
    }
    const body = receiver.end();
    if (body !== undefined) this.bodyWhole(body);
    else {
      this.#phase = phases.storing;
      this.deadline = 0;
      this.#socket.resume();
    }
  }

  bodyFlows(): void {
    if (this.#phase === phases.body) this.#advance();
  }

  bodyWhole(body: Body): void {
    const length = this.#receiver?.size ?? 0;
    this.#receiver = undefined;
    if (this.#request !== undefined) this.#begin(this.#request, body, length);
  }

  bodyFailed(error: VivariumError): void {
    this.#receiver = undefined;
    this.#reject(
      vivariumError(error.code, "The server cannot keep the request's body.", { status: error.status ?? 500 }),
    );
  }

  /** The request is whole: makes an exchange of it and gives that to the handler. */
  #begin(received: ReceivedRequest, body: Body, contentLength: number): void {
    this.#phase = phases.answering;
    this.deadline = 0;
    const route = this.#route;
    const { method, target, shared, trustedPeer } = received;
    const variables = route === undefined ? "" : received.encode(route.place, contentLength);
    const request = { method, target, variables, shared, again: received.again, body, trustedPeer };
    const started = requestEnded.hasSubscribers ? performance.now() : 0;
    const exchange = new IncomingExchange(this, request, this.#inputEnded, started);
    this.#exchange = exchange;
    this.#options.requestBegan();
    if (route === undefined) exchange.refuse(404, notMounted().message);
    else exchange.begin(route.handler);
  }

  #answerPing(): void {
    const { pong } = this.#protocol;
    if (pong !== undefined) this.#socket.write(pong);
    this.#close();
  }

  /** Answers a request that cannot be accepted, and closes. What is not in the protocol at all is not answered. */
  #reject(error: VivariumError): void {
    this.#receiver?.discard();
    this.#receiver = undefined;
    const status = error.status ?? 400;
    const foreign = error.code === "ERR_SCGI_BAD_REQUEST" || error.code === "ERR_UWSGI_BAD_REQUEST";
    if (foreign || error.code === "ERR_CGI_BAD_REQUEST") {
      const from = plainAddress(this.#socket.remote.address) || "a unix socket";
      log("warning", "ingress", `A ${this.#protocol.name} connection from ${from} was closed: ${error.message}`);
    }
    if (foreign) {
      this.destroy();
      return;
    }
    const page = plainPage(status, error.message);
    this.#encoder.begin(this.#request?.method ?? "");
    this.#socket.write(this.#encoder.head(page.head, page.body, true));
    if (requestEnded.hasSubscribers) this.#publish(status, 0);
    this.#linger();
  }

  // -- the response

  respond(exchange: IncomingExchange, head: ResponseHead, body: Uint8Array | undefined, last: boolean): void {
    const encoder = this.#encoder;
    encoder.begin(exchange.request.method);
    exchange.status = head.status;
    const octets = encoder.head(head, body, last);
    if (last) {
      this.#socket.write(octets);
      this.#finish(exchange);
    } else {
      // What goes out in pieces is wanted in pieces. One piece leaves with the connection's end, whatever is set.
      this.#socket.setNoDelay();
      this.#writeOn(exchange, octets, body?.length ?? 0);
    }
  }

  write(exchange: IncomingExchange, octets: Uint8Array, last: boolean): void {
    const encoded = this.#encoder.data(octets, last);
    if (last) {
      this.#socket.write(encoded);
      this.#finish(exchange);
    } else this.#writeOn(exchange, encoded, octets.length);
  }

  /** Its end would be taken for that of a whole response: only a reset tells, and a unix socket has none. */
  cut(exchange: IncomingExchange): void {
    this.#end(exchange);
    this.#phase = phases.lingering;
    this.#awaitTaken();
    this.#socket.reset();
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

  /** From now on the web server is to take what was written. How much of it the kernel has, a look will tell. */
  #awaitTaken(): void {
    this.#options.pace.begin(this, Number.NEGATIVE_INFINITY);
  }

  /** The response is encoded whole. */
  #finish(exchange: IncomingExchange): void {
    const { short, dropped } = this.#encoder;
    if (short || dropped > 0) reportLength(exchange.request, this.#encoder, "the connection was cut");
    if (short) {
      this.cut(exchange);
      return;
    }
    this.#end(exchange);
    this.#close();
  }

  /** Closes the connection as soon as the kernel has what was written. */
  #close(): void {
    this.#phase = phases.lingering;
    this.#awaitTaken();
    this.#socket.close();
  }

  /**
   * Closes our side only, and the whole when the peer has closed its own: it may still be sending a body, and a socket closed
   * under that answers with a reset, which would take the response away.
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
    this.deadline = 0;
    this.#options.memory.release(exchange.request);
    if (requestEnded.hasSubscribers) this.#publish(exchange.status, exchange.started);
  }

  #publish(status: number, started: number): void {
    const octets = status === 0 ? 0 : this.#encoder.bodyOctets;
    requestEnded.publish(receivedRecord(this.#request, status, octets, started));
  }
}

/** Methods that give a body a meaning (RFC 9110 §9.3): for them a length of 0 is worth saying. */
const mayHaveBody: ReadonlySet<string> = new Set(["POST", "PUT", "PATCH"]);
