import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { placeText } from "../../src/config/describe.js";
import { loadConfig } from "../../src/config/load.js";
import { filesOptions, placeOptions, redirectOptions } from "../../src/config/mount-options.js";
import { groups, optionNames, options, poolOptionNames } from "../../src/config/options.js";
import type { ReadContext } from "../../src/config/read.js";
import { upstreamOptionNames, upstreamOptions } from "../../src/config/upstream-options.js";
import { upstreamFlag } from "../../src/config/upstreams.js";
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
    const keys = (...sets: readonly Readonly<Record<string, { readonly key: string }>>[]): readonly string[] =>
      sets.flatMap((set) => Object.values(set).map(({ key }) => `### ${key}`));
    wanted.push("## Several things in one server", "## [pool.NAME]");
    wanted.push("## [upstream.NAME]", ...keys(upstreamOptions));
    const answers = ["pool", "upstream", "files", "try"].map((key) => `### ${key}`);
    wanted.push("## [[mount]]", ...keys(placeOptions), ...answers, ...keys(redirectOptions, filesOptions));
    wanted.push("## [[limit]]", `### ${placeOptions.path.key}`, `### ${options.requestTimeout.key}`);
    wanted.push("## [[certificate]]", "## A complete file");
    assert.deepEqual(found.slice(found.indexOf(`## ${groups[0]}`)), wanted);
  });

  test("gives each option's flag, value and default as the schema has them", () => {
    for (const name of optionNames) {
      const { key, placeholder, standard, repeatable } = options[name];
      const change = standard === "true" ? `--no-${key}` : `--${key}`;
      const flag = placeholder === "" ? change : `--${key} ${placeholder}`;
      const line = `\`${flag}\`${repeatable === true ? " · repeatable" : ""} · default: ${standard}`;
      assert.ok(reference.includes(`### ${key}\n\n${line}\n\n`), `the line of ${key} should be: ${line}`);
    }
  });

  test("names every key of a pool", () => {
    const section = /^## \[pool\.NAME\]\n(.*?)^## /msu.exec(reference)?.[1] ?? "";
    for (const name of poolOptionNames) assert.ok(section.includes(`\`${options[name].key}\``), name);
  });

  test("gives each key of an upstream group its flag and its default", () => {
    for (const name of upstreamOptionNames) {
      const { key, placeholder, standard, repeatable } = upstreamOptions[name];
      const flag = `--${upstreamFlag(name)}${placeholder === "" ? "" : ` ${placeholder}`}`;
      const line = `\`${flag}\`${repeatable === true ? " · repeatable" : ""} · default: ${standard}`;
      assert.ok(reference.includes(`### ${key}\n\n${line}\n\n`), `the line of ${key} should be: ${line}`);
    }
  });

  test("gives each key of a mount its default", () => {
    for (const { key, standard } of Object.values({ ...placeOptions, ...redirectOptions, ...filesOptions })) {
      const line = `default: ${standard}`;
      assert.ok(reference.includes(`### ${key}\n\n${line}\n\n`), `the line of ${key} should be: ${line}`);
    }
  });

  test("ends in the example, which loads and has every key of the tables", async () => {
    const file = join(root, "examples/several/vivarium.toml");
    const text = readFileSync(file, "utf8");
    assert.ok(reference.endsWith(`\n\`\`\`toml\n${text}\`\`\`\n`));
    const { config } = await loadConfig({ config: file });
    assert.deepEqual(
      config.pools.map(({ name, workers }) => [name, workers]),
      [
        ["shop", 1],
        ["blog", 2],
      ],
    );
    assert.deepEqual(
      config.upstreams.map(({ name, servers }) => [name, servers.length]),
      [
        ["legacy", 3],
        ["php", 1],
      ],
    );
    assert.deepEqual(config.mounts.map(placeText), [
      "/",
      "/media",
      "blog.localhost/",
      "*.blog.localhost/",
      "/orders",
      "php.localhost/",
    ]);
    assert.deepEqual(config.limits, [{ path: "/reports", requestTimeout: 300 }]);
    const pool = ["target", ...poolOptionNames.map((name) => options[name].key)];
    const mounts = { ...placeOptions, ...redirectOptions, ...filesOptions };
    const others = [...Object.values(upstreamOptions), ...Object.values(mounts)].map(({ key }) => key);
    for (const key of [...pool, ...others]) assert.match(text, new RegExp(`(^|[{ ])${key} = `, "mu"), key);
  });
});
