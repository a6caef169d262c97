import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { UpstreamGroupConfig } from "../../src/config/config.js";
import { acceptOf } from "../../src/protocol/websocket/handshake.js";
import { eventually, type Served, serve, settle } from "../ingress/support.js";
import { frame, handshake, opcodes, WebSocketClient } from "../support/websocket-client.js";
import {
  type Accepted,
  answering,
  type FakeServer,
  fakeServer,
  groupOf,
  response,
  serverAt,
  type TestGroup,
} from "./support.js";

/** The answer to a handshake. */
function switching(head: string, fields = ""): string {
  const key = /Sec-WebSocket-Key: (.*)\r\n/i.exec(`${head}\r\n`)?.[1] ?? "";
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptOf(key)}\r\n${fields}\r\n`;
}

interface Gateway extends TestGroup {
  readonly server: FakeServer;
  readonly served: Served;
  readonly outstanding: number;
}

/** A door, and behind it a server that answers as `answer` says. */
async function gateway(
  context: TestContext,
  answer: (head: string, connection: Accepted) => string,
  config: Partial<UpstreamGroupConfig> = {},
): Promise<Gateway> {
  // Of a connection that has switched, what follows is no request.
  const server = await fakeServer(
    context,
    answering((head, connection) => (head.startsWith("GET ") ? answer(head, connection) : "")),
  );
  const made = groupOf(context, [server.port], config);
  const served = await serve(context, made.group.handle, { upgrades: true });
  return {
    ...made,
    server,
    served,
    get outstanding() {
      return made.group.status().servers[0]?.outstanding ?? -1;
    },
  };
}

async function opened(
  context: TestContext,
  { served, server }: Gateway,
  fields: Readonly<Record<string, string>> = {},
): Promise<readonly [WebSocketClient, Accepted]> {
  const client = await WebSocketClient.open(served.port, "/chat?a=1", fields);
  context.after(() => client.destroy());
  return [client, await server.connection(server.accepted.length)];
}

describe("a request for a WebSocket", () => {
  test("reaches the server as one, and its answer the client, with what was agreed on", async (t) => {
    const made = await gateway(t, (head) => switching(head, "Sec-WebSocket-Protocol: chat\r\nX-Server: one\r\n"));
    const [client, connection] = await opened(t, made, {
      Connection: "keep-alive, Upgrade, X-Hop",
      "X-Hop": "1",
      "Sec-WebSocket-Protocol": "chat",
      "Sec-WebSocket-Extensions": "permessage-deflate",
      Origin: "http://example.org",
    });
    assert.deepEqual([made.served.ingress.connections, made.served.ingress.openWebSockets], [1, 1]);
    const lines = connection.received.split("\r\n");
    assert.equal(lines[0], "GET /chat?a=1 HTTP/1.1");
    for (const line of [
      "Upgrade: websocket",
      "Connection: Upgrade",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      "Sec-Websocket-Version: 13",
      "Sec-Websocket-Protocol: chat",
      "Sec-Websocket-Extensions: permessage-deflate",
      "Origin: http://example.org",
      "X-Forwarded-For: 127.0.0.1",
    ])
      assert.equal(lines.filter((each) => each === line).length, 1, `${line} in ${connection.received}`);
    assert.doesNotMatch(connection.received, /X-Hop|Connection: close/i);
    assert.match(client.head, /\r\nSec-WebSocket-Protocol: chat\r\nX-Server: one\r\n/);
    for (const name of ["Upgrade", "Connection", "Sec-WebSocket-Accept"])
      assert.equal(client.head.split(new RegExp(`\r\n${name}: `, "i")).length, 2, client.head);
  });

  test("that the server refuses is answered as it says, and both connections serve on", async (t) => {
    const made = await gateway(t, (head) =>
      head.includes("/next") ? response("next") : "HTTP/1.1 403 No\r\nContent-Length: 3\r\n\r\nbad",
    );
    const client = await made.served.connect();
    client.send(handshake());
    await client.until("bad");
    client.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    await client.until("next");
    assert.match(client.received, /^HTTP\/1\.1 403 No\r\n/);
    assert.equal(made.server.accepted.length, 1);
    assert.equal(made.outstanding, 0);
  });

  for (const [what, answer] of [
    ["does not prove that it read the key", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n"],
    ["proves nothing", "Upgrade: websocket\r\nConnection: Upgrade\r\n"],
    ["switches to something else", "Upgrade: h2c\r\nConnection: Upgrade\r\n"],
  ] as const) {
    test(`is answered 502 where the server ${what}`, async (t) => {
      const made = await gateway(t, () => `HTTP/1.1 101 Switching Protocols\r\n${answer}\r\n`);
      const client = await made.served.connect();
      client.send(handshake());
      await client.until(/^HTTP\/1\.1 502 /);
      assert.equal(made.outstanding, 0);
    });
  }

  test("goes to another server where there is no connection to the first", async (t) => {
    const server = await fakeServer(
      t,
      answering((head) => switching(head)),
    );
    const gone = await fakeServer(t);
    await gone.close();
    const { group } = groupOf(t, [gone.port, serverAt(server.port, { backup: true })]);
    const served = await serve(t, group.handle, { upgrades: true });
    const client = await WebSocketClient.open(served.port);
    client.destroy();
  });

  test("over a connection that was kept, and not again over that of the WebSocket", async (t) => {
    const made = await gateway(t, (head) => (head.includes("Upgrade:") ? switching(head) : response("plain")));
    const client = await made.served.connect();
    const ask = async (count: number): Promise<void> => {
      client.send("GET /plain HTTP/1.1\r\nHost: a\r\n\r\n");
      await eventually(() => client.received.split("plain").length > count);
    };
    await ask(1);
    await opened(t, made);
    await ask(2);
    assert.equal(made.server.accepted.length, 2);
    assert.deepEqual(made.group.status().servers[0]?.connections, { busy: 1, idle: 1 });
  });
});

describe("through the tunnel", () => {
  test("octets go both ways as they are, those behind either head too", async (t) => {
    const made = await gateway(t, (head) => `${switching(head)}\x81\x05early`);
    const client = await WebSocketClient.connect(made.served.port);
    t.after(() => client.destroy());
    client.socket.write(Buffer.concat([Buffer.from(handshake()), frame(opcodes.text, "first")]));
    assert.equal(await client.nextText(), "text early");
    const connection = await made.server.connection();
    await connection.until(frame(opcodes.text, "first").toString("latin1"));
    const octets = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
    client.binary(octets);
    await connection.until(frame(opcodes.binary, octets).toString("latin1"));
    connection.send("\x82\x03\x00\xff\x80");
    assert.deepEqual((await client.next()).payload, Buffer.from([0, 255, 128]));
    assert.equal(made.outstanding, 1);
  });

  test("a client that closes ends the server's connection, and the request", async (t) => {
    const made = await gateway(t, (head) => switching(head));
    for (const leave of ["end", "resetAndDestroy"] as const) {
      const [client, connection] = await opened(t, made);
      client.text("last words");
      client.socket[leave]();
      await eventually(() => connection.ended);
      await eventually(() => made.outstanding === 0 && made.served.ingress.connections === 0);
      if (leave === "end") await connection.until(frame(opcodes.text, "last words").toString("latin1"));
    }
    assert.equal(made.group.status().servers[0]?.failures, 0);
  });

  test("a server that closes ends the client's connection, behind what it sent", async (t) => {
    const made = await gateway(t, (head) => switching(head));
    const [client, connection] = await opened(t, made);
    connection.send("\x88\x02\x03\xe8");
    connection.socket.end();
    assert.equal(await client.nextText(), "close 1000");
    await client.untilEnd();
    await eventually(() => connection.ended && made.outstanding === 0 && made.served.ingress.connections === 0);
  });

  test("a side that does not read holds the other one up, and nothing is lost", async (t) => {
    const made = await gateway(t, (head) => switching(head));
    const [client, connection] = await opened(t, made);
    connection.socket.pause();
    const message = Buffer.alloc(2 ** 20, 1);
    for (let count = 0; count < 48; count += 1) client.binary(message);
    await settle();
    assert.ok(client.socket.writableLength > 0, "all was taken");
    connection.socket.resume();
    await eventually(() => client.socket.writableLength === 0);
    client.socket.pause();
    for (let count = 0; count < 48; count += 1) connection.socket.write(message);
    await settle();
    assert.ok(connection.socket.writableLength > 0, "all was taken");
    client.socket.removeAllListeners("data");
    let octets = 0;
    client.socket.on("data", (chunk) => {
      octets += chunk.length;
    });
    client.socket.resume();
    await eventually(() => octets === 48 * message.length);
  });

  test("without an octet either way for tunnel-timeout both connections are closed", async (t) => {
    const made = await gateway(t, (head) => switching(head), { tunnelTimeout: 600 });
    const [client, connection] = await opened(t, made);
    made.pass(590);
    client.text("still here");
    await connection.until(frame(opcodes.text, "still here").toString("latin1"));
    made.pass(590);
    assert.equal(client.ended, false);
    made.pass(20);
    await client.untilEnd();
    await eventually(() => connection.ended && made.outstanding === 0);
  });
});
