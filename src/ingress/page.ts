// The plain pages Vivarium answers of its own: for a request it refuses, and where the application gave no answer.
import type { ResponseHead } from "../exchange.js";

/** RFC 9110 §15 and, for 431, RFC 6585; 507, RFC 4918. Those this server answers itself. */
const reasons: ReadonlyMap<number, string> = new Map([
  [308, "Permanent Redirect"],
  [400, "Bad Request"],
  [403, "Forbidden"],
  [404, "Not Found"],
  [405, "Method Not Allowed"],
  [408, "Request Timeout"],
  [413, "Content Too Large"],
  [414, "URI Too Long"],
  [417, "Expectation Failed"],
  [426, "Upgrade Required"],
  [431, "Request Header Fields Too Large"],
  [500, "Internal Server Error"],
  [501, "Not Implemented"],
  [502, "Bad Gateway"],
  [503, "Service Unavailable"],
  [504, "Gateway Timeout"],
  [505, "HTTP Version Not Supported"],
  [507, "Insufficient Storage"],
]);

export interface Page {
  readonly head: ResponseHead;
  readonly body: Uint8Array;
}

/** A page with this status. `fields` are further field lines, each ending in CR LF. */
export function plainPage(status: number, sentence: string, fields = ""): Page {
  const reason = reasons.get(status) ?? "";
  // Plain text: whatever a sentence quotes of the request, no browser takes it for markup.
  const body = Buffer.from(`${status} ${reason}\n\n${sentence}\n`, "utf8");
  const lines = `Content-Type: text/plain; charset=utf-8\r\nContent-Length: ${body.length}\r\n${fields}`;
  return {
    head: { status, reason, fields: Buffer.from(lines, "latin1"), contentLength: body.length, hasDate: false },
    body,
  };
}
