// Responses in plain HTTP/1, as HTTP servers and uwsgi's give them, as an exchange wants them: no informational ones, no
// trailers, no field that is about the connection they came by (RFC 9110 §7.6.1).
import type { ResponseHead as ExchangeHead } from "../exchange.js";
import { listElements, parseContentLength } from "../protocol/http1/grammar.js";
import { ResponseDecoder, type ResponseHead } from "../protocol/http1/response-decoder.js";
import type { SerialEvent } from "./serial-codec.js";

/** Fields about a connection. The ones that Connection names are further ones. */
const hopByHop: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);
const lengthsOfHopByHop: ReadonlySet<number> = new Set([...hopByHop].map((name) => name.length));

const end: SerialEvent = { type: "end" };

export class Http1Response {
  readonly #decoder: ResponseDecoder;
  /** After "end": whether the server keeps the connection open. */
  keepAlive = false;

  constructor(limits: { readonly maxHead: number; readonly maxFields: number }) {
    // Bodies pass through and occupy nothing: there is no length that would be too much.
    this.#decoder = new ResponseDecoder({ ...limits, maxBody: Number.MAX_SAFE_INTEGER });
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

function exchangeHead(head: ResponseHead): ExchangeHead {
  const { fields, status } = head;
  const nominated = nominatedBy(fields);
  let lines = "";
  let contentLength = -1;
  let hasDate = false;
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] as string;
    const value = fields[at + 1] as string;
    const { length } = name;
    if (lengthsOfHopByHop.has(length) && hopByHop.has(name.toLowerCase())) continue;
    if (nominated?.includes(name.toLowerCase())) continue;
    if (length === 4 && name.toLowerCase() === "date") hasDate = true;
    else if (length === 14 && name.toLowerCase() === "content-length") {
      // With a body the decoder has checked it. Without one it tells of a body that is not there, or must not be (RFC 9110 §8.6).
      contentLength = status === 204 ? -1 : parseContentLength(value);
      if (contentLength === -1) continue;
    }
    lines += `${name}: ${value}\r\n`;
  }
  return { status, reason: head.reason, fields: Buffer.from(lines, "latin1"), contentLength, hasDate };
}

/** Names of fields, in lower case, that Connection names beside `close` and `keep-alive`. */
function nominatedBy(fields: readonly string[]): readonly string[] | undefined {
  let names: string[] | undefined;
  for (let at = 0; at < fields.length; at += 2) {
    if (fields[at]?.length !== 10 || fields[at]?.toLowerCase() !== "connection") continue;
    const value = (fields[at + 1] as string).toLowerCase();
    if (value === "close" || value === "keep-alive") continue;
    names = [...(names ?? []), ...listElements(value)];
  }
  return names;
}
