// A protocol that has one request at a time on a connection (HTTP/1.1, SCGI, uwsgi), as serial.ts drives it: it makes the
// octets in front of a request's body, which follows as it is, and takes a response apart. No socket, no clock.
import type { ResponseHead } from "../exchange.js";
import type { UpstreamRequest } from "./driver.js";

export type SerialEvent =
  /** The final response's head, without hop-by-hop fields. */
  | { readonly type: "head"; readonly head: ResponseHead }
  | { readonly type: "body"; readonly octets: Uint8Array }
  /** The server has switched, as it was asked to: `fields` as UpstreamEvents.switched has them, and what came behind. */
  | { readonly type: "switched"; readonly fields: Uint8Array; readonly octets: Uint8Array }
  /** The response is whole. */
  | { readonly type: "end" };

/** One for each connection. */
export interface SerialCodec {
  /**
   * The octets of a request up to its body; from here on its response is awaited. `keep`: the connection is to be kept.
   * @throws VivariumError with a `status` where the request cannot be expressed; the codec is then as before.
   */
  begin(request: UpstreamRequest, keep: boolean): Uint8Array;
  /** Takes octets of the response, which belong to the codec from then on, and to whom it gives a body's. */
  receive(chunk: Uint8Array): void;
  /** The server has sent all it will. */
  receiveEnd(): void;
  /**
   * The next event; undefined where more octets are needed.
   * @throws VivariumError where the octets are no response, or ended too early; the codec is dead then.
   */
  next(): SerialEvent | undefined;
  /** After "end": whether the connection can carry another request. */
  readonly reusable: boolean;
  /** After "end": nothing is left of the response, so that it can be another connection's codec. */
  readonly clean: boolean;
}

export type CreateSerialCodec = (limits: { readonly maxHead: number; readonly maxFields: number }) => SerialCodec;
