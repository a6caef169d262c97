// Fuzzes the decoder of PROXY headers: `node build/test/fuzz/proxy-header.fuzz.js [seconds] [seed]`. A header is refused with an error of
// ours, or has the same meaning whatever follows it; once it is decided, more octets change nothing.
import assert from "node:assert/strict";
import { octetsOf, vectors } from "../protocol/http1/vectors.js";
import { decodedHeader } from "../protocol/proxy/headers.js";
import { damaged } from "./cgi-generate.js";
import { fuzz } from "./fuzz.js";
import type { Random } from "./random.js";

const known = vectors("header", "proxy").map((vector) => octetsOf(vector.blocks.get("octets") ?? ""));

export function fuzzProxyHeader(random: Random): void {
  const octets = damaged(random, known[random.below(known.length)] ?? Buffer.alloc(0));
  const meaning = (text: readonly string[]): readonly string[] => text.filter((line) => !line.startsWith("rest "));
  const whole = meaning(decodedHeader(octets));
  for (let length = random.below(8); length < octets.length; length += 1 + random.below(4)) {
    const early = meaning(decodedHeader(octets.subarray(0, length)));
    if (early[0] !== "waiting") assert.deepEqual(early, whole, `${length} of ${octets.length}`);
  }
}

fuzz(import.meta.url, fuzzProxyHeader);
