import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RequestDecoder } from "../../../src/protocol/scgi/request-decoder.js";
import { encodeRequest } from "../../../src/protocol/scgi/request-encoder.js";
import { decodeRequest, toldVariables } from "../cgi/requests.js";
import { defaultLimits, octetsOf, vectors } from "../http1/vectors.js";

describe("SCGI request encoding vectors", () => {
  for (const vector of vectors("request-encoding", "scgi")) {
    test(vector.name, () => {
      const [, length = "", told = ""] = /^length=(\d+)\n([\s\S]*)$/.exec(vector.blocks.get("told") ?? "") ?? [];
      const octets = encodeRequest(toldVariables(told), Number(length));
      assert.deepEqual(octets, octetsOf(vector.blocks.get("octets") ?? ""));
    });
  }
});

test("a request encoded is the one decoded", () => {
  const octets = encodeRequest("REQUEST_METHOD\0POST\0CONTENT_LENGTH\x003\0PATH_INFO\0/\xe9", 3);
  assert.deepEqual(decodeRequest([octets, Buffer.from("abc")], RequestDecoder, defaultLimits), [
    "head length=3",
    "  CONTENT_LENGTH: 3",
    "  SCGI: 1",
    "  REQUEST_METHOD: POST",
    "  PATH_INFO: /\\xe9",
    'body "abc"',
    "end",
  ]);
});
