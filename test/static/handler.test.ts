import assert from "node:assert/strict";
import { mkdirSync, rmSync, symlinkSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Handler } from "../../src/exchange.js";
import { type FilesConfig, filesConfig } from "../../src/static/config.js";
import { filesHandler } from "../../src/static/handler.js";
import { ask, longAgo, makeItLater, put, temporaryFolder } from "./support.js";

const modified = "Sun, 06 Nov 1994 08:49:37 GMT";

interface Site {
  readonly root: string;
  readonly files: Handler;
}

/** A folder with a few files; `next` answers 299. */
function site(context: TestContext, config: Partial<FilesConfig> = {}, next?: Handler): Site {
  makeItLater(context);
  const root = temporaryFolder(context);
  put(join(root, "a.txt"), "hello, file");
  put(join(root, "empty.css"), "");
  mkdirSync(join(root, "folder"));
  put(join(root, "folder", "index.html"), "<p>index");
  mkdirSync(join(root, "bare"));
  put(join(root, "bare", "b.html"), "b");
  return { root, files: filesHandler({ ...filesConfig(root), ...config }, next) };
}

/** What stands behind the files. */
const application: Handler = (exchange) => {
  exchange.respond(
    { status: 299, reason: "", fields: new Uint8Array(0), contentLength: -1, hasDate: false },
    Buffer.from("application"),
    true,
  );
};

test("a file is answered with its octets, type, length and validators", async (context) => {
  const { files } = site(context);
  // The second answer is from memory.
  for (let round = 0; round < 3; round += 1) {
    const answer = await ask(files, "/a.txt");
    assert.equal(answer.status, 200);
    assert.equal(answer.body, "hello, file");
    assert.deepEqual(Object.fromEntries(answer.fields), {
      "content-type": "text/plain; charset=utf-8",
      "content-length": "11",
      "accept-ranges": "bytes",
      etag: `"${(longAgo * 1e6).toString(16)}-b"`,
      "last-modified": modified,
    });
  }
});

test("HEAD is answered with the same head and no octets", async (context) => {
  const { files } = site(context);
  const get = await ask(files, "/a.txt");
  const head = await ask(files, "/a.txt", { Range: "bytes=0-1" }, "HEAD");
  assert.deepEqual([head.status, head.lines, head.body], [200, get.lines, ""]);
});

test("an empty file is an empty answer", async (context) => {
  const { files } = site(context);
  const answer = await ask(files, "/empty.css");
  assert.deepEqual([answer.status, answer.fields.get("content-length"), answer.body], [200, "0", ""]);
  const part = await ask(files, "/empty.css", { Range: "bytes=0-" });
  assert.deepEqual([part.status, part.fields.get("content-range")], [416, "bytes */0"]);
});

test("a client that has the file already is told so, with what keeps its copy fresh", async (context) => {
  const { files, root } = site(context, { cacheControl: [{ pattern: "*.txt", value: "max-age=60" }] });
  put(join(root, "a.txt.gz"), "gz");
  for (let round = 0; round < 2; round += 1) {
    const { fields } = await ask(files, "/a.txt");
    const answer = await ask(files, "/a.txt", { "If-None-Match": fields.get("etag") ?? "" });
    assert.deepEqual([answer.status, answer.body], [304, ""]);
    assert.deepEqual([...answer.fields.keys()], ["etag", "last-modified", "cache-control", "vary"]);
  }
  assert.equal((await ask(files, "/a.txt", { "If-Modified-Since": modified })).status, 304);
  const failed = await ask(files, "/a.txt", { "If-Match": '"other"' });
  assert.deepEqual([failed.status, failed.body], [412, ""]);
});

test("a range is answered with that part", async (context) => {
  const { files } = site(context);
  for (let round = 0; round < 2; round += 1) {
    const answer = await ask(files, "/a.txt", { Range: "bytes=7-10" });
    assert.deepEqual([answer.status, answer.body], [206, "file"]);
    assert.equal(answer.fields.get("content-range"), "bytes 7-10/11");
    assert.equal(answer.fields.get("content-length"), "4");
    assert.equal(answer.fields.get("content-type"), "text/plain; charset=utf-8");
    assert.ok(answer.fields.has("etag") && answer.fields.has("last-modified"));
  }
});

test("a range beyond the end is 416 and says how long the file is", async (context) => {
  const { files } = site(context);
  const answer = await ask(files, "/a.txt", { Range: "bytes=11-" });
  assert.deepEqual([answer.status, answer.fields.get("content-range")], [416, "bytes */11"]);
});

test("several ranges are answered as multipart/byteranges (RFC 9110 §14.6)", async (context) => {
  const { files, root } = site(context);
  const content = Array.from({ length: 1000 }, (_, index) => String(index).padStart(8, "0")).join("");
  put(join(root, "long.txt"), content);
  const answer = await ask(files, "/long.txt", { Range: "bytes=0-7,4000-4007,-8" });
  assert.equal(answer.status, 206);
  const boundary = /^multipart\/byteranges; boundary=([0-9a-f]{24})$/.exec(
    answer.fields.get("content-type") ?? "",
  )?.[1];
  const part = (range: string, octets: string): string =>
    `\r\n--${boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes ${range}/8000\r\n\r\n${octets}`;
  const parts = [part("0-7", "00000000"), part("4000-4007", "00000500"), part("7992-7999", "00000999")];
  assert.equal(answer.body, `${parts.join("")}\r\n--${boundary}--\r\n`);
  assert.equal(answer.fields.get("content-length"), String(answer.body.length));
  assert.equal(answer.fields.has("content-range"), false);
  const other = await ask(files, "/long.txt", { Range: "bytes=0-7,4000-4007,-8" });
  assert.notEqual(other.fields.get("content-type"), answer.fields.get("content-type"));
});

test("If-Range: the part of the file that the client has a part of, else the whole", async (context) => {
  const { files } = site(context);
  const { fields } = await ask(files, "/a.txt");
  const statusOf = async (ifRange: string): Promise<number> =>
    (await ask(files, "/a.txt", { Range: "bytes=0-1", "If-Range": ifRange })).status;
  assert.equal(await statusOf(fields.get("etag") ?? ""), 206);
  assert.equal(await statusOf(modified), 206);
  assert.equal(await statusOf('"other"'), 200);
  assert.equal(await statusOf(`W/${fields.get("etag")}`), 200);
});

test("conditions come before ranges", async (context) => {
  const { files } = site(context);
  const { fields } = await ask(files, "/a.txt");
  const answer = await ask(files, "/a.txt", { Range: "bytes=99-", "If-None-Match": fields.get("etag") ?? "" });
  assert.equal(answer.status, 304);
});

test("a precompressed sibling answers a client that accepts it, with a tag of its own", async (context) => {
  const { files, root } = site(context);
  put(join(root, "app.js"), "script");
  put(join(root, "app.js.br"), "brotli");
  put(join(root, "app.js.gz"), "gzip!");
  const plain = await ask(files, "/app.js");
  const tags = new Set([plain.fields.get("etag")]);
  assert.deepEqual([plain.body, plain.fields.get("vary")], ["script", "Accept-Encoding"]);
  assert.ok(!plain.fields.has("content-encoding"));
  for (let round = 0; round < 2; round += 1) {
    for (const [accept, coding, octets] of [
      ["gzip, deflate, br, zstd", "br", "brotli"],
      ["gzip, zstd", "gzip", "gzip!"],
      ["gzip, br;q=0.1", "gzip", "gzip!"],
    ] as const) {
      const answer = await ask(files, "/app.js", { "Accept-Encoding": accept });
      assert.equal(answer.body, octets);
      assert.equal(answer.fields.get("content-encoding"), coding);
      assert.equal(answer.fields.get("content-type"), "text/javascript; charset=utf-8");
      assert.equal(answer.fields.get("content-length"), String(octets.length));
      assert.equal(answer.fields.get("vary"), "Accept-Encoding");
      tags.add(answer.fields.get("etag"));
    }
  }
  assert.equal(tags.size, 3);
  const part = await ask(files, "/app.js", { "Accept-Encoding": "gzip", Range: "bytes=0-1" });
  assert.deepEqual([part.status, part.body, part.fields.get("content-encoding")], [206, "gz", "gzip"]);
});

test("a sibling that is older than the file is not used, nor one that is no file, nor any when told so", async (context) => {
  const { files, root } = site(context);
  put(join(root, "b.css"), "b", longAgo + 10);
  put(join(root, "b.css.br"), "old", longAgo + 9);
  mkdirSync(join(root, "b.css.gz"));
  const answer = await ask(files, "/b.css", { "Accept-Encoding": "br, gzip" });
  assert.deepEqual([answer.body, answer.fields.has("vary")], ["b", false]);
  // Compressors that pass the time on may pass on whole seconds only.
  put(join(root, "c.css"), "c", longAgo + 10.5);
  put(join(root, "c.css.br"), "new", longAgo + 10);
  assert.equal((await ask(files, "/c.css", { "Accept-Encoding": "br" })).body, "new");
  const without = filesHandler({ ...filesConfig(root), precompressed: false });
  assert.equal((await ask(without, "/c.css", { "Accept-Encoding": "br" })).body, "c");
});

test("a sibling that cannot be used leaves the next, and the file itself", async (context) => {
  const { files, root } = site(context);
  put(join(root, "d.css"), "d");
  symlinkSync("/proc/version", join(root, "d.css.br"));
  put(join(root, "d.css.gz"), "gz");
  assert.equal((await ask(files, "/d.css", { "Accept-Encoding": "br, gzip" })).body, "gz");
  assert.equal((await ask(files, "/d.css", { "Accept-Encoding": "br" })).body, "d");
});

test("a file that is asked for by its compressed name is that file", async (context) => {
  const { files, root } = site(context);
  put(join(root, "app.tar.gz"), "gz");
  const answer = await ask(files, "/app.tar.gz", { "Accept-Encoding": "gzip" });
  assert.deepEqual(
    [answer.fields.get("content-type"), answer.fields.has("content-encoding")],
    ["application/gzip", false],
  );
});

test("Cache-Control is the first rule's that matches the path below the root", async (context) => {
  const { files } = site(context, {
    cacheControl: [
      { pattern: "folder/**", value: "no-cache" },
      { pattern: "*.{txt,html}", value: "public, max-age=31536000, immutable" },
    ],
  });
  assert.equal((await ask(files, "/a.txt")).fields.get("cache-control"), "public, max-age=31536000, immutable");
  assert.equal((await ask(files, "/folder/")).fields.get("cache-control"), "no-cache");
  assert.equal((await ask(files, "/empty.css")).fields.has("cache-control"), false);
});

test("a folder is answered by its index", async (context) => {
  const { files, root } = site(context, { index: ["home.html", "index.html"] });
  for (let round = 0; round < 2; round += 1) {
    const answer = await ask(files, "/folder/");
    assert.deepEqual([answer.status, answer.body], [200, "<p>index"]);
    assert.equal(answer.fields.get("content-type"), "text/html; charset=utf-8");
  }
  put(join(root, "home.html"), "home");
  assert.equal((await ask(files, "/")).body, "home");
});

test("a folder without the slash is redirected to the one with it, the query kept", async (context) => {
  const { files, root } = site(context);
  const answer = await ask(files, "/folder?a=b&c");
  assert.deepEqual([answer.status, answer.body], [301, ""]);
  assert.equal(answer.fields.get("location"), "/folder/?a=b&c");
  assert.equal((await ask(files, "")).status, 404);
  put(join(root, "index.html"), "");
  assert.equal((await ask(files, "")).fields.get("location"), "/");
  mkdirSync(join(root, 'x y"\u00fc\\'));
  put(join(root, 'x y"\u00fc\\', "index.html"), "");
  const odd = await ask(files, `/x y"\xc3\xbc\\`);
  assert.equal(odd.fields.get("location"), "/x%20y%22%C3%BC%5C/");
});

test("a folder without an index is not found, with the slash and without, and never listed", async (context) => {
  const { files } = site(context);
  for (const path of ["/bare", "/bare/", "/", "/folder/index.html/", "/a.txt/"]) {
    const answer = await ask(files, path);
    assert.equal(answer.status, 404, path);
    assert.ok(!answer.body.includes("b.html"));
  }
  const without = site(context, { index: [] });
  assert.equal((await ask(without.files, "/folder/")).status, 404);
});

test("what is not found goes to the application where there is one", async (context) => {
  const { files, root } = site(context, {}, application);
  for (const path of ["/none", "/bare", "/bare/", "/", "/.hidden", "/../a.txt", `/${"x".repeat(5000)}`]) {
    assert.equal((await ask(files, path)).status, 299, path);
    assert.equal((await ask(files, path, {}, "POST")).status, 299, path);
  }
  assert.equal((await ask(files, "/a.txt")).status, 200);
  unlinkSync(join(root, "a.txt"));
  assert.equal((await ask(files, "/a.txt")).status, 299);
});

test("a file can only be read", async (context) => {
  const { files } = site(context, {}, application);
  for (let round = 0; round < 2; round += 1) {
    for (const method of ["POST", "PUT", "DELETE", "PATCH", "PROPFIND", "get"]) {
      const answer = await ask(files, "/a.txt", {}, method);
      assert.deepEqual([answer.status, answer.fields.get("allow")], [405, "GET, HEAD, OPTIONS"], method);
    }
    const options = await ask(files, "/a.txt", {}, "OPTIONS");
    assert.deepEqual([options.status, options.fields.get("allow"), options.body], [204, "GET, HEAD, OPTIONS", ""]);
    await ask(files, "/a.txt");
  }
  assert.equal((await ask(files, "/folder", {}, "POST")).status, 405);
});

test("a file that was changed is new, also just after it was asked for", async (context) => {
  const { files, root } = site(context);
  for (const content of ["one", "two", "three", "four"]) {
    put(join(root, "a.txt"), content);
    assert.equal((await ask(files, "/a.txt")).body, content);
    assert.equal((await ask(files, "/a.txt")).body, content);
  }
  unlinkSync(join(root, "a.txt"));
  assert.equal((await ask(files, "/a.txt")).status, 404);
});

test("a root that is a link may be set to the next release", async (context) => {
  const folder = temporaryFolder(context);
  for (const release of ["one", "two"]) {
    mkdirSync(join(folder, release));
    put(join(folder, release, "a.txt"), release);
  }
  const current = join(folder, "current");
  const files = filesHandler(filesConfig(current));
  assert.equal((await ask(files, "/a.txt")).status, 404);
  symlinkSync("one", current);
  assert.equal((await ask(files, "/a.txt")).body, "one");
  rmSync(current);
  symlinkSync("two", current);
  assert.equal((await ask(files, "/a.txt")).body, "two");
});

test("a modification time to come is not told: Last-Modified is never later than now", async (context) => {
  const { files, root } = site(context);
  put(join(root, "future.txt"), "x", Date.now() / 1000 + 1e6);
  const told = Date.parse((await ask(files, "/future.txt")).fields.get("last-modified") ?? "");
  assert.ok(told <= Date.now());
});
