import assert from "node:assert/strict";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { tcpHolder, unixHolder } from "../../src/net/socket-holder.js";
import { freePort } from "../support/ports.js";
import { removeFolder, temporaryFolder } from "../support/tools.js";

test("whoever listens on a port or a path is found by name and number", async () => {
  const folder = temporaryFolder("holder");
  const path = join(folder, "a socket");
  const tcp = createServer();
  const unix = createServer();
  await new Promise<void>((up) => tcp.listen(0, "127.0.0.1", up));
  await new Promise<void>((up) => unix.listen(path, up));
  const address = tcp.address();
  assert.ok(typeof address === "object" && address !== null);
  assert.match(tcpHolder(address.port) ?? "", new RegExp(`^\\S+ \\(process ${process.pid}\\)$`, "u"));
  assert.match(unixHolder(path) ?? "", new RegExp(`\\(process ${process.pid}\\)$`, "u"));
  await new Promise((down) => tcp.close(down));
  await new Promise((down) => unix.close(down));
  removeFolder(folder);
});

test("nobody is nobody", async () => {
  assert.equal(tcpHolder(await freePort()), undefined);
  assert.equal(unixHolder("/nonexistent.sock"), undefined);
});
