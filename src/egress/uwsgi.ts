// The uwsgi protocol to an upstream: a connection for each request, and the response in plain HTTP/1.

import { Memo } from "../memo.js";
import { encodePairs, encodeRequest } from "../protocol/uwsgi/request-encoder.js";
import type { DriverOptions, UpstreamDriver, UpstreamRequest } from "./driver.js";
import { Http1Response } from "./http1-response.js";
import { SerialDriver } from "./serial.js";
import type { SerialCodec, SerialEvent } from "./serial-codec.js";

export function uwsgiDriver(options: DriverOptions): UpstreamDriver {
  return new SerialDriver({ ...options, keepAlive: 0 }, (limits) => new UwsgiCodec(limits));
}

const commonPairs = new Memo(encodePairs);

function encode(common: string, own: string): Uint8Array {
  return encodeRequest(own, commonPairs.of(common));
}

class UwsgiCodec implements SerialCodec {
  readonly #response: Http1Response;
  readonly reusable = false;

  constructor(limits: { readonly maxHead: number; readonly maxFields: number }) {
    this.#response = new Http1Response(limits);
  }

  get clean(): boolean {
    return this.#response.clean;
  }

  begin({ method, common, own, encoded }: UpstreamRequest): Uint8Array {
    // before the response is awaited: it throws where the variables are too large
    const octets = encoded === undefined ? encode(common, own) : encoded.by(encode, common, own);
    this.#response.begin(method);
    return octets;
  }

  receive(chunk: Uint8Array): void {
    this.#response.receive(chunk);
  }
  receiveEnd(): void {
    this.#response.receiveEnd();
  }
  next(): SerialEvent | undefined {
    return this.#response.next();
  }
}
