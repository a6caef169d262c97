// A request's head as HTTP/2 brings it (RFC 9113 §8.3), and what it means. nghttp2, which Node's implementation is made of, has refused
// what is malformed by that section's own rules: pseudo-header fields that are missing, repeated, unknown or behind others, names in
// upper case, fields about connections. Here it is held to what HTTP/1.1 demands of a request, for those behind us speak that.
//
// The requests of one connection resemble each other: fields that are those of the request before are the same array again.

import { type VivariumError, vivariumError } from "../../errors.js";
import { framingFields, readContentLength } from "../http1/framing.js";
import { type Faults, isAuthority, isTarget, isToken } from "../http1/grammar.js";
import { expectsContinue, parseTarget } from "../http1/request-head.js";

/** Octets, except `maxFields`. */
export interface HeadLimits {
  readonly maxTarget: number;
  readonly maxHead: number;
  readonly maxFields: number;
  readonly maxBody: number;
}

export interface RequestHead {
  /** GET where a WebSocket is asked for, as over HTTP/1.1. */
  readonly method: string;
  /** `:path`, as received. */
  readonly target: string;
  readonly form: "origin" | "absolute" | "asterisk";
  /** Still percent-encoded; "" for the asterisk form. */
  readonly path: string;
  /** Still percent-encoded, without "?". */
  readonly query: string;
  /** `:authority`, or else Host. */
  readonly host: string;
  /** Name, value, name, value …: Host first, then the others as received, Cookie in one (RFC 9113 §8.2.3). */
  readonly fields: readonly string[];
  /** -1 where it is not told. */
  readonly contentLength: number;
  readonly expectContinue: boolean;
  /** An extended CONNECT (RFC 8441 §4): the stream is to become a WebSocket. */
  readonly webSocket: boolean;
}

const faults: Faults = {
  malformed: (sentence) => vivariumError("ERR_HTTP_BAD_REQUEST", sentence, { status: 400 }),
  headTooLarge: (sentence) => vivariumError("ERR_HTTP_HEAD_TOO_LARGE", sentence, { status: 431 }),
  bodyTooLarge: (sentence) => vivariumError("ERR_HTTP_BODY_TOO_LARGE", sentence, { status: 413 }),
};

const maxMethod = 64;
/** ": " and the line's end, so that a head is as large as the same over HTTP/1.1. */
const lineOctets = 4;

interface Fields {
  /** As received, pseudo-header fields among them. */
  readonly raw: readonly string[];
  /** Where those end. */
  readonly from: number;
  readonly authority: string;
  readonly host: string;
  readonly list: readonly string[];
  readonly octets: number;
  readonly contentLength: number;
  readonly expectContinue: boolean;
}

/** The method of a request, as far as it can be told; for one that is refused. */
export function methodOf(raw: readonly string[]): string {
  return pseudo(raw, ":method");
}

function pseudo(raw: readonly string[], name: string): string {
  for (let at = 0; raw[at]?.startsWith(":"); at += 2) if (raw[at] === name) return raw[at + 1] ?? "";
  return "";
}

/** Reads the heads of one connection. */
export class RequestHeads {
  readonly #limits: HeadLimits;
  #last: Fields | undefined;

  constructor(limits: HeadLimits) {
    this.#limits = limits;
  }

  /**
   * `raw` is name, value, name, value … as received, latin-1. Throws a VivariumError with the status to answer for a request that
   * cannot be accepted.
   */
  read(raw: readonly string[]): RequestHead {
    let method = "";
    let target = "";
    let authority = "";
    let protocol = "";
    let from = 0;
    for (; raw[from]?.startsWith(":"); from += 2) {
      const value = raw[from + 1] ?? "";
      if (raw[from] === ":method") method = value;
      else if (raw[from] === ":path") target = value;
      else if (raw[from] === ":authority") authority = value;
      else if (raw[from] === ":protocol") protocol = value.toLowerCase();
    }
    const { maxTarget, maxHead } = this.#limits;
    if (!isToken(method) || method.length > maxMethod) throw notImplemented("There is no method of this name.");
    const webSocket = method === "CONNECT" && protocol === "websocket";
    if (webSocket) method = "GET";
    if (method === "CONNECT") throw notImplemented(connectSentence(protocol));
    if (target.length > maxTarget) {
      const sentence = `The request target is longer than ${maxTarget} octets.`;
      throw vivariumError("ERR_HTTP_TARGET_TOO_LONG", sentence, { status: 414 });
    }
    // A path is all there may be: the scheme and the authority are told apart from it (RFC 9113 §8.3.1).
    if (!isTarget(target) || !/^[/*]/.test(target)) throw faults.malformed("The request's :path is malformed.");
    const { form, path, query } = parseTarget(method, target, faults);
    const fields = this.#fields(raw, from, authority);
    this.#last = fields;
    if (method.length + target.length + fields.octets > maxHead) {
      throw faults.headTooLarge(`The head is larger than ${maxHead} octets.`);
    }
    const { host, contentLength, expectContinue } = fields;
    return { method, target, form, path, query, host, fields: fields.list, contentLength, expectContinue, webSocket };
  }

  #fields(raw: readonly string[], from: number, authority: string): Fields {
    const last = this.#last;
    if (last !== undefined && last.authority === authority && sameBehind(last, raw, from)) return last;
    const { maxFields, maxBody } = this.#limits;
    const { list, hostField, octets } = endToEnd(raw, from);
    if (list.length / 2 > maxFields) throw faults.headTooLarge(`The head has more than ${maxFields} fields.`);
    const { length, expect } = framingFields(list, faults);
    const host = authority === "" ? hostField : authority;
    // RFC 9113 §8.3.1. Whoever routes by the one and whoever answers by the other would see two requests.
    if (hostField !== "" && hostField.toLowerCase() !== host.toLowerCase()) {
      throw faults.malformed("The request's :authority and Host differ.");
    }
    if (!isAuthority(host)) throw faults.malformed("The request's :authority is malformed.");
    const contentLength = length === undefined ? -1 : readContentLength(length, maxBody, faults);
    const expectContinue = expect !== "" && expectsContinue(expect) && contentLength !== 0;
    const fields = host === "" ? list : ["host", host, ...list];
    return { raw, from, authority, host, list: fields, octets: octets + host.length, contentLength, expectContinue };
  }
}

function sameBehind(last: Fields, raw: readonly string[], from: number): boolean {
  const shift = from - last.from;
  if (raw.length !== last.raw.length + shift) return false;
  for (let at = from; at < raw.length; at += 1) if (raw[at] !== last.raw[at - shift]) return false;
  return true;
}

/** The fields without Host, Cookie in one. */
function endToEnd(raw: readonly string[], from: number): { list: string[]; hostField: string; octets: number } {
  const list: string[] = [];
  let hostField = "";
  let cookieAt = -1;
  let octets = 0;
  for (let at = from; at + 1 < raw.length; at += 2) {
    const name = raw[at] ?? "";
    const value = raw[at + 1] ?? "";
    octets += name.length + value.length + lineOctets;
    if (name === "host") {
      if (hostField !== "" && hostField !== value) throw faults.malformed("The request has more than one Host.");
      hostField = value;
    } else if (name === "cookie" && cookieAt >= 0) list[cookieAt] += `; ${value}`;
    else {
      list.push(name, value);
      if (name === "cookie") cookieAt = list.length - 1;
    }
  }
  return { list, hostField, octets };
}

function connectSentence(protocol: string): string {
  // As over HTTP/1.1: a tunnel is a proxy's to give.
  if (protocol === "") return "CONNECT is not implemented; this server is no proxy.";
  // RFC 9220 §3 says with which status.
  return "CONNECT is implemented for the :protocol websocket alone.";
}

function notImplemented(sentence: string): VivariumError {
  return vivariumError("ERR_HTTP_NOT_IMPLEMENTED", sentence, { status: 501 });
}
