import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { VivariumError } from "../../../src/errors.js";
import { encodeRequest } from "../../../src/protocol/uwsgi/request-encoder.js";
import { toldVariables } from "../cgi/requests.js";
import { octetsOf, vectors } from "../http1/vectors.js";

describe("uwsgi request encoding vectors", () => {
  for (const vector of vectors("request-encoding", "uwsgi")) {
    test(vector.name, () => {
      const variables = toldVariables(vector.blocks.get("told") ?? "");
      const octets = vector.blocks.get("octets");
      if (octets !== undefined) {
        assert.deepEqual(encodeRequest(variables), octetsOf(octets));
        return;
      }
      const refused = (error: unknown) =>
        error instanceof VivariumError && `error ${error.code}\n` === vector.blocks.get("log") && error.status === 431;
      assert.throws(() => encodeRequest(variables), refused);
    });
  }

  test("many variables that are too large together are refused, never cut", () => {
    const variables = Array.from({ length: 70 }, (_, at) => `HTTP_X_${at}\0${"a".repeat(1000)}`).join("\0");
    assert.throws(() => encodeRequest(variables), { code: "ERR_UWSGI_UNSENDABLE" });
  });
});
