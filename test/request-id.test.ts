import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Request } from "../src/exchange.js";
import { IncomingExchange } from "../src/ingress/incoming-exchange.js";
import { requestId } from "../src/request-id.js";

function request(given: string | undefined, trustedPeer: string | undefined): Request {
  // A value that is called like the variable is none.
  const field = given === undefined ? "" : `\0HTTP_X_REQUEST_ID\0${given}`;
  const variables = `QUERY_STRING\0HTTP_X_REQUEST_ID\0PATH_INFO\0/x${field}`;
  return { method: "GET", target: "/x", variables, shared: 0, body: { kind: "empty" }, trustedPeer };
}

/** The page a client sees. */
function page(act: (exchange: IncomingExchange) => void, asked: Request): { text: string; exchange: IncomingExchange } {
  let text = "";
  const sink = {
    respond: (_: unknown, __: unknown, body: Uint8Array | undefined) => {
      text = Buffer.from(body ?? []).toString();
    },
    write: () => assert.fail(),
    cut: () => assert.fail(),
  };
  const exchange = new IncomingExchange(sink, asked, false, 0);
  act(exchange);
  return { text, exchange };
}

describe("the id of a request", () => {
  test("is 16 hexadecimal digits, another for each request and one for each exchange", () => {
    const ids = [request(undefined, undefined), request(undefined, "127.0.0.1")].map(requestId);
    for (const id of ids) assert.match(id, /^[0-9a-f]{16}$/);
    assert.notEqual(ids[0], ids[1]);
    const { exchange } = page(() => undefined, request(undefined, undefined));
    assert.equal(exchange.id, exchange.id);
  });

  test("is the trusted proxy's where that gives one that can stand in a log", () => {
    for (const given of ["a1b2c3d4", "4d3f1c9e-0000-4000-8000-1234567890ab", "1-67891233:x/y+z=@~"]) {
      assert.equal(requestId(request(given, "127.0.0.1")), given);
      assert.match(requestId(request(given, undefined)), /^[0-9a-f]{16}$/);
    }
    for (const given of ["", "one, two", "<b>", "a\nb", "x".repeat(129), "\u00e9"]) {
      assert.match(requestId(request(given, "127.0.0.1")), /^[0-9a-f]{16}$/);
    }
  });

  test("stands on the pages of 500, 502, 503 and 504, and on no other", () => {
    for (const [status, named] of [
      [500, true],
      [502, true],
      [503, true],
      [504, true],
      [404, false],
      [413, false],
      [501, false],
    ] as const) {
      const { text, exchange } = page((each) => each.refuse(status, "A sentence."), request(undefined, undefined));
      assert.equal(text.includes(`\n\nA sentence.\n\nRequest id: ${exchange.id}\n`), named);
    }
    const { text } = page((each) => each.cut(), request("from-the-proxy", "127.0.0.1"));
    assert.match(text, /^502 Bad Gateway\n\n.*\n\nRequest id: from-the-proxy\n$/);
  });
});
