// Fuzzes the response decoder: `node build/test/fuzz/http1-response.fuzz.js [seconds] [seed]`. The invariants are those of
// the request decoder's target.
import assert from "node:assert/strict";
import { decodeResponses, defaultLimits } from "../protocol/http1/vectors.js";
import { fuzz } from "./fuzz.js";
import { connection, response } from "./http1-generate.js";
import type { Random } from "./random.js";

export function fuzzResponse(random: Random): void {
  const octets = connection(random, response);
  const limits = random.chance(70)
    ? defaultLimits
    : { maxTarget: 0, maxHead: random.below(200), maxFields: random.below(6), maxBody: random.below(12) };
  const methods = [random.of(["GET", "HEAD"]), "GET", random.of(["GET", "HEAD"]), "GET"];
  const closed = random.chance(50);
  const whole = decodeResponses([octets], methods, closed, limits);
  const chunks = random.cut(octets);
  const cut = decodeResponses(chunks, methods, closed, limits);
  assert.deepEqual(cut, whole, `cut into ${chunks.map((chunk) => chunk.length).join(" ")}`);
  assert.ok(whole.length <= octets.length + 5, "events are bounded by the octets");
}

fuzz(import.meta.url, fuzzResponse);
