// How a connection of HTTP/1.1 becomes a WebSocket (RFC 6455 §4): what a client must have sent, and the proof that its request was
// understood. No socket, no clock.
import { createHash } from "node:crypto";
import { isToken, listElements } from "../http1/grammar.js";

/** What a client asks for. */
export interface Handshake {
  /** Sec-WebSocket-Key. */
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
}

/** RFC 6455 §4.2.1. Of a request that has `Upgrade: websocket` and names it in Connection; `fields` as in a RequestHead. */
export function readHandshake(fields: readonly string[], hasBody: boolean): Handshake | HandshakeFault {
  const version = fieldValue(fields, "sec-websocket-version");
  if (version !== "13") {
    const sent = version === undefined ? "asks for no version" : "asks for another version";
    return { status: 426, sentence: `The request ${sent} of the WebSocket protocol; 13 is spoken here.` };
  }
  const key = fieldValue(fields, "sec-websocket-key");
  if (key === undefined || !isKey(key)) {
    return fault("The request's Sec-WebSocket-Key is not 16 octets in base64.");
  }
  if (hasBody) return fault("A request for a WebSocket has no body.");
  const protocols = listElements(fieldValue(fields, "sec-websocket-protocol") ?? "");
  if (!protocols.every(isToken) || new Set(protocols).size < protocols.length) {
    return fault("The request's Sec-WebSocket-Protocol is no list of different names.");
  }
  return { key, protocols, extensions: fieldValue(fields, "sec-websocket-extensions") ?? "" };
}

function fault(sentence: string): HandshakeFault {
  return { status: 400, sentence };
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
