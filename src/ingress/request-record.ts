import type { RequestEnded } from "../channels.js";
import type { RequestHead } from "../protocol/http1/request-decoder.js";

/** What is told of a head, whichever version of HTTP it came over. */
export type RecordedHead = Pick<RequestHead, "method" | "target" | "fields">;

/** What is told of a request that ended; `head` is undefined where it had none that could be read. */
export function requestRecord(
  head: RecordedHead | undefined,
  protocol: string,
  remoteAddress: string,
  status: number,
  octets: number,
  started: number,
): RequestEnded {
  return {
    remoteAddress,
    method: head?.method ?? "",
    target: head?.target ?? "",
    protocol,
    status,
    octets,
    milliseconds: started === 0 ? 0 : performance.now() - started,
    referer: field(head, "referer"),
    userAgent: field(head, "user-agent"),
  };
}

/** SERVER_PROTOCOL; "" where nothing could be read. */
export function protocolOf(head: RequestHead | undefined): string {
  if (head === undefined) return "";
  return head.minor === 1 ? "HTTP/1.1" : "HTTP/1.0";
}

/** The value of the first field of this name, in lower case; "" where there is none. */
function field(head: RecordedHead | undefined, name: string): string {
  const fields = head?.fields ?? [];
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const candidate = fields[at] ?? "";
    if (candidate.length === name.length && candidate.toLowerCase() === name) return fields[at + 1] ?? "";
  }
  return "";
}
