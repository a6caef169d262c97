// ASGI 3.0 through the whole server, on every Python there is: each rule is a route of asgi/asgi_probe.py, asked over raw
// connections.
import assert from "node:assert/strict";
import { get } from "node:http";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { run } from "../support/processes.js";
import { pythons, removeFolder, root, temporaryFolder } from "../support/tools.js";
import { startVivarium, type Vivarium, vivarium } from "../support/vivarium.js";
import { bodyCases } from "./asgi/bodies.js";
import { errorCases } from "./asgi/errors.js";
import { extensionCases } from "./asgi/extensions.js";
import { http2Cases } from "./asgi/http2.js";
import { responseCases } from "./asgi/responses.js";
import { scopeCases } from "./asgi/scope.js";
import { socketCases } from "./asgi/sockets.js";
import { Probe } from "./wsgi/probe.js";

const folder = join(root, "test", "conformance", "asgi");

function serve(python: string, target: string, gates: string, ...args: string[]): Promise<Vivarium> {
  return startVivarium(`asgi_probe:${target}`, {
    args: ["--chdir", folder, "--python", python, "--access-log", "off", "--workers", "1", ...args],
    env: { PYTHONDONTWRITEBYTECODE: "1", PROBE_GATES: gates },
  });
}

async function served(
  python: string,
  target: string,
  args: readonly string[],
  use: (probe: Probe) => Promise<void>,
): Promise<void> {
  const probe = new Probe();
  probe.server = await serve(python, target, probe.gates, ...args);
  const { server } = probe;
  try {
    await use(probe);
  } finally {
    await server.stop();
    removeFolder(probe.gates);
  }
}

const found = pythons();
test("a Python to run on is found", () => assert.ok(found.length > 0));

for (const { version, path } of found) {
  describe(`Python ${version}`, () => {
    const probe = new Probe();
    before(async () => {
      probe.server = await serve(path, "application", probe.gates, "--http2", "all");
    });
    after(async () => {
      const { server } = probe;
      await server.stop();
      removeFolder(probe.gates);
      assert.match(server.output, /worker 1: shut down/);
      assert.doesNotMatch(server.output, /never (awaited|retrieved)|was destroyed but/);
    });
    scopeCases(probe);
    bodyCases(probe);
    responseCases(probe);
    extensionCases(probe);
    errorCases(probe);
    socketCases(probe);
    http2Cases(probe);
  });
}

const [{ path: python } = { path: "" }] = found;

describe("applications of other kinds", () => {
  for (const target of ["no_lifespan", "instance", "method", "passes_on"]) {
    test(`is found to be ASGI, without a lifespan: ${target}`, () =>
      served(python, target, [], async (probe) => assert.equal((await probe.ask("/")).text, "{}")));
  }

  test("answers to lifespan as to a request: it has none", () =>
    served(python, "no_types", [], async (probe) => assert.equal((await probe.ask("/")).text, "ok")));

  test("raises while it starts: it is served without a lifespan, and the log has the traceback", () =>
    served(python, "raises_at_start", [], async (probe) => {
      assert.equal((await probe.ask("/")).text, "started all the same");
      assert.match(
        probe.server.output,
        /exception before lifespan\.startup was answered: the application is served without a lifespan[\s\S]*LookupError: no such table/,
      );
    }));

  test("returns from its lifespan before it has answered: it is served without", () =>
    served(python, "returns_at_start", [], async (probe) => assert.equal((await probe.ask("/")).text, "ok")));

  test("leaves its lifespan once it has started: it is not told that it ends", () =>
    served(python, "leaves_after_start", [], async (probe) => {
      assert.equal((await probe.ask("/")).text, '{"left": "behind"}');
    }));

  test("a WSGI application beside them is found to be one", () =>
    served(python, "wsgi", [], async (probe) => assert.equal((await probe.ask("/")).text, "wsgi")));

  test("--interface says it where nobody sees it", async () => {
    await served(python, "application", ["--interface", "asgi"], async (probe) => {
      assert.equal((await probe.ask("/unread")).text, "not read");
    });
    await served(python, "wsgi", ["--interface", "wsgi"], async (probe) => {
      assert.equal((await probe.ask("/")).text, "wsgi");
    });
  });

  test("each worker imports it itself where it is not to be shared", () =>
    served(python, "application", ["--no-preload"], async (probe) => {
      assert.equal((await probe.ask("/unread")).text, "not read");
    }));

  for (const [target, expected] of [
    ["Scoped", /takes the scope alone, as ASGI 2 had it/],
    ["fails_to_start", /The application did not start: it said the database is not there\./],
  ] as const) {
    test(`does not start, and says why: ${target}`, async () => {
      const control = join(temporaryFolder("asgi"), "control.sock");
      const args = ["run", `asgi_probe:${target}`, "--chdir", folder, "--python", python];
      const { code, stdout, stderr } = await vivarium(
        [...args, "--listen", "http://127.0.0.1:0", "--workers", "1", "--control", control],
        { env: { PYTHONDONTWRITEBYTECODE: "1" } },
      );
      removeFolder(join(control, ".."));
      assert.equal(code, 1);
      assert.match(stdout + stderr, expected);
    });
  }

  test("a shutdown that fails is in the log", async () => {
    const probe = new Probe();
    probe.server = await serve(python, "fails_to_stop", probe.gates);
    assert.equal((await probe.ask("/")).text, "ok");
    await probe.server.stop();
    removeFolder(probe.gates);
    assert.match(probe.server.output, /the application's shutdown failed: the file is full/);
  });

  test("an event loop that is not there is refused", async () => {
    const there = await run(python, ["-c", "import uvloop"]);
    if (there.code === 0) return;
    const { code, stdout, stderr } = await vivarium([
      ...["run", "asgi_probe:application", "--chdir", folder, "--python", python],
      ...["--listen", "http://127.0.0.1:0", "--event-loop", "uvloop"],
    ]);
    assert.equal(code, 1);
    assert.match(stdout + stderr, /--event-loop uvloop: it cannot be imported .*; install it, or leave the option out/);
  });

  test("on a unix socket the server is its path, and the client unknown", async () => {
    const folder = temporaryFolder("asgi");
    const socketPath = join(folder, "é.sock");
    const listen = ["--listen", "http://127.0.0.1:0", "--listen", `http://unix:${socketPath}`];
    await served(python, "application", listen, async () => {
      const scope = await new Promise<Record<string, unknown>>((resolve, reject) => {
        get({ socketPath, path: "/scope" }, async (response) => {
          const octets = await response.toArray();
          resolve(JSON.parse(Buffer.concat(octets).toString()));
        }).on("error", reject);
      });
      assert.deepEqual([scope["server"], scope["client"]], [[socketPath, null], null]);
    });
    removeFolder(folder);
  });

  test("an application mounted below a prefix is told so", () =>
    served(python, "application", ["--mount", "/mounted"], async (probe) => {
      const scope = await probe.json("/mounted/a%2Fb?q");
      assert.ok(typeof scope === "object" && scope !== null);
      const { root_path, path, raw_path } = scope as Record<string, unknown>;
      assert.deepEqual([root_path, path, raw_path], ["/mounted", "/mounted/a/b", "b:/mounted/a%2Fb"]);
    }));
});
