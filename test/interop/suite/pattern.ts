// Octets that the suite and its application (app.py) both can make, of any length, and their checksums.
import { createHash } from "node:crypto";

/** Its length is prime, so that octets lost, doubled or moved anywhere change the checksum. */
const block: Buffer = Buffer.from(
  Array.from({ length: 65_521 }, (_, i) => (((7 * i * i) % 256) + ((13 * i) % 256) + (i >> 7)) & 255),
);

/** Sixteen of them, which is about a mebibyte: fewer and larger pieces to write. */
const blocks: Buffer = Buffer.concat(Array.from({ length: 16 }, () => block));

/** The first `size` octets of the endless repetition of the block, in pieces. */
export function* pattern(size: number): Generator<Buffer> {
  let left = size;
  for (; left >= blocks.length; left -= blocks.length) yield blocks;
  if (left > 0) yield blocks.subarray(0, left);
}

const digests = new Map<number, string>();

/** SHA-256 of `pattern(size)`, hexadecimal. */
export function patternDigest(size: number): string {
  const known = digests.get(size);
  if (known !== undefined) return known;
  const hash = createHash("sha256");
  for (const piece of pattern(size)) hash.update(piece);
  const digest = hash.digest("hex");
  digests.set(size, digest);
  return digest;
}
