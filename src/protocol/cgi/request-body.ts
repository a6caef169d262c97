// How the body of a request is framed that came with CGI meta-variables on a connection of its own (SCGI, uwsgi).

import { type Faults, parseContentLength, parseTransferEncoding } from "../http1/grammar.js";

export interface RequestBody {
  readonly framing: "none" | "length" | "chunked";
  /** Octets, where `framing` is "length"; else 0. */
  readonly contentLength: number;
}

const none: RequestBody = { framing: "none", contentLength: 0 };
const chunked: RequestBody = { framing: "chunked", contentLength: 0 };

/**
 * `length` is the value of CONTENT_LENGTH, or where that is absent or empty (RFC 3875 §4.1.2) of the client's
 * HTTP_CONTENT_LENGTH; `codings` is that of HTTP_TRANSFER_ENCODING. Undefined where absent. A web server that has undone the
 * chunks itself still hands on the client's Transfer-Encoding, and tells the length; one that has not cannot know the length,
 * and the chunks come as they are.
 */
export function requestBody(
  length: string | undefined,
  codings: string | undefined,
  maxBody: number,
  faults: Faults,
): RequestBody {
  if (length !== undefined && length !== "") {
    const contentLength = parseContentLength(length);
    if (contentLength === -1) throw faults.malformed("CONTENT_LENGTH is malformed.");
    if (contentLength > maxBody) throw faults.bodyTooLarge(`The body is larger than ${maxBody} octets.`);
    return { framing: "length", contentLength };
  }
  if (codings === undefined || codings === "") return none;
  if (parseTransferEncoding(codings) !== "chunked") {
    throw faults.malformed("The request has a transfer coding other than chunked.");
  }
  return chunked;
}
