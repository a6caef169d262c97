import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { VivariumError } from "../../../src/errors.js";
import { RequestDecoder, type RequestEvent } from "../../../src/protocol/http1/request-decoder.js";
import { decodeRequests, defaultLimits, limitsOf, octetsOf, splits, vectors } from "./vectors.js";

describe("request vectors, whole and split at every octet", () => {
  for (const vector of vectors("request-")) {
    if (!vector.blocks.has("http") || vector.blocks.has("told")) continue;
    test(`${vector.file}: ${vector.name}`, () => {
      const octets = octetsOf(vector.blocks.get("http") ?? "");
      const expected = (vector.blocks.get("log") ?? "").split("\n").slice(0, -1);
      assert.ok(expected.length > 0, "the vector has a log");
      for (const chunks of splits(octets)) {
        const cut = chunks.length === 2 ? `split at ${chunks[0]?.length}` : `in ${chunks.length}`;
        assert.deepEqual(decodeRequests(chunks, limitsOf(vector)), expected, cut);
        const memory = Buffer.alloc(Math.max(...chunks.map(({ length }) => length)));
        assert.deepEqual(decodeRequests(chunks, limitsOf(vector), memory), expected, `${cut}, in memory used again`);
      }
    });
  }
});

function all(decoder: RequestDecoder): RequestEvent[] {
  const events: RequestEvent[] = [];
  for (let event = decoder.next(); event !== undefined; event = decoder.next()) events.push(event);
  return events;
}

describe("request decoder", () => {
  test("a request that comes again is read as the first was, and one that only resembles it is not taken for it", () => {
    const decoder = new RequestDecoder(defaultLimits);
    const post = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n";
    const targets = (text: string): string[] => {
      decoder.receive(Buffer.from(text));
      return all(decoder).map((event) =>
        event.type === "head" ? event.head.target : event.type === "body" ? Buffer.from(event.octets).toString() : ".",
      );
    };
    assert.deepEqual(targets(`${post}xy`), ["/a", "xy", "."]);
    assert.deepEqual(targets(`${post}zz${post}12`), ["/a", "zz", ".", "/a", "12", "."]);
    assert.deepEqual(targets(`${post.replace("/a", "/b")}zz${post}1`), ["/b", "zz", ".", "/a", "1"]);
    assert.deepEqual(targets(`2GET /c HTTP/1.0\r\n`), ["2", "."]);
    assert.deepEqual(targets(`\r\n${post}`), ["/c", "."]);
    assert.equal(decoder.idle, true, "HTTP/1.0 does not keep the connection");
  });

  test("hands body octets on as stretches of the chunk that brought them", () => {
    const decoder = new RequestDecoder(defaultLimits);
    decoder.receive(Buffer.from("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"));
    assert.equal(all(decoder).length, 1);
    const chunk = Buffer.alloc(100_000, "x");
    decoder.receive(chunk);
    const [body, end] = all(decoder);
    assert.ok(body?.type === "body" && body.octets.buffer === chunk.buffer && body.octets.length === 100_000);
    assert.equal(end?.type, "end");
  });

  test("does not copy chunks of a body that arrive before it is read", () => {
    const decoder = new RequestDecoder(defaultLimits);
    const head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100002\r\n\r\n";
    decoder.receive(Buffer.from(`${head}ab`));
    const chunks = [Buffer.alloc(50_000, "x"), Buffer.alloc(50_000, "y")];
    for (const chunk of chunks) decoder.receive(chunk);
    assert.equal(decoder.pending, head.length + 100_002);
    const bodies = all(decoder).flatMap((event) => (event.type === "body" ? [event.octets] : []));
    assert.deepEqual(
      bodies.map((octets) => octets.length),
      [2, 50_000, 50_000],
    );
    assert.ok(bodies[1]?.buffer === chunks[0]?.buffer && bodies[2]?.buffer === chunks[1]?.buffer);
  });

  test("body octets given out stay what they were while more arrives", () => {
    const decoder = new RequestDecoder(defaultLimits);
    const given: Uint8Array[] = [];
    const text = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n";
    // cut so that framing is left over and joined to what follows
    for (let at = 0; at < text.length; at += 3) {
      decoder.receive(Buffer.from(text.slice(at, at + 3)));
      for (const event of all(decoder)) if (event.type === "body") given.push(event.octets);
    }
    assert.equal(Buffer.concat(given).toString(), "abcdefg");
  });

  test("begins a pipelined request only when asked for it", () => {
    const decoder = new RequestDecoder(defaultLimits);
    const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    decoder.receive(Buffer.from(request + request));
    assert.equal(decoder.next()?.type, "head");
    assert.equal(decoder.next()?.type, "end");
    assert.equal(decoder.pending, request.length);
    assert.equal(decoder.idle, false);
    assert.equal(decoder.next()?.type, "head");
    assert.equal(decoder.next()?.type, "end");
    assert.equal(decoder.idle, true);
  });

  test("is idle between requests only", () => {
    const decoder = new RequestDecoder(defaultLimits);
    assert.equal(decoder.idle, true);
    decoder.receive(Buffer.from("G"));
    assert.equal(decoder.next(), undefined);
    assert.equal(decoder.idle, false);
    decoder.receive(Buffer.from("ET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"));
    assert.equal(decoder.next()?.type, "head");
    assert.equal(decoder.next(), undefined);
    assert.equal(decoder.pending, 0);
    assert.equal(decoder.idle, false);
    decoder.receive(Buffer.from("x\r\n"));
    assert.deepEqual(
      all(decoder).map((event) => event.type),
      ["body", "end"],
    );
    assert.equal(decoder.idle, true, "an empty line behind a body is no request");
  });

  test("throws the same again once it has thrown", () => {
    const decoder = new RequestDecoder(defaultLimits);
    decoder.receive(Buffer.from("GET / HTTP/1.1\r\n\r\n"));
    const first = caught(() => decoder.next());
    decoder.receive(Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert.equal(
      caught(() => decoder.next()),
      first,
    );
    assert.equal(decoder.idle, false);
  });

  test("takes what it read from equal field lines again, for its version only", () => {
    const fields = "Host: a\r\nX: 1\r\n\r\n";
    const decoder = new RequestDecoder(defaultLimits);
    decoder.receive(
      Buffer.from(`GET /1 HTTP/1.1\r\n${fields}GET /2 HTTP/1.1\r\n${fields}GET /3 HTTP/1.0\r\n${fields}`),
    );
    const heads = all(decoder).flatMap((event) => (event.type === "head" ? [event.head] : []));
    assert.equal(heads[0]?.fields, heads[1]?.fields, "not read again");
    assert.deepEqual(
      heads.map((head) => [head.target, head.minor, head.keepAlive]),
      [
        ["/1", 1, true],
        ["/2", 1, true],
        ["/3", 0, false],
      ],
    );
  });

  test("knows the method of a request that it refuses, and no other's", () => {
    const refused = (octets: string): string => {
      const decoder = new RequestDecoder(defaultLimits);
      decoder.receive(Buffer.from(octets));
      caught(() => all(decoder));
      return decoder.method;
    };
    assert.equal(refused("HEAD / HTTP/1.1\r\n\r\n"), "HEAD");
    assert.equal(refused("HEAD * HTTP/1.1\r\n\r\n"), "HEAD");
    assert.equal(refused("HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx"), "HEAD");
    assert.equal(refused("@ / HTTP/1.1\r\n\r\n"), "");
    assert.equal(refused("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n@"), "");
    assert.equal(refused("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n\rX"), "");
  });

  test("holds its limit on heads also against field lines it has seen", () => {
    const fields = `Host: a\r\nX: ${"x".repeat(60)}\r\n\r\n`;
    const decoder = new RequestDecoder({ ...defaultLimits, maxHead: 20 + fields.length });
    decoder.receive(Buffer.from(`GET / HTTP/1.1\r\n${fields}GET /longer HTTP/1.1\r\n${fields}`));
    assert.equal(decoder.next()?.type, "head");
    assert.equal(decoder.next()?.type, "end");
    const error = caught(() => decoder.next());
    assert.ok(error instanceof VivariumError && error.status === 431);
  });

  test("reads a head larger than it makes a string of at once", () => {
    const fields = Array.from({ length: 100 }, (_, i) => `X-${i}: ${"v".repeat(200)}\r\n`).join("");
    const octets = Buffer.from(`GET / HTTP/1.1\r\nHost: a\r\n${fields}\r\n`);
    for (const size of [octets.length, 5000, 4096, 1000]) {
      const decoder = new RequestDecoder(defaultLimits);
      const events: RequestEvent[] = [];
      for (let at = 0; at < octets.length; at += size) {
        decoder.receive(octets.subarray(at, at + size));
        events.push(...all(decoder));
      }
      const [head] = events;
      assert.ok(head?.type === "head" && head.head.fields.length === 202);
      assert.deepEqual(head.head.fields.slice(-2), ["X-99", "v".repeat(200)]);
    }
  });
});

function caught(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return assert.fail("it did not throw");
}
