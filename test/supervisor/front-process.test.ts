import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { FrontProcess } from "../../src/supervisor/front-process.js";
import { configuration } from "../python/fake-front.js";
import { removeFolder, temporaryFolder } from "../support/tools.js";

test("a front that cannot be started is told as one that ended, so that another is tried", async () => {
  const folder = temporaryFolder("front");
  const { execPath } = process;
  process.execPath = join(folder, "none");
  try {
    const how = await new Promise((resolve) => {
      const front = new FrontProcess(
        {
          config: configuration(folder),
          listeners: [],
          wires: [join(folder, "wire")],
          scoreboards: folder,
          runtime: folder,
          drained: [],
        },
        {
          frontListening: () => resolve("listening"),
          workerReady: () => resolve("a worker is ready"),
          frontExited: (status, signal) => resolve([status, signal, front.pid]),
        },
      );
    });
    assert.deepEqual(how, [null, null, 0]);
  } finally {
    process.execPath = execPath;
    removeFolder(folder);
  }
});
