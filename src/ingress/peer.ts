import type { ClientSocket, End } from "../net/client-socket.js";
import { type ConnectionFacts, RequestVariables } from "../protocol/cgi/request-variables.js";
import { claimedOrigin, plainAddress, type TrustedProxies } from "../routing/forwarded.js";

/** What the socket says of its two ends. A unix socket has no addresses. */
export class Peer implements ConnectionFacts {
  readonly software: string;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly scheme: "http" | "https";
  readonly variables: string;
  readonly host = "";
  readonly port = -1;
  readonly #socket: ClientSocket;
  #local: End | undefined;

  constructor(socket: ClientSocket, software: string) {
    this.software = software;
    const { address, port } = socket.remote;
    this.remoteAddress = plainAddress(address);
    this.remotePort = port;
    const { secure } = socket;
    this.scheme = secure === undefined ? "http" : "https";
    this.variables = secure?.variables ?? "";
    this.#socket = socket;
  }

  get localAddress(): string {
    return plainAddress(this.#ownEnd().address);
  }

  get localPort(): number {
    return this.#ownEnd().port;
  }

  get localPath(): string | undefined {
    return this.#socket.path;
  }

  #ownEnd(): End {
    this.#local ??= this.#socket.local;
    return this.#local;
  }
}

/** Makes the variables of a connection's requests; by their own word, where the peer is trusted. */
export function requestVariables(peer: Peer, trusted: TrustedProxies): RequestVariables {
  if (!trusted.trusts(peer.remoteAddress)) return new RequestVariables(peer);
  return new RequestVariables(peer, (fields) => claimedOrigin(fields, peer, trusted));
}
