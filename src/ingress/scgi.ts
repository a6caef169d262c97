import type { VivariumError } from "../errors.js";
import type { ClientSocket } from "../net/client-socket.js";
import { RequestDecoder, readHead } from "../protocol/scgi/request-decoder.js";
import { ResponseEncoder } from "../protocol/scgi/response-encoder.js";
import type { IngressConnection, IngressOptions } from "./options.js";
import { type SingleProtocol, serveSingle } from "./single.js";

const scgi: SingleProtocol = {
  name: "SCGI",
  Decoder: RequestDecoder,
  readHead,
  Encoder: ResponseEncoder,
  alwaysHasLength: true,
};

/** Serves SCGI on a socket. */
export function serveScgi(
  socket: ClientSocket,
  options: IngressOptions,
  refusal: VivariumError | undefined,
): IngressConnection {
  return serveSingle(socket, options, refusal, scgi);
}
