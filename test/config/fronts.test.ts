import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { frontsFor } from "../../src/config/fronts.js";
import { loadConfig } from "../../src/config/load.js";
import { removeFolder, temporaryFolder } from "../support/tools.js";

/** As many as a gateway to these servers has on eight cores. */
async function fronts(servers: readonly string[], files: readonly string[] = [], cores = 8): Promise<number> {
  const cwd = temporaryFolder("fronts");
  try {
    const flags = files.length === 0 ? {} : { static: files.map((place) => `${place}=${cwd}`) };
    const { config } = await loadConfig({ cwd, environment: {}, gateway: { servers }, flags });
    return frontsFor(config.mounts, config.upstreams, cores);
  } finally {
    removeFolder(cwd);
  }
}

describe("processes that talk to clients, where none is asked for", () => {
  const local = ["uwsgi://unix:/run/site.sock", "http://127.0.0.1:1", "scgi://127.3.4.5:1", "http://[::1]:1"];

  test("servers on this machine are left half of the cores", async () => {
    for (const server of [...local, "http://localhost:1"]) assert.equal(await fronts([server]), 4, server);
    assert.equal(await fronts(local), 4);
  });

  test("there is always one", async () => {
    const counts = [1, 2, 3].map(async (cores) => await fronts(local, [], cores));
    assert.deepEqual(await Promise.all(counts), [1, 1, 2]);
  });

  test("servers elsewhere need no core of this machine, and neither do files", async () => {
    for (const server of ["http://192.0.2.1:1", "fastcgi://site.example:1", "http://[2001:db8::1]:1"]) {
      assert.equal(await fronts([server]), 8, server);
      assert.equal(await fronts([...local, server]), 8, server);
    }
    assert.equal(await fronts(["http://127.0.0.1.example:1"]), 8);
    assert.equal(await fronts(local, ["/files"]), 8);
  });
});
