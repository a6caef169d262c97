import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ListenProtocol } from "../../src/config/config.js";
import type { IngressConnection } from "../../src/ingress/options.js";
import { Shortage } from "../../src/ingress/shortage.js";
import { Deadlines } from "../../src/net/deadline.js";
import { Descriptors } from "../../src/net/descriptors.js";
import { encodeRequest as encodeFastCgi } from "../../src/protocol/fastcgi/request-encoder.js";
import { encodeRequest as encodeScgi } from "../../src/protocol/scgi/request-encoder.js";
import { encodeRequest as encodeUwsgi } from "../../src/protocol/uwsgi/request-encoder.js";
import { answer, hello, serve } from "./support.js";

class Fake implements IngressConnection {
  restingSince: number;
  readonly #closed: string[];
  readonly #name: string;
  constructor(name: string, restingSince: number, closed: string[]) {
    this.#name = name;
    this.restingSince = restingSince;
    this.#closed = closed;
  }
  drain(): void {}
  destroy(): void {
    this.restingSince = Number.POSITIVE_INFINITY;
    this.#closed.push(this.#name);
  }
}

describe("when descriptors run short", () => {
  test("connections that rest give way, the longest first; those that do not, and those that only just came to rest, stay", () => {
    const deadlines = new Deadlines(false);
    deadlines.advance(100);
    const closed: string[] = [];
    const busy = new Fake("busy", Number.POSITIVE_INFINITY, closed);
    const fresh = new Fake("fresh", deadlines.tick, closed);
    const connections = [fresh, new Fake("second", 20, closed), busy, new Fake("first", 10, closed)];
    connections.push(new Fake("third", 20, closed));
    const again = new Fake("again", 15, closed);
    const shortage = new Shortage(new Descriptors(100), deadlines, [...connections, again]);
    assert.equal(shortage.admits(74), true);
    assert.deepEqual(closed, []);
    assert.equal(shortage.admits(75), true);
    // Its client has sent a request meanwhile.
    again.restingSince = Number.POSITIVE_INFINITY;
    assert.equal(shortage.admits(75), true);
    assert.equal(shortage.admits(75), true);
    assert.deepEqual(closed, ["first", "second", "third"]);
    assert.equal(shortage.admits(75), false);
    deadlines.advance(20);
    assert.equal(shortage.admits(75), true);
    assert.deepEqual(closed, ["first", "second", "third", "fresh"]);
  });

  test("of those that are only to be told so, no more than a few are open", () => {
    const closed: string[] = [];
    const descriptors = new Descriptors(100);
    const shortage = new Shortage(descriptors, new Deadlines(false), []);
    const refused = Array.from({ length: descriptors.refusedMost + 2 }, (_, n) => new Fake(`${n}`, 0, closed));
    for (const each of refused) shortage.refuse(each);
    assert.deepEqual(closed, ["0", "1"]);
  });
});

const variables = "REQUEST_METHOD\0GET\0REQUEST_URI\0/hello\0SERVER_PROTOCOL\0HTTP/1.1\0REMOTE_ADDR\x00192.0.2.9";

const requests: Readonly<Record<Exclude<ListenProtocol, "https">, readonly (string | Uint8Array)[]>> = {
  http: [hello],
  fastcgi: [encodeFastCgi(1, true, variables, undefined, true)].flat(),
  scgi: [encodeScgi(variables, 0)],
  uwsgi: [encodeUwsgi(variables)],
};

describe("a connection that there is no room for", () => {
  for (const protocol of ["http", "fastcgi", "scgi", "uwsgi"] as const) {
    test(`is answered 503 and closed: ${protocol}`, async (t) => {
      const seen = (): void => assert.fail("the application sees it");
      const served = await serve(t, seen, { descriptors: new Descriptors(1) }, false, protocol);
      const client = await served.connect();
      client.send(...requests[protocol]);
      await client.until(/503 Service Unavailable\r\n[\s\S]*The server has as many connections as it can/);
      await client.untilEnd();
      if (protocol === "http") assert.match(client.received, /\r\nConnection: close\r\n/);
      client.socket.end();
    });
  }

  test("with room enough all are served", async (t) => {
    const served = await serve(t, (exchange) => answer(exchange, "hello"), { descriptors: new Descriptors(10_000) });
    const client = await served.connect();
    client.send(hello);
    await client.until("hello");
  });
});
