// Bodies of every size through the whole server, many at once: those that front and workers hand each other in memory that both have, and those
// that go with their frames, next to each other.
import assert from "node:assert/strict";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { describe, test } from "node:test";
import { sharedLeast } from "../../src/python/wire/shared-bodies.js";
import { root } from "../support/tools.js";
import { startVivarium } from "../support/vivarium.js";

const sizes = [0, 1, sharedLeast - 1, sharedLeast, 10_240, 65_536, 65_537, 102_400, 262_145, 1_000_000, 3_000_000];

async function echoed(port: number, agent: Agent, body: Buffer, chunked: boolean): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const headers = chunked ? {} : { "Content-Length": body.length };
    const asked = request({ port, agent, path: "/echo", method: "POST", headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => resolve(Buffer.concat(chunks)));
    });
    asked.on("error", reject);
    // In two writes, so that a chunked one has two chunks.
    asked.write(body.subarray(0, body.length / 2));
    asked.end(body.subarray(body.length / 2));
  });
}

for (const [name, target] of [
  ["WSGI", "test/interop/app.py:application"],
  ["ASGI", "test/interop/http2_app.py:app"],
] as const) {
  describe(`bodies that are echoed by an application of ${name}`, () => {
    test("come back as they were sent", async () => {
      const server = await startVivarium(join(root, target), { args: ["--workers", "2", "--access-log", "off"] });
      const agent = new Agent({ keepAlive: true });
      try {
        const client = async (number: number): Promise<void> => {
          for (const [at, size] of sizes.entries()) {
            const body = Buffer.alloc(size, `${number} of ${size} `);
            const back = await echoed(server.port, agent, body, (number + at) % 3 === 0);
            assert.ok(back.equals(body), `${number}: ${size} octets, ${back.length} came`);
          }
        };
        await Promise.all(Array.from({ length: 40 }, (_, number) => client(number)));
      } finally {
        agent.destroy();
        await server.stop();
      }
    });
  });
}
