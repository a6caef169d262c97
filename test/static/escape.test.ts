// Ways out of the root. Each is asked for with a file behind the files that would answer, and of a secret that lies beside
// the root.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { linkSync, mkdirSync, renameSync, symlinkSync, unlinkSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Handler } from "../../src/exchange.js";
import { decodePath } from "../../src/protocol/cgi/request-variables.js";
import { filesConfig } from "../../src/static/config.js";
import { filesHandler } from "../../src/static/handler.js";
import { ask, makeItLater, openBelowFolder, put, temporaryFolder } from "./support.js";

const secret = "the secret";

/** `folder/root` is served; `folder/secret.txt`, `folder/rootling/…` and `folder/private/…` are not. */
function site(context: TestContext): { folder: string; root: string; files: Handler } {
  makeItLater(context);
  const folder = temporaryFolder(context);
  const root = join(folder, "root");
  mkdirSync(join(root, "sub", "deep"), { recursive: true });
  mkdirSync(join(folder, "private"));
  mkdirSync(join(folder, "rootling"));
  put(join(folder, "secret.txt"), secret);
  put(join(folder, "private", "secret.txt"), secret);
  put(join(folder, "private", "index.html"), secret);
  put(join(folder, "rootling", "secret.txt"), secret);
  put(join(root, "in.txt"), "inside");
  put(join(root, "sub", "in.txt"), "inside");
  return { folder, root, files: filesHandler(filesConfig(root)) };
}

const dots = [
  "..",
  "%2e%2e",
  "%2E%2e",
  ".%2e",
  "%2e.",
  "%252e%252e",
  "%c0%ae%c0%ae",
  "%e0%80%ae%e0%80%ae",
  "..%20",
  "..;",
  "...",
  ". .",
];
const slashes = ["/", "%2f", "%2F", "%5c", "\\", "//", "%252f", "%c0%af", "%5c%5c"];
const starts = ["/", "/sub/", "/sub/deep/", "//", "/./", "/sub/../", "/in.txt/", "/none/", ""];
const targets = ["secret.txt", "private/secret.txt", "private/", "rootling/secret.txt", "root/in.txt"];

test("no spelling of a climb leads out", async (context) => {
  const { files, folder } = site(context);
  let asked = 0;
  for (const dot of dots) {
    for (const slash of slashes) {
      const climb = dot + slash;
      for (const start of starts) {
        for (const times of [1, 2, 3, 12]) {
          for (const target of targets) {
            const path = decodePath(start + climb.repeat(times) + target);
            const answer = await ask(files, path);
            assert.ok(answer.status === 404, `${start}${climb}×${times}${target}: ${answer.status}`);
            asked += 1;
          }
        }
      }
    }
  }
  assert.ok(asked > 15_000);
  assert.deepEqual(openBelowFolder(folder), []);
});

test("absolute names and dots in other places lead nowhere", async (context) => {
  const { folder, files } = site(context);
  for (const path of [
    `/${folder}/secret.txt`,
    `${folder}/secret.txt`,
    "in.txt",
    "/..",
    "/.",
    "/./in.txt",
    "/sub/.",
    "/sub/..",
    "/sub/../in.txt",
    "/sub/./in.txt",
    "/sub//in.txt",
    "//in.txt",
    "/in.txt/",
    "/in.txt/.",
    "/in.txt/..",
    "/in.txt/../in.txt",
    "/file:///etc/passwd",
    "/~root/in.txt",
  ]) {
    assert.equal((await ask(files, path)).status, 404, JSON.stringify(path));
  }
  assert.equal((await ask(files, "/in.txt")).status, 200);
});

test("an encoded slash is a slash, and an encoded backslash a character of a name", async (context) => {
  const { root, files } = site(context);
  assert.equal((await ask(files, decodePath("/sub%2fin.txt"))).body, "inside");
  put(join(root, "a\\b.txt"), "odd");
  assert.equal((await ask(files, decodePath("/a%5cb.txt"))).body, "odd");
});

test("symbolic links are followed inside the root and not out of it", async (context) => {
  const { folder, root, files } = site(context);
  const outward: readonly (readonly [name: string, target: string, asked: string])[] = [
    ["file", join(folder, "secret.txt"), "/file"],
    ["relative", "../secret.txt", "/relative"],
    ["sub/relative", "../../secret.txt", "/sub/relative"],
    ["folder", join(folder, "private"), "/folder/secret.txt"],
    ["folder2", "../private", "/folder2/secret.txt"],
    ["folder3", "../private", "/folder3/"],
    ["folder4", "../private", "/folder4"],
    ["up", "..", "/up/secret.txt"],
    ["chain1", "chain2", "/chain1"],
    ["chain2", "chain3", "/chain2"],
    ["chain3", "../secret.txt", "/chain3"],
    ["sub/chain", "../folder/secret.txt", "/sub/chain"],
    // Its name only begins as the root's.
    ["sibling", "../rootling", "/sibling/secret.txt"],
    ["proc", "/proc/self/cwd", "/proc/package.json"],
    ["environ", "/proc/self/environ", "/environ"],
    ["loop", "loop", "/loop"],
    ["dangling", "none", "/dangling"],
    ["slash", "/", "/slash/etc/passwd"],
  ];
  for (const [name, target] of outward) symlinkSync(target, join(root, name));
  for (const [, , asked] of outward) {
    const answer = await ask(files, asked);
    assert.equal(answer.status, 404, asked);
    // Nor does it say whether there is something.
    assert.equal((await ask(files, asked, {}, "POST")).status, 404, asked);
  }
  symlinkSync("in.txt", join(root, "inward"));
  symlinkSync(join(root, "sub"), join(root, "absolute"));
  symlinkSync("../root/sub/in.txt", join(root, "around"));
  for (const path of ["/inward", "/absolute/in.txt", "/around"]) {
    assert.equal((await ask(files, path)).body, "inside", path);
  }
  assert.deepEqual(openBelowFolder(folder), []);
});

test("the root itself may be reached by a link", async (context) => {
  const { folder, root } = site(context);
  symlinkSync(root, join(folder, "alias"));
  const files = filesHandler(filesConfig(join(folder, "alias")));
  assert.equal((await ask(files, "/in.txt")).body, "inside");
  const trailing = filesHandler(filesConfig(`${root}//`));
  assert.equal((await ask(trailing, "/in.txt")).body, "inside");
});

test("a file put in the place of one that was served is looked at anew", async (context) => {
  const { folder, root, files } = site(context);
  assert.equal((await ask(files, "/sub/in.txt")).body, "inside");
  unlinkSync(join(root, "sub", "in.txt"));
  symlinkSync(join(folder, "secret.txt"), join(root, "sub", "in.txt"));
  assert.equal((await ask(files, "/sub/in.txt")).status, 404);
  put(join(folder, "private", "in.txt"), secret);
  assert.equal((await ask(files, "/in.txt")).body, "inside");
  renameSync(join(root, "sub"), join(root, "sub2"));
  symlinkSync(join(folder, "private"), join(root, "sub"));
  assert.equal((await ask(files, "/sub/in.txt")).status, 404);
});

test("hidden files are not found, but those of .well-known; all are when told so", async (context) => {
  const { root, files } = site(context);
  for (const path of [".git", "sub/.svn", ".well-known", "sub/.well-known"]) mkdirSync(join(root, path));
  const hidden = [".env", ".git/config", "sub/.svn/entries", "sub/.htpasswd", "sub/.well-known/x", ".well-known/.x"];
  for (const path of [...hidden, ".well-known/security.txt"]) put(join(root, path), path);
  const open = filesHandler({ ...filesConfig(root), hidden: true });
  for (const path of hidden) {
    assert.equal((await ask(files, `/${path}`)).status, 404, path);
    assert.equal((await ask(open, `/${path}`)).body, path);
  }
  assert.equal((await ask(files, "/.well-known/security.txt")).status, 200);
  assert.equal((await ask(open, "/sub/../in.txt")).status, 404);
});

test("FIFOs, devices and sockets are not found, and nobody waits for them", async (context) => {
  const { root, files } = site(context);
  execFileSync("mkfifo", [join(root, "fifo"), join(root, "index.html")]);
  symlinkSync("/dev/zero", join(root, "zero"));
  symlinkSync("/dev/tty", join(root, "tty"));
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(join(root, "socket"), resolve));
  context.after(() => server.close());
  for (const path of ["/fifo", "/zero", "/tty", "/socket", "/"]) {
    assert.equal((await ask(files, path)).status, 404, path);
  }
});

test("a hard link is the file it is", async (context) => {
  const { root, files } = site(context);
  linkSync(join(root, "in.txt"), join(root, "hard.txt"));
  assert.equal((await ask(files, "/hard.txt")).body, "inside");
});
