import type { Socket } from "node:net";
import type { BareSocket } from "../net/bare-socket.js";
import { RequestDecoder } from "../protocol/uwsgi/request-decoder.js";
import { pong, ResponseEncoder } from "../protocol/uwsgi/response-encoder.js";
import type { IngressConnection, IngressOptions } from "./options.js";
import { type SingleProtocol, serveSingle } from "./single.js";

const uwsgi: SingleProtocol = {
  name: "uwsgi",
  Decoder: RequestDecoder,
  Encoder: ResponseEncoder,
  alwaysHasLength: false,
  pong,
};

/** Serves the uwsgi protocol on a socket, which must allow half-open. */
export function serveUwsgi(socket: Socket | BareSocket, options: IngressOptions): IngressConnection {
  return serveSingle(socket, options, uwsgi);
}
