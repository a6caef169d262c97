// What a request's target and fields mean for HTTP itself: where it is addressed, how its body is framed, whether the
// connection stays open (RFC 9110 §7, RFC 9112 §3, §6, §9). Everything else in the fields is the application's.

import { vivariumError } from "../../errors.js";
import { becomesWebSocket, framingFields, readContentLength, staysOpen } from "./framing.js";
import { type Faults, isAuthority, listElements, parseTransferEncoding } from "./grammar.js";

export interface Target {
  readonly form: "origin" | "absolute" | "asterisk";
  readonly scheme: string;
  readonly authority: string;
  readonly path: string;
  readonly query: string;
}

/** What the fields say about the message itself. */
export interface FieldFacts {
  /** The version they were read for: HTTP/1.0 and 1.1 differ in what they mean. */
  readonly minor: 0 | 1;
  readonly host: string;
  readonly framing: "none" | "length" | "chunked";
  readonly contentLength: number;
  readonly keepAlive: boolean;
  readonly expectContinue: boolean;
  readonly webSocket: boolean;
}

/** The target that means the server as a whole. */
export const asterisk: Target = { form: "asterisk", scheme: "", authority: "", path: "", query: "" };

/** The four forms of RFC 9112 §3.2; the authority form is CONNECT's alone. */
export function parseTarget(method: string, target: string, faults: Faults): Target {
  if (target.startsWith("/")) return { form: "origin", scheme: "", authority: "", ...splitQuery(target) };
  if (target === "*") {
    if (method !== "OPTIONS") throw faults.malformed("The target * is for OPTIONS only.");
    return asterisk;
  }
  const match = /^(https?):\/\/([^/?]*)(.*)$/i.exec(target);
  if (match === null) throw faults.malformed("The request target is neither a path nor an http or https URI.");
  const [, scheme = "", authority = "", rest = ""] = match;
  // RFC 9110 §4.2.1: an http URI with an empty host is invalid; §4.2.4: so is one with userinfo
  if (authority === "" || !isAuthority(authority))
    throw faults.malformed("The request target's authority is malformed.");
  const { path, query } = splitQuery(rest);
  return { form: "absolute", scheme: scheme.toLowerCase(), authority, path: path === "" ? "/" : path, query };
}

function splitQuery(target: string): { readonly path: string; readonly query: string } {
  const mark = target.indexOf("?");
  return mark === -1 ? { path: target, query: "" } : { path: target.slice(0, mark), query: target.slice(mark + 1) };
}

/** Reads the fields of a request in HTTP/1.`minor`. */
export function readFields(fields: readonly string[], minor: 0 | 1, maxBody: number, faults: Faults): FieldFacts {
  const { host, length, codings, connection, expect, upgrade } = framingFields(fields, faults);
  if (host === undefined && minor === 1) throw faults.malformed("The request has no Host.");
  if (host !== undefined && !isAuthority(host)) throw faults.malformed("The request's Host is malformed.");
  if (codings !== undefined) checkCodings(codings, minor, faults);
  const contentLength = length === undefined ? 0 : readContentLength(length, maxBody, faults);
  const mayHaveBody = codings !== undefined || contentLength > 0;
  return {
    minor,
    host: host ?? "",
    framing: codings !== undefined ? "chunked" : length !== undefined ? "length" : "none",
    contentLength,
    keepAlive: staysOpen(connection, minor),
    // RFC 9110 §10.1.1: HTTP/1.0 has no expectations, "MUST ignore"
    expectContinue: minor === 1 && expect !== "" && expectsContinue(expect) && mayHaveBody,
    // RFC 9110 §7.8: in HTTP/1.0 it is ignored
    webSocket: minor === 1 && becomesWebSocket(connection, upgrade),
  };
}

function checkCodings(codings: string, minor: 0 | 1, faults: Faults): void {
  // RFC 9112 §6.1: HTTP/1.0 has no transfer codings, so that the framing of such a request is faulty
  if (minor === 0) throw faults.malformed("The request is in HTTP/1.0 and has a Transfer-Encoding.");
  switch (parseTransferEncoding(codings)) {
    case "chunked":
      return;
    case "other-then-chunked":
      throw vivariumError("ERR_HTTP_NOT_IMPLEMENTED", "The request has a transfer coding other than chunked.", {
        status: 501,
      });
    case "not-chunked-last":
      // RFC 9112 §6.3: the length of such a request cannot be known, "MUST respond with 400"
      throw faults.malformed("The request's last transfer coding is not chunked.");
    default:
      throw faults.malformed("The request's Transfer-Encoding is malformed.");
  }
}

/** RFC 9110 §10.1.1: the one expectation there is; another is answered with 417. */
export function expectsContinue(expect: string): boolean {
  for (const expectation of listElements(expect.toLowerCase())) {
    if (expectation !== "100-continue") {
      throw vivariumError("ERR_HTTP_EXPECTATION", "The request expects something else than 100-continue.", {
        status: 417,
      });
    }
  }
  return true;
}
