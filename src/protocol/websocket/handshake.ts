// How a connection of HTTP/1.1 becomes a WebSocket (RFC 6455 §4), or a stream of HTTP/2 (RFC 8441 §5): what a client must have sent, and
// the proof that its request was understood. No socket, no clock.
import { createHash, randomBytes } from "node:crypto";
import { isToken, listElements } from "../http1/grammar.js";

/** What a client asks for. */
export interface Handshake {
  /** Sec-WebSocket-Key, or where the client sends none, one that a server elsewhere can be asked with. */
  readonly key: string;
  /** Subprotocols it speaks, its favourite first. */
  readonly protocols: readonly string[];
  /** Sec-WebSocket-Extensions, as sent. */
  readonly extensions: string;
}

/** Why there will be no WebSocket. */
export interface HandshakeFault {
  readonly status: 400 | 426;
  readonly sentence: string;
  /** Field lines to answer with. */
  readonly fields: string;
}

const version13 = "Sec-WebSocket-Version: 13\r\n";

/** RFC 6455 §4.2.1. Of a request that has `Upgrade: websocket` and names it in Connection; `fields` as in a RequestHead. */
export function readHandshake(fields: readonly string[], hasBody: boolean): Handshake | HandshakeFault {
  const sentence = versionFault(fields);
  // RFC 9110 §15.5.22: what would be spoken here.
  if (sentence !== undefined) return { status: 426, sentence, fields: `Upgrade: websocket\r\n${version13}` };
  const key = fieldValue(fields, "sec-websocket-key");
  if (key === undefined || !isKey(key)) {
    return fault("The request's Sec-WebSocket-Key is not 16 octets in base64.");
  }
  return readOffer(fields, hasBody, key);
}

/** RFC 8441 §5. Of an extended CONNECT for `websocket`. */
export function readConnect(fields: readonly string[], hasBody: boolean): Handshake | HandshakeFault {
  const sentence = versionFault(fields);
  // 426 would have to name what to upgrade to, and HTTP/2 has no field for that.
  if (sentence !== undefined) return { status: 400, sentence, fields: version13 };
  return readOffer(fields, hasBody, randomBytes(16).toString("base64"));
}

function versionFault(fields: readonly string[]): string | undefined {
  const version = fieldValue(fields, "sec-websocket-version");
  if (version === "13") return undefined;
  const sent = version === undefined ? "asks for no version" : "asks for another version";
  return `The request ${sent} of the WebSocket protocol; 13 is spoken here.`;
}

function readOffer(fields: readonly string[], hasBody: boolean, key: string): Handshake | HandshakeFault {
  if (hasBody) return fault("A request for a WebSocket has no body.");
  const protocols = listElements(fieldValue(fields, "sec-websocket-protocol") ?? "");
  if (!protocols.every(isToken) || new Set(protocols).size < protocols.length) {
    return fault("The request's Sec-WebSocket-Protocol is no list of different names.");
  }
  return { key, protocols, extensions: fieldValue(fields, "sec-websocket-extensions") ?? "" };
}

function fault(sentence: string): HandshakeFault {
  return { status: 400, sentence, fields: "" };
}

/** Of all fields of this name, joined by commas: two keys or two versions are then none (RFC 6455 §11.3). */
function fieldValue(fields: readonly string[], name: string): string | undefined {
  let value: string | undefined;
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const candidate = fields[at] ?? "";
    if (candidate.length !== name.length || candidate.toLowerCase() !== name) continue;
    const next = fields[at + 1] ?? "";
    value = value === undefined ? next : `${value},${next}`;
  }
  return value;
}

function isKey(text: string): boolean {
  return /^[A-Za-z0-9+/]{21}[AQgw]==$/.test(text);
}

/** Sec-WebSocket-Accept (RFC 6455 §4.2.2). */
export function acceptOf(key: string): string {
  return createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
}
