// The grammar of HTTP that both roles share (RFC 9110 §5, RFC 9112 §2–§7), as tables over octets and functions over the
// latin-1 strings cut from them. Nothing here repairs a malformed value: a value is what the grammar says or it is
// refused, because two readers that repair differently is how requests are smuggled (RFC 9112 §11.2).

import type { VivariumError } from "../../errors.js";

export const TAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SPACE = 0x20;
export const COLON = 0x3a;
export const SEMICOLON = 0x3b;

/** What a decoder throws; the requests' and the responses' differ in code and in the status that answers them. */
export interface Faults {
  malformed(sentence: string): VivariumError;
  headTooLarge(sentence: string): VivariumError;
  bodyTooLarge(sentence: string): VivariumError;
}

function tableOf(pattern: RegExp): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, octet) => (pattern.test(String.fromCharCode(octet)) ? 1 : 0));
}

/** Octets of a token (RFC 9110 §5.6.2): methods, field names, options. */
export const tokenOctets: Uint8Array = tableOf(/[!#$%&'*+\-.^_`|~0-9A-Za-z]/);

/** Octets of a field value (RFC 9110 §5.5): visible, obs-text, space and tab. */
export const valueOctets: Uint8Array = tableOf(/[\t\x20-\x7e\x80-\xff]/);

/**
 * Octets of a request target. Wider than RFC 3986, as browsers are: they send `|`, `^` or `{` unencoded in a query. No
 * fragment: it is never part of a target (RFC 9112 §3.2), and readers differ in what they make of one.
 */
export const targetOctets: Uint8Array = tableOf(/[!"$-~]/);

/** The value of a hexadecimal digit, or 255. */
export const hexadecimal: Uint8Array = Uint8Array.from({ length: 256 }, (_, octet) => {
  const value = Number.parseInt(String.fromCharCode(octet), 16);
  return Number.isNaN(value) ? 255 : value;
});

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const target = /^[!"$-~]+$/;
const value = /^[\t\x20-\x7e\x80-\xff]*$/;

export function isToken(text: string): boolean {
  return token.test(text);
}

/** Whether `text` could stand on a request line as its target; not whether it is of a form there is. */
export function isTarget(text: string): boolean {
  return target.test(text);
}

export function isFieldValue(text: string): boolean {
  return value.test(text);
}

const digits = /^[0-9]+$/;

/**
 * Content-Length's value (RFC 9110 §8.6): digits and nothing else, no list. -1 where it is malformed or beyond the
 * integers that are counted exactly.
 */
export function parseContentLength(text: string): number {
  if (!digits.test(text)) return -1;
  const length = Number(text);
  return Number.isSafeInteger(length) ? length : -1;
}

/** Elements of a comma-separated list, without the white space around them and without empty ones (RFC 9110 §5.6.1). */
export function listElements(text: string): readonly string[] {
  if (!text.includes(",")) return text === "" ? [] : [text];
  return text
    .split(",")
    .map(trimWhitespace)
    .filter((element) => element !== "");
}

/** Without OWS (RFC 9110 §5.6.3) at both ends; `trim` would take more, such as a no-break space. */
export function trimWhitespace(text: string): string {
  return text.replace(/^[ \t]+|[ \t]+$/g, "");
}

// transfer-coding = token *( OWS ";" OWS token BWS "=" BWS ( token / quoted-string ) )   (RFC 9112 §7)
const transferCoding =
  /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+)((?:[ \t]*;[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+[ \t]*=[ \t]*(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+|"[^"\\,]*"))*)$/;

/** What a Transfer-Encoding amounts to. "malformed": no list of codings, or `chunked` twice or with parameters. */
export type TransferCodings = "chunked" | "other-then-chunked" | "not-chunked-last" | "malformed";

/**
 * Reads the whole of Transfer-Encoding, its lines joined by commas (RFC 9112 §6.1). Empty elements are malformed here,
 * although §5.6.1 of RFC 9110 lets lists have them: `, chunked` and `chunked,` are read differently by different servers.
 */
export function parseTransferEncoding(text: string): TransferCodings {
  const codings: string[] = [];
  for (const element of text.split(",")) {
    const match = transferCoding.exec(trimWhitespace(element));
    if (match === null) return "malformed";
    const coding = (match[1] ?? "").toLowerCase();
    // `chunked` has no parameters (RFC 9112 §7.1)
    if (coding === "chunked" && match[2] !== "") return "malformed";
    codings.push(coding);
  }
  const first = codings.indexOf("chunked");
  if (first !== -1 && first !== codings.lastIndexOf("chunked")) return "malformed";
  if (first !== codings.length - 1) return "not-chunked-last";
  return codings.length === 1 ? "chunked" : "other-then-chunked";
}

// chunk-ext = *( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] )   (RFC 9112 §7.1.1)
const chunkExtensions =
  /^(?:[ \t]*;[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:[ \t]*=[ \t]*(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+|"(?:[\t !#-[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"))?)+$/;

/** Whether `text` is what may stand between a chunk's size and its line's end: one extension or more. */
export function isChunkExtensions(text: string): boolean {
  return chunkExtensions.test(text);
}

// reg-name and IPv4address (RFC 3986 §3.2.2); an IPv4address is also a reg-name. May be empty.
const registeredName = /^(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*$/;
const futureAddress = /^v[0-9A-Fa-f]+\.[A-Za-z0-9\-._~!$&'()*+,;=:]+$/i;
const ipv4 = /^(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!$)|$)){4}$/;
const group = /^[0-9A-Fa-f]{1,4}$/;

function isIpv6(text: string): boolean {
  const halves = text.split("::");
  if (halves.length > 2) return false;
  let groups = 0;
  for (const [index, half] of halves.entries()) {
    if (half === "") continue;
    const parts = half.split(":");
    for (const [position, part] of parts.entries()) {
      // the last 32 bits may be written as an IPv4 address
      const last = index === halves.length - 1 && position === parts.length - 1;
      if (last && part.includes(".")) {
        if (!ipv4.test(part)) return false;
        groups += 2;
      } else if (group.test(part)) groups += 1;
      else return false;
    }
  }
  return halves.length === 2 ? groups <= 7 : groups === 8;
}

/**
 * Whether `text` is `uri-host [ ":" port ]` (RFC 9110 §7.2), without userinfo. An empty host passes: `Host:` is what a
 * client sends whose target has no authority (RFC 9112 §3.2).
 */
export function isAuthority(text: string): boolean {
  const bracket = text.startsWith("[") ? text.indexOf("]") : -1;
  if (text.startsWith("[") && bracket === -1) return false;
  const colon = text.indexOf(":", bracket + 1);
  const host = colon === -1 ? text : text.slice(0, colon);
  const port = colon === -1 ? "" : text.slice(colon + 1);
  if (port !== "" && (!digits.test(port) || Number(port) > 65535)) return false;
  if (bracket === -1) return registeredName.test(host) && (host !== "" || colon === -1);
  if (bracket !== host.length - 1) return false;
  const address = host.slice(1, -1);
  return isIpv6(address) || futureAddress.test(address);
}
