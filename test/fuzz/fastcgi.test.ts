import { describe, test } from "node:test";
import { fuzzRequests, fuzzResponses, fuzzRoundTrip } from "./fastcgi.fuzz.js";
import { run } from "./fuzz.js";

describe("a short run of the fuzz targets of FastCGI", () => {
  for (const [name, target, rounds] of [
    ["requests", fuzzRequests, 3000],
    ["responses", fuzzResponses, 3000],
    ["there and back", fuzzRoundTrip, 100],
  ] as const) {
    test(`${name}: ${rounds} rounds`, () => {
      for (let seed = 1; seed <= rounds; seed++) run(seed, target);
    });
  }
});
