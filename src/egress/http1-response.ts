// Responses in plain HTTP/1, as HTTP servers and uwsgi's give them, as an exchange wants them: no informational ones, no
// trailers, no field that is about the connection they came by.
import { type VivariumError, vivariumError } from "../errors.js";
import type { ResponseHead as ExchangeHead } from "../exchange.js";
import { endToEndFields } from "../protocol/http1/end-to-end.js";
import type { Faults } from "../protocol/http1/grammar.js";
import { ResponseDecoder, type ResponseHead } from "../protocol/http1/response-decoder.js";
import { acceptOf } from "../protocol/websocket/handshake.js";
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
  /** What the last head was read as. */
  #head: ResponseHead | undefined;
  #event: SerialEvent | undefined;
  /** The key of the WebSocket that was asked for. */
  #key: string | undefined;

  constructor({ maxHead, maxFields }: { readonly maxHead: number; readonly maxFields: number }) {
    // Bodies pass through and occupy nothing: there is no length that would be too much.
    this.#decoder = new ResponseDecoder({ maxHead, maxFields, maxBody: Number.MAX_SAFE_INTEGER });
  }

  /** Awaits the response to a request. */
  begin(method: string, key?: string): void {
    this.keepAlive = false;
    this.#key = key;
    this.#decoder.begin(method, key !== undefined);
  }

  /** As SerialCodec's. */
  get clean(): boolean {
    return this.#decoder.idle;
  }

  receive(chunk: Uint8Array): void {
    this.#decoder.receive(chunk);
  }

  receiveEnd(): void {
    this.#decoder.receiveEnd();
  }

  /** What a server says that has switched. */
  #agreed({ fields }: ResponseHead): Uint8Array {
    const at = fields.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === "sec-websocket-accept");
    if (at < 0 || fields[at + 1] !== acceptOf(this.#key ?? ""))
      throw badResponse("The upstream's Sec-WebSocket-Accept does not prove that it understood the request.");
    return endToEndFields(withoutProof(fields), faults).fields;
  }

  /** The same where the decoder gives the same head: who encodes it for the client knows it then. */
  #headEvent(head: ResponseHead): SerialEvent {
    if (head !== this.#head || this.#event === undefined) {
      this.#head = head;
      this.#event = { type: "head", head: exchangeHead(head) };
    }
    return this.#event;
  }

  /** As SerialCodec's. */
  next(): SerialEvent | undefined {
    for (;;) {
      const event = this.#decoder.next();
      if (event === undefined) return undefined;
      if (event.type === "body") return event;
      if (event.type === "head") {
        this.keepAlive = event.head.keepAlive;
        return this.#headEvent(event.head);
      }
      if (event.type === "switched") {
        return { type: "switched", fields: this.#agreed(event.head), octets: this.#decoder.release() };
      }
      if (event.type === "end") {
        // more than was asked for: the next response would not be the next request's
        if (this.#decoder.pending > 0) this.keepAlive = false;
        return end;
      }
    }
  }
}

function withoutProof(fields: readonly string[]): readonly string[] {
  const kept: string[] = [];
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = fields[at] ?? "";
    const lower = name.toLowerCase();
    // A 101 has no content, whatever it says (RFC 9110 §8.6).
    if (lower !== "sec-websocket-accept" && lower !== "content-length") kept.push(name, fields[at + 1] ?? "");
  }
  return kept;
}

function exchangeHead({ status, reason, fields }: ResponseHead): ExchangeHead {
  const { fields: lines, contentLength, hasDate } = endToEndFields(fields, faults);
  return { status, reason, fields: lines, contentLength, hasDate };
}
