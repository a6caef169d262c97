// A connection that has answered 101 (RFC 9110 §15.2.2), and the exchange that it is until it ends.
import { type RequestEnded, requestEnded } from "../channels.js";
import type { ClientSocket, ClientSocketOwner } from "../net/client-socket.js";
import type { RequestHead } from "../protocol/http1/request-decoder.js";
import type { IncomingExchange, ResponseSink } from "./incoming-exchange.js";
import type { IngressConnection, IngressOptions } from "./options.js";
import type { Client } from "./pace.js";
import { requestRecord } from "./request-record.js";

/** What a connection leaves behind that speaks HTTP no longer. */
export interface Switched {
  readonly from: IngressConnection;
  readonly socket: ClientSocket;
  /** Octets that came behind the request. */
  readonly rest: Uint8Array;
  readonly inputEnded: boolean;
  readonly head: RequestHead | undefined;
  readonly remoteAddress: string;
}

/** What speaks on it from now on. */
export interface UpgradedOwner extends ClientSocketOwner, IngressConnection {
  readonly webSocket: true;
  /** Whoever answered the exchange cannot go on. */
  cut(): void;
}

export class Upgraded implements ResponseSink {
  readonly socket: ClientSocket;
  readonly inputEnded: boolean;
  readonly client: Client;
  readonly #exchange: IncomingExchange;
  readonly #options: IngressOptions;
  readonly #record: RequestEnded | undefined;
  readonly #from: IngressConnection;
  #rest: Uint8Array;
  #owner: UpgradedOwner | undefined;

  constructor(switched: Switched, exchange: IncomingExchange, options: IngressOptions) {
    const { from, socket, rest, inputEnded, head, remoteAddress } = switched;
    this.socket = socket;
    this.inputEnded = inputEnded;
    this.client = { address: remoteAddress, target: exchange.request.target };
    this.#exchange = exchange;
    this.#options = options;
    this.#from = from;
    this.#rest = rest;
    this.#record = requestEnded.hasSubscribers ? requestRecord(head, "HTTP/1.1", remoteAddress, 101, 0, 0) : undefined;
  }

  /** `owner` has the connection from now on. Octets that came already are told to it when all that runs now is done. */
  begin(owner: UpgradedOwner): void {
    const { socket } = this;
    this.#owner = owner;
    this.#exchange.switched(this);
    socket.handOver(owner);
    this.#options.connectionReplaced(this.#from, owner);
    queueMicrotask(() => {
      const rest = Buffer.from(this.#rest);
      this.#rest = nothing;
      if (rest.length > 0) owner.socketReceived(rest, rest.length);
      if (this.inputEnded) owner.socketEnded();
      else socket.resume();
    });
  }

  /** All is said by the head. */
  respond(): void {}
  write(): void {}

  cut(): void {
    this.#owner?.cut();
  }

  /** The exchange is over; `octets` were written. */
  over(octets: number): void {
    const exchange = this.#exchange;
    if (exchange.ended) return;
    exchange.ended = true;
    const record = this.#record;
    if (record === undefined) return;
    const milliseconds = exchange.started === 0 ? 0 : performance.now() - exchange.started;
    requestEnded.publish({ ...record, octets, milliseconds });
  }
}

const nothing = new Uint8Array(0);
