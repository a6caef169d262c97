// A client of Python's library websockets talks with an ASGI application: directly, through nginx, through our own gateway, and
// through both.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { freePort, waitUntilAccepting } from "../support/ports.js";
import { type RunningProcess, run, start } from "../support/processes.js";
import { asyncPython, nginx, removeFolder, root, temporaryFolder, unavailable } from "../support/tools.js";
import { startGateway, startVivarium, type Vivarium } from "../support/vivarium.js";
import { WebSocketClient } from "../support/websocket-client.js";

/** As its documentation has it. */
function configuration(folder: string, port: number, backend: number): string {
  return `daemon off; master_process off; error_log stderr; pid ${folder}/pid;
events {}
http {
  access_log off;
  client_body_temp_path ${folder}; proxy_temp_path ${folder};
  fastcgi_temp_path ${folder}; uwsgi_temp_path ${folder}; scgi_temp_path ${folder};
  map $http_upgrade $connection_upgrade { default upgrade; '' close; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://127.0.0.1:${backend};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header Host $host;
    }
  }
}
`;
}

describe("WebSockets by the library websockets", { skip: unavailable("venv-async", "nginx") }, () => {
  const folder = temporaryFolder("websocket");
  const servers: Vivarium[] = [];
  let web: RunningProcess | undefined;
  let webPort = 0;

  before(async () => {
    const application = await startVivarium("asgi_probe:application", {
      args: [
        "--chdir",
        join(root, "test/conformance/asgi"),
        "--workers",
        "2",
        "--access-log",
        "off",
        "--ws-compression",
      ],
      env: { PYTHONDONTWRITEBYTECODE: "1", PROBE_GATES: folder },
    });
    servers.push(application);
    webPort = await freePort();
    const config = join(folder, "nginx.conf");
    writeFileSync(config, configuration(folder, webPort, application.port));
    web = start(nginx(), ["-p", folder, "-c", config, "-e", "stderr"]);
    await waitUntilAccepting(webPort);
    for (const upstream of [application.port, webPort]) {
      const url = `http://127.0.0.1:${upstream}`;
      servers.push(await startGateway({ args: ["--upstream", url, "--fronts", "1", "--access-log", "off"] }));
    }
  });

  after(async () => {
    for (const server of servers.toReversed()) await server.stop();
    await web?.stop("SIGTERM");
    removeFolder(folder);
  });

  test("messages of all kinds come back, compressed, directly and through what stands in front", async () => {
    const ports = [...servers.map(({ port }) => port), webPort];
    const urls = ports.map((port) => `ws://127.0.0.1:${port}/ws/echo`);
    const script = join(root, "test/interop/websocket_client.py");
    const { code, stdout, stderr } = await run(asyncPython(), [script, ...urls]);
    assert.deepEqual([code, stderr], [0, ""]);
    assert.equal(stdout, "1000 permessage-deflate\n".repeat(ports.length));
  });

  test("a stop of the application is told through the gateway", async () => {
    const [application, gateway] = servers;
    const client = await WebSocketClient.open(gateway?.port ?? 0, "/ws/echo");
    application?.process.kill("SIGTERM");
    assert.equal(await client.nextText(), "close 1001");
    client.close(1001);
    await client.untilEnd();
    client.destroy();
  });
});
