// Requests, client role: what a gateway asks of an upstream in, octets out (RFC 9112 §3, §6). One encoder serves a
// connection, request after request.

import { vivariumError } from "../../errors.js";
import { BodyEncoder } from "./body-encoder.js";
import { isTarget, isToken } from "./grammar.js";

export interface RequestFacts {
  readonly method: string;
  /** As it goes on the request line: origin, absolute or asterisk form. */
  readonly target: string;
  /**
   * Field lines, each `Name: value CR LF`, latin-1, validated by whoever made them, with the one Host and without any
   * hop-by-hop field.
   */
  readonly fields: Uint8Array;
  /** The value of Content-Length in `fields`, or -1. */
  readonly contentLength: number;
}

export class RequestEncoder {
  readonly #body = new BodyEncoder();
  #keepAlive = false;

  /** Begins a request. Without `keepAlive` it says that the connection is to close after the response. */
  begin(keepAlive: boolean): void {
    this.#keepAlive = keepAlive;
    this.#body.begin("none", 0);
  }

  /** Octets of the body encoded so far, without framing. */
  get bodyOctets(): number {
    return this.#body.octets;
  }

  get complete(): boolean {
    return this.#body.complete;
  }

  /** Whether the body ended before its Content-Length: the connection must be cut, so that the upstream knows. */
  get short(): boolean {
    return this.#body.short;
  }

  /** Octets given beyond the Content-Length, and dropped. */
  get dropped(): number {
    return this.#body.dropped;
  }

  /**
   * The head with the first octets of the body, if any; called once, first. `last` says that the body is whole. A body
   * of unknown length goes chunked, so that the upstream must be known to speak HTTP/1.1 (RFC 9112 §6.1).
   * @throws VivariumError where the method or the target cannot stand on a request line.
   */
  head(facts: RequestFacts, body: Uint8Array | undefined, last: boolean): Uint8Array | readonly Uint8Array[] {
    const { method, target, contentLength } = facts;
    // a space or a line's end in either would be another request; the reader of a CONNECT's answer would lose the framing
    if (!isToken(method) || method === "CONNECT" || !isTarget(target)) {
      throw vivariumError("ERR_HTTP_UNSENDABLE", "The request's method or target cannot be sent in HTTP/1.1.");
    }
    const known = last ? (body?.length ?? 0) : -1;
    let before = "\r\n";
    if (contentLength !== -1) this.#body.begin("length", contentLength);
    else if (known === -1) {
      this.#body.begin("chunked", 0);
      before = "Transfer-Encoding: chunked\r\n\r\n";
    } else {
      this.#body.begin("length", known);
      // RFC 9110 §8.6: a method that gives content a meaning says that there is none
      if (known > 0 || anticipatesContent.has(method)) before = `Content-Length: ${known}\r\n\r\n`;
    }
    const connection = this.#keepAlive ? "" : "Connection: close\r\n";
    const first = Buffer.from(`${method} ${target} HTTP/1.1\r\n`, "latin1");
    return this.#body.head(first, facts.fields, connection + before, body, last);
  }

  /** Further octets of the body; `octets` may be empty, and with `last` the body is whole. */
  data(octets: Uint8Array, last: boolean): readonly Uint8Array[] {
    return this.#body.data(octets, last);
  }
}

const anticipatesContent: ReadonlySet<string> = new Set(["POST", "PUT", "PATCH"]);
