// The uwsgi protocol, client role: a request's meta-variables in, a packet with modifiers 0 out. The body follows as it is.

import { vivariumError } from "../../errors.js";

/** Sizes are 16 bits. */
const sizeMost = 65535;
/** A client may not say what uWSGI loads: there, such a variable chooses the application by request. */
const withheld = "UWSGI_";

/**
 * The packet of a request. `variables` are `NAME NUL VALUE NUL …` without a closing NUL, latin-1, names unique
 * (`Request.variables`); where there is a body, which follows, CONTENT_LENGTH is among them. In front of them go `pairs` that
 * were encoded before.
 * @throws VivariumError ERR_UWSGI_UNSENDABLE (status 431) where they are too large for a packet.
 */
export function encodeRequest(variables: string, pairs = ""): Uint8Array {
  const packet = pairs + encodePairs(variables);
  if (packet.length > sizeMost) throw unsendable(packet.length);
  return Buffer.from(`\0${size(packet.length)}\0${packet}`, "latin1");
}

/** The octets of variables, one to a character: one string costs a third of many short ones written into a buffer. */
export function encodePairs(variables: string): string {
  let pairs = "";
  const { length } = variables;
  for (let at = 0; at < length; ) {
    const nameEnd = variables.indexOf("\0", at);
    if (nameEnd < 0) break;
    const next = variables.indexOf("\0", nameEnd + 1);
    const end = next < 0 ? length : next;
    if (!variables.startsWith(withheld, at)) {
      pairs += sized(variables.slice(at, nameEnd)) + sized(variables.slice(nameEnd + 1, end));
    }
    at = end + 1;
  }
  return pairs;
}

function sized(text: string): string {
  if (text.length > sizeMost) throw unsendable(text.length);
  return size(text.length) + text;
}

/** 16 bits, little-endian. */
function size(length: number): string {
  return String.fromCharCode(length & 255, length >> 8);
}

function unsendable(size: number): Error {
  return vivariumError(
    "ERR_UWSGI_UNSENDABLE",
    `The request's variables have ${size} octets; the uwsgi protocol carries ${sizeMost}.`,
    { status: 431 },
  );
}
