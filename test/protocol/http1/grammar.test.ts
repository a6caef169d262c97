import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  hexadecimal,
  isAuthority,
  isFieldValue,
  isTarget,
  isToken,
  listElements,
  parseContentLength,
  parseTransferEncoding,
  targetOctets,
  tokenOctets,
  trimWhitespace,
  valueOctets,
} from "../../../src/protocol/http1/grammar.js";

const octets = Array.from({ length: 256 }, (_, octet) => octet);

describe("grammar", () => {
  test("tables and tests of whole strings agree on every octet", () => {
    for (const octet of octets) {
      const text = String.fromCharCode(octet);
      assert.equal(isToken(text), tokenOctets[octet] === 1, `token ${octet}`);
      assert.equal(isFieldValue(text), valueOctets[octet] === 1, `value ${octet}`);
      assert.equal(isTarget(text), targetOctets[octet] === 1, `target ${octet}`);
    }
    assert.equal(isToken(""), false);
    assert.equal(isTarget(""), false);
    assert.equal(isFieldValue(""), true);
  });

  test("tokens have no delimiters, controls or octets beyond ASCII", () => {
    const refused = octets.filter((octet) => tokenOctets[octet] === 0).map((octet) => String.fromCharCode(octet));
    const visible = refused.filter((text) => text > " " && text < "\x7f").join("");
    assert.equal(visible, '"(),/:;<=>?@[\\]{}');
    assert.equal(refused.length, 256 - 77);
  });

  test("values have every octet but controls, save the tab", () => {
    const refused = octets.filter((octet) => valueOctets[octet] === 0);
    assert.deepEqual(refused, [...octets.slice(0, 9), ...octets.slice(10, 32), 127]);
  });

  test("targets have every visible octet but the one that begins a fragment", () => {
    const taken = octets.filter((octet) => targetOctets[octet] === 1);
    assert.deepEqual(taken, [0x21, 0x22, ...octets.slice(0x24, 0x7f)]);
  });

  test("hexadecimal digits have their values", () => {
    for (const octet of octets) {
      const text = String.fromCharCode(octet);
      assert.equal(hexadecimal[octet], /[0-9a-f]/i.test(text) ? Number(`0x${text}`) : 255, `octet ${octet}`);
    }
  });

  test("lengths are digits that can be counted exactly", () => {
    assert.equal(parseContentLength("0"), 0);
    assert.equal(parseContentLength("0010"), 10);
    assert.equal(parseContentLength("9007199254740991"), Number.MAX_SAFE_INTEGER);
    for (const text of [
      "9007199254740992",
      "1".repeat(400),
      "",
      " 1",
      "1 ",
      "+1",
      "-0",
      "1.",
      "1e3",
      "0x1",
      "1,1",
      "١",
      "1\n",
    ]) {
      assert.equal(parseContentLength(text), -1, JSON.stringify(text));
    }
  });

  test("only space and tab are white space", () => {
    assert.equal(trimWhitespace("\t a b \t"), "a b");
    assert.equal(trimWhitespace("\xa0a\x0b"), "\xa0a\x0b");
    assert.deepEqual(listElements("a, b ,,\tc"), ["a", "b", "c"]);
    assert.deepEqual(listElements(""), []);
  });

  test("transfer codings", () => {
    assert.equal(parseTransferEncoding("CHUNKED"), "chunked");
    assert.equal(parseTransferEncoding('gzip;q="a b" , chunked'), "other-then-chunked");
    assert.equal(parseTransferEncoding("gzip"), "not-chunked-last");
    assert.equal(parseTransferEncoding("chunked,gzip"), "not-chunked-last");
    for (const text of [
      "",
      ",chunked",
      "chunked,",
      "chunked;q=1",
      "chunked, chunked",
      "a b",
      "gzip;, chunked",
      "\x0bchunked",
    ]) {
      assert.equal(parseTransferEncoding(text), "malformed", JSON.stringify(text));
    }
  });

  test("authorities", () => {
    const well = [
      "",
      "a",
      "a.b:80",
      "a:",
      "1.2.3.4:65535",
      "[::]",
      "[::1]:80",
      "[1:2:3:4:5:6:7::]",
      "[1::8]",
      "[1:2:3:4:5:6:1.2.3.4]",
      "[v1f.~:x]",
    ];
    for (const text of well) assert.equal(isAuthority(text), true, text);
    const ill = [
      ":",
      ":80",
      "a:65536",
      "a:-1",
      "a:8a",
      "a b",
      "a@b",
      "a/b",
      "a?b",
      "a#b",
      "a\\b",
      "[",
      "[]",
      "]",
      "[1]",
      "[::1",
      "::1",
      "[1:2:3:4:5:6:7:8::]",
      "[12345::]",
      "[g::]",
      "[::1.2.3]",
      "[::01.2.3.4]",
      "[1.2.3.4::]",
      "[v.a]",
      "[::1]80",
      "%4",
      "%zz",
      "\xe4",
    ];
    for (const text of ill) assert.equal(isAuthority(text), false, text);
  });
});
