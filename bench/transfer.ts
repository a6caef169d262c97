// A response and an upload of 1 GiB, and how far the server's memory grows meanwhile.
import { createConnection } from "node:net";
import { setInterval } from "node:timers";
import { answersRight, type Running, startServer, stopServer } from "./measure.js";
import { memoryOctets } from "./process-tree.js";
import { direct } from "./scenarios.js";
import { type Server, usual } from "./server.js";

export interface Transfer {
  readonly server: string;
  readonly direction: "response" | "upload";
  /** Octets per second. */
  readonly rate: number;
  /** MiB beyond what the tree had before; the most seen. */
  readonly growth: number;
}

const gibibyte = 2 ** 30;

interface Exchanged {
  /** Octets of the response's body. */
  readonly received: number;
  /** The first of them, as text. */
  readonly text: string;
}

/** Sends a request by hand and counts what comes back: Node's own client would cost more than some servers. */
function exchange(port: number, head: string, upload: number): Promise<Exchanged> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ port, host: "127.0.0.1" });
    const piece = Buffer.alloc(262_144, "u");
    let left = upload;
    let received = 0;
    let start = Buffer.alloc(0);
    let headEnd = -1;
    const send = (): void => {
      while (left > 0) {
        const next = piece.subarray(0, Math.min(left, piece.length));
        left -= next.length;
        if (!socket.write(next)) break;
      }
    };
    socket.once("connect", () => {
      socket.write(head);
      send();
    });
    socket.on("drain", send);
    socket.on("data", (data: Buffer) => {
      received += data.length;
      if (headEnd >= 0) return;
      start = Buffer.concat([start, data]);
      headEnd = start.indexOf("\r\n\r\n");
    });
    socket.once("error", reject);
    socket.once("close", () => {
      if (!/^HTTP\/1\.1 200 /.test(start.toString("latin1"))) {
        reject(new Error(`answered: ${start.subarray(0, 200).toString("latin1")}`));
      }
      resolve({ received: received - headEnd - 4, text: start.subarray(headEnd + 4).toString("latin1", 0, 64) });
    });
  });
}

async function transfer(running: Running, direction: Transfer["direction"]): Promise<Transfer> {
  const common = "Host: 127.0.0.1\r\nConnection: close\r\n";
  const [head, upload] =
    direction === "response"
      ? [`GET /download?${gibibyte} HTTP/1.1\r\n${common}\r\n`, 0]
      : [`POST /upload HTTP/1.1\r\n${common}Content-Length: ${gibibyte}\r\n\r\n`, gibibyte];
  const before = memoryOctets(running.roots);
  let most = before;
  const look = setInterval(() => {
    most = Math.max(most, memoryOctets(running.roots));
  }, 50);
  const began = performance.now();
  try {
    const { received, text } = await exchange(running.place.port, head, upload);
    const right = direction === "response" ? received === gibibyte : text.startsWith(`${gibibyte}\n`);
    if (!right) throw new Error(`${direction} of 1 GiB: ${received} octets came back, beginning ${text}`);
  } finally {
    clearInterval(look);
  }
  const seconds = (performance.now() - began) / 1000;
  most = Math.max(most, memoryOctets(running.roots));
  return { server: running.server.name, direction, rate: gibibyte / seconds, growth: (most - before) / 2 ** 20 };
}

export async function measureTransfers(
  servers: readonly Server[],
  say: (line: string) => void,
): Promise<readonly Transfer[]> {
  const results: Transfer[] = [];
  for (const server of servers.filter(({ name }) => direct.includes(name))) {
    try {
      const running = await startServer(server, usual);
      try {
        // A small one first: what a server allocates once is not growth.
        await answersRight(running.url, { method: "GET", path: "/hello", expected: "Hello, world!\n" });
        for (const direction of ["response", "upload"] as const) {
          const result = await transfer(running, direction);
          say(`1 GiB ${direction}, ${server.name}: grows by ${result.growth.toFixed(1)} MiB`);
          results.push(result);
        }
      } finally {
        await stopServer(running);
      }
    } catch (error) {
      say(`${server.name} is left out of transfers: ${error instanceof Error ? error.message : error}`);
    }
  }
  return results;
}
