import type { Socket } from "node:net";
import type { ConnectionFacts } from "../protocol/cgi/request-variables.js";
import { plainAddress } from "../routing/forwarded.js";

/** What the socket says of its two ends. A unix socket has no addresses. */
export function connectionFacts(socket: Socket, software: string): ConnectionFacts {
  return {
    software,
    remoteAddress: plainAddress(socket.remoteAddress ?? ""),
    remotePort: socket.remotePort ?? -1,
    localAddress: plainAddress(socket.localAddress ?? ""),
    localPort: socket.localPort ?? -1,
    scheme: "http",
    host: "",
    port: -1,
  };
}
