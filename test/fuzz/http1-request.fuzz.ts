// Fuzzes the request decoder: `node build/test/fuzz/http1-request.fuzz.js [seconds] [seed]`. Whatever the octets, it throws
// nothing but a VivariumError with a status, gives the same events however the octets are cut, and comes to an end.
import assert from "node:assert/strict";
import { decodeRequests, defaultLimits } from "../protocol/http1/vectors.js";
import { fuzz } from "./fuzz.js";
import { connection, request } from "./http1-generate.js";
import type { Random } from "./random.js";

export function fuzzRequest(random: Random): void {
  const octets = connection(random, request);
  const limits = random.chance(70)
    ? defaultLimits
    : {
        maxTarget: random.below(20),
        maxHead: random.below(200),
        maxFields: random.below(6),
        maxBody: random.below(12),
      };
  const whole = decodeRequests([octets], limits);
  const chunks = random.cut(octets);
  assert.deepEqual(decodeRequests(chunks, limits), whole, `cut into ${chunks.map((chunk) => chunk.length).join(" ")}`);
  assert.ok(whole.length <= octets.length + 1, "events are bounded by the octets");
}

fuzz(import.meta.url, fuzzRequest);
