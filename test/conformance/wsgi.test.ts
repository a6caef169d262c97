// PEP 3333 through the whole server, on every Python there is: each rule is a route of wsgi/wsgi_probe.py, asked over raw
// connections; what is legal is asked a second time with wsgiref.validate between server and application.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { pythons, removeFolder, root } from "../support/tools.js";
import { startVivarium, type Vivarium } from "../support/vivarium.js";
import { bodyCases } from "./wsgi/bodies.js";
import { environCases } from "./wsgi/environ.js";
import { errorCases } from "./wsgi/errors.js";
import { fileCases } from "./wsgi/files.js";
import { inputCases } from "./wsgi/input.js";
import { Probe } from "./wsgi/probe.js";
import { startCases } from "./wsgi/start.js";

const folder = join(root, "test", "conformance", "wsgi");

function serve(python: string, target: string, gates: string, ...args: string[]): Promise<Vivarium> {
  return startVivarium(`wsgi_probe:${target}`, {
    args: ["--chdir", folder, "--python", python, "--access-log", "off", ...args],
    env: { PYTHONDONTWRITEBYTECODE: "1", PROBE_GATES: gates },
  });
}

/** Serves it for the length of one test. */
async function served(
  python: string,
  target: string,
  args: readonly string[],
  use: (probe: Probe) => Promise<void>,
): Promise<void> {
  const probe = new Probe();
  probe.server = await serve(python, target, probe.gates, ...args);
  try {
    await use(probe);
  } finally {
    await probe.server.stop();
    removeFolder(probe.gates);
  }
}

/** What wsgi.multithread and wsgi.multiprocess say. */
async function flags(probe: Probe): Promise<unknown[]> {
  const environ = await probe.json("/environ");
  assert.ok(typeof environ === "object" && environ !== null);
  assert.ok("wsgi.multithread" in environ && "wsgi.multiprocess" in environ);
  return [environ["wsgi.multithread"], environ["wsgi.multiprocess"]];
}

async function pid(probe: Probe): Promise<unknown> {
  const who = await probe.json("/environ/who");
  assert.ok(typeof who === "object" && who !== null && "pid" in who);
  return who.pid;
}

const modes = [
  ["one worker of eight threads", ["--threads", "8"], true],
  ["embedded", ["--embedded"], false],
] as const;

const found = pythons();
test("a Python to run on is found", () => assert.ok(found.length > 0));

for (const { version, path } of found) {
  for (const [mode, args, threads] of modes) {
    describe(`Python ${version}, ${mode}`, () => {
      const probe = new Probe();
      before(async () => {
        probe.server = await serve(path, "application", probe.gates, "--workers", "1", ...args);
      });
      after(async () => {
        const { output } = probe.server;
        await probe.server.stop();
        removeFolder(probe.gates);
        // The validator tells of an iterable that was not closed when it is collected, in the log alone.
        assert.doesNotMatch(output, /garbage collected without being closed/);
        assert.doesNotMatch(output, /WSGIWarning/);
      });
      startCases(probe);
      bodyCases(probe);
      fileCases(probe);
      inputCases(probe);
      environCases(probe, threads);
      errorCases(probe);
    });
  }

  describe(`Python ${version}, other configurations`, () => {
    test("one worker with one thread is neither multithread nor multiprocess", () =>
      served(path, "application", ["--workers", "1", "--threads", "1"], async (probe) => {
        assert.deepEqual(await flags(probe), [false, false]);
      }));

    test("several workers of one thread are multiprocess", () =>
      served(path, "application", ["--workers", "2", "--threads", "1"], async (probe) => {
        assert.deepEqual(await flags(probe), [false, true]);
      }));

    test("an application class is served, its instances closed and iterated", () =>
      served(path, "ApplicationClass", ["--workers", "1"], async (probe) => {
        assert.equal((await probe.ask("/")).text, "an instance, GET");
      }));

    test("an instance with __call__ and a bound method are served", async () => {
      await served(path, "callable_instance", ["--workers", "1"], async (probe) => {
        assert.equal((await probe.ask("/")).text, "called an instance");
      });
      await served(path, "bound_method", ["--workers", "1"], async (probe) => {
        assert.equal((await probe.ask("/")).text, "called a bound method");
      });
    });

    test("a worker that ends in the midst of a request takes down that request only", () =>
      served(path, "application", ["--workers", "1"], async (probe) => {
        const before = await pid(probe);
        const response = await probe.ask("/raise/exit-process");
        assert.deepEqual([response.status, response.whole], [502, true]);
        let again = await probe.ask("/start/once");
        for (let tries = 0; again.status !== 200 && tries < 250; tries += 1) {
          await delay(20);
          again = await probe.ask("/start/once");
        }
        assert.deepEqual([again.status, again.text], [200, "once"]);
        assert.notEqual(await pid(probe), before);
      }));
  });
}
