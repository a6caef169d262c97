// The guestbook as a visitor's browser shows it, served by Vivarium.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { python, removeFolder, root, temporaryFolder, unavailable } from "../support/tools.js";
import { startVivarium, type Vivarium } from "../support/vivarium.js";
import { Chromium, type Tab } from "./chromium.js";

describe("the guestbook in a browser", { skip: unavailable("chromium") }, () => {
  let folder = "";
  let server: Vivarium;
  let browser: Chromium;
  before(async () => {
    folder = temporaryFolder("browser");
    server = await startVivarium("guestbook:application", {
      args: ["--chdir", join(root, "examples", "guestbook"), "--python", python(), "--workers", "2"],
      env: { GUESTBOOK_DB: join(folder, "book.sqlite3"), DATABASE_URL: undefined, PYTHONDONTWRITEBYTECODE: "1" },
    });
    browser = new Chromium();
  });
  after(async () => {
    await browser.close();
    await server.stop();
    removeFolder(folder);
  });

  const text = (tab: Tab): Promise<unknown> => tab.evaluate("document.querySelector('main').innerText");

  /** Signs with the keyboard alone, from the name's field on. */
  async function sign(tab: Tab, name: string, message: string): Promise<void> {
    await tab.evaluate("document.getElementById('name').focus()");
    await tab.type(name);
    await tab.press("Tab");
    await tab.type(message);
    await tab.press("Tab");
    await tab.loading(() => tab.press("Enter"));
  }

  test("the page loads whole and its policy refuses nothing of it", async () => {
    const tab = await browser.tab();
    await tab.open(`${server.url}/`);
    assert.equal(await tab.evaluate("document.title"), "The guestbook");
    assert.match(String(await text(tab)), /The first page is still white/);
    assert.equal(await tab.evaluate("document.styleSheets[0].cssRules.length > 20"), true);
    assert.equal(await tab.evaluate("document.compatMode"), "CSS1Compat");
    assert.deepEqual(tab.complaints, []);
  });

  test("a visitor signs by keyboard and is shown the entry; reloading does not sign again", async () => {
    const tab = await browser.tab();
    await tab.open(`${server.url}/`);
    await sign(tab, "Ada <Lovelace>", "<img src=x onerror=document.title='run'>");
    assert.equal(await tab.evaluate("document.querySelector(':target h3').innerText"), "Ada <Lovelace>");
    assert.equal(await tab.evaluate("document.title"), "The guestbook");
    assert.equal(await tab.evaluate("document.querySelectorAll('main img').length"), 0);
    await tab.loading(() => tab.send("Page.reload"));
    assert.equal(await tab.evaluate("document.querySelectorAll('.entry').length"), 1);
    assert.deepEqual(tab.complaints, []);
  });

  test("the browser keeps an empty form; one that is only spaces comes back with the focus on what is missing", async () => {
    const tab = await browser.tab();
    await tab.open(`${server.url}/`);
    assert.equal(await tab.evaluate("document.forms[0].checkValidity()"), false);
    await sign(tab, "   ", "typed with care");
    // Autofocus comes with the first frame, which may be later than the page's "load".
    await tab.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))");
    assert.equal(await tab.evaluate("document.activeElement.id"), "name");
    assert.equal(await tab.evaluate("document.getElementById('message').value"), "typed with care");
    assert.match(String(await text(tab)), /Please tell us your name/);
  });

  test("a page of another site cannot sign in a visitor's name", async () => {
    const elsewhere = createServer((_, response) => {
      response.setHeader("Content-Type", "text/html");
      response.end(`<form method="post" action="${server.url}/sign"><input name="name" value="Mallory">
        <input name="message" value="not mine"></form>`);
    });
    await new Promise<void>((resolve) => elsewhere.listen(0, "127.0.0.1", resolve));
    const address = elsewhere.address();
    assert.ok(typeof address === "object" && address !== null);
    const tab = await browser.tab();
    try {
      // Another host: two ports of one host are the same site to a browser.
      await tab.open(`http://localhost:${address.port}/`);
      await tab.loading(() => tab.evaluate("document.forms[0].submit()"));
      assert.match(String(await text(tab)), /Sent from elsewhere/);
      await tab.open(`${server.url}/`);
      assert.doesNotMatch(String(await text(tab)), /Mallory/);
    } finally {
      elsewhere.closeAllConnections();
      await new Promise((resolve) => elsewhere.close(resolve));
    }
  });

  for (const width of [320, 768, 1440]) {
    test(`nothing overflows at a width of ${width}`, async () => {
      const tab = await browser.tab();
      await tab.send("Emulation.setDeviceMetricsOverride", { width, height: 800, deviceScaleFactor: 1, mobile: false });
      await tab.open(`${server.url}/`);
      await sign(tab, "W".repeat(60), `${"unbroken".repeat(40)} ${"word ".repeat(60)}`);
      assert.equal(await tab.evaluate("innerWidth"), width);
      assert.equal(await tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), true);
    });
  }

  for (const scheme of ["light", "dark"] as const) {
    test(`text stands out from its ground in the ${scheme} scheme`, async () => {
      const tab = await browser.tab();
      await tab.send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
      await tab.open(`${server.url}/`);
      const contrasts = await tab.evaluate(contrast);
      assert.ok(Array.isArray(contrasts) && contrasts.length > 5);
      // WCAG 2.2, success criterion 1.4.3: 4.5 to 1.
      for (const [what, ratio] of contrasts) assert.ok(ratio >= 4.5, `${what}: ${ratio}`);
      const ground = String(await tab.evaluate("getComputedStyle(document.body).backgroundColor"));
      const brightness = Number(/\d+/.exec(ground)?.[0]);
      assert.equal(brightness > 128, scheme === "light", ground);
    });
  }
});

/** In the page: the contrast of each kind of text with its ground, as WCAG 2.2 defines it. */
const contrast = `(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const luminance = (colour) => {
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((each) => {
      const part = each / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let each = element; each !== null; each = each.parentElement) {
      const colour = getComputedStyle(each).backgroundColor;
      if (colour !== "rgba(0, 0, 0, 0)") return colour;
    }
    return "white";
  };
  const selectors = ["h1", "h2", ".eyebrow", ".lead", "label", "button", ".portrait", ".entry h3", ".entry time", ".entry p", ".colophon p", ".colophon b"];
  return selectors.flatMap((selector) => [...document.querySelectorAll(selector)].slice(0, 3).map((element) => {
    const [a, b] = [luminance(getComputedStyle(element).color), luminance(ground(element))];
    return [selector, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
  }));
})()`;
