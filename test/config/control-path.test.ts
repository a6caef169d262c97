import assert from "node:assert/strict";
import { chmodSync, mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { basename, join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  checkRuntimeDirectory,
  controlSocketPid,
  defaultControlPath,
  prepareControlDirectory,
  runtimeDirectory,
} from "../../src/config/control-path.js";
import { removeFolder, temporaryFolder } from "../support/tools.js";

let folder = "";
before(() => {
  folder = temporaryFolder("control-path");
});
after(() => removeFolder(folder));

describe("where control sockets are", () => {
  test("in the user's runtime directory, else in one of the user's among temporary files", () => {
    assert.equal(runtimeDirectory({ XDG_RUNTIME_DIR: "/run/user/7" }), "/run/user/7/vivarium");
    assert.equal(runtimeDirectory({}), join(tmpdir(), `vivarium-${userInfo().uid}`));
    // The specification of XDG_RUNTIME_DIR has relative paths ignored.
    assert.equal(runtimeDirectory({ XDG_RUNTIME_DIR: "run" }), join(tmpdir(), `vivarium-${userInfo().uid}`));
  });

  test("a name tells application and process", () => {
    const name = (target: string): string => basename(defaultControlPath(target, 42, {}));
    assert.equal(name("guestbook:application"), "guestbook-application-42.sock");
    assert.equal(name("/srv/site/app.py:app"), "app-app-42.sock");
    assert.equal(name("conf/site.wsgi"), "site-42.sock");
    assert.equal(controlSocketPid(name("a.b.c:make()")), 42);
    assert.equal(controlSocketPid(name(`${"long".repeat(40)}:x`)), 42);
    assert.equal(controlSocketPid("other.sock"), undefined);
  });

  test("the default directory is made for this user alone", () => {
    const environment = { XDG_RUNTIME_DIR: join(folder, "run") };
    prepareControlDirectory(defaultControlPath("a:b", 1, environment), environment);
    assert.equal(statSync(join(folder, "run/vivarium")).mode & 0o777, 0o700);
    prepareControlDirectory(defaultControlPath("a:b", 2, environment), environment);
  });

  test("a directory of the user's own choice is left as it is", () => {
    prepareControlDirectory(join(folder, "mine/site.sock"), { XDG_RUNTIME_DIR: join(folder, "run") });
    assert.equal(statSync(join(folder, "mine"), { throwIfNoEntry: false }), undefined);
  });

  test("a directory others may enter, or a link in its place, is refused", () => {
    const open = join(folder, "open");
    mkdirSync(open);
    chmodSync(open, 0o755);
    assert.throws(() => checkRuntimeDirectory(open), {
      code: "ERR_CONTROL_DIRECTORY",
      message: /is open to other users/u,
    });
    const link = join(folder, "link");
    symlinkSync(open, link);
    assert.throws(() => checkRuntimeDirectory(link), { message: /is not a directory/u });
    const file = join(folder, "file");
    writeFileSync(file, "");
    assert.throws(() => checkRuntimeDirectory(file), { message: /is not a directory/u });
  });
});
