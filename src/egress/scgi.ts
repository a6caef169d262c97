// SCGI to an upstream: a connection for each request, and the response of a CGI script. A local redirect (RFC 3875 §6.2.2)
// goes to the client as the 302 that nginx and lighttpd make of it: where it leads may be another upstream's.

import { Memo } from "../memo.js";
import { ResponseDecoder } from "../protocol/cgi/response-decoder.js";
import { encodeHeaders, encodeRequest } from "../protocol/scgi/request-encoder.js";
import type { DriverOptions, UpstreamDriver, UpstreamRequest } from "./driver.js";
import { SerialDriver } from "./serial.js";
import type { SerialCodec, SerialEvent } from "./serial-codec.js";

export function scgiDriver(options: DriverOptions): UpstreamDriver {
  return new SerialDriver({ ...options, keepAlive: 0 }, (limits) => new ScgiCodec(limits));
}

const commonHeaders = new Memo(encodeHeaders);

class ScgiCodec implements SerialCodec {
  readonly #limits: { readonly maxHead: number; readonly maxFields: number };
  #response: ResponseDecoder | undefined;
  readonly reusable = false;
  /** It has a decoder for each response. */
  readonly clean = true;

  constructor(limits: { readonly maxHead: number; readonly maxFields: number }) {
    this.#limits = limits;
  }

  begin({ method, common, own, body }: UpstreamRequest): Uint8Array {
    this.#response = new ResponseDecoder(this.#limits, method);
    const contentLength = body.kind === "memory" ? body.bytes.length : body.kind === "file" ? body.size : 0;
    return encodeRequest(own, contentLength, commonHeaders.of(common));
  }

  receive(chunk: Uint8Array): void {
    this.#response?.receive(chunk);
  }
  receiveEnd(): void {
    this.#response?.receiveEnd();
  }
  next(): SerialEvent | undefined {
    return this.#response?.next();
  }
}
