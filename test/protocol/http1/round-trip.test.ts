// What one role encodes, the other decodes to the same, whatever the sizes and however the octets are cut.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RequestDecoder } from "../../../src/protocol/http1/request-decoder.js";
import { RequestEncoder } from "../../../src/protocol/http1/request-encoder.js";
import { ResponseDecoder } from "../../../src/protocol/http1/response-decoder.js";
import { ResponseEncoder } from "../../../src/protocol/http1/response-encoder.js";
import { Random } from "../../fuzz/random.js";
import { defaultLimits } from "./vectors.js";

/** A body in parts, and whether its length is told in advance. */
function body(random: Random): { readonly parts: readonly Buffer[]; readonly told: boolean } {
  const sizes = Array.from({ length: random.below(4) }, () => random.of([0, 1, 15, 16, 300, 16384, 16385, 20_000]));
  const parts = sizes.map((size) => Buffer.alloc(size, `\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n${random.below(1000)}`));
  return { parts, told: random.chance(50) };
}

/** Runs the parts through `head` and `data`, the last flag with the last part or alone behind it. */
function encodeParts(
  random: Random,
  parts: readonly Buffer[],
  head: (part: Buffer | undefined, last: boolean) => Uint8Array | readonly Uint8Array[],
  data: (part: Buffer, last: boolean) => readonly Uint8Array[],
): readonly Uint8Array[] {
  const all = random.chance(50) ? parts : [...parts, Buffer.alloc(0)];
  const first = head(all[0], all.length <= 1);
  const out = first instanceof Uint8Array ? [first] : [...first];
  for (const [index, part] of all.slice(1).entries()) out.push(...data(part, index === all.length - 2));
  return out;
}

function pick(random: Random): { name: string; line: string } {
  const value = random.of(["a", "", "a  b", "\xe4\xff", 'a:b, c;d="e"']);
  return { name: "X-Field", line: `X-Field: ${value}\r\n` };
}

describe("round trips", () => {
  test("requests on one connection", () => {
    for (let seed = 1; seed <= 80; seed++) {
      const random = new Random(seed);
      const encoder = new RequestEncoder();
      const decoder = new RequestDecoder(defaultLimits);
      for (let count = 1 + random.below(4); count > 0; count--) {
        const { parts, told } = body(random);
        const whole = Buffer.concat(parts);
        const method = random.of(["GET", "POST", "PATCH", "FOO"]);
        const field = pick(random);
        const length = told ? `Content-Length: ${whole.length}\r\n` : "";
        const fields = Buffer.from(`Host: a:80\r\n${field.line}${length}`, "latin1");
        const facts = { method, target: "/a?b", fields, contentLength: told ? whole.length : -1 };
        encoder.begin(count > 1);
        const octets = encodeParts(
          random,
          parts,
          (part, last) => encoder.head(facts, part, last),
          (part, last) => encoder.data(part, last),
        );
        assert.ok(encoder.complete && !encoder.short && encoder.dropped === 0 && encoder.bodyOctets === whole.length);
        const received: Uint8Array[] = [];
        const types: string[] = [];
        for (const chunk of random.cut(Buffer.concat(octets))) {
          decoder.receive(chunk);
          for (let event = decoder.next(); event !== undefined; event = decoder.next()) {
            if (event.type === "body") received.push(event.octets);
            else types.push(event.type);
            if (event.type !== "head") continue;
            assert.equal(event.head.method, method);
            assert.equal(event.head.path, "/a");
            assert.equal(event.head.keepAlive, count > 1);
            assert.deepEqual(event.head.fields.slice(0, 4), ["Host", "a:80", "X-Field", field.line.slice(9, -2)]);
          }
        }
        assert.deepEqual(types, ["head", "end"], `seed ${seed}`);
        assert.ok(Buffer.concat(received).equals(whole), `seed ${seed}`);
        assert.equal(decoder.idle, true, `seed ${seed}`);
      }
    }
  });

  test("responses on one connection", () => {
    for (let seed = 1; seed <= 80; seed++) {
      const random = new Random(seed);
      const encoder = new ResponseEncoder();
      const decoder = new ResponseDecoder(defaultLimits);
      for (let open = true; open; ) {
        const { parts, told } = body(random);
        const whole = Buffer.concat(parts);
        const method = random.of(["GET", "HEAD"]);
        const status = random.of([200, 200, 404, 204, 205, 304, 500]);
        const field = pick(random);
        const length = told ? `Content-Length: ${whole.length}\r\n` : "";
        const fields = Buffer.from(field.line + length, "latin1");
        const facts = { status, reason: "Reason", fields, contentLength: told ? whole.length : -1, hasDate: false };
        decoder.begin(method);
        encoder.begin(method, random.chance(70) ? 1 : 0, random.chance(70));
        const octets = encodeParts(
          random,
          parts,
          (part, last) => encoder.head(facts, part, last, "Sun, 06 Nov 1994 08:49:37 GMT"),
          (part, last) => encoder.data(part, last),
        );
        open = encoder.keepAlive;
        assert.ok(encoder.complete && !encoder.short && encoder.dropped === 0);
        const received: Uint8Array[] = [];
        const types: string[] = [];
        const pull = () => {
          for (let event = decoder.next(); event !== undefined; event = decoder.next()) {
            if (event.type === "body") received.push(event.octets);
            else types.push(event.type);
            if (event.type !== "head") continue;
            assert.equal(event.head.status, status);
            assert.ok(event.head.fields.includes(field.name));
            assert.ok(!open || event.head.keepAlive || event.head.minor === 0);
          }
        };
        for (const chunk of random.cut(Buffer.concat(octets))) {
          decoder.receive(chunk);
          pull();
        }
        if (!open) {
          decoder.receiveEnd();
          pull();
        }
        const bodiless = method === "HEAD" || status === 204 || status === 205 || status === 304;
        assert.deepEqual(types, ["head", "end"], `seed ${seed}`);
        assert.ok(Buffer.concat(received).equals(bodiless ? Buffer.alloc(0) : whole), `seed ${seed}`);
        assert.equal(decoder.idle, open, `seed ${seed}`);
      }
    }
  });
});
