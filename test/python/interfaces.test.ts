import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { run } from "../support/processes.js";
import { python, removeFolder, root, temporaryFolder } from "../support/tools.js";
import { startVivarium } from "../support/vivarium.js";

describe("what a callable is called as", () => {
  test("is seen in its arguments, and in those of what it wraps where it takes any", async () => {
    const { code, stdout, stderr } = await run(
      python(),
      [join(root, "test/python/interfaces.py"), join(root, "python")],
      {
        env: { PYTHONDONTWRITEBYTECODE: "1" },
      },
    );
    assert.deepEqual([code, stderr], [0, ""]);
    assert.deepEqual(JSON.parse(stdout), {
      "asgi function": "asgi",
      "wsgi function": "wsgi",
      "wrapped asgi": "asgi",
      "wrapped wsgi": "wsgi",
      "twice wrapped asgi": "asgi",
      "wrapped asgi object": "asgi",
      "object around asgi": "asgi",
      "object around an asgi object": "asgi",
      "object around wsgi": "wsgi",
      "decorated asgi method": "asgi",
      "decorated wsgi method": "wsgi",
      "wsgi of a function of a request": "wsgi",
      "wsgi of a coroutine function of a request": "wsgi",
      "asgi made wsgi": "wsgi",
      "partial of asgi": "asgi",
      circle: "wsgi",
    });
  });

  const hint =
    /exception while answering GET [\s\S]*TypeError: .*\n.*This looks like an ASGI application called as WSGI has it: name what it is with --interface asgi\.\n/;
  for (const [what, source, told] of [
    ["an ASGI application's three arguments", "async def app(scope, receive, send): pass", true],
    ["those of one behind a wrapper", "def inner(scope, receive, send): pass\ndef app(*a): return inner(*a)", true],
    ["a coroutine", "async def inner(): pass\ndef app(*a): return inner()", true],
    ["a mistake of its own", "def inner(key): pass\ndef app(*a): return inner()", false],
  ] as const) {
    test(`that WSGI was wrong is ${told ? "" : "not "}in the log of ${what}`, async () => {
      const folder = temporaryFolder("interfaces");
      writeFileSync(join(folder, "site_app.py"), `${source}\n`);
      const server = await startVivarium("site_app:app", {
        cwd: folder,
        args: ["--workers", "1", "--interface", "wsgi"],
      });
      try {
        const response = await fetch(server.url);
        assert.equal(response.status, 500);
        await response.arrayBuffer();
      } finally {
        await server.stop();
        removeFolder(folder);
      }
      assert.match(server.output, /exception while answering GET [\s\S]*TypeError: /);
      assert.equal(hint.test(server.output), told, server.output);
      assert.ok(!server.output.includes("never awaited"), server.output);
    });
  }
});
