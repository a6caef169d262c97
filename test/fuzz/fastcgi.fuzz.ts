// Fuzzes both decoders of FastCGI: `node build/test/fuzz/fastcgi.fuzz.js [seconds] [seed]`. Whatever the octets, a decoder
// throws nothing but a VivariumError, gives the same events however the octets are cut, and comes to an end.
import assert from "node:assert/strict";
import { encodeRequest } from "../../src/protocol/fastcgi/request-encoder.js";
import { decodeRequests, decodeResponses, defaultLimits, record } from "../protocol/fastcgi/vectors.js";
import { fuzz } from "./fuzz.js";
import type { Random } from "./random.js";

const contents = [
  "",
  "\0\x01\0\0\0\0\0\0",
  "\0\x01\x01\0\0\0\0\0",
  "\0\x02\0\0\0\0\0\0",
  "\0\0\0\0\0\0\0\0",
  "\x01\x01Ab",
  "\x03\x80\0\0\x02ABCde",
  "\x01",
  "\x05HE",
  "\x80\0\0",
  "\xff\xff\xff\xff\xff\xff\xff\xff",
  "hello",
  "\x0f\0FCGI_MPXS_CONNS",
] as const;

function anyRecord(random: Random): Buffer {
  const header = new Map<string, number>();
  if (random.chance(20)) header.set("padding", random.below(random.of([4, 256])));
  if (random.chance(2)) header.set("version", random.below(256));
  const content = random.of(contents);
  if (random.chance(3)) header.set("length", random.below(random.of([12, 65536])));
  const type = random.chance(96) ? 1 + random.below(11) : random.below(256);
  return record(type, random.of([0, 1, 1, 2, 258]), Buffer.from(content, "latin1"), header);
}

/** The records of a request as they should be, in their order, cut as its author liked. */
function goodRequest(random: Random, id: number): readonly Buffer[] {
  const none = new Map<string, number>();
  const params = Buffer.from(random.of(["", "\x01\x01Ab", "\x04\x80\0\0\x03NAMEabc\x01\0B"]), "latin1");
  const body = Buffer.from(random.of(["", "hello", "x"]));
  return [
    record(1, id, Buffer.from([0, 1, random.below(2), 0, 0, 0, 0, 0]), none),
    ...random.cut(params).map((piece) => record(4, id, piece, new Map([["padding", random.below(3)]]))),
    record(4, id, Buffer.alloc(0), none),
    ...random.cut(body).map((piece) => record(5, id, piece, none)),
    record(5, id, Buffer.alloc(0), none),
  ];
}

/** Records of several lists by turns, each list in its order. */
function interleaved(random: Random, lists: readonly (readonly Buffer[])[]): Buffer {
  const queues = lists.map((list) => [...list]).filter((list) => list.length > 0);
  const all: Buffer[] = [];
  while (queues.length > 0) {
    const at = random.below(queues.length);
    const next = queues[at]?.shift();
    if (next === undefined) queues.splice(at, 1);
    else all.push(next);
    if (random.chance(4)) all.push(anyRecord(random));
  }
  return Buffer.concat(all);
}

/** Some octets are changed, or go missing. */
function broken(random: Random, octets: Buffer): Buffer {
  if (octets.length === 0 || random.chance(50)) return octets;
  const at = random.below(octets.length);
  if (random.chance(50)) octets[at] = random.below(256);
  else return Buffer.concat([octets.subarray(0, at), octets.subarray(at + random.below(9))]);
  return octets;
}

export function fuzzRequests(random: Random): void {
  const lists = Array.from({ length: random.below(4) }, (_, index) => goodRequest(random, 1 + (index % 3)));
  const octets = broken(random, interleaved(random, lists));
  const limits = random.chance(70) ? defaultLimits : { maxParams: random.below(20), maxRequests: random.below(4) };
  const answers = random.chance(50);
  const whole = decodeRequests([octets], limits, answers);
  const chunks = random.cut(octets);
  const cut = decodeRequests(chunks, limits, answers);
  assert.deepEqual(cut, whole, `cut into ${chunks.map((chunk) => chunk.length).join(" ")}`);
}

export function fuzzResponses(random: Random): void {
  const octets = broken(random, Buffer.concat(Array.from({ length: random.below(8) }, () => anyRecord(random))));
  const whole = decodeResponses([octets], [1, 258]);
  const chunks = random.cut(octets);
  const cut = decodeResponses(chunks, [1, 258]);
  assert.deepEqual(cut, whole, `cut into ${chunks.map((chunk) => chunk.length).join(" ")}`);
}

/** What the request encoder writes, the request decoder reads: the same pairs and the same body. */
export function fuzzRoundTrip(random: Random): void {
  const text = () => String.fromCharCode(1 + random.below(255)).repeat(random.below(random.of([4, 200, 70_000])));
  const pairs = Array.from({ length: random.below(6) }, () => [text(), text()] as const);
  const body = Buffer.from(text(), "latin1");
  const variables = pairs.map(([name, value]) => `${name}\0${value}`).join("\0");
  // Nothing and one pair of nothing are the same string but for this.
  const expected = variables === "" ? [] : pairs;
  const encoded = encodeRequest(9, true, variables, body, true);
  const octets = encoded instanceof Uint8Array ? Buffer.from(encoded) : Buffer.concat(encoded);
  const log = decodeRequests(random.cut(octets), { maxParams: 2 ** 24, maxRequests: 1 }, true);
  const whole = decodeRequests([octets], { maxParams: 2 ** 24, maxRequests: 1 }, true);
  assert.deepEqual(log, whole);
  assert.equal(whole.filter((line) => line.startsWith("  ")).length, expected.length);
  assert.equal(
    whole.some((line) => line.startsWith("body")),
    body.length > 0,
  );
  assert.equal(whole.at(-1), "end 9");
}

fuzz(import.meta.url, (random) => {
  fuzzRequests(random);
  fuzzResponses(random);
  if (random.chance(5)) fuzzRoundTrip(random);
});
