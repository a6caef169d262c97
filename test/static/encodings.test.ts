import assert from "node:assert/strict";
import { test } from "node:test";
import { acceptedCodings, firstOf } from "../../src/static/encodings.js";

const cases: readonly (readonly [field: string | undefined, expected: string])[] = [
  [undefined, ""],
  ["", ""],
  ["gzip", "gzip"],
  ["gzip, deflate, br, zstd", "br zstd gzip"],
  ["br;q=0.5, gzip", "gzip br"],
  ["gzip;q=0.5,zstd;q=0.5 , br;q=0.4", "zstd gzip br"],
  ["GZIP", "gzip"],
  ["x-gzip", "gzip"],
  ["*", "br zstd gzip"],
  ["*;q=0.1, gzip", "gzip br zstd"],
  ["*, br;q=0", "zstd gzip"],
  ["gzip;q=0", ""],
  ["gzip;q=0.000", ""],
  ["gzip;q=0.001", "gzip"],
  ["gzip ; Q=1.000", "gzip"],
  // The file itself is liked better.
  ["identity, gzip;q=0.5", ""],
  ["identity;q=0.5, gzip;q=0.5, br;q=0.4", "gzip"],
  ["identity;q=0", ""],
  // Malformed elements are as good as absent.
  ["gzip;q=2, br", "br"],
  ["gzip;q=0.0001, br", "br"],
  ["gzip;level=9, br", "br"],
  ["gz ip, br", "br"],
  [",,br,", "br"],
  ["deflate, compress", ""],
];

for (const [field, expected] of cases) {
  test(`Accept-Encoding ${JSON.stringify(field)}: ${expected === "" ? "the file itself" : expected}`, () => {
    assert.equal(acceptedCodings(field).join(" "), expected);
    assert.equal(acceptedCodings(field).join(" "), expected, "asked again");
  });
}

test("the first accepted that is there is taken, else the file itself", () => {
  assert.equal(firstOf(["br", "gzip"], ["gzip", "zstd"]), "gzip");
  assert.equal(firstOf(["br"], ["gzip"]), "");
  assert.equal(firstOf([], ["gzip"]), "");
});
