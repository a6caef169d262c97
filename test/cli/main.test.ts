import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { optionNames, options } from "../../src/config/options.js";
import { removeFolder, root, temporaryFolder } from "../support/tools.js";
import { vivarium } from "../support/vivarium.js";

let folder = "";
before(() => {
  folder = temporaryFolder("main");
  writeFileSync(join(folder, "vivarium.toml"), 'target = "app:app"\nworkers = [\n');
});
after(() => removeFolder(folder));

describe("the command", () => {
  test("--version prints the package's", async () => {
    const { version }: { version: string } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    const { code, stdout, stderr } = await vivarium(["--version"]);
    assert.deepEqual([code, stdout, stderr], [0, `vivarium ${version}\n`, ""]);
  });

  test("help is asked for in four ways, and is no error", async () => {
    const asked = [["--help"], ["help"], [], ["-h"]].map((args) => vivarium(args));
    for (const { code, stdout, stderr } of await Promise.all(asked)) {
      assert.deepEqual([code, stderr], [0, ""]);
      for (const word of ["run", "check", "status", "stop", "Examples:"]) assert.ok(stdout.includes(word), word);
    }
  });

  test("help of run explains every option with its default", async () => {
    const { code, stdout } = await vivarium(["help", "run"]);
    assert.equal(code, 0);
    const text = stdout.replace(/\s+/gu, " ");
    for (const name of optionNames) {
      const { key, placeholder, summary, standard } = options[name];
      const change = standard === "true" ? `--no-${key} do not ${summary}` : `--${key} ${summary}`;
      const wanted = placeholder === "" ? change : `--${key} <${placeholder}> ${summary} (default: ${standard})`;
      assert.ok(text.includes(wanted), wanted);
    }
  });
});

describe("a mistake is one sentence and status 2", () => {
  const cases: readonly (readonly [string, readonly string[], RegExp])[] = [
    [
      "a misspelt option",
      ["run", "--lisen", "x"],
      /^Unknown option '--lisen': did you mean --listen\? See "vivarium run --help"\.$/u,
    ],
    ["an unknown option", ["run", "--harakiri"], /^Unknown option '--harakiri'; see "vivarium run --help"\.$/u],
    ["a misspelt command", ["rn"], /^Unknown command 'rn': did you mean run\? See "vivarium --help"\.$/u],
    ["a name every object has", ["constructor"], /^Unknown command 'constructor'; see "vivarium --help"\.$/u],
    ["two targets", ["run", "a:b", "c:d"], /^Too many arguments for 'run'/u],
    ["a missing value", ["run", "--listen"], /^Option '--listen <URL>' argument missing; see/u],
    [
      "a wrong value",
      ["run", "a:b", "--no-config", "--threads", "0"],
      /^--threads must be a whole number from 1 to 1024, or "auto", not "0"\.$/u,
    ],
    ["a missing file", ["run", "--config", "none.toml"], /none\.toml: there is no such file\.$/u],
    ["a malformed file", ["run"], /vivarium\.toml, line \d+, column \d+: this is not TOML \(.*\)\.$/u],
    [
      "no certificate for https",
      ["run", "a:b", "--no-config", "--listen", "https://:443"],
      /https:\/\/:443 needs a certificate/u,
    ],
    [
      "a certificate where nobody listens for https",
      ["run", "a:b", "--no-config", "--cert", "a.pem"],
      /^--cert is for https listeners, and there is none: listen on one, such as https:\/\/:443, or leave it out\.$/u,
    ],
    [
      "a certificate that clients must show, signed by nobody knows whom",
      ["run", "a:b", "--no-config", "--listen", "https://:443", "--cert", "a.pem", "--client-cert", "required"],
      /^--client-cert needs those who sign clients' certificates: name their file with client-ca, or leave it out\.$/u,
    ],
    [
      "a parameter of an address that there is not",
      ["run", "a:b", "--no-config", "--listen", "http://:80?proxy=192.0.2.7"],
      /^--listen must be an address with proxy-protocol=ADDRESSES, or for http redirect=https[^"]*, not "http:[^"]*"\.$/u,
    ],
    ["an unknown option of another command", ["status", "--jsn"], /^Unknown option '--jsn': did you mean --json\?/u],
  ];
  for (const [what, args, sentence] of cases) {
    test(what, async () => {
      const { code, stdout, stderr } = await vivarium(args, { cwd: folder });
      assert.deepEqual([code, stdout], [2, ""]);
      assert.match(stderr, /^vivarium: [^\n]+\n$/u);
      assert.match(stderr.slice("vivarium: ".length, -1), sentence);
    });
  }
});
