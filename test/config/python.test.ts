import assert from "node:assert/strict";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { defaultInterpreter, interpreter } from "../../src/config/python.js";
import { Expected, type ReadContext } from "../../src/config/read.js";
import { removeFolder, temporaryFolder } from "../support/tools.js";

let folder = "";

function executable(path: string, mode = 0o755): string {
  const whole = join(folder, path);
  mkdirSync(dirname(whole), { recursive: true });
  writeFileSync(whole, "#!/bin/sh\n");
  chmodSync(whole, mode);
  return whole;
}

function context(environment: Readonly<Record<string, string>>, chdir = "site"): ReadContext {
  return { base: folder, chdir: join(folder, chdir), target: "", environment };
}

before(() => {
  folder = temporaryFolder("python");
  for (const path of ["bin/python3", "active/bin/python", "site/.venv/bin/python", "other/venv/bin/python"]) {
    executable(path);
  }
  executable("plain/notes.txt", 0o644);
});
after(() => removeFolder(folder));

describe("the default interpreter", () => {
  test("is that of the active virtual environment", () => {
    const found = defaultInterpreter(context({ VIRTUAL_ENV: join(folder, "active"), PATH: join(folder, "bin") }));
    assert.equal(found, join(folder, "active/bin/python"));
  });

  test("else that of .venv or venv beside the application", () => {
    const environment = { PATH: join(folder, "bin") };
    assert.equal(defaultInterpreter(context(environment)), join(folder, "site/.venv/bin/python"));
    assert.equal(defaultInterpreter(context(environment, "other")), join(folder, "other/venv/bin/python"));
  });

  test("else python3 on PATH", () => {
    const environment = { PATH: `/nonexistent:${join(folder, "bin")}`, VIRTUAL_ENV: "/nonexistent" };
    assert.equal(defaultInterpreter(context(environment, "plain")), join(folder, "bin/python3"));
  });

  test("without any of them one sentence says what to do", () => {
    assert.throws(() => defaultInterpreter(context({ PATH: "" }, "plain")), /no python3 on PATH: install Python 3\.8/u);
  });
});

describe("a given interpreter", () => {
  test("is a path, a virtual environment, or a name on PATH", () => {
    const given = context({ PATH: join(folder, "bin") });
    assert.equal(interpreter("bin/python3", given), join(folder, "bin/python3"));
    assert.equal(interpreter(join(folder, "active"), given), join(folder, "active/bin/python"));
    assert.equal(interpreter("active", given), join(folder, "active/bin/python"));
    assert.equal(interpreter("python3", given), join(folder, "bin/python3"));
  });

  test("must be executable", () => {
    for (const wrong of ["plain/notes.txt", "plain", "nope", "./nope", "", 3]) {
      assert.ok(interpreter(wrong, context({ PATH: "" })) instanceof Expected, String(wrong));
    }
  });
});
