import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { run, start } from "../support/processes.js";
import { python, removeFolder, root, temporaryFolder } from "../support/tools.js";
import { application } from "./server.js";

/** Whether this machine lets a test mount a small file system of its own, in a namespace nobody else sees. */
const mounts =
  (await run("unshare", ["-m", "mount", "-t", "tmpfs", "none", "/mnt"]).catch(() => ({ code: 1 }))).code === 0;

describe("a disk that is full", () => {
  test("an upload that does not fit gets 507, its room is free again, and the server goes on", {
    skip: mounts ? false : "needs to mount a file system, which only root can",
  }, async () => {
    const folder = temporaryFolder("disk");
    const control = join(folder, "control");
    const small = temporaryFolder("small");
    const command = ["run", application, "--listen", "http://127.0.0.1:0", "--control", control, "--python", python()];
    const server = start("unshare", [
      ...["-m", "sh", "-c", 'mount -t tmpfs -o size=4m none "$0" && exec "$@"', small],
      ...[process.execPath, join(root, "bin/vivarium.js"), ...command, "--temp-dir", small, "--chdir", folder],
    ]);
    try {
      const [url = ""] = await server.line(/http:\/\/127\.0\.0\.1:\d+/);
      const upload = async (mebibytes: number): Promise<number> =>
        (await fetch(`${url}/upload`, { method: "PUT", body: Buffer.alloc(mebibytes * 2 ** 20) })).status;
      assert.equal(await upload(2), 200);
      for (let times = 0; times < 3; times += 1) assert.equal(await upload(16), 507);
      // Were anything kept of those, this would not fit.
      assert.equal(await upload(2), 200);
      assert.match(server.output, /A request body does not fit into .*: the disk is full \(ENOSPC\)\./);
    } finally {
      await server.stop();
      for (const each of [folder, small]) removeFolder(each);
    }
  });

  test("a folder for temporary files that is gone: 500 for what needs it, the rest is answered", async () => {
    const folder = temporaryFolder("gone");
    const temporary = temporaryFolder("gone-tmp");
    const command = ["run", application, "--listen", "http://127.0.0.1:0", "--python", python()];
    const server = start(process.execPath, [
      ...[join(root, "bin/vivarium.js"), ...command, "--control", join(folder, "control")],
      ...["--temp-dir", temporary, "--chdir", folder],
    ]);
    try {
      const [url = ""] = await server.line(/http:\/\/127\.0\.0\.1:\d+/);
      removeFolder(temporary);
      const large = await fetch(`${url}/upload`, { method: "PUT", body: Buffer.alloc(2 ** 20) });
      assert.equal(large.status, 500);
      assert.match(await large.text(), /cannot keep the request's body/);
      const little = await fetch(`${url}/upload`, { method: "PUT", body: "little" });
      assert.match(await little.text(), /^6 /);
    } finally {
      await server.stop();
      removeFolder(folder);
    }
  });
});
