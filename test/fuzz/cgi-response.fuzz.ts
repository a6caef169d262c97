// Fuzzes the decoder of CGI responses: `node build/test/fuzz/cgi-response.fuzz.js [seconds] [seed]`. However the octets are
// cut, the events are the same, and what it gives as field lines are field lines.
import assert from "node:assert/strict";
import { decodeResponse } from "../protocol/cgi/responses.js";
import { defaultLimits } from "../protocol/http1/vectors.js";
import { cgiResponse, damaged } from "./cgi-generate.js";
import { fuzz } from "./fuzz.js";
import type { Random } from "./random.js";

export function fuzzCgiResponse(random: Random): void {
  const octets = damaged(random, cgiResponse(random));
  const limits = random.chance(70) ? defaultLimits : { maxHead: random.below(120), maxFields: random.below(4) };
  const method = random.of(["GET", "GET", "HEAD"]);
  const closed = random.chance(60);
  const whole = decodeResponse([octets], method, closed, limits);
  const chunks = random.cut(octets);
  const cut = decodeResponse(chunks, method, closed, limits);
  assert.deepEqual(cut, whole, `cut into ${chunks.map((chunk) => chunk.length).join(" ")}`);
  for (const line of whole.filter((candidate) => candidate.startsWith("  "))) assert.match(line, /^ {2}[!-~]+:/);
}

fuzz(import.meta.url, fuzzCgiResponse);
