// A WebSocket in Chromium: FastAPI's echo, with what browsers send and check of the protocol.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { asyncPython, removeFolder, root, temporaryFolder, unavailable } from "../support/tools.js";
import { startVivarium, type Vivarium } from "../support/vivarium.js";
import { Chromium } from "./chromium.js";

describe("a WebSocket in a browser", { skip: unavailable("chromium", "venv-async") }, () => {
  let folder = "";
  let server: Vivarium;
  let browser: Chromium;
  before(async () => {
    folder = temporaryFolder("browser");
    server = await startVivarium("site_app:app", {
      args: ["--chdir", join(root, "test", "frameworks", "fastapi_site"), "--python", asyncPython(), "--workers", "2"],
      env: { FASTAPI_SITE_FOLDER: folder, PYTHONDONTWRITEBYTECODE: "1" },
    });
    browser = new Chromium();
  });
  after(async () => {
    await browser.close();
    await server.stop();
    removeFolder(folder);
  });

  test("text, octets and a large message come back, and the close is understood on both sides", async () => {
    const tab = await browser.tab();
    await tab.open(`${server.url}/who`);
    const found = await tab.evaluate(`new Promise((resolve, reject) => {
      const socket = new WebSocket(location.origin.replace("http", "ws") + "/ws/echo?key=browser");
      socket.binaryType = "arraybuffer";
      const sent = ["", "Ünïcode ✓", new Uint8Array([0, 255, 128]).buffer, "x".repeat(300000)];
      const back = [];
      socket.onopen = () => sent.forEach((message) => socket.send(message));
      socket.onerror = () => reject(new Error("it failed"));
      socket.onmessage = ({ data }) => {
        back.push(typeof data === "string" ? data.length : [...new Uint8Array(data)]);
        if (back.length === sent.length) socket.close(4000, "enough ✓");
      };
      socket.onclose = ({ code, wasClean }) => resolve({ back, code, wasClean });
    })`);
    assert.deepEqual(found, {
      back: [0, 9, [0, 255, 128], 300_000],
      code: 4000,
      wasClean: true,
    });
    const closed = join(folder, "closed-browser");
    for (let i = 0; i < 1500 && !existsSync(closed); i += 1) await delay(20);
    assert.equal(readFileSync(closed, "utf8"), "4000 enough ✓");
  });

  test("a refusal is an error before anything is open", async () => {
    const tab = await browser.tab();
    await tab.open(`${server.url}/who`);
    const found = await tab.evaluate(`new Promise((resolve) => {
      const socket = new WebSocket(location.origin.replace("http", "ws") + "/ws/guest?token=wrong");
      socket.onopen = () => resolve("opened");
      socket.onclose = ({ code }) => resolve(code);
    })`);
    assert.equal(found, 1006);
  });
});
