// What goes wrong on an https listener costs nobody else anything, and leaves nothing.
import assert from "node:assert/strict";
import { renameSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { describe, test } from "node:test";
import { makeCertificate } from "../support/certificates.js";
import { promised } from "../support/promises.js";
import { TlsClient } from "../support/tls-client.js";
import { httpsListener } from "./https.js";
import { until } from "./server.js";

describe("an https listener", () => {
  const listener = httpsListener();
  const args = (): readonly string[] => ["--workers", "1", ...listener().args];

  test("closes connections that stall before or in their handshake, or are garbage, and serves others meanwhile", async () => {
    await promised({ args: [...args(), "--head-timeout", "1"] }, async ({ vivarium }) => {
      const beginnings = [
        "",
        "\x16\x03\x01\x02\x00\x01\x00",
        "\x16\x03\x01\x00\x05hello",
        "\x00\x01\x02",
        "GET / HTTP/1.1\r\n\r\n",
      ];
      const sockets: Socket[] = [];
      let closed = 0;
      for (let each = 0; each < 100; each += 1) {
        const socket = connect({ port: vivarium.port, host: "127.0.0.1" });
        socket.on("error", () => {});
        socket.on("close", () => {
          closed += 1;
        });
        socket.resume();
        socket.write(Buffer.from(beginnings[each % beginnings.length] ?? "", "latin1"));
        sockets.push(socket);
      }
      const client = await TlsClient.connect(vivarium.port);
      assert.match((await client.get("/there")).text, /\r\n\r\nthere$/);
      client.close();
      await until(() => closed === sockets.length, "all are closed");
    });
  });

  test("loses no request while its certificate changes again and again under load, to one that is no good in between", async () => {
    const expected = [
      /^info supervisor: The certificate in .* is in use now; it is good until \d{4}-\d\d-\d\d\.$/,
      /^error supervisor: There is no certificate in .* The certificate before it stays in use\.$/,
    ];
    await promised({ args: args(), expected }, async ({ vivarium }) => {
      let over = false;
      const seen = new Set<string>();
      const visit = async (): Promise<void> => {
        while (!over) {
          const client = await TlsClient.connect(vivarium.port);
          for (const path of ["/one", "/two"])
            assert.match((await client.get(path)).text, new RegExp(`${path.slice(1)}$`));
          seen.add(client.shown);
          client.close();
        }
      };
      const visits = [visit(), visit()];
      const { folder, files } = listener();
      try {
        for (const name of ["second", "third"]) {
          const written = vivarium.output.length;
          writeFileSync(files.cert, "nothing\n");
          await until(() => vivarium.output.includes("stays in use", written), "it is refused");
          const made = makeCertificate(folder, name);
          renameSync(made.key, files.key);
          renameSync(made.cert, files.cert);
          await until(() => seen.has(`CN=${name}`), `${name} is in use`);
        }
      } finally {
        over = true;
      }
      await Promise.all(visits);
      assert.deepEqual([...seen], ["CN=localhost", "CN=second", "CN=third"]);
    });
  });
});
