import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { formatV6, parseV4, parseV6 } from "../../../src/protocol/proxy/address.js";
import { crc32c } from "../../../src/protocol/proxy/crc32c.js";
import { Random } from "../../fuzz/random.js";

describe("addresses in PROXY headers", () => {
  test("IPv6 is written as RFC 5952 has it", () => {
    const cases: Readonly<Record<string, string>> = {
      "2001:0DB8:0:0:1:0:0:1": "2001:db8::1:0:0:1",
      "2001:db8:0:1:1:1:1:1": "2001:db8:0:1:1:1:1:1",
      "2001:0:0:1:0:0:0:1": "2001:0:0:1::1",
      "::": "::",
      "1::": "1::",
      "::ffff:c000:0201": "::ffff:192.0.2.1",
    };
    for (const [text, written] of Object.entries(cases))
      assert.equal(formatV6(parseV6(text) ?? assert.fail(text)), written);
  });

  test("whatever is written is read as the same octets, by Node's URL parser, too", () => {
    const random = new Random(7);
    for (let round = 0; round < 500; round += 1) {
      const octets = Uint8Array.from({ length: 16 }, () => (random.chance(60) ? 0 : random.below(256)));
      const text = formatV6(octets);
      assert.deepEqual(parseV6(text), octets, text);
      const byUrl = new URL(`http://[${text}]`).hostname.slice(1, -1);
      assert.deepEqual(parseV6(byUrl), octets, byUrl);
    }
  });

  test("what is no address is none", () => {
    for (const text of [
      "",
      ":",
      ":::",
      "1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:8::",
      "12345::",
      "g::",
      "::1%eth0",
      "::1.2.3",
      "::1.2.3.256",
      ":1::",
    ]) {
      assert.equal(parseV6(text), undefined, text);
    }
    for (const text of ["1.2.3", "1.2.3.4.5", "1.2.3.", "01.2.3.4", "1.2.3.4 "])
      assert.equal(parseV4(text), undefined, text);
  });
});

test("CRC-32C of the standard's example", () => {
  assert.equal(crc32c(Buffer.from("123456789")), 0xe3069283);
});
