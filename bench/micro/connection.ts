// What ingress itself costs a request, without the kernel and Node's sockets: 32 connections in turn, driven by chunks as a socket
// would give them, what is written going nowhere.
import { Socket } from "node:net";
import type { Handler } from "../../src/exchange.js";
import { Ingress } from "../../src/ingress/ingress.js";
import type { ClientSocket, ClientSocketOwner, End } from "../../src/net/client-socket.js";
import { Router } from "../../src/routing/router.js";
import { measure } from "./support/measure.js";

class Quiet implements ClientSocket {
  readonly descriptor = 3;
  readonly remote: End = { address: "192.0.2.7", port: 51234 };
  readonly local: End = { address: "192.0.2.1", port: 80 };
  readonly unsent = 0;
  readonly untaken = 0;
  owner: ClientSocketOwner | undefined;
  start(owner: ClientSocketOwner): void {
    this.owner = owner;
  }
  startBriefly(owner: ClientSocketOwner): void {
    this.start(owner);
  }
  attend(): void {}
  handOver(owner: ClientSocketOwner): void {
    this.owner = owner;
  }
  setNoDelay(): void {}
  write(): void {}
  pause(): void {}
  resume(): void {}
  end(): void {}
  close(): void {}
  destroy(): void {}
  reset(): void {}
  release(): Socket {
    return new Socket();
  }
}

const body = Buffer.from("Hello, world!\n");
const fields = Buffer.from(`Content-Type: text/plain\r\nContent-Length: ${body.length}\r\n`);
const head = { status: 200, reason: "OK", fields, contentLength: body.length, hasDate: false };
const config = {
  trustedProxies: [],
  maxBody: 2 ** 30,
  bodyMemory: 2 ** 18,
  requestMemoryTotal: 2 ** 26,
  tempDir: "/tmp",
  maxTarget: 8192,
  maxHead: 65536,
  maxFields: 128,
  keepAlive: 75,
  headTimeout: 30,
  stallTimeout: 30,
  minRate: 500,
  wsMaxSize: 2 ** 24,
  wsPingInterval: 20,
  wsPingTimeout: 20,
  wsCompression: false,
};
const wire = Buffer.allocUnsafe(65536);
const handler: Handler = (exchange) => {
  wire.write(exchange.request.variables, "latin1");
  exchange.respond(head, body, true);
};
const ingress = new Ingress(config, new Router([{ host: "", path: "", handler }]), { version: "0.0.0" });

const few = "Host: 127.0.0.1:8000\r\nUser-Agent: wrk\r\nAccept: */*\r\n\r\n";
const browser = [
  "Host: www.example.org",
  "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
  "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
  "Accept-Language: de,en-US;q=0.7,en;q=0.3",
  "Accept-Encoding: gzip, deflate, br, zstd",
  "Referer: https://www.example.org/list?page=3",
  "Cookie: sessionid=9c1185a5c5e9fc54612808977ee8f548b2258d31; csrftoken=Xk2mNTtqVvZ7xZ8q",
  "Connection: keep-alive",
  "Upgrade-Insecure-Requests: 1",
  "Sec-Fetch-Dest: document",
  "Sec-Fetch-Mode: navigate",
  "Priority: u=0, i",
  "",
  "",
].join("\r\n");

function serve(name: string, chunks: readonly Buffer[]): void {
  const sockets = Array.from({ length: 32 }, () => new Quiet());
  for (const socket of sockets) ingress.accept(socket, { protocol: "http" });
  let turn = 0;
  measure(name, () => {
    const chunk = chunks[(turn >> 5) % chunks.length] as Buffer;
    sockets[turn++ % 32]?.owner?.socketReceived(chunk, chunk.length);
  });
  for (const socket of sockets) socket.owner?.socketClosed();
}

const targets = Array.from({ length: 64 }, (_, i) => `/item/${i}?page=${i}`);
serve("http1 door, 3 fields, same request", [Buffer.from(`GET /hello HTTP/1.1\r\n${few}`)]);
serve(
  "http1 door, 3 fields, other targets",
  targets.map((target) => Buffer.from(`GET ${target} HTTP/1.1\r\n${few}`)),
);
serve("http1 door, 12 fields, same request", [Buffer.from(`GET /hello HTTP/1.1\r\n${browser}`)]);
serve(
  "http1 door, 12 fields, other targets",
  targets.map((target) => Buffer.from(`GET ${target} HTTP/1.1\r\n${browser}`)),
);
serve(
  "http1 door, 12 fields, other fields",
  targets.map((target, i) => Buffer.from(`GET ${target} HTTP/1.1\r\nX-Request-Id: ${i}\r\n${browser}`)),
);
