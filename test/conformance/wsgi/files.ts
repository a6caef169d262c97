// wsgi.file_wrapper: PEP 3333, "Optional Platform-Specific File Handling".
import assert from "node:assert/strict";
import { test } from "node:test";
import { freshKey, type Probe, request } from "./probe.js";

export function fileCases(probe: Probe): void {
  const files = ["real", "unknown-length", "default-block", "bytes-io", "read-only-object", "pipe", "gzip"];
  for (const kind of files) {
    test(`a wrapped file is sent as its read() gives it: ${kind}`, async () => {
      const { body: expected } = await probe.ask("/file/content");
      for (const response of await probe.both(`/file/${kind}`)) {
        assert.deepEqual([response.status, response.whole, response.body.length], [200, true, expected.length]);
        assert.ok(response.body.equals(expected));
      }
    });
  }

  test("a wrapped file is sent from its current position", async () => {
    const { body: expected } = await probe.ask("/file/content?start=8");
    for (const response of await probe.both("/file/from-position")) {
      assert.equal(response.body.length, expected.length);
      assert.ok(response.body.equals(expected));
    }
  });

  test("a wrapped file is sent up to Content-Length, and the connection stays in order", async () => {
    const connection = probe.connection();
    connection.send(request("/file/part"));
    const response = await connection.response();
    assert.deepEqual([response.whole, response.body.length], [true, 100]);
    await probe.goesOn(connection);
    connection.close();
  });

  test("a wrapped file shorter than its Content-Length is cut", async () => {
    const response = await probe.ask("/file/too-short");
    assert.deepEqual([response.status, response.whole], [200, false]);
  });

  test("an empty file is an empty body", async () => {
    for (const response of await probe.both("/file/empty")) {
      assert.deepEqual([response.status, response.text, response.whole], [200, "", true]);
    }
  });

  for (const kind of ["close", "close-with-descriptor"]) {
    for (const method of ["GET", "HEAD"]) {
      test(`the wrapped file is closed once: ${kind}, ${method}`, async () => {
        for (const prefix of ["", "/validated"]) {
          const key = freshKey();
          const response = await probe.ask(`${prefix}/file/${kind}?key=${key}`, { method });
          assert.equal(response.status, 200);
          await probe.remembered(key, ["close"]);
        }
      });
    }
  }

  test("a middleware can iterate over the wrapper and return something else", async () => {
    const { text } = await probe.ask("/file/content");
    for (const response of await probe.both("/file/replaced-by-middleware")) {
      assert.equal(response.text, text.replaceAll("0", "o"));
    }
  });

  test("a wrapper that is not returned sends nothing", async () => {
    for (const response of await probe.both("/file/dropped")) assert.equal(response.text, "something else");
  });
}
