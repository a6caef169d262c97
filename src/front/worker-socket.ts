// A WebSocket between a client and a worker: messages each way, and what either side has room for.
import type { WebSocketOwner, WebSocketStream } from "../exchange.js";
import { messageCost } from "../python/wire/frames.js";

/** What is told to the worker. */
export interface SocketPeer {
  socketMessage(octets: Uint8Array, text: boolean): void;
  socketClosed(code: number, reason: string): void;
  /** So much of what the worker sent has left. */
  socketFlushed(octets: number): void;
}

/** Octets that the application has not received, beyond which the client is not read. */
const untakenMost = 64 * 1024;

export class WorkerSocket implements WebSocketOwner {
  readonly #peer: SocketPeer;
  #stream: WebSocketStream | undefined;
  #untaken = 0;

  constructor(peer: SocketPeer) {
    this.#peer = peer;
  }

  set stream(stream: WebSocketStream) {
    this.#stream = stream;
  }

  socketMessage(octets: Uint8Array, text: boolean): void {
    const before = this.#untaken;
    this.#untaken += octets.length + messageCost;
    this.#peer.socketMessage(octets, text);
    if (before <= untakenMost && this.#untaken > untakenMost) this.#stream?.pause();
  }

  socketClosed(code: number, reason: string): void {
    this.#stream = undefined;
    this.#peer.socketClosed(code, reason);
  }

  /** The application received so much. */
  credit(octets: number): void {
    const before = this.#untaken;
    this.#untaken -= octets;
    if (before > untakenMost && this.#untaken <= untakenMost) this.#stream?.resume();
  }

  send(octets: Uint8Array, text: boolean): void {
    this.#stream?.send(octets, text, () => this.#peer.socketFlushed(octets.length + messageCost));
  }

  close(code: number, reason: string): void {
    this.#stream?.close(code, reason);
  }

  /** Neither side wants it: both are told. */
  end(code: number): void {
    this.close(code, "");
    this.#peer.socketClosed(code, "");
  }
}
