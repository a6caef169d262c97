// Name-value pairs (FastCGI 1.0 §3.4): the length of the name, the length of the value, name, value. A length of up to 127
// takes one octet, a larger one four, the first of them with its high bit set.
//
// PARAMS is a stream: a pair may begin in one record and end in another, so pairs are taken apart when all are there.

import { contentMost, headerSize, type Malformed, recordType, writeHeader } from "./records.js";

/** Collects the octets of a PARAMS stream. What arrives in one piece, as most do, is not copied. */
export class ParamsCollector {
  #octets: Buffer | undefined;
  #size = 0;
  #owned = false;

  /** Octets so far. */
  get size(): number {
    return this.#size;
  }

  add(octets: Buffer): void {
    const before = this.#octets;
    const size = this.#size + octets.length;
    if (before === undefined) {
      this.#octets = octets;
    } else {
      let room = before;
      if (!this.#owned || room.length < size) {
        room = Buffer.allocUnsafe(2 * size);
        room.set(before.subarray(0, this.#size));
        this.#octets = room;
        this.#owned = true;
      }
      room.set(octets, this.#size);
    }
    this.#size = size;
  }

  /** All of it. The collector is empty again. */
  take(): Buffer {
    const octets = this.#octets?.subarray(0, this.#size) ?? Buffer.alloc(0);
    this.#octets = undefined;
    this.#size = 0;
    this.#owned = false;
    return octets;
  }
}

/** Name, value, name, value …, latin-1, in order. Throws what `malformed` makes where a length leads beyond the end. */
export function decodePairs(octets: Buffer, malformed: Malformed): readonly string[] {
  const pairs: string[] = [];
  const end = octets.length;
  // One conversion for all; a slice of a string is cheap.
  const text = octets.toString("latin1");
  let at = 0;
  while (at < end) {
    let nameLength = octets[at++] as number;
    if (nameLength > 127) {
      nameLength = longLength(octets, at - 1, malformed);
      at += 3;
    }
    let valueLength = octets[at++] ?? -1;
    if (valueLength > 127) {
      valueLength = longLength(octets, at - 1, malformed);
      at += 3;
    }
    const valueAt = at + nameLength;
    at = valueAt + valueLength;
    if (valueLength < 0 || at > end) throw malformed("A name-value pair is longer than the record or stream it is in.");
    pairs.push(text.slice(valueAt - nameLength, valueAt), text.slice(valueAt, at));
  }
  return pairs;
}

function longLength(octets: Buffer, at: number, malformed: Malformed): number {
  if (at + 4 > octets.length) throw malformed("A name-value pair ends within its length.");
  return octets.readUInt32BE(at) & 0x7fffffff;
}

/** Encodes pairs given as `NAME NUL VALUE NUL NAME …`, latin-1, without a closing NUL; "" is none. */
export function encodePairs(variables: string): Buffer {
  const size = variables.length;
  if (size === 0) return Buffer.alloc(0);
  // Two length octets replace two NULs, the last of which is not there; three more where a length takes four.
  const encoded = Buffer.allocUnsafe(size + 1 + 3 * Math.floor(size / 128));
  // One conversion for all, then octets are moved: a call per name and value would cost more than all the rest.
  const plain = Buffer.from(variables, "latin1");
  let to = 0;
  for (let nameAt = 0; nameAt < size; ) {
    let nameEnd = nameAt;
    while (nameEnd < size && plain[nameEnd] !== 0) nameEnd += 1;
    let valueEnd = nameEnd + 1;
    while (valueEnd < size && plain[valueEnd] !== 0) valueEnd += 1;
    to = writeLength(encoded, to, nameEnd - nameAt);
    to = writeLength(encoded, to, valueEnd - nameEnd - 1);
    for (let from = nameAt; from < nameEnd; from += 1) encoded[to++] = plain[from] as number;
    for (let from = nameEnd + 1; from < valueEnd; from += 1) encoded[to++] = plain[from] as number;
    nameAt = valueEnd + 1;
  }
  return encoded.subarray(0, to);
}

function writeLength(to: Buffer, at: number, length: number): number {
  if (length <= 127) {
    to[at] = length;
    return at + 1;
  }
  return to.writeUInt32BE(length + 0x80000000, at);
}

/** The octets of the pair that begins at `at`, in well-formed pairs. */
function pairSize(pairs: Buffer, at: number): number {
  const nameLong = (pairs[at] as number) > 127;
  const nameLength = nameLong ? pairs.readUInt32BE(at) & 0x7fffffff : (pairs[at] as number);
  const valueAt = at + (nameLong ? 4 : 1);
  const valueLong = (pairs[valueAt] as number) > 127;
  const valueLength = valueLong ? pairs.readUInt32BE(valueAt) & 0x7fffffff : (pairs[valueAt] as number);
  return valueAt - at + (valueLong ? 4 : 1) + nameLength + valueLength;
}

/** Where the records of these pairs end. */
function recordEnds(pairs: Buffer): readonly number[] {
  const ends: number[] = [];
  let start = 0;
  for (let at = 0; at < pairs.length; ) {
    const next = at + pairSize(pairs, at);
    if (next - start > contentMost && at > start) {
      ends.push(at);
      start = at;
    }
    for (; next - start > contentMost; start += contentMost) ends.push(start + contentMost);
    at = next;
  }
  if (start < pairs.length) ends.push(pairs.length);
  return ends;
}

/**
 * PARAMS records with these encoded pairs, and the empty one that ends the stream. Where one record does not hold all, they
 * are cut between pairs: uWSGI and php-fpm misread a pair that two records share. Only one that no record holds is cut.
 */
export function paramsRecords(id: number, pairs: Buffer): Buffer {
  const ends = pairs.length > contentMost ? recordEnds(pairs) : pairs.length > 0 ? [pairs.length] : [];
  const encoded = Buffer.allocUnsafe(pairs.length + (ends.length + 1) * headerSize);
  let to = 0;
  let from = 0;
  for (const end of ends) {
    to = writeHeader(encoded, to, recordType.params, id, end - from);
    to += pairs.copy(encoded, to, from, end);
    from = end;
  }
  writeHeader(encoded, to, recordType.params, id, 0);
  return encoded;
}
