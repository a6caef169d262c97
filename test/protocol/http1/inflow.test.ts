import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Inflow } from "../../../src/protocol/http1/inflow.js";

function readable(inflow: Inflow): string {
  return inflow.bytes.toString("latin1", inflow.at, inflow.end);
}

describe("inflow", () => {
  test("reads a chunk in place when nothing is left over", () => {
    const inflow = new Inflow();
    const chunk = Buffer.from("abc");
    inflow.receive(chunk);
    assert.equal(inflow.bytes.buffer, chunk.buffer);
    inflow.at = inflow.end;
    inflow.receive(new Uint8Array([0x64]));
    assert.equal(readable(inflow), "d");
  });

  test("joins what is left over with small chunks, and leaves the chunks as they were", () => {
    const inflow = new Inflow();
    const first = Buffer.from("GET /");
    inflow.receive(first);
    inflow.at += 1;
    for (const text of ["a", "", "bc", "d".repeat(3000), "e"]) inflow.receive(Buffer.from(text));
    assert.equal(readable(inflow), `ET /abc${"d".repeat(3000)}e`);
    assert.equal(first.toString(), "GET /");
    assert.equal(inflow.pending, 4 + 3 + 3001);
  });

  test("queues large chunks, and what comes behind them, until asked for more", () => {
    const inflow = new Inflow();
    inflow.receive(Buffer.from("ab"));
    inflow.receive(Buffer.alloc(5000, "c"));
    inflow.receive(Buffer.from("d"));
    assert.equal(readable(inflow), "ab");
    assert.equal(inflow.pending, 5003);
    assert.equal(inflow.more(), true);
    assert.equal(readable(inflow), `ab${"c".repeat(5000)}`);
    inflow.at = inflow.end;
    assert.equal(inflow.more(), true);
    assert.equal(readable(inflow), "d");
    assert.equal(inflow.more(), false);
  });

  test("strings are right within and beyond what was looked at, also after octets moved", () => {
    const inflow = new Inflow();
    const text = Array.from({ length: 3000 }, (_, i) => `${i},`).join("");
    inflow.receive(Buffer.from(text.slice(0, 9000)));
    inflow.look();
    inflow.receive(Buffer.from(text.slice(9000, 9500)));
    for (const [from, to] of [
      [0, 10],
      [8000, 8191],
      [8190, 8200],
      [8999, 9400],
    ] as const) {
      assert.equal(inflow.string(inflow.at + from, inflow.at + to), text.slice(from, to));
    }
    inflow.at += 9000;
    inflow.look();
    assert.equal(inflow.string(inflow.at, inflow.at + 20), text.slice(9000, 9020));
    assert.equal(inflow.shows(text.slice(9001, 9100), inflow.at + 1), true);
    assert.equal(inflow.shows(text.slice(9001, 9100), inflow.at), false);
    assert.equal(inflow.shows(`${text.slice(9001, 9500)}x`, inflow.at + 1), false);
  });

  test("of a long chunk no more is made a string than the head", () => {
    const inflow = new Inflow();
    const head = `GET / HTTP/1.1\r\nCookie: ${"c".repeat(2000)}\r\n\r\n`;
    inflow.receive(Buffer.from(`${head}${"b".repeat(3000)}`));
    inflow.look();
    assert.equal(inflow.shows(head, inflow.at), true);
    assert.equal(inflow.shows("b", inflow.at + head.length), false);
    assert.equal(inflow.string(inflow.at + head.length - 2, inflow.at + head.length + 2), "\r\nbb");
  });

  test("of a chunk without an empty line all is, as far as a head is looked for", () => {
    const inflow = new Inflow();
    inflow.receive(Buffer.from("x".repeat(9000)));
    inflow.look();
    assert.equal(inflow.shows("x".repeat(8192), inflow.at), true);
    assert.equal(inflow.shows("x", inflow.at + 8192), false);
  });

  test("grows by doubling, so that octets one by one are copied a bounded number of times", () => {
    const inflow = new Inflow();
    const buffers = new Set<unknown>();
    for (let count = 0; count < 10_000; count++) {
      inflow.receive(Buffer.from([count & 0xff]));
      buffers.add(inflow.bytes);
    }
    assert.equal(inflow.pending, 10_000);
    assert.ok(buffers.size < 20, `${buffers.size} buffers`);
  });
});
