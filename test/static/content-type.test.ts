import assert from "node:assert/strict";
import { before, test } from "node:test";
import { contentType, loadContentTypes } from "../../src/static/content-type.js";

before(loadContentTypes);

const cases: readonly (readonly [path: string, expected: string])[] = [
  ["/a.html", "text/html; charset=utf-8"],
  ["/a.HTM", "text/html; charset=utf-8"],
  ["/a.css", "text/css; charset=utf-8"],
  ["/a.js", "text/javascript; charset=utf-8"],
  ["/a.mjs", "text/javascript; charset=utf-8"],
  ["/a.min.js", "text/javascript; charset=utf-8"],
  ["/a.txt", "text/plain; charset=utf-8"],
  ["/a.json", "application/json"],
  ["/a.js.map", "application/json"],
  ["/a.webmanifest", "application/manifest+json"],
  ["/a.xml", "application/xml"],
  ["/a.svg", "image/svg+xml"],
  ["/a.png", "image/png"],
  ["/a.jpg", "image/jpeg"],
  ["/a.webp", "image/webp"],
  ["/a.avif", "image/avif"],
  ["/favicon.ico", "image/vnd.microsoft.icon"],
  ["/a.woff2", "font/woff2"],
  ["/a.wasm", "application/wasm"],
  ["/a.mp4", "video/mp4"],
  ["/a.pdf", "application/pdf"],
  ["/a.gz", "application/gzip"],
  ["/a", "application/octet-stream"],
  ["/a.", "application/octet-stream"],
  ["/.html", "application/octet-stream"],
  ["/x.html/a", "application/octet-stream"],
  ["/a.nonesuch", "application/octet-stream"],
  ["/a.constructor", "application/octet-stream"],
];

for (const [path, expected] of cases) {
  test(`${path} is ${expected}`, () => assert.equal(contentType(path, {}, "utf-8"), expected));
}

test("configured types come first, with the charset where they are text and have none", () => {
  const own = { js: "text/x-mine", html: "text/html; charset=latin-1", nonesuch: "a/b" };
  assert.equal(contentType("/a.JS", own, "utf-8"), "text/x-mine; charset=utf-8");
  assert.equal(contentType("/a.html", own, "utf-8"), "text/html; charset=latin-1");
  assert.equal(contentType("/a.nonesuch", own, "utf-8"), "a/b");
});

test("without a charset there is none", () => assert.equal(contentType("/a.html", {}, ""), "text/html"));
