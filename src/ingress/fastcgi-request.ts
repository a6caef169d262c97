// One request on a FastCGI connection: receives its body, gives it to its handler when it is whole, encodes what that
// answers. The connection carries others at the same time.
import { requestEnded } from "../channels.js";
import { VivariumError, vivariumError } from "../errors.js";
import type { Body, ResponseHead } from "../exchange.js";
import type { Encoded } from "../net/client-socket.js";
import type { ReceivedRequest } from "../protocol/cgi/received-variables.js";
import { ResponseEncoder } from "../protocol/cgi/response-encoder.js";
import { encodeOutput } from "../protocol/fastcgi/response-encoder.js";
import { notMounted, type Route } from "../routing/router.js";
import { type BodyOwner, BodyReceiver } from "./body.js";
import { IncomingExchange, type ResponseSink } from "./incoming-exchange.js";
import type { IngressOptions } from "./options.js";
import { type Paced, tooLate } from "./pace.js";
import { plainPage } from "./page.js";
import { bodyTooLarge, receivedRecord } from "./received-request.js";
import type { ReadRequest } from "./recurring-requests.js";
import { reportLength } from "./wrong-length.js";

/** The connection of a request. */
export interface RequestOwner {
  readonly options: IngressOptions;
  /** Sends octets; `flushed`, if given, must call `written`. */
  write(octets: Encoded, flushed?: () => void): void;
  written(): void;
  /** The request was answered whole. */
  over(request: FastCgiRequest): void;
  /** The request's response cannot be finished. `delimited`: its length was announced, so that the web server sees it. */
  cut(request: FastCgiRequest, delimited: boolean): void;
  /** No more of the request is awaited: it is whole, or over. */
  received(): void;
  /** The request's body begins (1) or ceases (-1) to wait for the disk. */
  congested(more: 1 | -1): void;
}

export class FastCgiRequest implements BodyOwner, ResponseSink, Paced {
  readonly id: number;
  readonly keepConnection: boolean;
  /** That of its body: others on the connection may be faster. */
  deadline = 0;
  moved = 0;
  readonly #owner: RequestOwner;
  // What is small is put together as records are made.
  readonly #encoder = new ResponseEncoder(false);
  #received: ReceivedRequest | undefined;
  #route: Route | undefined;
  #receiver: BodyReceiver | undefined;
  #exchange: IncomingExchange | undefined;
  #congested = false;
  #whole = false;
  #receiving = true;
  #watched = false;
  #over = false;

  constructor(owner: RequestOwner, id: number, keepConnection: boolean) {
    this.#owner = owner;
    this.id = id;
    this.keepConnection = keepConnection;
  }

  /** Whether STDIN has come to its end. */
  get whole(): boolean {
    return this.#whole;
  }

  /** As the log calls it. */
  get target(): string {
    return this.#received?.target ?? "";
  }

  /** All that came was read: more of the body is waited for, unless it is the disk that is slow, not the web server. */
  rest(): void {
    if (!this.#receiving || this.#congested || this.deadline !== 0) return;
    const { deadlines, pace } = this.#owner.options;
    if (!this.#watched) deadlines.watch(this);
    this.#watched = true;
    pace.begin(this, this.#receiver?.size ?? 0);
  }

  /** The deadline passed. */
  expire(): void {
    const client = { address: this.#received?.remoteAddress ?? "", target: this.target };
    if (!this.#owner.options.pace.sends(this, this.#receiver?.size ?? 0, client)) this.reject(tooLate("body"));
  }

  #receiveNoMore(): void {
    if (!this.#receiving) return;
    this.#receiving = false;
    if (this.#watched) this.#owner.options.deadlines.unwatch(this);
    this.#owner.received();
  }

  // -- the request

  /** Its parameters are whole. What can be refused is refused before the body. */
  begin(request: ReadRequest): void {
    if (request instanceof VivariumError) {
      this.reject(request);
      return;
    }
    this.#received = request;
    this.#route = this.#owner.options.router.find(request.host, request.path);
    if (this.#route === undefined) this.reject(notMounted());
    // HAProxy 2.6 never ends the STDIN of a request whose body was in chunks and turned out to be empty.
    else if (request.contentLength === 0) {
      this.#receiveNoMore();
      this.#begin({ kind: "empty" }, 0);
    }
  }

  /** Octets of the body. */
  add(octets: Uint8Array): void {
    const received = this.#received;
    if (this.#over || this.#exchange !== undefined || received === undefined) return;
    const { limits } = this.#owner.options;
    this.#receiver ??= new BodyReceiver(this, this.#owner.options);
    const receiver = this.#receiver;
    const size = receiver.size + octets.length;
    if (received.contentLength >= 0 && size > received.contentLength) {
      this.reject(wrongLength());
      return;
    }
    if (size > limits.maxBody) {
      this.reject(bodyTooLarge());
      return;
    }
    receiver.add(octets);
    this.#observe();
  }

  /** The body is whole. */
  end(): void {
    this.#whole = true;
    this.#receiveNoMore();
    const received = this.#received;
    if (this.#over || this.#exchange !== undefined || received === undefined) return;
    const size = this.#receiver?.size ?? 0;
    // FastCGI 1.0 §6.2: where the two differ, the request is not to be acted upon.
    if (received.contentLength >= 0 && size !== received.contentLength) {
      this.reject(wrongLength());
      return;
    }
    if (this.#receiver === undefined) {
      this.#begin({ kind: "empty" }, received.contentLength);
      return;
    }
    const body = this.#receiver.end();
    if (body !== undefined) this.bodyWhole(body);
  }

  /** The client left, or the whole connection is gone. */
  abort(): void {
    if (this.#over) return;
    this.#over = true;
    this.#receiveNoMore();
    this.#discardBody();
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    const { onGone } = exchange;
    this.#finish(exchange);
    onGone?.();
  }

  /** Answers a request that cannot be accepted. */
  reject(error: VivariumError): void {
    this.#discardBody();
    this.#over = true;
    this.#receiveNoMore();
    const status = error.status ?? 400;
    const page = plainPage(status, error.message);
    this.#encoder.begin(this.#received?.method ?? "");
    this.#owner.write(encodeOutput(this.id, partsOf(this.#encoder.head(page.head, page.body, true)), true));
    this.#publish(status, 0);
    this.#owner.over(this);
  }

  #discardBody(): void {
    this.#receiver?.discard();
    this.#receiver = undefined;
    this.#observe();
  }

  #observe(): void {
    const congested = this.#receiver?.congested === true;
    if (congested === this.#congested) return;
    this.#congested = congested;
    if (congested) this.deadline = 0;
    this.#owner.congested(congested ? 1 : -1);
  }

  bodyFlows(): void {
    this.#observe();
  }

  bodyWhole(body: Body): void {
    const size = this.#receiver?.size ?? 0;
    this.#receiver = undefined;
    this.#observe();
    this.#begin(body, size);
  }

  bodyFailed(error: VivariumError): void {
    this.#receiver = undefined;
    this.reject(
      vivariumError(error.code, "The server cannot keep the request's body.", { status: error.status ?? 500 }),
    );
  }

  /** Makes an exchange of it and gives that to the handler. */
  #begin(body: Body, bodyLength: number): void {
    const received = this.#received;
    const route = this.#route;
    if (received === undefined || route === undefined) return;
    const { options } = this.#owner;
    const { method, target, shared, trustedPeer } = received;
    const variables = received.encode(route.place, bodyLength);
    const started = requestEnded.hasSubscribers ? performance.now() : 0;
    const request = { method, target, variables, shared, again: received.again, body, trustedPeer };
    this.#exchange = new IncomingExchange(this, request, false, started);
    options.requestBegan();
    this.#exchange.begin(route.handler);
  }

  // -- the response

  respond(exchange: IncomingExchange, head: ResponseHead, body: Uint8Array | undefined, last: boolean): void {
    const encoder = this.#encoder;
    encoder.begin(exchange.request.method);
    exchange.status = head.status;
    exchange.delimited = head.contentLength >= 0;
    this.#send(exchange, encoder.head(head, body, last), body?.length ?? 0, last);
  }

  write(exchange: IncomingExchange, octets: Uint8Array, last: boolean): void {
    this.#send(exchange, this.#encoder.data(octets, last), octets.length, last);
  }

  cut(exchange: IncomingExchange): void {
    this.#over = true;
    this.#finish(exchange);
    this.#owner.cut(this, exchange.delimited);
  }

  /** `taken`: octets of the body among them, told when they have left. */
  #send(exchange: IncomingExchange, encoded: Encoded, taken: number, last: boolean): void {
    const owner = this.#owner;
    if (last) {
      const { short, dropped } = this.#encoder;
      if (short || dropped > 0) reportLength(exchange.request, this.#encoder, "it was cut");
      owner.write(encodeOutput(this.id, partsOf(encoded), !short));
      if (short) {
        this.cut(exchange);
        return;
      }
      this.#over = true;
      this.#finish(exchange);
      owner.over(this);
      return;
    }
    owner.write(encodeOutput(this.id, partsOf(encoded), false), () => {
      owner.written();
      if (taken > 0 && !exchange.ended) exchange.onFlushed?.(taken);
    });
  }

  /** The exchange is over, however. */
  #finish(exchange: IncomingExchange): void {
    exchange.ended = true;
    this.#exchange = undefined;
    this.#owner.options.memory.release(exchange.request);
    this.#publish(exchange.status, exchange.started);
  }

  #publish(status: number, started: number): void {
    if (!requestEnded.hasSubscribers) return;
    const octets = status === 0 ? 0 : this.#encoder.bodyOctets;
    requestEnded.publish(receivedRecord(this.#received, status, octets, started));
  }
}

function wrongLength(): VivariumError {
  return vivariumError("ERR_CGI_BAD_REQUEST", "The request's body is not as long as its CONTENT_LENGTH says.", {
    status: 400,
  });
}

function partsOf(encoded: Encoded): readonly Uint8Array[] {
  return encoded instanceof Uint8Array ? [encoded] : encoded;
}
