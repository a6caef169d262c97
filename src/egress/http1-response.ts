// Responses in plain HTTP/1, as HTTP servers and uwsgi's give them, as an exchange wants them: no informational ones, no
// trailers, no field that is about the connection they came by.
import { type VivariumError, vivariumError } from "../errors.js";
import type { ResponseHead as ExchangeHead } from "../exchange.js";
import { endToEndFields } from "../protocol/http1/end-to-end.js";
import type { Faults } from "../protocol/http1/grammar.js";
import { ResponseDecoder, type ResponseHead } from "../protocol/http1/response-decoder.js";
import type { SerialEvent } from "./serial-codec.js";

function badResponse(sentence: string): VivariumError {
  return vivariumError("ERR_HTTP_BAD_RESPONSE", sentence, { status: 502 });
}

const faults: Faults = { malformed: badResponse, headTooLarge: badResponse, bodyTooLarge: badResponse };

const end: SerialEvent = { type: "end" };

export class Http1Response {
  readonly #decoder: ResponseDecoder;
  /** After "end": whether the server keeps the connection open. */
  keepAlive = false;

  constructor({ maxHead, maxFields }: { readonly maxHead: number; readonly maxFields: number }) {
    // Bodies pass through and occupy nothing: there is no length that would be too much.
    this.#decoder = new ResponseDecoder({ maxHead, maxFields, maxBody: Number.MAX_SAFE_INTEGER });
  }

  /** Awaits the response to a request. */
  begin(method: string): void {
    this.keepAlive = false;
    this.#decoder.begin(method);
  }

  receive(chunk: Uint8Array): void {
    this.#decoder.receive(chunk);
  }

  receiveEnd(): void {
    this.#decoder.receiveEnd();
  }

  /** As SerialCodec's. */
  next(): SerialEvent | undefined {
    for (;;) {
      const event = this.#decoder.next();
      if (event === undefined) return undefined;
      if (event.type === "body") return event;
      if (event.type === "head") {
        this.keepAlive = event.head.keepAlive;
        return { type: "head", head: exchangeHead(event.head) };
      }
      if (event.type === "end") {
        // more than was asked for: the next response would not be the next request's
        if (this.#decoder.pending > 0) this.keepAlive = false;
        return end;
      }
    }
  }
}

function exchangeHead({ status, reason, fields }: ResponseHead): ExchangeHead {
  const { fields: lines, contentLength, hasDate } = endToEndFields(fields, faults);
  return { status, reason, fields: lines, contentLength, hasDate };
}
