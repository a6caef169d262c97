import { log } from "../channels.js";
import type { Exchange, Handler, Request, ResponseHead, Upgrade } from "../exchange.js";
import { requestId } from "../request-id.js";
import { plainPage } from "./page.js";

/** The connection an exchange belongs to, as far as answering goes. It is told only of exchanges that have not ended. */
export interface ResponseSink {
  respond(exchange: IncomingExchange, head: ResponseHead, body: Uint8Array | undefined, last: boolean): void;
  write(exchange: IncomingExchange, octets: Uint8Array, last: boolean): void;
  cut(exchange: IncomingExchange): void;
  /** Where the protocol has them. */
  readonly extras?: ResponseExtras;
}

/** What not every protocol has, nor every client takes. */
export interface ResponseExtras {
  readonly takesHints: boolean;
  readonly takesTrailers: boolean;
  inform(exchange: IncomingExchange, status: number, fields: Uint8Array): void;
  end(exchange: IncomingExchange, trailers: Uint8Array): void;
}

const nothing = new Uint8Array();

/**
 * An exchange on a connection, whatever is spoken there. Its connection outlives it; once `ended`, which the connection
 * sets, it can do nothing to it any more.
 */
export class IncomingExchange implements Exchange {
  readonly request: Request;
  ended = false;
  inputEnded: boolean;
  onInputEnd: (() => void) | undefined = undefined;
  onFlushed: ((octets: number) => void) | undefined = undefined;
  onGone: (() => void) | undefined = undefined;
  upgrade: Upgrade | undefined = undefined;
  /** The status sent, 0 before. */
  status = 0;
  /** Whether the length in the head or the framing tells the client where the body ends. */
  delimited = true;
  /** performance.now() when the request was whole; 0 where nobody wants to know. */
  readonly started: number;
  #sink: ResponseSink;
  #id: string | undefined = undefined;

  constructor(sink: ResponseSink, request: Request, inputEnded: boolean, started: number) {
    this.#sink = sink;
    this.request = request;
    this.inputEnded = inputEnded;
    this.started = started;
  }

  get id(): string {
    this.#id ??= requestId(this.request);
    return this.#id;
  }

  /** Its connection speaks another protocol now, and is that's to cut. */
  switched(sink: ResponseSink): void {
    this.status = 101;
    this.#sink = sink;
  }

  /** Gives itself to its handler; where that throws, answers 500 or cuts the response. */
  begin(handler: Handler): void {
    try {
      handler(this);
    } catch (error) {
      const { method, target } = this.request;
      const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
      log("error", "ingress", `${method} ${target} failed in its handler (request id ${this.id}): ${reason}`);
      if (this.status === 0) this.refuse(500, "The server failed to handle this request.");
      else this.cut();
    }
  }

  respond(head: ResponseHead, body: Uint8Array | undefined, last: boolean): void {
    if (!this.ended && this.status === 0) this.#sink.respond(this, head, body, last);
  }

  write(octets: Uint8Array, last: boolean): void {
    if (!this.ended && this.status !== 0) this.#sink.write(this, octets, last);
  }

  get takesHints(): boolean {
    return this.#sink.extras?.takesHints === true;
  }

  get takesTrailers(): boolean {
    return this.#sink.extras?.takesTrailers === true;
  }

  inform(status: number, fields: Uint8Array): void {
    if (!this.ended && this.status === 0 && this.takesHints) this.#sink.extras?.inform(this, status, fields);
  }

  end(trailers: Uint8Array): void {
    if (this.ended || this.status === 0) return;
    const { extras } = this.#sink;
    if (extras?.takesTrailers === true) extras.end(this, trailers);
    else this.#sink.write(this, nothing, true);
  }

  cut(left = false): void {
    if (this.ended) return;
    if (this.status === 0 && !left) this.refuse(502, "The application did not answer this request.");
    else this.#sink.cut(this);
  }

  refuse(status: number, sentence: string, fields?: string): void {
    // Whoever shows such a page to those who run the server wants to be understood.
    const id = status === 500 || (status >= 502 && status <= 504) ? `\n\nRequest id: ${this.id}` : "";
    const page = plainPage(status, `${sentence}${id}`, fields);
    this.respond(page.head, page.body, true);
  }
}
