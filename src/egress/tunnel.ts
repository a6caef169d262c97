// A client and a server that speak with each other through this one (RFC 9110 §7.8): what comes from either goes to the other, no
// faster than that takes it.
import type { TunnelEnd, TunnelOwner, Upgrade } from "../exchange.js";
import { phases, type SocketOwner, type UpstreamSocket } from "./socket.js";

/** Joins the client's end to the server's. `ended` is called once. Whoever has the server's end tells the owner that this gives. */
export function joinTunnel(upgrade: Upgrade, fields: Uint8Array, server: TunnelEnd, ended: () => void): TunnelOwner {
  let over = false;
  const end = (): void => {
    if (over) return;
    over = true;
    client.close();
    server.close();
    ended();
  };
  const side = (own: () => TunnelEnd, other: () => TunnelEnd): TunnelOwner => ({
    tunnelReceived(octets) {
      if (!other().write(octets)) own().pause();
    },
    tunnelDrained: () => other().resume(),
    tunnelEnded: end,
  });
  const client = upgrade.tunnel(
    fields,
    side(
      () => client,
      () => server,
    ),
  );
  return side(
    () => server,
    () => client,
  );
}

/** The server's end. Without an octet either way for `tunnelTimeout` it is closed. */
export class ServerTunnel implements TunnelEnd, SocketOwner {
  readonly #socket: UpstreamSocket;
  #closed: (() => void) | undefined;
  #owner: TunnelOwner | undefined;
  #closing = false;

  /** `closed` is called once: nothing is on the socket any more. */
  constructor(socket: UpstreamSocket, closed: () => void) {
    this.#socket = socket;
    this.#closed = closed;
    socket.handOver(this);
    socket.enter(phases.tunnelling);
  }

  set owner(owner: TunnelOwner) {
    this.#owner = owner;
  }

  write(octets: Uint8Array): boolean {
    this.#socket.enter(phases.tunnelling);
    return this.#socket.write(octets);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#owner = undefined;
    const socket = this.#socket;
    if (socket.flushed) this.#close();
    else {
      socket.enter(phases.sending);
      socket.whenFlushed(() => this.#close());
    }
  }

  #close(): void {
    this.#socket.close();
    const closed = this.#closed;
    this.#closed = undefined;
    closed?.();
  }

  socketConnected(): void {}

  socketReceived(chunk: Uint8Array): void {
    if (this.#closing) return;
    this.#socket.enter(phases.tunnelling);
    this.#owner?.tunnelReceived(chunk);
  }

  socketDrained(): void {
    this.#owner?.tunnelDrained();
  }

  socketInputEnded(): void {
    this.#owner?.tunnelEnded();
  }

  socketLost(): void {
    if (this.#closing) this.#close();
    else this.#owner?.tunnelEnded();
  }
}
