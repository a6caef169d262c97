// Requests for a WebSocket (RFC 6455 §4): the handler is offered to accept, and the connection gets another owner when it does.
import type { Handler, TunnelEnd, TunnelOwner, Upgrade, WebSocketOwner, WebSocketStream } from "../exchange.js";
import type { RequestHead } from "../protocol/http1/request-decoder.js";
import { type Handshake, readHandshake } from "../protocol/websocket/handshake.js";
import type { IncomingExchange } from "./incoming-exchange.js";
import type { IngressOptions } from "./options.js";
import { ClientTunnel } from "./tunnel.js";
import { type Switched, Upgraded } from "./upgraded.js";

/** The connection that an exchange came by. */
export interface Door {
  /** Answers that the protocol is switched, and lets go of everything. `fields` are field lines. */
  switchProtocols(exchange: IncomingExchange, key: string, fields: Uint8Array): Switched;
}

/** Loaded for the first request that needs it: it brings Node's http, tls and zlib. */
let loaded: typeof import("./websocket.js") | undefined;

/** Gives the exchange its `upgrade`, and itself to its handler; or refuses it, where there can be no WebSocket. */
export function offerUpgrade(
  exchange: IncomingExchange,
  handler: Handler,
  head: RequestHead,
  door: Door,
  options: IngressOptions,
): void {
  // RFC 6455 §4.1: it is asked for with GET; with another method the field is one of those that a server need not know (RFC 9110 §7.8).
  if (head.method !== "GET") {
    exchange.begin(handler);
    return;
  }
  const handshake = readHandshake(head.fields, head.framing !== "none");
  if ("sentence" in handshake) {
    // RFC 9110 §15.5.22: what would be spoken here.
    const fields = handshake.status === 426 ? "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" : "";
    exchange.refuse(handshake.status, handshake.sentence, fields);
    return;
  }
  const begin = (library: typeof import("./websocket.js")): void => {
    exchange.upgrade = new HttpUpgrade(exchange, handshake, door, options, library);
    exchange.begin(handler);
  };
  if (loaded !== undefined) begin(loaded);
  else {
    void import("./websocket.js").then((library) => {
      loaded = library;
      if (!exchange.ended) begin(library);
    });
  }
}

class HttpUpgrade implements Upgrade {
  readonly #exchange: IncomingExchange;
  readonly #handshake: Handshake;
  readonly #door: Door;
  readonly #options: IngressOptions;
  readonly #library: typeof import("./websocket.js");

  constructor(
    exchange: IncomingExchange,
    handshake: Handshake,
    door: Door,
    options: IngressOptions,
    library: typeof import("./websocket.js"),
  ) {
    this.#exchange = exchange;
    this.#handshake = handshake;
    this.#door = door;
    this.#options = options;
    this.#library = library;
  }

  get protocols(): readonly string[] {
    return this.#handshake.protocols;
  }

  get key(): string {
    return this.#handshake.key;
  }

  accept(fields: Uint8Array, owner: WebSocketOwner): WebSocketStream {
    const { webSockets } = this.#options;
    const compression = webSockets.compression
      ? this.#library.acceptCompression(this.#handshake.extensions, webSockets.maxSize)
      : undefined;
    const agreed = compression === undefined ? "" : `Sec-WebSocket-Extensions: ${compression.answer}\r\n`;
    const switched = this.#switch(Buffer.concat([Buffer.from(agreed, "latin1"), fields]));
    return new this.#library.WebSocketConnection(switched, this.#options, owner, compression);
  }

  tunnel(fields: Uint8Array, owner: TunnelOwner): TunnelEnd {
    return new ClientTunnel(this.#switch(fields), this.#options, owner);
  }

  #switch(fields: Uint8Array): Upgraded {
    const exchange = this.#exchange;
    return new Upgraded(this.#door.switchProtocols(exchange, this.#handshake.key, fields), exchange, this.#options);
  }
}
