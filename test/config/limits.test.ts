import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Config } from "../../src/config/config.js";
import { loadConfig } from "../../src/config/load.js";
import { removeFolder, temporaryFolder } from "../support/tools.js";

let folder = "";
before(() => {
  folder = temporaryFolder("limits");
});
after(() => removeFolder(folder));

async function load(toml: string): Promise<Config> {
  writeFileSync(join(folder, "vivarium.toml"), `target = "app:app"\n${toml}`);
  return (await loadConfig({ cwd: folder, environment: { PATH: process.env["PATH"] } })).config;
}

describe("[[limit]]", () => {
  test("gives paths a time limit of their own", async () => {
    const { limits, pools } = await load(`request-timeout = 2.5
      [[limit]]
      path = "/reports/"
      request-timeout = 300
      [[limit]]
      path = "/events"
      request-timeout = 0
    `);
    assert.deepEqual(limits, [
      { path: "/reports", requestTimeout: 300 },
      { path: "/events", requestTimeout: 0 },
    ]);
    assert.equal(pools[0]?.requestTimeout, 2.5);
  });

  const needed = '[[limit]] 1: path and request-timeout are needed, as in path = "/reports" and request-timeout = 300.';
  const mistakes: readonly (readonly [string, string, string, string])[] = [
    ["ERR_CONFIG_VALUE", "no path", "[[limit]]\nrequest-timeout = 1", needed],
    ["ERR_CONFIG_VALUE", "no limit", '[[limit]]\npath = "/"', needed],
    [
      "ERR_CONFIG_VALUE",
      "a table where a list is meant",
      '[limit]\npath = "/"',
      'limit is a list of tables, as in [[limit]], not {"path":"/"}.',
    ],
    [
      "ERR_CONFIG_VALUE",
      "the same path twice",
      '[[limit]]\npath = "/a"\nrequest-timeout = 1\n[[limit]]\npath = "/a/"\nrequest-timeout = 2',
      "[[limit]] 2: there is another limit for /a; each path has one.",
    ],
    [
      "ERR_CONFIG_VALUE",
      "a time that is none",
      '[[limit]]\npath = "/a"\nrequest-timeout = "soon"',
      '[[limit]] 1: request-timeout must be a number of seconds from 0 up to 86400, not "soon".',
    ],
    [
      "ERR_CONFIG_KEY",
      "a key that it has not",
      '[[limit]]\npath = "/a"\nrequest-timout = 1',
      '[[limit]] 1: there is no key "request-timout"; did you mean "request-timeout"?',
    ],
  ];
  for (const [code, mistake, toml, sentence] of mistakes) {
    test(`${mistake}: is refused in a sentence`, async () => {
      const message = `${join(folder, "vivarium.toml")}: ${sentence}`;
      await assert.rejects(load(toml), { name: "VivariumError", code, message });
    });
  }
});
