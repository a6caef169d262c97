import { describe, test } from "node:test";
import { run } from "./fuzz.js";
import { fuzzProxyHeader } from "./proxy-header.fuzz.js";

describe("a short run of the fuzz target", () => {
  test("PROXY headers: 5000 rounds", () => {
    for (let seed = 1; seed <= 5000; seed++) run(seed, fuzzProxyHeader);
  });
});
