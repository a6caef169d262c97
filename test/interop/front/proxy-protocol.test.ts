// Real senders of the PROXY protocol: HAProxy, which passes on octets with the client's address in front of them, and curl.
import assert from "node:assert/strict";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { makeCertificate } from "../../support/certificates.js";
import { run } from "../../support/processes.js";
import { TlsClient } from "../../support/tls-client.js";
import { haproxy, program, root, unavailable } from "../../support/tools.js";
import { startVivarium, type Vivarium } from "../../support/vivarium.js";
import { haproxyFiles, Site } from "./support.js";

const application = join(root, "test/front/tls_app.py:app");

describe("HAProxy in TCP mode", { skip: unavailable("haproxy") }, () => {
  let site: Site;
  let server: Vivarium;
  before(async () => {
    site = new Site();
    const { cert, key } = makeCertificate(site.folder, "localhost");
    const proxied = `http://unix:${site.folder}/proxied.sock?proxy-protocol=unix`;
    const secure = `https://unix:${site.folder}/secure.sock?proxy-protocol=unix`;
    const listen = ["http://127.0.0.1:0", proxied, secure].flatMap((url) => ["--listen", url]);
    const args = [
      ...listen,
      "--cert",
      cert,
      "--key",
      key,
      "--socket-mode",
      "0666",
      "--workers",
      "1",
      "--access-log",
      "off",
    ];
    server = await startVivarium(application, { args });
    await site.configure("haproxy");
    await site.serve(haproxy(), ["-db", ...haproxyFiles]);
  });
  after(async () => {
    await site?.close();
    await server?.stop();
  });

  for (const [port, version] of [
    [8003, "version 1"],
    [8004, "version 2, with a checksum"],
  ] as const) {
    test(`${version}: the application sees HAProxy's client, request after request`, async () => {
      const socket = connect({ port: site.port(port), host: "127.0.0.1" });
      let received = "";
      socket.setEncoding("latin1").on("data", (text: string) => {
        received += text;
      });
      for (const count of [1, 2]) {
        socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        while (received.split("wsgi.url_scheme=http").length <= count)
          await new Promise((resolve) => setTimeout(resolve, 2));
      }
      assert.match(
        received,
        new RegExp(`REMOTE_ADDR=127\\.0\\.0\\.1\nREMOTE_PORT=${socket.localPort}\nSERVER_PORT=${site.port(port)}\n`),
      );
      socket.destroy();
    });
  }

  test("version 2 in front of TLS", async () => {
    const client = await TlsClient.connect(site.port(8005));
    const { values } = await client.get();
    assert.deepEqual([values.get("REMOTE_PORT"), values.get("HTTPS")], [String(client.socket.localPort), "on"]);
    client.close();
  });
});

test("curl --haproxy-protocol", { skip: unavailable("curl") }, async () => {
  const server = await startVivarium(application, {
    args: ["--listen", "http://127.0.0.1:0?proxy-protocol=127.0.0.1", "--workers", "1", "--access-log", "off"],
  });
  try {
    const good = await run(program("curl"), ["-s", "-S", "--haproxy-protocol", `${server.url}/`]);
    assert.equal(good.code, 0, good.stderr);
    assert.match(good.stdout, /^REMOTE_ADDR=127\.0\.0\.1\nREMOTE_PORT=\d+\n/);
    const without = await run(program("curl"), ["-s", "-S", `${server.url}/`]);
    assert.notEqual(without.code, 0);
    await server.process.line(
      /\[warning\] ingress: A connection from 127\.0\.0\.1 was closed: The connection has no good PROXY header/,
    );
  } finally {
    await server.stop();
  }
});
