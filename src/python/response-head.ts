// A response's head as the Python host encodes it (python/vivarium_host/wsgi.py, encode_head): reason phrase CR LF field lines.
import type { ResponseHead } from "../exchange.js";

/** What the host says of a head beside its octets; wire.py names them. */
export const headFlag = { hasLength: 2, hasDate: 4, closes: 8 } as const;

/** Longer ones are not remembered. */
const longest = 1024;

/** Reads the heads of one worker: what an application answers has mostly the head of what it answered before. */
export class HeadReader {
  #octets: Buffer | undefined;
  #flags = 0;
  #head: ResponseHead | undefined;

  /** The same head where the same octets come again. `octets` must not change afterwards. */
  read(status: number, flags: number, octets: Buffer): ResponseHead {
    const last = this.#head;
    if (last?.status === status && this.#flags === flags && this.#octets?.equals(octets)) return last;
    if (octets.length > longest) return readHead(status, flags, octets);
    // A copy: of what was read with it nothing is to be kept.
    this.#octets = Buffer.from(octets);
    this.#flags = flags;
    this.#head = readHead(status, flags, this.#octets);
    return this.#head;
  }
}

/** `octets` must not change afterwards. */
export function readHead(status: number, flags: number, octets: Buffer): ResponseHead {
  const cut = octets.indexOf("\r\n", 0, "latin1");
  const fields = octets.subarray(cut + 2);
  return {
    status,
    reason: octets.toString("latin1", 0, cut),
    fields,
    contentLength: (flags & headFlag.hasLength) === 0 ? -1 : contentLength(fields),
    hasDate: (flags & headFlag.hasDate) !== 0,
    closes: (flags & headFlag.closes) !== 0,
  };
}

const lengthField = /(?:^|\n)content-length:[ \t]*([0-9]+)/i;

/** The host has checked that the field is there once and a number. */
function contentLength(fields: Buffer): number {
  return Number(lengthField.exec(fields.toString("latin1"))?.[1] ?? -1);
}
