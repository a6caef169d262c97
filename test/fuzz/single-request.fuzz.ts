// Fuzzes the request decoders of SCGI and uwsgi: `node build/test/fuzz/single-request.fuzz.js [seconds] [seed]`. However the
// octets are cut, the events are the same, and nothing but a VivariumError comes out.
import assert from "node:assert/strict";
import { RequestDecoder as ScgiDecoder } from "../../src/protocol/scgi/request-decoder.js";
import { RequestDecoder as UwsgiDecoder } from "../../src/protocol/uwsgi/request-decoder.js";
import { decodeRequest } from "../protocol/cgi/requests.js";
import { defaultLimits } from "../protocol/http1/vectors.js";
import { damaged, scgiRequest, uwsgiRequest } from "./cgi-generate.js";
import { fuzz } from "./fuzz.js";
import type { Random } from "./random.js";

export function fuzzSingleRequest(random: Random): void {
  const scgi = random.chance(50);
  const octets = damaged(random, scgi ? scgiRequest(random) : uwsgiRequest(random));
  const limits = random.chance(70)
    ? defaultLimits
    : { maxTarget: 0, maxHead: random.below(200), maxFields: random.below(4), maxBody: random.below(12) };
  const Decoder = scgi ? ScgiDecoder : UwsgiDecoder;
  const whole = decodeRequest([octets], Decoder, limits);
  const chunks = random.cut(octets);
  const cut = decodeRequest(chunks, Decoder, limits);
  assert.deepEqual(cut, whole, `cut into ${chunks.map((chunk) => chunk.length).join(" ")}`);
  assert.ok(whole.length <= octets.length + 5, "events are bounded by the octets");
}

fuzz(import.meta.url, fuzzSingleRequest);
