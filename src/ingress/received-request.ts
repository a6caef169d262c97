// What the doors that web servers in front come to (FastCGI, SCGI, uwsgi) make of a request's variables: the same limits
// as over HTTP, with the same statuses, and the same record of how it ended.
import type { RequestEnded } from "../channels.js";
import { type VivariumError, vivariumError } from "../errors.js";
import { type ReceivedRequest, receivedRequest } from "../protocol/cgi/received-variables.js";
import type { IngressOptions } from "./options.js";

/**
 * `pairs` are name, value, name, value …, latin-1, as received. Throws a VivariumError with the status to answer for a
 * request that is malformed or beyond a limit.
 */
export function readReceived(pairs: readonly string[], options: IngressOptions): ReceivedRequest {
  const { maxTarget, maxFields, maxBody } = options.limits;
  const request = receivedRequest(pairs, options.receivedFacts);
  if (request.target.length > maxTarget) {
    throw vivariumError("ERR_HTTP_TARGET_TOO_LONG", "The request target is too long.", { status: 414 });
  }
  if (pairs.length > 2 * maxFields && countFields(pairs) > maxFields) {
    throw vivariumError("ERR_HTTP_HEAD_TOO_LARGE", "The request has too many header fields.", { status: 431 });
  }
  if (request.contentLength > maxBody) throw bodyTooLarge();
  return request;
}

/** A body has grown beyond `max-body`. */
export function bodyTooLarge(): VivariumError {
  return vivariumError("ERR_HTTP_BODY_TOO_LARGE", "The request's body is too large.", { status: 413 });
}

/** What the front says beside them is not the client's doing. */
function countFields(pairs: readonly string[]): number {
  let count = 0;
  for (let at = 0; at < pairs.length; at += 2) if (pairs[at]?.startsWith("HTTP_")) count += 1;
  return count;
}

/** What is told of a request that ended; `request` is undefined where it could not be read. */
export function receivedRecord(
  request: ReceivedRequest | undefined,
  status: number,
  octets: number,
  started: number,
): RequestEnded {
  return {
    remoteAddress: request?.remoteAddress ?? "",
    method: request?.method ?? "",
    target: request?.target ?? "",
    protocol: request?.protocol ?? "",
    status,
    octets,
    milliseconds: started === 0 ? 0 : performance.now() - started,
    referer: request?.referer ?? "",
    userAgent: request?.userAgent ?? "",
  };
}
