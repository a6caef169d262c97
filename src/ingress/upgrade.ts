// Requests for a WebSocket (RFC 6455 §4, RFC 8441 §5): the handler is offered to accept, and the connection, or the stream of HTTP/2, gets
// another owner when it does.
import type { Handler, TunnelEnd, TunnelOwner, Upgrade, WebSocketOwner, WebSocketStream } from "../exchange.js";
import type { Handshake, HandshakeFault } from "../protocol/websocket/handshake.js";
import type { IncomingExchange } from "./incoming-exchange.js";
import type { IngressOptions } from "./options.js";
import { ClientTunnel } from "./tunnel.js";
import { type Switched, Upgraded } from "./upgraded.js";

/** The connection that an exchange came by. */
export interface Door {
  /** Answers that it is accepted, and lets go of everything. `fields` are field lines. */
  switchProtocols(key: string, fields: Uint8Array): Switched;
}

/** Loaded for the first request that needs it: it brings Node's http, tls and zlib. */
let loaded: typeof import("./websocket.js") | undefined;

/** Gives the exchange its `upgrade`, and itself to its handler; or refuses it, where there can be no WebSocket. */
export function offerUpgrade(
  exchange: IncomingExchange,
  handler: Handler,
  handshake: Handshake | HandshakeFault,
  door: Door,
  options: IngressOptions,
): void {
  if ("sentence" in handshake) {
    exchange.refuse(handshake.status, handshake.sentence, handshake.fields);
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
    return new ClientTunnel(this.#switch(fields), owner);
  }

  #switch(fields: Uint8Array): Upgraded {
    return new Upgraded(this.#door.switchProtocols(this.#handshake.key, fields), this.#exchange);
  }
}
