import { describe, test } from "node:test";
import { fuzzCgiResponse } from "./cgi-response.fuzz.js";
import { run } from "./fuzz.js";
import { fuzzSingleRequest } from "./single-request.fuzz.js";

describe("a short run of the fuzz targets", () => {
  for (const [name, target] of [
    ["SCGI and uwsgi requests", fuzzSingleRequest],
    ["CGI responses", fuzzCgiResponse],
  ] as const) {
    test(`${name}: 3000 rounds`, () => {
      for (let seed = 1; seed <= 3000; seed++) run(seed, target);
    });
  }
});
