// Chromium opens a WebSocket on the connection of HTTP/2 that its page came by (RFC 8441).
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { makeCertificate } from "../support/certificates.js";
import { removeFolder, root, temporaryFolder, unavailable } from "../support/tools.js";
import { startVivarium, type Vivarium } from "../support/vivarium.js";
import { Chromium } from "./chromium.js";

describe("a WebSocket over HTTP/2 in a browser", { skip: unavailable("chromium") }, () => {
  let folder = "";
  let server: Vivarium;
  let browser: Chromium;
  before(async () => {
    folder = temporaryFolder("browser");
    const { cert, key } = makeCertificate(folder, "localhost", { names: "IP:127.0.0.1" });
    const listen = ["--listen", "https://127.0.0.1:0", "--cert", cert, "--key", key];
    server = await startVivarium(join(root, "test/interop/http2_app.py:app"), {
      args: [...listen, "--workers", "1", "--ws-compression", "--access-log", "-"],
    });
    browser = new Chromium(["--ignore-certificate-errors"]);
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
    removeFolder(folder);
  });

  test("is on a stream of the page's connection, beside its requests", async () => {
    const tab = await browser.tab();
    await tab.open(`https://127.0.0.1:${server.port}/`);
    assert.equal(await tab.evaluate("document.body.innerText"), "2 https");
    const found = await tab.evaluate(`new Promise((resolve, reject) => {
      const socket = new WebSocket(location.origin.replace("http", "ws") + "/socket", ["chat", "other"]);
      const sent = ["", "Ünïcode ✓", "x".repeat(300000)];
      const back = [];
      socket.onopen = () => sent.forEach((message) => socket.send(message));
      socket.onerror = () => reject(new Error("it failed"));
      socket.onmessage = async ({ data }) => {
        back.push(data.length > 20 ? data.length : data);
        if (back.length <= sent.length) return;
        back.push(await (await fetch("/")).text());
        socket.close(4000, "enough ✓");
      };
      socket.onclose = ({ code, wasClean }) =>
        resolve({ back, code, wasClean, protocol: socket.protocol, extensions: socket.extensions });
    })`);
    assert.deepEqual(found, {
      back: ["2 wss", "", "Ünïcode ✓", 300_000, "2 https"],
      code: 4000,
      wasClean: true,
      protocol: "chat",
      extensions: "permessage-deflate; server_max_window_bits=12",
    });
    await server.process.line(/closed with 4000 enough ✓/);
    await server.process.line(/"GET \/socket HTTP\/2" 101 /);
  });

  test("that is refused is an error, and the page's connection serves on", async () => {
    const tab = await browser.tab();
    await tab.open(`https://127.0.0.1:${server.port}/`);
    const found = await tab.evaluate(`new Promise((resolve) => {
      const socket = new WebSocket(location.origin.replace("http", "ws") + "/refused");
      socket.onopen = () => resolve("opened");
      socket.onclose = ({ code }) => resolve(code);
    }).then(async (code) => [code, await (await fetch("/")).text()])`);
    assert.deepEqual(found, [1006, "2 https"]);
    await server.process.line(/"GET \/refused HTTP\/2" 403 /);
  });
});
