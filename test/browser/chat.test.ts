// The chat of examples/ as two visitors' browsers show it: server-sent events in Chromium.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { python, removeFolder, root, temporaryFolder, unavailable } from "../support/tools.js";
import { startVivarium, type Vivarium, vivarium } from "../support/vivarium.js";
import { Chromium, type Tab } from "./chromium.js";

describe("the chat in a browser", { skip: unavailable("chromium") }, () => {
  let folder = "";
  let server: Vivarium;
  let browser: Chromium;
  before(async () => {
    folder = temporaryFolder("chat");
    server = await startVivarium(undefined, {
      cwd: join(root, "examples", "chat"),
      args: ["--python", python()],
      env: { CHAT_DB: join(folder, "chat.sqlite3"), PYTHONDONTWRITEBYTECODE: "1" },
    });
    browser = new Chromium();
  });
  after(async () => {
    await browser.close();
    await server.stop();
    removeFolder(folder);
  });

  /** Waits until an expression in the page is what it should be. */
  async function becomes(tab: Tab, expression: string, wanted: unknown): Promise<void> {
    let found: unknown;
    for (let i = 0; i < 1500; i += 1) {
      found = await tab.evaluate(expression);
      if (JSON.stringify(found) === JSON.stringify(wanted)) return;
      await delay(20);
    }
    assert.deepEqual(found, wanted);
  }

  const lines =
    "[...document.querySelectorAll('#said li')].map((line) => [...line.childNodes].slice(2).map((node) => node.textContent).join(''))";

  async function say(tab: Tab, name: string, text: string): Promise<void> {
    await tab.evaluate(
      `document.getElementById('name').value = ${JSON.stringify(name)}; document.getElementById('text').focus()`,
    );
    await tab.type(text);
    await tab.press("Enter");
  }

  test("two visitors hear each other, also after a reload, and each message once", async () => {
    const [ada, grace] = [await browser.tab(), await browser.tab()];
    for (const tab of [ada, grace]) {
      await tab.open(`${server.url}/`);
      await becomes(tab, "document.getElementById('state').innerText", "Connected.");
    }
    await say(ada, "Ada", "Is <b>anybody</b> there?");
    for (const tab of [ada, grace]) await becomes(tab, lines, ["Ada: Is <b>anybody</b> there?"]);
    await say(grace, "Grace", "Yes.");
    for (const tab of [ada, grace]) await becomes(tab, lines, ["Ada: Is <b>anybody</b> there?", "Grace: Yes."]);
    const { code, stderr } = await vivarium(["reload", "--control", server.control]);
    assert.equal(code, 0, stderr);
    await say(ada, "Ada", "Still?");
    const all = ["Ada: Is <b>anybody</b> there?", "Grace: Yes.", "Ada: Still?"];
    for (const tab of [ada, grace]) await becomes(tab, lines, all);
  });
});
