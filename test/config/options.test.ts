import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { groups, optionNames, options } from "../../src/config/options.js";
import type { ReadContext } from "../../src/config/read.js";
import { root } from "../support/tools.js";

const reference = readFileSync(join(root, "docs/configuration.md"), "utf8");
const context: ReadContext = { base: root, chdir: root, target: "a:b", environment: process.env };

describe("the schema", () => {
  test("a key is its name in Config, written with hyphens", () => {
    for (const name of optionNames) {
      assert.equal(
        options[name].key,
        name.replace(/[A-Z]/gu, (letter) => `-${letter.toLowerCase()}`),
      );
    }
  });

  test("a documented default that can be read is the default", () => {
    for (const name of optionNames) {
      const { initial, standard, read, key } = options[name];
      if (typeof initial === "function" || standard === "none") continue;
      const documented = typeof initial === "boolean" ? standard === "true" : standard;
      assert.deepEqual(read(documented, context), read(initial, context), key);
    }
  });

  test('"none" stands for an empty default', () => {
    for (const name of optionNames) {
      const { initial, standard, key } = options[name];
      if (standard === "none") assert.equal(String(initial), "", key);
    }
  });
});

describe("docs/configuration.md", () => {
  test("has every option once, under its heading, in the schema's order, and no other", () => {
    const found = [...reference.matchAll(/^(##|###) (.+)$/gmu)].map(([, level, text]) => `${level} ${text}`);
    const wanted = groups.flatMap((group) => [
      `## ${group}`,
      ...optionNames.filter((name) => options[name].group === group).map((name) => `### ${options[name].key}`),
    ]);
    assert.deepEqual(found.slice(found.indexOf(`## ${groups[0]}`)), wanted);
  });

  test("gives each option's flag, value and default as the schema has them", () => {
    for (const name of optionNames) {
      const { key, placeholder, standard, repeatable } = options[name];
      const flag = placeholder === "" ? `--no-${key}` : `--${key} ${placeholder}`;
      const line = `\`${flag}\`${repeatable === true ? " · repeatable" : ""} · default: ${standard}`;
      assert.ok(reference.includes(`### ${key}\n\n${line}\n\n`), `the line of ${key} should be: ${line}`);
    }
  });
});
