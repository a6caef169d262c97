// Overload and crashes behind each door: the web server in front, here a gateway, gets what a client over HTTP would.
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Connection, values } from "../conformance/wsgi/connection.js";
import { promised } from "../support/promises.js";
import { removeFolder, temporaryFolder } from "../support/tools.js";
import { startGateway } from "../support/vivarium.js";
import { request, type Server, until } from "./server.js";

const expected = [
  /^warning pool: The server is overloaded: .* \(--queue\)\. What is too much is answered 503\.$/,
  /^warning pool: The overload of the application is over: /,
  /^error supervisor: Worker 1 \(pid \d+\) was killed by SIGKILL; another takes its place(?: in [\d.]+ s)?\.$/,
  /^warning pool: Worker 1 \(pid \d+\) died while it executed GET \/get\?\S+ \(request id \w+\); it is run once more\.$/,
  /^error pool: Worker 1 \(pid \d+\) died while it executed POST \/post\?\S+ \(request id \w+\); it is answered 502\.$/,
];

async function kill(server: Server): Promise<void> {
  const [worker] = (await server.status()).workers;
  assert.ok(worker !== undefined);
  process.kill(worker.pid, "SIGKILL");
}

describe("behind a web server", () => {
  for (const protocol of ["fastcgi", "scgi", "uwsgi"]) {
    test(`over ${protocol}: what is too much is answered 503, a POST whose worker dies 502, a GET is run once more`, async () => {
      const folder = temporaryFolder("door");
      const door = `${protocol}://unix:${join(folder, "door")}`;
      const args = ["--workers", "1", "--threads", "1", "--queue", "0", "--listen", "http://127.0.0.1:0"];
      try {
        await promised({ args: [...args, "--listen", door], expected }, async (server) => {
          const gateway = await startGateway({ args: ["--upstream", door, "--access-log", "off", "--fronts", "1"] });
          const connections = [0, 1, 2, 3].map(() => new Connection(gateway.port));
          const [post, refused, get, after] = connections;
          try {
            post?.send(request("/post?note&wait=go", "Content-Length: 0\r\n", "POST"));
            await server.recorded("post");
            refused?.send(request("/refused"));
            const response = await refused?.response();
            assert.ok(response !== undefined);
            assert.equal(response.status, 503);
            assert.match(values(response, "Retry-After").join(), /^\d+$/);
            assert.match(response.text, /\n\nRequest id: [0-9a-f]{16}\n$/);
            await kill(server);
            assert.equal((await post?.response())?.status, 502);
            await until(async () => (await server.status()).workers[0]?.state === "ready", "another worker is ready");
            get?.send(request("/get?note&wait=go"));
            await server.recorded("get");
            await kill(server);
            await until(() => server.record().filter((name) => name === "get").length === 2, "it is begun again");
            server.release("go");
            assert.equal((await get?.response())?.text, "get");
            after?.send(request("/after"));
            assert.equal((await after?.response())?.text, "after");
            assert.equal(server.record().filter((name) => name === "post").length, 1);
          } finally {
            for (const connection of connections) connection.close();
            await gateway.stop();
          }
        });
      } finally {
        removeFolder(folder);
      }
    });
  }
});
