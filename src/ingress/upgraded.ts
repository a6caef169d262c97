// A connection that has answered 101 (RFC 9110 §15.2.2), or a stream that has accepted CONNECT, and the exchange that it is until it ends.
import { type RequestEnded, requestEnded } from "../channels.js";
import type { ClientSocket, ClientSocketOwner } from "../net/client-socket.js";
import type { IncomingExchange, ResponseSink } from "./incoming-exchange.js";
import type { IngressConnection, IngressOptions } from "./options.js";
import type { Client } from "./pace.js";
import { type RecordedHead, requestRecord } from "./request-record.js";

/** What is used of a connection that speaks HTTP no longer; a stream of HTTP/2 has it, too. */
export type UpgradedSocket = Pick<
  ClientSocket,
  "unsent" | "untaken" | "handOver" | "write" | "pause" | "resume" | "end" | "close" | "destroy" | "reset"
>;

/** What HTTP leaves behind. */
export interface Switched {
  readonly socket: UpgradedSocket;
  /** Octets that came behind the request. */
  readonly rest: Uint8Array;
  readonly inputEnded: boolean;
  readonly head: RecordedHead | undefined;
  /** SERVER_PROTOCOL. */
  readonly protocol: string;
  readonly client: Client;
  /** `owner` has it from now on, and is to be told when the server stops. */
  taken(owner: UpgradedOwner): void;
  /** Who is told that the connection is closed; nobody where it carries more. */
  readonly ingress: Pick<IngressOptions, "connectionClosed"> | undefined;
}

/** What speaks on it from now on. */
export interface UpgradedOwner extends ClientSocketOwner, IngressConnection {
  readonly webSockets: number;
  /** Whoever answered the exchange cannot go on. */
  cut(): void;
}

export class Upgraded implements ResponseSink {
  readonly socket: UpgradedSocket;
  readonly client: Client;
  readonly #exchange: IncomingExchange;
  readonly #record: RequestEnded | undefined;
  readonly #ingress: Switched["ingress"];
  /** Until somebody has it. */
  #switched: Switched | undefined;
  #owner: UpgradedOwner | undefined;

  constructor(switched: Switched, exchange: IncomingExchange) {
    const { socket, head, protocol, client, ingress } = switched;
    this.socket = socket;
    this.client = client;
    this.#exchange = exchange;
    this.#switched = switched;
    this.#ingress = ingress;
    this.#record = requestEnded.hasSubscribers ? requestRecord(head, protocol, client.address, 101, 0, 0) : undefined;
  }

  /** `owner` has the connection from now on. Octets that came already are told to it when all that runs now is done. */
  begin(owner: UpgradedOwner): void {
    const switched = this.#switched;
    if (switched === undefined) return;
    this.#switched = undefined;
    const { socket, inputEnded } = switched;
    this.#owner = owner;
    this.#exchange.switched(this);
    socket.handOver(owner);
    switched.taken(owner);
    queueMicrotask(() => {
      const rest = Buffer.from(switched.rest);
      if (rest.length > 0) owner.socketReceived(rest, rest.length);
      if (inputEnded) owner.socketEnded();
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

  /** There is nothing any more that `owner` had. */
  closed(owner: UpgradedOwner): void {
    this.#ingress?.connectionClosed(owner);
  }
}
