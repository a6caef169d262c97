// The response of a CGI script (RFC 3875 §6), client role: what an upstream answers over SCGI and in FastCGI's STDOUT.
// Octets in, events out. Strict like HTTP's decoder, but for what RFC 3875 leaves open: a line may end in LF alone (§7.2),
// and the fields come in any order.

import { VivariumError, vivariumError } from "../../errors.js";
import { BodyDecoder } from "../http1/body-decoder.js";
import { endToEndFields } from "../http1/end-to-end.js";
import { FieldLines } from "../http1/field-lines.js";
import type { Faults } from "../http1/grammar.js";
import { Inflow } from "../http1/inflow.js";
import { hasNoContent } from "../http1/response-encoder.js";

/** A head beyond them is an error. */
export interface ResponseLimits {
  /** Octets. */
  readonly maxHead: number;
  readonly maxFields: number;
}

/** A response's head as exchange.ts describes it. */
export interface ResponseHead {
  readonly status: number;
  readonly reason: string;
  readonly fields: Uint8Array;
  readonly contentLength: number;
  readonly hasDate: boolean;
  /**
   * The path and query of a local redirect (RFC 3875 §6.2.2), for a gateway that answers from there itself; else "". The
   * rest of the head is the 302 for one that leaves it to the client, as nginx and lighttpd do.
   */
  readonly localRedirect: string;
}

export type ResponseEvent =
  | { readonly type: "head"; readonly head: ResponseHead }
  | { readonly type: "body"; readonly octets: Uint8Array }
  | { readonly type: "end" };

function badResponse(sentence: string): VivariumError {
  return vivariumError("ERR_CGI_BAD_RESPONSE", sentence, { status: 502 });
}

const faults: Faults = { malformed: badResponse, headTooLarge: badResponse, bodyTooLarge: badResponse };

const HEAD = 0;
const BODY = 1;
const OVER = 2;

const end: ResponseEvent = { type: "end" };
/** How a response begins that is HTTP's, which RFC 3875 §5 calls non-parsed headers. */
const statusLine = "HTTP/";
// Status = "Status:" status-code SP reason-phrase   (RFC 3875 §6.3.3); the reason is often left out, at no risk
const status = /^([1-9][0-9]{2})(?:[ \t]+(.*))?$/;

export class ResponseDecoder {
  readonly #inflow = new Inflow();
  readonly #lines: FieldLines;
  readonly #body: BodyDecoder;
  readonly #toHead: boolean;
  #phase = HEAD;
  #begun = false;
  #closed = false;
  #fault: VivariumError | undefined;

  /** Of the response to one request, made with this method. */
  constructor(limits: ResponseLimits, method: string) {
    this.#lines = new FieldLines(limits.maxHead, limits.maxFields, faults, true);
    this.#lines.begin(0);
    this.#body = new BodyDecoder({ ...limits, maxBody: Number.POSITIVE_INFINITY }, faults);
    this.#toHead = method === "HEAD";
  }

  /** Octets received and not consumed; after "end", those beyond the Content-Length. */
  get pending(): number {
    return this.#inflow.pending;
  }

  /** Takes octets from the peer. They are read later: the chunk belongs to the decoder, and to whom it gives a body's. */
  receive(chunk: Uint8Array): void {
    this.#inflow.receive(chunk);
  }

  /** The peer has sent all it will. */
  receiveEnd(): void {
    this.#closed = true;
  }

  /**
   * The next event; undefined where more octets are needed, and after "end". With a Content-Length, and where there is no
   * content (HEAD, 204, 304), the end is told without waiting for the peer's.
   * @throws VivariumError ERR_CGI_BAD_RESPONSE where the response is malformed, or ended early. The decoder is dead from
   * then on and throws the same again.
   */
  next(): ResponseEvent | undefined {
    if (this.#fault !== undefined) throw this.#fault;
    if (this.#phase === OVER) return undefined;
    try {
      for (;;) {
        const event = this.#phase === HEAD ? this.#maybeHead() : this.#maybeBody();
        if (event !== undefined) return event;
        if (!this.#inflow.more()) return this.#closed ? this.#finish() : undefined;
      }
    } catch (error) {
      if (error instanceof VivariumError) this.#fault = error;
      throw error;
    }
  }

  #finish(): ResponseEvent {
    if (this.#phase === BODY && this.#body.endsWithConnection) {
      this.#phase = OVER;
      return end;
    }
    throw badResponse("The upstream's response ended before it was whole.");
  }

  #maybeBody(): ResponseEvent | undefined {
    const octets = this.#body.maybeOctets(this.#inflow);
    if (octets === undefined) return undefined;
    if (octets !== "whole") return { type: "body", octets };
    this.#phase = OVER;
    return end;
  }

  #maybeHead(): ResponseEvent | undefined {
    const inflow = this.#inflow;
    if (inflow.at === inflow.end) return undefined;
    if (!this.#begun) {
      const first = inflow.string(inflow.at, Math.min(inflow.end, inflow.at + statusLine.length));
      if (first === statusLine) {
        throw badResponse(
          "The upstream's response begins with an HTTP status line (non-parsed headers); in CGI it begins with its fields.",
        );
      }
      if (statusLine.startsWith(first)) return undefined;
      this.#begun = true;
      inflow.look();
    }
    if (!this.#lines.maybeFields(inflow)) return undefined;
    inflow.at += this.#lines.position;
    const head = readHead(this.#lines.fields);
    if (this.#toHead || hasNoContent(head.status)) this.#body.beginLength(0);
    else if (head.contentLength === -1) this.#body.beginUntilClose();
    else this.#body.beginLength(head.contentLength);
    this.#phase = BODY;
    return { type: "head", head };
  }
}

function readHead(lines: readonly string[]): ResponseHead {
  if (lines.length === 0) throw badResponse("The head of the upstream's response is empty.");
  let found: string | undefined;
  let location: string | undefined;
  const fields: string[] = [];
  for (let at = 0; at + 1 < lines.length; at += 2) {
    const name = lines[at] ?? "";
    const value = lines[at + 1] ?? "";
    const lower = name.length === 6 || name.length === 8 ? name.toLowerCase() : "";
    if (lower === "status") {
      // "MUST NOT be more than one" of each CGI field (RFC 3875 §6.3)
      if (found !== undefined) throw badResponse("The upstream's response has more than one Status.");
      found = value;
      continue;
    }
    if (lower === "location") {
      if (location !== undefined) throw badResponse("The upstream's response has more than one Location.");
      location = value;
    }
    fields.push(name, value);
  }
  const endToEnd = endToEndFields(fields, faults);
  if (found === undefined) {
    // RFC 3875 §6.2.2, §6.2.3; an empty Location leads nowhere
    if (location === undefined || location === "") return { status: 200, reason: "OK", ...endToEnd, localRedirect: "" };
    const isLocal = fields.length === 2 && location.startsWith("/") && !location.startsWith("//");
    return { status: 302, reason: "Found", ...endToEnd, localRedirect: isLocal ? location : "" };
  }
  const match = status.exec(found);
  if (match === null) throw badResponse("The Status of the upstream's response is malformed.");
  const code = Number(match[1]);
  if (code < 200) throw badResponse("The Status of the upstream's response is not that of a final response.");
  return { status: code, reason: match[2] ?? "", ...endToEnd, localRedirect: "" };
}
