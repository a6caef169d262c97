import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { pythons, removeFolder, temporaryFolder } from "../support/tools.js";
import { FakeFront } from "./fake-front.js";

/** Keeps so many MiB as the path says. */
const leaky = `kept = []
def app(environ, start_response):
    kept.append(b"x" * (int(environ["PATH_INFO"][1:]) << 20))
    start_response("200 OK", [])
    return []
`;

async function withWorker(python: string, source: string, act: (front: FakeFront) => Promise<void>): Promise<void> {
  const chdir = temporaryFolder("memory");
  writeFileSync(join(chdir, "leaky.py"), source);
  const front = await FakeFront.withWorker({ python, maxWorkerMemory: 100, target: "leaky.py:app", chdir });
  try {
    await act(front);
  } finally {
    await front.close();
    removeFolder(chdir);
  }
}

for (const { version, path } of pythons()) {
  describe(`a worker on Python ${version} that may have so much memory`, () => {
    test("asks to be replaced after the request with which it has more, once, and serves on", async () => {
      await withWorker(path, leaky, async (front) => {
        const ask = async (id: number, mebibytes: number): Promise<void> => {
          front.send({ id, path: `/${mebibytes}` });
          front.flush();
          const [answer] = await front.over(id);
          assert.equal(answer?.status, 200);
        };
        await ask(1, 10);
        await ask(2, 10);
        assert.deepEqual(front.oversized, []);
        await ask(3, 100);
        await front.until(() => front.oversized.length > 0, "it asks to be replaced");
        const [kib = 0] = front.oversized;
        assert.ok(kib > 120 * 1024 && kib < 200 * 1024, `${kib}`);
        await ask(4, 10);
        await ask(5, 10);
        assert.equal(front.oversized.length, 1);
      });
    });

    test("asks so before its first answer where the application alone has more", async () => {
      const source = `${leaky}kept.append(b"x" * (150 << 20))\n`;
      await withWorker(path, source, async (front) => {
        await front.until(() => front.oversized.length > 0, "it asks to be replaced");
      });
    });
  });
}
