// A client's connection whose octets are passed on, whatever they mean: the client's end of a tunnel to a server elsewhere.
import type { TunnelEnd, TunnelOwner } from "../exchange.js";
import type { Upgraded, UpgradedOwner, UpgradedSocket } from "./upgraded.js";

/** Octets that the kernel has not taken, beyond which the server is not read. */
const unsentMost = 64 * 1024;

export class ClientTunnel implements TunnelEnd, UpgradedOwner {
  readonly restingSince: number = Number.POSITIVE_INFINITY;
  readonly #upgraded: Upgraded;
  readonly #socket: UpgradedSocket;
  #owner: TunnelOwner | undefined;
  #written = 0;

  constructor(upgraded: Upgraded, owner: TunnelOwner) {
    this.#upgraded = upgraded;
    this.#socket = upgraded.socket;
    this.#owner = owner;
    upgraded.begin(this);
  }

  write(octets: Uint8Array): boolean {
    this.#written += octets.length;
    this.#socket.write(octets);
    return this.#socket.unsent <= unsentMost;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  close(): void {
    this.#owner = undefined;
    this.#upgraded.over(this.#written);
    this.#socket.close();
  }

  socketReceived(memory: Buffer, length: number): void {
    this.#owner?.tunnelReceived(Buffer.from(memory.subarray(0, length)));
  }

  socketDrained(): void {
    this.#owner?.tunnelDrained();
  }

  /** Nobody half-closes a WebSocket: a client that has said all has sent its Close before (RFC 6455 §7.1.1). */
  socketEnded(): void {
    this.#end();
  }

  socketClosed(): void {
    this.#end();
    this.#upgraded.over(this.#written);
    this.#upgraded.closed(this);
  }

  #end(): void {
    const owner = this.#owner;
    this.#owner = undefined;
    owner?.tunnelEnded();
  }

  get webSockets(): number {
    return 1;
  }

  /** What runs through it is finished, as other requests are: only the two ends know when they are done. */
  drain(): void {}

  destroy(): void {
    this.#socket.destroy();
  }

  cut(): void {
    this.#socket.reset();
  }
}
