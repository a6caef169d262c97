// An interpreter inside a front is as it is under `python`.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { python, pythons, removeFolder, temporaryFolder } from "../../support/tools.js";
import { type Environment, Probed, virtualEnvironment } from "../probed.js";

const systems = pythons().some(({ path }) => path === python()) ? [] : [{ version: "system", path: python() }];

for (const { version, path } of [...pythons(), ...systems]) {
  describe(`Python ${version} embedded (${path})`, () => {
    let folder = "";
    let server: Probed;

    before(async () => {
      folder = temporaryFolder("interpreter");
      server = await Probed.start({ mode: "embedded", python: await virtualEnvironment(path, join(folder, "venv")) });
    });
    after(async () => {
      await server.stop();
      removeFolder(folder);
    });

    test("is the virtual environment's: prefixes, path, flags, encodings", () => server.same("installation"));
    test("has the virtual environment's packages, and ran its .pth files", () => server.same("from_site"));
    test("has the current directory, the mask for new files and the environment variables of the server", () =>
      server.same("process"));
    test("has the application's directory first on sys.path", async () => {
      assert.equal(await server.ask("first_on_path"), server.folder);
    });
    test("has the target as sys.argv", async () =>
      assert.deepEqual(await server.ask("arguments"), ["probes:application"]));
    test("calls the application on what Python takes for the main thread", () => server.same("main_thread"));
    test("leaves signals that are not the server's as they are", () => server.same("signals"));
    test("has a standard library whose extension modules work", () => server.same("standard_library"));
    test("raises RecursionError before the stack is used up", () => server.same("recursion"));
    test("has as much stack for C functions as a main thread", () => server.same("big_stack"));
    test("collects garbage", () => server.same("collector"));
    test("passes changes of os.environ on to programs and the C library", () => server.same("environment_changes"));
    test("runs threads, each with its own threading.local", () => server.same("threads"));
    test("runs thread pools and timers", async () => {
      await server.same("thread_pool");
      await server.same("timer");
    });
    test("runs programs: status, pipes, megabytes, time limits", () => server.same("programs"));
    test("gives programs no descriptor of the server's, and no signal to be deaf to", () => server.same("inherited"));
    test("runs asyncio in a view, more than once", () => server.same("asynchronous"));
    test("forks", () => server.same("forks"));
    test("shares memory and managers between processes", () => server.same("shared_memory"));
  });
}

const environments: readonly Environment[] = [
  { LC_ALL: "C", LANG: undefined, PYTHONUTF8: undefined },
  { LC_ALL: "POSIX", PYTHONUTF8: "0", PYTHONCOERCECLOCALE: "0" },
  { LC_ALL: undefined, LC_CTYPE: undefined, LANG: undefined },
  { LC_ALL: "C.UTF-8", PYTHONUTF8: "1" },
  { PYTHONHASHSEED: "5", PYTHONDONTWRITEBYTECODE: undefined, PYTHONUNBUFFERED: "1", PYTHONWARNINGS: "default" },
  { PYTHONOPTIMIZE: "2", PYTHONDEVMODE: "1", PYTHONMALLOC: "malloc", PYTHONINTMAXSTRDIGITS: "640" },
  {
    PYTHONPATH: "/nonexistent:/tmp",
    PYTHONNOUSERSITE: "1",
    PYTHONIOENCODING: "latin-1:replace",
    PYTHONFAULTHANDLER: "1",
  },
];
const [oldest, ...others] = pythons();
const ends = [oldest, others.at(-1)].filter((each) => each !== undefined);

describe("an embedded interpreter heeds the environment as `python` does", () => {
  for (const { version, path } of ends) {
    for (const env of environments) {
      const said = Object.entries(env).map(([name, value]) =>
        value === undefined ? `no ${name}` : `${name}=${value}`,
      );
      test(`Python ${version}: ${said.join(" ")}`, async () => {
        const server = await Probed.start({ mode: "embedded", python: path, env });
        try {
          await server.same("installation");
          await server.same("process");
        } finally {
          await server.stop();
        }
      });
    }
  }
});
