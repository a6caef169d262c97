import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { loadConfig } from "../../src/config/load.js";
import type { Loaded } from "../../src/spawn/spawner.js";
import { startScreen } from "../../src/supervisor/screen.js";
import { root } from "../support/tools.js";

/** The line of the start screen that tells how requests are executed. */
async function workersLine(flags: Record<string, string>, differing: Partial<Loaded>): Promise<string | undefined> {
  const { config } = await loadConfig({
    target: "shop:app",
    config: false,
    flags: { workers: "2", ...flags },
    cwd: root,
  });
  const loaded: Loaded = {
    preload: true,
    python: "3.11.7",
    application: "shop:app",
    interface: "wsgi",
    eventLoop: "",
    ...differing,
  };
  return /^ {2}workers {6}(.*)$/m.exec(startScreen(config, ["http://127.0.0.1:8000"], [loaded], 100))?.[1];
}

describe("the start screen tells", () => {
  test("of WSGI the threads", async () => {
    assert.equal(await workersLine({}, {}), "2 processes, threads as the application needs them");
    assert.equal(await workersLine({ threads: "3" }, {}), "2 processes, 3 threads");
  });

  test("of ASGI the event loop, and how many requests are executed at once", async () => {
    const asgi = { interface: "asgi", eventLoop: "uvloop 0.22.1" };
    assert.equal(
      await workersLine({}, asgi),
      "2 processes, ASGI on uvloop 0.22.1, up to 1000 requests at once in each",
    );
    assert.equal(
      await workersLine({ concurrency: "1", workers: "1" }, { ...asgi, eventLoop: "asyncio" }),
      "1 process, ASGI on asyncio, up to 1 request at once in each",
    );
  });

  test("of what each worker imports by itself, what is known of it", async () => {
    const own = "; each imports the application itself, because importing it starts threads";
    assert.equal(await workersLine({}, { preload: false, interface: "" }), `2 processes${own}`);
    assert.equal(
      await workersLine({}, { preload: false, interface: "asgi" }),
      `2 processes, ASGI, up to 1000 requests at once in each${own}`,
    );
  });
});
