import type { VivariumError } from "../errors.js";
import type { ClientSocket } from "../net/client-socket.js";
import { RequestDecoder, readHead } from "../protocol/uwsgi/request-decoder.js";
import { pong, ResponseEncoder } from "../protocol/uwsgi/response-encoder.js";
import type { IngressConnection, IngressOptions } from "./options.js";
import { type SingleProtocol, serveSingle } from "./single.js";

const uwsgi: SingleProtocol = {
  name: "uwsgi",
  Decoder: RequestDecoder,
  readHead,
  Encoder: ResponseEncoder,
  alwaysHasLength: false,
  pong,
};

/** Serves the uwsgi protocol on a socket. */
export function serveUwsgi(
  socket: ClientSocket,
  options: IngressOptions,
  refusal: VivariumError | undefined,
): IngressConnection {
  return serveSingle(socket, options, refusal, uwsgi);
}
