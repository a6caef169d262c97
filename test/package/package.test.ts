import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { descendants, type Finished, run, start, waitUntilGone } from "../support/processes.js";
import { python, removeFolder, root, temporaryFolder } from "../support/tools.js";

const APPLICATION = `def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"from a package"]
`;

interface Manifest {
  readonly scripts?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
}

function manifest(path: string): Manifest {
  const parsed: Manifest = JSON.parse(readFileSync(path, "utf8"));
  return parsed;
}

async function succeeds(finished: Promise<Finished>): Promise<string> {
  const { code, stdout, stderr } = await finished;
  assert.equal(code, 0, `${stdout}${stderr}`);
  return stdout;
}

describe("the package", () => {
  test("installed into an empty folder it serves an application, with no further step and no install script", async () => {
    const folder = temporaryFolder("package");
    try {
      // The tree is built by the time tests run; a build here would take it away from under the others.
      const packed = await succeeds(
        run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], { cwd: root }),
      );
      const [archive]: { filename: string; files: { path: string }[] }[] = JSON.parse(packed);
      assert.ok(archive !== undefined);
      const names = archive.files.map(({ path }) => path);
      for (const name of ["bin/vivarium.js", "python/vivarium_host/worker.py", "LICENSE", "README.md"]) {
        assert.ok(names.includes(name), `${name} is missing: ${names}`);
      }
      const strange = names.filter(
        (name) => /(^|\/)(test|bench|examples|\.cache|__pycache__)\//.test(name) || name.endsWith(".pyc"),
      );
      assert.deepEqual(strange, []);

      const site = join(folder, "site");
      mkdirSync(site);
      writeFileSync(join(site, "app.py"), APPLICATION);
      writeFileSync(join(site, "package.json"), '{ "private": true }');
      await succeeds(
        run("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", join(folder, archive.filename)], {
          cwd: site,
        }),
      );
      const installed = manifest(join(site, "node_modules/vivarium/package.json"));
      const scripts = Object.keys(installed.scripts ?? {});
      assert.deepEqual(
        scripts.filter((name) => /^(pre|post)?(install|uninstall|prepare)$/.test(name)),
        [],
      );
      await serves(site);
    } finally {
      removeFolder(folder);
    }
  });
});

/** `npx vivarium run app:app` answers, and ends when told to. */
async function serves(site: string): Promise<void> {
  const args = ["--listen", "http://127.0.0.1:0", "--control", join(site, "control"), "--python", python()];
  const server = start("npx", ["--no-install", "vivarium", "run", "app:app", ...args], { cwd: site });
  try {
    const [url = ""] = await server.line(/http:\/\/127\.0\.0\.1:\d+/, 60_000);
    const response = await fetch(url);
    assert.deepEqual([response.status, await response.text()], [200, "from a package"]);
    const family = descendants(server.pid);
    const stop = ["--no-install", "vivarium", "stop", "--control", join(site, "control")];
    await succeeds(run("npx", stop, { cwd: site }));
    await server.exited;
    assert.deepEqual(await waitUntilGone(family), []);
  } finally {
    await server.stop();
  }
}
