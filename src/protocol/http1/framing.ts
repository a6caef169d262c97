// What the fields of a message, either role, say about the message itself (RFC 9112 §6, §9.3).

import { type Faults, listElements, parseContentLength } from "./grammar.js";

/** The fields that matter to HTTP itself; undefined or "" where there is none. Lists are joined by commas. */
export interface FramingFields {
  readonly host: string | undefined;
  readonly length: string | undefined;
  readonly codings: string | undefined;
  readonly connection: string;
  readonly expect: string;
  readonly upgrade: string;
}

/** Picks them out. Throws where one that must be alone is repeated, or where two framings contradict each other. */
export function framingFields(fields: readonly string[], faults: Faults): FramingFields {
  let host: string | undefined;
  let length: string | undefined;
  let codings: string | undefined;
  let connection = "";
  let expect = "";
  let upgrade = "";
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const value = fields[i + 1] as string;
    // the lengths of the names below tell nearly all others apart at no cost
    switch (name.length) {
      case 4:
        if (name.toLowerCase() !== "host") break;
        if (host !== undefined) throw faults.malformed("The message has more than one Host.");
        host = value;
        break;
      case 6:
        if (name.toLowerCase() === "expect") expect = expect === "" ? value : `${expect},${value}`;
        break;
      case 7:
        if (name.toLowerCase() === "upgrade") upgrade = upgrade === "" ? value : `${upgrade},${value}`;
        break;
      case 10:
        if (name.toLowerCase() === "connection") connection = connection === "" ? value : `${connection},${value}`;
        break;
      case 14:
        if (name.toLowerCase() !== "content-length") break;
        // RFC 9112 §6.3 would let equal ones pass; proxies have disagreed on which counts, and nobody in earnest sends two
        if (length !== undefined) throw faults.malformed("The message has more than one Content-Length.");
        length = value;
        break;
      case 17:
        if (name.toLowerCase() === "transfer-encoding") codings = codings === undefined ? value : `${codings},${value}`;
        break;
      default:
    }
  }
  // RFC 9112 §6.3 would take Transfer-Encoding's word; the message is an attempt at smuggling all the same
  if (length !== undefined && codings !== undefined) {
    throw faults.malformed("The message has both Transfer-Encoding and Content-Length.");
  }
  return { host, length, codings, connection, expect, upgrade };
}

export function readContentLength(length: string, maxBody: number, faults: Faults): number {
  const octets = parseContentLength(length);
  if (octets === -1) throw faults.malformed("The message's Content-Length is malformed.");
  if (octets > maxBody) throw faults.bodyTooLarge(`The body is larger than ${maxBody} octets.`);
  return octets;
}

/** Whether the message switches, or asks to switch, to WebSocket (RFC 6455 §4). */
export function becomesWebSocket(connection: string, upgrade: string): boolean {
  return (
    upgrade !== "" &&
    listElements(upgrade.toLowerCase()).includes("websocket") &&
    listElements(connection.toLowerCase()).includes("upgrade")
  );
}

/** Whether the sender lets the connection stay open (RFC 9112 §9.3). */
export function staysOpen(connection: string, minor: 0 | 1): boolean {
  if (connection === "") return minor === 1;
  const options = listElements(connection.toLowerCase());
  if (options.includes("close")) return false;
  return minor === 1 || options.includes("keep-alive");
}
