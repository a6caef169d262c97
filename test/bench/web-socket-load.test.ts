import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import { test } from "node:test";
import { clientFrame, handshake, serverFrame, webSocketLoad } from "../../bench/web-socket-load.js";

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** A server that answers each message with what `reply` gives. */
async function socketServer(reply: () => Buffer): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer((_, response) => response.writeHead(404).end("no\n"));
  server.on("upgrade", (_, socket) => {
    socket.on("error", () => undefined);
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    socket.on("data", () => socket.write(reply()));
  });
  return { server, port: await listening(server) };
}

test("messages that come back are counted, and how long each took", async () => {
  let received = 0;
  const { server, port } = await socketServer(() => {
    received += 1;
    return serverFrame("a message of thirty-two octets..");
  });
  try {
    const load = await webSocketLoad(port, "/socket", 0.2, 4);
    assert.ok(load.requests >= 4, `${load.requests}`);
    assert.equal(load.requests, received);
    assert.deepEqual([load.socketErrors, load.p99 >= load.p50, load.p50 > 0], [0, true, true]);
  } finally {
    server.close();
  }
});

test("a server that sends something else, or knows no WebSocket, is not measured", async () => {
  const { server, port } = await socketServer(() => serverFrame("something else"));
  try {
    await assert.rejects(webSocketLoad(port, "/socket", 1, 2), /something else came back/);
    server.removeAllListeners("upgrade");
    await assert.rejects(webSocketLoad(port, "/socket", 1, 2), /the handshake was answered HTTP\/1\.1 404 Not Found/);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test("the frames are those of RFC 6455 §5", () => {
  assert.equal(serverFrame("Hello").toString("hex"), "810548656c6c6f");
  const frame = clientFrame("Hello");
  assert.deepEqual([frame[0], frame[1], frame.length], [0x81, 0x85, 11]);
  const unmasked = frame.subarray(6).map((octet, index) => octet ^ (frame[2 + (index % 4)] ?? 0));
  assert.equal(Buffer.from(unmasked).toString(), "Hello");
  assert.match(handshake("/a"), /^GET \/a HTTP\/1\.1\r\nHost: .*\r\n\r\n$/s);
});
