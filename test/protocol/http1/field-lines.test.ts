import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { VivariumError, vivariumError } from "../../../src/errors.js";
import { FieldLines } from "../../../src/protocol/http1/field-lines.js";
import { type Faults, valueOctets } from "../../../src/protocol/http1/grammar.js";
import { Inflow } from "../../../src/protocol/http1/inflow.js";

function bad(sentence: string): VivariumError {
  return vivariumError("ERR_HTTP_BAD_REQUEST", sentence, { status: 400 });
}

const faults: Faults = { malformed: bad, headTooLarge: bad, bodyTooLarge: bad };

function scan(octets: Buffer): readonly string[] | "refused" | "waiting" {
  const inflow = new Inflow();
  const lines = new FieldLines(1000, 10, faults);
  inflow.receive(octets);
  inflow.look();
  lines.begin(0);
  try {
    return lines.maybeFields(inflow) ? lines.fields : "waiting";
  } catch (error) {
    if (error instanceof VivariumError) return "refused";
    throw error;
  }
}

describe("field lines", () => {
  test("every octet is judged alike wherever in a value it stands", () => {
    for (let octet = 0; octet < 256; octet++) {
      for (let position = 0; position < 10; position++) {
        const value = `${"\x80x~".repeat(4).slice(0, position)}${String.fromCharCode(octet)}~\xff ~\x80~`;
        const expected = valueOctets[octet] === 1 ? ["A", value.replace(/^[ \t]+/, "")] : "refused";
        assert.deepEqual(scan(Buffer.from(`A: ${value}\r\n\r\n`, "latin1")), expected, `${octet} at ${position}`);
      }
    }
  });

  test("nothing is read beyond the octets received, whatever lies behind them in memory", () => {
    const memory = Buffer.from("A: bcdefgh\r\n\r\n");
    for (let length = 0; length < memory.length; length++) {
      assert.equal(scan(memory.subarray(0, length)), "waiting", `${length}`);
    }
    assert.deepEqual(scan(memory), ["A", "bcdefgh"]);
  });
});
