// wsgi.input: PEP 3333, "Input and Error Streams". Every way to read, over every way a body comes: none, small, larger
// than what is kept in memory (256 KiB), with a length and chunked.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { type Ask, freshKey, type Probe, request } from "./probe.js";

const ways = ["content-length", "read", "readline", "readline-size", "readlines", "iteration"];

/** Lines of many lengths, the last without its end; no octet value is missing. */
function lines(octets: number): Buffer {
  const body = Buffer.alloc(octets);
  for (let index = 0; index < octets; index += 1) body[index] = (index * 7 + (index >> 8)) & 0xff;
  if (octets > 0) body[octets - 1] = 0x78;
  return body;
}

/** The body as chunks of uneven size (RFC 9112 §7.1). */
function chunked(body: Buffer): Ask {
  const parts: Buffer[] = [];
  for (let start = 0, size = 1; start < body.length; start += size, size = Math.min(size * 3 + 1, 100_000)) {
    const chunk = body.subarray(start, start + size);
    parts.push(Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from("\r\n"));
  }
  const octets = Buffer.concat([...parts, Buffer.from("0\r\n\r\n")]);
  return { method: "POST", fields: "Transfer-Encoding: chunked\r\n", body: octets };
}

export function inputCases(probe: Probe): void {
  wholeBodies(probe);
  operations(probe);
  leftovers(probe);
}

function wholeBodies(probe: Probe): void {
  for (const [name, size] of [
    ["an empty body", 0],
    ["a body in memory", 5000],
    ["a body in a file", 300_000],
  ] as const) {
    const body = lines(size);
    const pieces: Record<string, number> = {
      readline: body.toString("latin1").split("\n").length - (size === 0 ? 1 : 0),
    };
    for (const framing of ["length", "chunked"] as const) {
      for (const way of ways) {
        test(`${name} (${framing}) is read whole by ${way}`, async () => {
          for (const prefix of ["", "/validated"]) {
            const ask: Ask = framing === "chunked" ? chunked(body) : { method: "POST", body };
            const told = await probe.json(`${prefix}/input/digest?way=${way}`, ask);
            assert.ok(typeof told === "object" && told !== null && "pieces" in told && "sha256" in told);
            const { pieces: counted, ...rest } = told;
            assert.deepEqual(rest, {
              sha256: createHash("sha256").update(body).digest("hex"),
              octets: size,
              contentLength: String(size),
              end: "",
            });
            const byLine = ["readline", "readlines", "iteration"].includes(way);
            if (byLine) assert.equal(counted, pieces["readline"]);
          }
        });
      }
    }
  }

  test("a request without a body has an input that is at its end", async () => {
    for (const prefix of ["", "/validated"]) {
      const told = await probe.json(`${prefix}/input/operations?ops=read:10,readline,readlines,iterate,read:1`);
      assert.deepEqual(told, ["", "", [], [], ""]);
    }
  });
}

function operations(probe: Probe): void {
  const body = "first\nsecond line\n\nlast";
  const legal: readonly (readonly [string, unknown[]])[] = [
    ["read:3,read:100,read:1,read:1", ["fir", "st\nsecond line\n\nlast", "", ""]],
    ["read:0,read:5,read:0", ["", "first", ""]],
    ["read:-1,read:-1", [body, ""]],
    ["readline,readline,readline,readline,readline", ["first\n", "second line\n", "\n", "last", ""]],
    ["readline:3,readline:3,readline:100", ["fir", "st\n", "second line\n"]],
    ["readline:0,readline:-1", ["", "first\n"]],
    ["readlines,readlines", [["first\n", "second line\n", "\n", "last"], []]],
    ["readlines:1,readlines", [["first\n"], ["second line\n", "\n", "last"]]],
    ["iterate,iterate", [["first\n", "second line\n", "\n", "last"], []]],
    ["next,read:4,readline,iterate", ["first\n", "seco", "nd line\n", ["\n", "last"]]],
  ];
  for (const [ops, expected] of legal) {
    test(`the input's methods agree on where they are: ${ops}`, async () => {
      for (const prefix of ["", "/validated"]) {
        const told = await probe.json(`${prefix}/input/operations?ops=${ops}`, { method: "POST", body });
        assert.deepEqual(told, expected);
      }
    });
  }

  test("read() without a size reads to the end", async () => {
    const told = await probe.json("/input/operations-unchecked?ops=read:2,read,read", { method: "POST", body });
    assert.deepEqual(told, ["fi", body.slice(2), ""]);
  });

  test("read(None) reads to the end", async () => {
    assert.equal((await probe.ask("/input/none-size", { method: "POST", body })).text, body);
  });
}

function leftovers(probe: Probe): void {
  for (const [path, text] of [
    ["/input/unread", "not read"],
    ["/input/half-read", "GET /"],
  ]) {
    for (const size of [40, 300_000]) {
      test(`what was left of ${size} octets is not taken for a request: ${path}`, async () => {
        const body = "GET /raise/exit-process HTTP/1.1\r\n\r\n".padEnd(size, "x");
        const connection = probe.connection();
        connection.send(request(path ?? "", { method: "POST", body }));
        const response = await connection.response();
        assert.deepEqual([response.status, response.text], [200, text]);
        await probe.goesOn(connection);
        connection.close();
      });
    }
  }

  test("the input can be read while the response is under way", async () => {
    const body = lines(300_000);
    for (const response of await probe.both("/input/after-start", { method: "POST", body })) {
      assert.ok(response.body.equals(Buffer.concat([Buffer.from("got: "), body])));
    }
  });

  test("pipelined requests with bodies each read their own", async () => {
    const connection = probe.connection();
    const bodies = ["one", "", "three", freshKey()];
    connection.send(Buffer.concat(bodies.map((body) => request("/input/echo", { method: "POST", body }))));
    for (const body of bodies) assert.equal((await connection.response()).text, body);
    connection.close();
  });

  test("a body that comes octet by octet is whole", async () => {
    const connection = probe.connection();
    for (const octet of request("/input/echo", { method: "POST", body: "drop by drop" })) {
      connection.send(Uint8Array.of(octet));
    }
    assert.equal((await connection.response()).text, "drop by drop");
    connection.close();
  });

  test("fetch's own upload comes through", async () => {
    const body = lines(700_000);
    const response = await fetch(`${probe.server.url}/input/echo`, { method: "POST", body });
    assert.ok(Buffer.from(await response.arrayBuffer()).equals(body));
  });
}
