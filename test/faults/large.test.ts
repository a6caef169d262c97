import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { describe, test } from "node:test";
import { descendants } from "../support/processes.js";
import { Server } from "./server.js";

const gibibyte = 2 ** 30;
const block = Buffer.alloc(2 ** 20, "0123456789abcdef");

/** Memory of a process and all below it, each shared page counted once. */
function memory(pid: number): number {
  return [pid, ...descendants(pid)].reduce((sum, each) => {
    try {
      const kibibytes = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${each}/smaps_rollup`, "latin1"))?.[1];
      return sum + Number(kibibytes ?? 0) * 1024;
    } catch {
      return sum; // it has ended meanwhile
    }
  }, 0);
}

/** The most memory the server has while `act` runs, above what it had before. */
async function growth(server: Server, act: () => Promise<void>): Promise<number> {
  for (let i = 0; i < 50; i += 1) await server.text("/warm");
  const before = memory(server.vivarium.pid);
  let most = before;
  const look = setInterval(() => {
    most = Math.max(most, memory(server.vivarium.pid));
  }, 100);
  try {
    await act();
  } finally {
    clearInterval(look);
  }
  return Math.max(most, memory(server.vivarium.pid)) - before;
}

function digestOf(count: number): string {
  const hash = createHash("sha256");
  for (let i = 0; i < count; i += 1) hash.update(block);
  return hash.digest("hex");
}

describe("1 GiB passes with less than 64 MiB of memory", () => {
  test("as a response", async () => {
    const server = await Server.start();
    try {
      let received = 0;
      const grown = await growth(server, async () => {
        await new Promise<void>((resolve, reject) => {
          const socket = connect({ port: server.vivarium.port, host: "127.0.0.1" });
          socket.write("GET /mebibytes/1024 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
          socket.on("data", (chunk) => {
            received += chunk.length;
          });
          socket.on("end", () => socket.end());
          socket.on("close", () => resolve());
          socket.on("error", reject);
        });
      });
      const head = received - gibibyte;
      assert.ok(head > 0 && head < 1000, `${received} octets were received`);
      assert.ok(grown < 64 * 2 ** 20, `it grew by ${grown} octets`);
      await server.recorded("closed 1024 with 0 left");
    } finally {
      await server.stop();
    }
  });

  test("as an upload", async () => {
    const server = await Server.start();
    try {
      let answer = "";
      const grown = await growth(server, async () => {
        await new Promise<void>((resolve, reject) => {
          const socket = connect({ port: server.vivarium.port, host: "127.0.0.1" });
          socket.setEncoding("latin1").on("data", (text: string) => {
            answer += text;
          });
          socket.on("end", () => socket.end());
          socket.on("close", () => resolve());
          socket.on("error", reject);
          socket.write(
            `PUT /upload HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: ${gibibyte}\r\n\r\n`,
          );
          let left = 1024;
          const push = (): void => {
            while (left > 0) {
              left -= 1;
              if (!socket.write(block)) return;
            }
          };
          socket.on("drain", push);
          push();
        });
      });
      assert.match(answer, new RegExp(`\r\n\r\n(?:[0-9a-f]+\r\n)?${gibibyte} ${digestOf(1024)}`));
      assert.ok(grown < 64 * 2 ** 20, `it grew by ${grown} octets`);
    } finally {
      await server.stop();
    }
  });
});
