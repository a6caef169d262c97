import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import type { Config } from "../../src/config/config.js";
import { FrontProcess } from "../../src/supervisor/front-process.js";
import { configuration } from "../python/fake-front.js";
import { removeFolder, temporaryFolder } from "../support/tools.js";

/** Starts a front and ends it; gives the first thing it tells. */
async function firstNews(config: Config, folder: string): Promise<unknown> {
  let front: FrontProcess | undefined;
  let gone = (): void => {};
  const exited = new Promise<void>((resolve) => {
    gone = resolve;
  });
  const news = await new Promise((resolve) => {
    front = new FrontProcess(
      {
        number: 1,
        config,
        listeners: [],
        wires: [],
        scoreboards: folder,
        runtime: folder,
        drained: [],
        pools: [{ generation: 1, awaited: false }],
      },
      {
        frontListening: () => resolve("listening"),
        workerServed: () => undefined,
        workerReady: () => resolve("a worker is ready"),
        serverScarce: () => {},
        frontStuck: () => resolve("it is stuck"),
        applicationLoaded: () => {},
        applicationFailed: () => {},
        applicationPrinted: () => {},
        workerNews: (told) => resolve(told),
        frontFailed: (problem) => resolve(problem),
        frontExited: (status, signal) => {
          resolve([status, signal, front?.pid]);
          gone();
        },
      },
    );
  });
  front?.kill();
  await exited;
  return news;
}

test("a front that cannot be started is told as one that ended, so that another is tried", async () => {
  const folder = temporaryFolder("front");
  const { execPath } = process;
  process.execPath = join(folder, "none");
  try {
    assert.deepEqual(await firstNews(configuration(folder), folder), [null, null, 0]);
  } finally {
    process.execPath = execPath;
    removeFolder(folder);
  }
});

test("a front that cannot serve says why", async () => {
  const folder = temporaryFolder("front");
  try {
    const mounts = [{ host: "", path: "/a", tries: [] }];
    assert.equal(
      await firstNews({ ...configuration(folder), mounts }, folder),
      "The front cannot serve: nobody answers at the mount /a.",
    );
  } finally {
    removeFolder(folder);
  }
});
