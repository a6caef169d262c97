// The front's own cost: HTTP/1.1 in, a constant answer out, no worker. Run it pinned, load it with wrk, and read the CPU
// time per request that it prints at the end (SIGINT or SIGTERM):
//
//     taskset -c 0 node build/bench/micro/front-constant.js [net] & taskset -c 1 wrk -c 32 -t 1 -d 4 http://127.0.0.1:PORT/
//
// With `net` it answers a constant to every chunk read without looking at it: what Node's net itself costs.
import { createServer } from "node:net";
import type { Handler } from "../../src/exchange.js";
import { Ingress, serverOptions } from "../../src/ingress/ingress.js";
import { Router } from "../../src/routing/router.js";

const body = Buffer.from("Hello, world!\n");
const fields = Buffer.from(`Content-Type: text/plain\r\nContent-Length: ${body.length}\r\n`);
const head = { status: 200, reason: "OK", fields, contentLength: body.length, hasDate: false };
const whole = Buffer.concat([
  Buffer.from("HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 15:00:00 GMT\r\n"),
  fields,
  Buffer.from("\r\n"),
  body,
]);

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
  count();
  // A worker's wire would write the variables out: their cost belongs to the path.
  wire.write(exchange.request.variables, "latin1");
  exchange.respond(head, body, true);
};
const ingress = new Ingress(config, new Router([{ host: "", path: "", handler }]), { version: "0.0.0" });

/** Requests before counting begins: the process has started and its code is compiled by then. */
const warmUp = 20_000;
let requests = 0;
let before: NodeJS.CpuUsage = process.cpuUsage();

function count(): void {
  requests += 1;
  if (requests === warmUp) before = process.cpuUsage();
}

const bare = process.argv[2] === "net";
const server = createServer(serverOptions);
if (!bare) ingress.attach(server, { protocol: "http" });
else
  server.on("connection", (socket) => {
    socket.on("data", () => {
      count();
      socket.write(whole);
    });
    socket.on("end", () => socket.destroySoon());
    socket.on("error", () => socket.destroy());
  });
server.listen(Number(process.env["PORT"] ?? 0), "127.0.0.1", () => {
  console.log(JSON.stringify(server.address()));
});

function stop(): void {
  const { user, system } = process.cpuUsage(before);
  const each = (microseconds: number): string => (microseconds / (requests - warmUp)).toFixed(2);
  console.log(
    `${requests} requests, CPU µs/request: ${each(user + system)} (user ${each(user)}, system ${each(system)})`,
  );
  process.exit(0);
}
process.on("SIGINT", stop);
process.on("SIGTERM", stop);
