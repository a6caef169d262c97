import { describe, test } from "node:test";
import { run } from "./fuzz.js";
import { fuzzRequest } from "./http1-request.fuzz.js";
import { fuzzResponse } from "./http1-response.fuzz.js";

describe("a short run of the fuzz targets", () => {
  for (const [name, target] of [
    ["requests", fuzzRequest],
    ["responses", fuzzResponse],
  ] as const) {
    test(`${name}: 3000 rounds`, () => {
      for (let seed = 1; seed <= 3000; seed++) run(seed, target);
    });
  }
});
