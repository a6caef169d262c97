// node build/bench/node-constant.js PORT PROCESSES: Node's own HTTP server with a constant answer.
import cluster from "node:cluster";
import { createServer } from "node:http";

const [port, processes] = process.argv.slice(2).map(Number);
const page = "Hello, world!\n";

if (cluster.isPrimary) {
  for (let i = 0; i < (processes ?? 1); i += 1) cluster.fork();
  process.once("SIGTERM", () => process.exit());
} else {
  const head = { "Content-Type": "text/plain", "Content-Length": String(page.length) };
  createServer((_, response) => response.writeHead(200, head).end(page)).listen(port, "127.0.0.1");
}
