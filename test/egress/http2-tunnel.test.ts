// WebSockets of clients of HTTP/2 (RFC 8441), through the gateway to a server that is asked for them over HTTP/1.1.
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { Exchange, WebSocketStream } from "../../src/exchange.js";
import { answerOf, ask, type Http2Served, serveHttp2 } from "../ingress/http2-client.js";
import { answer, eventually, serve, settle, variablesOf } from "../ingress/support.js";
import { errors } from "../support/http2-frames.js";
import { askSocket, openSocket } from "../support/websocket-stream.js";
import { groupOf } from "./support.js";

interface Gateway extends Http2Served {
  /** What the server behind was asked, and what closed its WebSockets. */
  readonly asked: Exchange[];
  readonly closed: string[];
  readonly sockets: WebSocketStream[];
  readonly outstanding: number;
}

/** Before a server that echoes; at /no it refuses, at /page it knows of no WebSockets. */
async function gateway(context: TestContext): Promise<Gateway> {
  const asked: Exchange[] = [];
  const closed: string[] = [];
  const sockets: WebSocketStream[] = [];
  const behind = await serve(
    context,
    (exchange) => {
      asked.push(exchange);
      const { upgrade, request } = exchange;
      if (request.target === "/no") exchange.refuse(403, "No.");
      else if (upgrade === undefined || request.target === "/page") answer(exchange, "a page");
      else {
        const stream = upgrade.accept(Buffer.from("Sec-WebSocket-Protocol: chat\r\nX-Server: one\r\n"), {
          socketMessage: (octets, text) => stream.send(octets, text),
          socketClosed: (code, reason) => void closed.push(`${code} ${reason}`.trim()),
        });
        sockets.push(stream);
      }
    },
    { upgrades: true },
  );
  const { group } = groupOf(context, [behind.port]);
  const served = await serveHttp2(context, group.handle, { upgrades: true });
  return {
    ...served,
    asked,
    closed,
    sockets,
    get outstanding() {
      return group.status().servers[0]?.outstanding ?? -1;
    },
  };
}

describe("a WebSocket on a stream, through the gateway", () => {
  test("is asked for with a key of the gateway's, and answered with what was agreed on", async (t) => {
    const made = await gateway(t);
    const { client, headers } = await openSocket(made.session(), "/chat?a=1", {
      "sec-websocket-protocol": "chat",
      origin: "https://example.org",
    });
    const [exchange] = made.asked;
    assert.ok(exchange !== undefined);
    const variables = variablesOf(exchange);
    const names = ["REQUEST_METHOD", "REQUEST_URI", "HTTP_ORIGIN", "HTTP_X_FORWARDED_FOR", "SERVER_PROTOCOL"];
    assert.deepEqual(
      names.map((name) => variables.get(name)),
      ["GET", "/chat?a=1", "https://example.org", "127.0.0.1", "HTTP/1.1"],
    );
    assert.deepEqual([headers["sec-websocket-protocol"], headers["x-server"]], ["chat", "one"]);
    for (const name of ["upgrade", "connection", "sec-websocket-accept"]) assert.equal(headers[name], undefined);
    client.destroy();
    await eventually(() => made.outstanding === 0 && made.closed.length === 1);
    assert.deepEqual(made.closed, ["1006"]);
  });

  test("carries messages both ways, and the codes of its end, while others go on", async (t) => {
    const made = await gateway(t);
    const session = made.session();
    const { client } = await openSocket(session);
    const { client: other } = await openSocket(session);
    client.text("hello");
    assert.equal(await client.nextText(), "text hello");
    client.binary(Buffer.alloc(500_000, 3));
    assert.ok((await client.next()).payload.equals(Buffer.alloc(500_000, 3)));
    client.close(4000, "enough");
    assert.equal(await client.nextText(), "close 4000");
    await client.untilEnd();
    client.socket.end();
    await eventually(() => client.socket.destroyed && made.outstanding === 1);
    assert.deepEqual([client.socket.rstCode, made.closed], [errors.none, ["4000 enough"]]);
    other.text("still here");
    assert.equal(await other.nextText(), "text still here");
    other.destroy();
  });

  test("is refused as the server says; its 200 is no yes", async (t) => {
    const made = await gateway(t);
    const session = made.session();
    for (const [target, status] of [
      ["/no", 403],
      ["/page", 501],
    ] as const) {
      const stream = await askSocket(session, target);
      const answered = answerOf(stream);
      await eventually(() => stream.readableEnded);
      stream.end();
      assert.equal((await answered).status, status);
    }
    assert.equal((await ask(session, "/page")).body, "a page");
    await eventually(() => made.outstanding === 0);
  });

  test("a client that does not read makes the server wait, and gets all when it does", async (t) => {
    const made = await gateway(t);
    const { client } = await openSocket(made.session());
    client.socket.pause();
    const count = 200;
    let left = 0;
    for (let sent = 0; sent < count; sent += 1) {
      made.sockets[0]?.send(Buffer.alloc(100_000), false, () => {
        left += 1;
      });
    }
    await settle();
    assert.ok(left < count, `${left} of ${count} have left`);
    client.socket.resume();
    for (let received = 0; received < count; received += 1) await client.next();
    assert.equal(left, count);
    client.destroy();
  });
});
