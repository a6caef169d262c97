import type { Socket } from "node:net";
import type { ConnectionFacts } from "../protocol/cgi/request-variables.js";
import { plainAddress } from "../routing/forwarded.js";

/** What the socket says of its two ends. A unix socket has no addresses. */
export class Peer implements ConnectionFacts {
  readonly software: string;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly scheme = "http";
  readonly host = "";
  readonly port = -1;
  readonly #socket: Socket;

  constructor(socket: Socket, software: string) {
    this.software = software;
    this.remoteAddress = plainAddress(socket.remoteAddress ?? "");
    this.remotePort = socket.remotePort ?? -1;
    this.#socket = socket;
  }

  // The first to be asked costs a system call (2 µs): the address only for a request that names no host.
  get localAddress(): string {
    return plainAddress(this.#socket.localAddress ?? "");
  }

  get localPort(): number {
    return this.#socket.localPort ?? -1;
  }
}
