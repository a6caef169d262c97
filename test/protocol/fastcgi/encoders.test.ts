import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  encodeAbort,
  encodeGetValues,
  encodeInput,
  encodeRequest,
} from "../../../src/protocol/fastcgi/request-encoder.js";
import {
  encodeEnd,
  encodeErrors,
  encodeOutput,
  encodeUnknownType,
  encodeValues,
} from "../../../src/protocol/fastcgi/response-encoder.js";
import { block, octetsOf, vectors, wordsOf } from "./vectors.js";

const values = { FCGI_MAX_CONNS: 100, FCGI_MAX_REQS: 1000, FCGI_MPXS_CONNS: 1 } as const;

/** What the encoders give for a line of a `told` block. */
function encode(line: string): Uint8Array | readonly Uint8Array[] {
  const [verb, first, ...rest] = wordsOf(line);
  const number = Number(first?.text);
  const bare = (name: string) => rest.some((word) => !word.quoted && word.text === name);
  const setting = (name: string) =>
    rest.find((word) => !word.quoted && word.text.startsWith(`${name}=`))?.text.slice(name.length + 1);
  const octets = rest.filter((word) => word.quoted).map((word) => Buffer.from(word.text, "latin1"));
  const names = [first, ...rest].map((word) => word?.text ?? "");
  switch (verb?.text) {
    case "output":
      return encodeOutput(number, octets, bare("last"), Number(setting("application") ?? 0));
    case "errors":
      return encodeErrors(number, octets[0] ?? Buffer.alloc(0));
    case "end":
      return encodeEnd(number, Number(setting("protocol")));
    case "values":
      return encodeValues(names, values);
    case "unknown-type":
      return encodeUnknownType(number);
    case "request": {
      const variables = octets.map((pair) => pair.toString("latin1").replace("=", "\0")).join("\0");
      const body = setting("body");
      const bytes = body === undefined ? undefined : Buffer.from(body, "latin1");
      return encodeRequest(number, bare("keep"), variables, bytes, bare("last"));
    }
    case "input":
      return encodeInput(number, octets[0] ?? Buffer.alloc(0), bare("last"));
    case "abort":
      return encodeAbort(number);
    case "get-values":
      return encodeGetValues(names);
    default:
      throw new Error(`There is no call "${line}".`);
  }
}

const buffersOf = (encoded: Uint8Array | readonly Uint8Array[]) =>
  encoded instanceof Uint8Array ? [encoded] : encoded;

describe("encoding vectors", () => {
  for (const vector of vectors("encoding")) {
    test(vector.name, () => {
      const lines = block(vector, "told").split("\n").slice(0, -1);
      const octets = Buffer.concat(lines.flatMap((line) => buffersOf(encode(line))));
      assert.equal(octets.toString("latin1"), octetsOf(block(vector, "records")).toString("latin1"));
    });
  }
});

test("a small response is one buffer, and a large body is not copied", () => {
  const head = Buffer.from("Status: 200 OK\r\n\r\n");
  assert.equal(buffersOf(encodeOutput(1, [head, Buffer.alloc(16_000)], true)).length, 1);
  const body = Buffer.alloc(100_000);
  const pieces = buffersOf(encodeOutput(1, [head, body], true)).filter((piece) => piece.buffer === body.buffer);
  assert.deepEqual(
    pieces.map((piece) => piece.length),
    [65_528, 34_472],
  );
});

test("a pair that no record holds is cut, and none beside it", () => {
  const long = "x".repeat(150_000);
  const records = buffersOf(encodeRequest(1, true, `A\0b\0L\0${long}\0C\0d`, undefined, true));
  const octets = Buffer.concat(records);
  const sizes: number[] = [];
  for (let at = 16; at < octets.length; at += 8 + octets.readUInt16BE(at + 4)) sizes.push(octets.readUInt16BE(at + 4));
  assert.deepEqual(sizes, [4, 65_528, 65_528, 1 + 4 + 1 + 150_000 - 2 * 65_528 + 4, 0, 0]);
});
