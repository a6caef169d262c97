// What comes before a protocol: a PROXY header, a TLS handshake, or both.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createConnection } from "node:net";
import { after, before, describe, type TestContext, test } from "node:test";
import { connect, type TLSSocket } from "node:tls";
import { type LogLine, logLine } from "../../src/channels.js";
import type { Handler } from "../../src/exchange.js";
import { TlsDoor } from "../../src/ingress/tls.js";
import { ticks } from "../../src/net/deadline.js";
import { readIdentity } from "../../src/net/tls-identity.js";
import { encodeRequest as encodeFastCgi } from "../../src/protocol/fastcgi/request-encoder.js";
import { encodeRequest as encodeScgi } from "../../src/protocol/scgi/request-encoder.js";
import { encodeRequest as encodeUwsgi } from "../../src/protocol/uwsgi/request-encoder.js";
import { octetsOf, vectors } from "../protocol/http1/vectors.js";
import { makeCertificate } from "../support/certificates.js";
import { removeFolder, temporaryFolder } from "../support/tools.js";
import { frame, handshake, opcodes } from "../support/websocket-client.js";
import { answer, eventually, headOf, hello, serve, settle, variablesOf } from "./support.js";

const line = "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";
const secureHeader = vectors("header", "proxy").find(({ name }) => name === "version 2, the client came over TLS");
const binary = octetsOf(secureHeader?.blocks.get("octets") ?? "");
const proxies = ["127.0.0.1"];
const variables = "REQUEST_METHOD\0GET\0REQUEST_URI\0/hello\0SERVER_PROTOCOL\0HTTP/1.1\0REMOTE_ADDR\x00192.0.2.9";

const requests = {
  http: Buffer.from(hello),
  fastcgi: Buffer.concat([encodeFastCgi(1, true, variables, undefined, true)].flat()),
  scgi: Buffer.from(encodeScgi(variables, 0)),
  uwsgi: Buffer.from(encodeUwsgi(variables)),
};

/** What is logged until the test ends. */
function logged(context: TestContext): readonly string[] {
  const lines: string[] = [];
  const listen = (message: unknown): void => {
    const { level, message: text } = message as LogLine;
    lines.push(`${level} ${text}`);
  };
  logLine.subscribe(listen);
  context.after(() => logLine.unsubscribe(listen));
  return lines;
}

describe("a connection that begins with a PROXY header", () => {
  const tell = (exchange: Parameters<typeof answer>[0]): void => {
    const told = variablesOf(exchange);
    const names = ["REMOTE_ADDR", "REMOTE_PORT", "SERVER_PORT", "wsgi.url_scheme"];
    answer(exchange, names.map((name) => told.get(name)).join(" "), {});
  };

  for (const protocol of ["http", "fastcgi", "scgi", "uwsgi"] as const) {
    test(`is served as any other behind it, however both are cut: ${protocol}`, async (t) => {
      const { connect: open } = await serve(t, tell, { proxies }, false, protocol);
      const octets = Buffer.concat([Buffer.from(line), requests[protocol]]);
      const answered = protocol === "http" ? "192.0.2.7 56324 443 http" : "192.0.2.9";
      for (const cut of [octets.length, line.length, 1, line.length - 1, line.length + 3]) {
        const client = await open();
        client.send(octets.subarray(0, cut));
        if (cut < octets.length) await settle();
        client.send(octets.subarray(cut));
        await client.until(answered);
      }
      const slow = await open();
      for (const octet of octets) {
        slow.send(Buffer.from([octet]));
        await new Promise((resolve) => setImmediate(resolve));
      }
      await slow.until(answered);
    });
  }

  test("tells the application that the client came over TLS, and keeps the connection", async (t) => {
    const { connect: open } = await serve(t, tell, { proxies });
    const client = await open();
    client.send(binary, hello);
    await client.until("192.0.2.7 56324 443 https");
    client.send(hello);
    await eventually(() => client.responses === 2);
  });

  test("is closed where the header is missing or malformed, with a line in the log", async (t) => {
    const lines = logged(t);
    const seen = (): void => assert.fail("the application sees it");
    const { connect: open } = await serve(t, seen, { proxies });
    for (const octets of [hello, `PROXY TCP4 somebody\r\n${hello}`]) {
      const client = await open();
      client.send(octets);
      await client.untilEnd();
      assert.equal(client.received, "");
    }
    assert.deepEqual(lines, [
      "warning A connection from 127.0.0.1 was closed: The connection has no good PROXY header: it does not begin with one.",
      "warning A connection from 127.0.0.1 was closed: The connection has no good PROXY header: it names no IPv4 address.",
    ]);
  });

  test("is closed when the header does not come in time", async (t) => {
    const { connect: open, deadlines, ingress } = await serve(t, () => {}, { proxies, headTimeout: 30 });
    const clients = [await open(), await open()];
    clients[1]?.send(line.slice(0, 20));
    await eventually(() => ingress.connections === 2);
    await settle();
    deadlines.advance(ticks(30) - 1);
    await settle();
    assert.equal(ingress.connections, 2);
    deadlines.advance(1);
    for (const client of clients) await client.untilEnd();
    await eventually(() => ingress.connections === 0);
  });

  test("is let be for a moment when the server stops, and longer when its header has begun", async (t) => {
    const { connect: open, deadlines, ingress } = await serve(t, tell, { proxies });
    const [silent, begun, stalled] = [await open(), await open(), await open()];
    for (const client of [begun, stalled]) client.send(line.slice(0, 20));
    await eventually(() => ingress.connections === 3);
    await settle();
    const drained = ingress.drain();
    await settle();
    assert.equal(ingress.connections, 3);
    deadlines.advance(ticks(0.25) + 1);
    await silent.untilEnd();
    begun.send(line.slice(20), hello);
    await begun.until("192.0.2.7 56324 443 http");
    deadlines.advance(ticks(2));
    await stalled.untilEnd();
    await begun.untilEnd();
    await drained;
  });

  test("on a unix socket", async (t) => {
    const { connect: open } = await serve(t, tell, { proxies: ["unix"] }, true);
    const client = await open();
    client.send(line, hello);
    await client.until("192.0.2.7 56324 443 http");
  });
});

test("a PROXY header from somebody who is not named is refused, and a request served", async (t) => {
  const { connect: open } = await serve(t, (exchange) => answer(exchange, "here"), { proxies: ["192.0.2.1"] });
  for (const header of [Buffer.from(line), binary]) {
    const client = await open();
    client.send(header, hello);
    await client.until("HTTP/1.1 400 Bad Request\r\n");
    await client.untilEnd();
  }
  const client = await open();
  client.send(hello);
  await client.until("here");
});

describe("a connection on which TLS is spoken", () => {
  let folder = "";
  let door: TlsDoor;
  before(() => {
    folder = temporaryFolder("arrival");
    const { cert, key, names } = readIdentity(makeCertificate(folder, "localhost"));
    const ticketKeys = Buffer.alloc(48, "k").toString("base64");
    door = new TlsDoor(
      { clientCert: "required", minVersion: "1.2" },
      { identities: [{ cert, key, names }], clientCa: "", ticketKeys },
    );
  });
  after(() => removeFolder(folder));

  test("behind a PROXY header, in one piece with it or not", async (t) => {
    const { port } = await serve(
      t,
      (exchange) => answer(exchange, `${variablesOf(exchange).get("REMOTE_ADDR")} here`),
      { proxies, tls: door },
      false,
      "https",
    );
    for (const together of [true, false]) {
      const carrier = createConnection({ port, host: "127.0.0.1" });
      await once(carrier, "connect");
      if (together) carrier.cork();
      carrier.write(line);
      if (!together) await settle();
      const client = connect({ socket: carrier, rejectUnauthorized: false });
      if (together) process.nextTick(() => carrier.uncork());
      let received = "";
      client.setEncoding("latin1").on("data", (text: string) => {
        received += text;
      });
      client.write(hello);
      await eventually(() => received.includes("192.0.2.7 here"));
      client.destroy();
    }
  });

  test("is closed when the handshake does not come to an end in time, or is none", async (t) => {
    const {
      connect: open,
      deadlines,
      ingress,
    } = await serve(t, () => assert.fail("it is seen"), { tls: door, headTimeout: 30 }, false, "https");
    const [silent, stalled, garbage] = [await open(), await open(), await open()];
    // A record of 512 octets, of which not all come; and one that is no handshake.
    stalled.send("\x16\x03\x01\x02\x00\x01\x00");
    garbage.send("\x16\x03\x01\x00\x05hello");
    await garbage.untilEnd();
    await eventually(() => ingress.connections === 2);
    deadlines.advance(ticks(30));
    await silent.untilEnd();
    await stalled.untilEnd();
    await eventually(() => ingress.connections === 0);
  });

  /** A client that notes what it receives. */
  function secured(
    context: TestContext,
    port: number,
  ): { readonly socket: TLSSocket; readonly received: () => string } {
    const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false });
    context.after(() => socket.destroy());
    let received = "";
    socket.setEncoding("latin1").on("data", (text: string) => {
      received += text;
    });
    return { socket, received: () => received };
  }

  test("that is in its handshake when the server stops is answered", async (t) => {
    const served = await serve(t, (exchange) => answer(exchange, "last"), { tls: door }, false, "https");
    const { socket, received } = secured(t, served.port);
    let drained: Promise<void> | undefined;
    // The server is waiting for the client's Finished then (RFC 8446 §2).
    socket.on("secureConnect", () => {
      drained = served.ingress.drain();
      socket.write(hello);
    });
    await eventually(() => received().endsWith("last"));
    assert.match(received(), /\r\nConnection: close\r\n/);
    await drained;
  });

  test("whose response is on its way when the server stops may make the next request", async (t) => {
    let drained: Promise<void> | undefined;
    const handler: Handler = (exchange) => {
      answer(exchange, exchange.request.target);
      drained ??= served.ingress.drain();
    };
    const served = await serve(t, handler, { tls: door }, false, "https");
    const { socket, received } = secured(t, served.port);
    socket.write("GET /first HTTP/1.1\r\nHost: a\r\n\r\n");
    await eventually(() => received().endsWith("/first"));
    assert.doesNotMatch(received(), /Connection: close/);
    socket.write("GET /second HTTP/1.1\r\nHost: a\r\n\r\n");
    await eventually(() => received().endsWith("/second"));
    assert.match(received(), /\r\nConnection: close\r\n/);
    await drained;
  });

  test("that is given up in its handshake leaves nothing", async (t) => {
    const { connect: open, ingress } = await serve(t, () => {}, { tls: door }, false, "https");
    const [reset, ended] = [await open(), await open()];
    for (const client of [reset, ended]) client.send("\x16\x03\x01\x02\x00\x01\x00");
    await eventually(() => ingress.connections === 2);
    await settle();
    reset.socket.resetAndDestroy();
    ended.socket.destroy();
    await eventually(() => ingress.connections <= 1);
    ingress.destroy();
    await eventually(() => ingress.connections === 0);
  });

  test("becomes a WebSocket as any other", async (t) => {
    const echo: Handler = ({ upgrade }) => {
      const stream = upgrade?.accept(new Uint8Array(0), {
        socketMessage: (octets, text) => stream?.send(octets, text),
        socketClosed: () => {},
      });
    };
    const { port } = await serve(t, echo, { tls: door, upgrades: true }, false, "https");
    const client = connect({ port, host: "127.0.0.1", rejectUnauthorized: false });
    let received = "";
    client.setEncoding("latin1").on("data", (text: string) => {
      received += text;
    });
    client.write(handshake("/echo"));
    await eventually(() => received.endsWith("\r\n\r\n"));
    assert.match(received, /^HTTP\/1\.1 101 /);
    client.write(frame(opcodes.text, "over TLS"));
    await eventually(() => received.endsWith("\x81\x08over TLS"));
    client.destroy();
  });

  test("a response that is cut is seen to be: it has no last chunk, or the connection is reset", async (t) => {
    let cut = (): void => {};
    const half: Handler = (exchange) => {
      exchange.respond(headOf(200), Buffer.from("half"), false);
      cut = () => exchange.cut();
    };
    const { port } = await serve(t, half, { tls: door }, false, "https");
    for (const [request, code] of [
      [hello, undefined],
      ["GET / HTTP/1.0\r\n\r\n", "ECONNRESET"],
    ] as const) {
      const client = connect({ port, host: "127.0.0.1", rejectUnauthorized: false });
      let received = "";
      client.setEncoding("latin1").on("data", (text: string) => {
        received += text;
      });
      const errors: (string | undefined)[] = [];
      client.on("error", (error: NodeJS.ErrnoException) => errors.push(error.code));
      client.write(request);
      const closed = new Promise((resolve) => client.on("close", resolve));
      await eventually(() => received.includes("half"));
      cut();
      await closed;
      assert.match(received, /half(?:\r\n)?$/);
      assert.deepEqual(errors, code === undefined ? [] : [code]);
    }
  });
});
