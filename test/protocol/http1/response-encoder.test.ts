import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ResponseEncoder, type ResponseFacts } from "../../../src/protocol/http1/response-encoder.js";
import { encodeResponses } from "./encoders.js";
import { vectors } from "./vectors.js";

describe("response encoding vectors", () => {
  for (const vector of vectors("response-encoding")) {
    test(vector.name, () => {
      const encoded = encodeResponses(vector.blocks.get("told") ?? "");
      assert.equal(encoded.octets, vector.blocks.get("http"));
      assert.deepEqual(encoded.log, (vector.blocks.get("log") ?? "").split("\n").slice(0, -1));
    });
  }
});

/** The first octets of a response to a request, as text; a fresh copy of the facts is met for the first time. */
function headOf(
  facts: ResponseFacts,
  [method, minor, keepAlive, date, body, last]: readonly [string, 0 | 1, boolean, string, string, boolean],
): string {
  const encoder = new ResponseEncoder();
  encoder.begin(method, minor, keepAlive);
  const octets = encoder.head(facts, Buffer.from(body), last, date);
  return Buffer.concat(octets instanceof Uint8Array ? [octets] : octets).toString("latin1");
}

test("facts that come again make the head that they made the first time, whatever else has changed", () => {
  const requests = [
    ["GET", 1, true, "Sun, 06 Nov 1994 08:49:37 GMT", "body", true],
    ["GET", 1, true, "Sun, 06 Nov 1994 08:49:37 GMT", "other", true],
    ["GET", 1, true, "Sun, 06 Nov 1994 08:49:38 GMT", "other", true],
    ["HEAD", 1, true, "Sun, 06 Nov 1994 08:49:38 GMT", "other", true],
    ["GET", 0, true, "Sun, 06 Nov 1994 08:49:38 GMT", "other", true],
    ["GET", 1, false, "Sun, 06 Nov 1994 08:49:38 GMT", "other", true],
    ["GET", 1, true, "Sun, 06 Nov 1994 08:49:38 GMT", "", false],
    ["GET", 1, true, "Sun, 06 Nov 1994 08:49:38 GMT", "begun", false],
  ] as const;
  const fields = (text: string): Uint8Array => Buffer.from(text, "latin1");
  for (const facts of [
    { status: 200, reason: "OK", fields: fields("A: b\r\n"), contentLength: -1, hasDate: false },
    { status: 200, reason: "OK", fields: fields("Content-Length: 4\r\n"), contentLength: 4, hasDate: false },
    { status: 204, reason: "", fields: fields("Content-Length: 4\r\n"), contentLength: 4, hasDate: false },
    { status: 205, reason: "", fields: fields("Date: now\r\n"), contentLength: -1, hasDate: true },
  ]) {
    for (const request of requests) {
      const expected = headOf({ ...facts }, request);
      for (let again = 0; again < 3; again += 1) assert.equal(headOf(facts, request), expected);
    }
    for (let again = 0; again < 2; again += 1) {
      for (const request of requests) {
        const made = headOf(facts, request);
        assert.equal(made, headOf({ ...facts }, request));
      }
    }
    // One behind the other, with nothing in between.
    const made = requests.map((request) => headOf(facts, request));
    assert.deepEqual(
      made,
      requests.map((request) => headOf({ ...facts }, request)),
    );
  }
});
