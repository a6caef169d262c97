import assert from "node:assert/strict";
import { createServer, type RequestListener, type Server } from "node:http";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { IdleConnections, webSocket } from "../../bench/scale/idle-connections.js";

async function listening(answer: RequestListener): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer({ keepAliveTimeout: 60_000 }, answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return { server, port: typeof address === "object" && address !== null ? address.port : 0 };
}

test("idle connections are opened up to a number, each after an answer, and counted while the server keeps them", async () => {
  const { server, port } = await listening((_, response) => response.end("Hello, world!\n"));
  const idle = new IdleConnections(port);
  try {
    await idle.growTo(3);
    assert.equal(idle.open, 3);
    await idle.growTo(100);
    assert.equal(idle.open, 100);
    idle.close();
    assert.equal(idle.open, 0);
    await idle.growTo(2);
    assert.equal(idle.open, 2);
    server.closeAllConnections();
    while (idle.open > 0) await turn();
  } finally {
    idle.close();
    server.close();
  }
});

test("an idle WebSocket is one on which a message came back", async () => {
  const { server, port } = await listening((_, response) => response.end());
  let messages = 0;
  server.on("upgrade", (_, socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    socket.on("data", () => {
      messages += 1;
      socket.write("\x81\x05hello", "latin1");
    });
    socket.on("end", () => socket.end());
  });
  const idle = new IdleConnections(port, webSocket);
  try {
    await idle.growTo(5);
    assert.deepEqual([idle.open, messages], [5, 5]);
  } finally {
    idle.close();
    server.close();
  }
});

test("a connection that is closed before its answer is said, with what came", async () => {
  const { server, port } = await listening((_, response) => {
    response.writeHead(503, { connection: "close" }).end("busy\n");
  });
  const idle = new IdleConnections(port);
  try {
    await assert.rejects(idle.growTo(1), /closed after: HTTP\/1\.1 503 Service Unavailable/);
  } finally {
    idle.close();
    server.close();
  }
});
