import assert from "node:assert/strict";
import { existsSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { homedir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { application, Server } from "../faults/server.js";
import { freePort } from "../support/ports.js";
import { type Finished, run as runProgram, start } from "../support/processes.js";
import { pythons, removeFolder, root, temporaryFolder } from "../support/tools.js";
import { vivarium } from "../support/vivarium.js";

const GOOD = "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'']\n";

describe("vivarium run, where it cannot start", () => {
  let folder = "";
  const run = (...args: readonly string[]): Promise<Finished> =>
    vivarium(["run", "--listen", "http://127.0.0.1:0", "--control", join(folder, "control"), ...args], { cwd: folder });

  before(() => {
    folder = temporaryFolder("start");
    const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);
    write("good.py", GOOD);
    write("broken.py", "def helper():\n    return 1 / 0\nhelper()\n");
    write("wrong.py", "def app(:\n");
    write("ends.py", "import sys\nsys.exit('no licence')\n");
    write("dies.py", "import os\nos._exit(9)\n");
    write("killed.py", "import os\nos.kill(os.getpid(), 9)\n");
    write("empty.py", "other = 1\n");
    write("number.py", "app = 5\n");
    write("asgi2.py", "def app(scope):\n    pass\n");
    write("slow.py", "import time\ntime.sleep(600)\n");
    write("factory.py", "def create():\n    raise RuntimeError('no database')\n");
  });
  after(() => removeFolder(folder));

  /** Exit status 1; standard error ends in this one sentence; nothing of Node's is shown, and nothing is left. */
  const refuses = async (finished: Finished, sentence: RegExp): Promise<string> => {
    const { code, stdout, stderr } = finished;
    assert.equal(code, 1, stderr);
    assert.equal(stdout, "");
    const last = stderr.trimEnd().split("\n").at(-1) ?? "";
    assert.match(last, sentence);
    assert.match(last, /^vivarium: [A-Z].*\.$/);
    assert.doesNotMatch(stderr, /\.js:\d|node:internal|UnhandledPromise/);
    return stderr;
  };

  for (const [way, extra] of [
    ["imported once", []],
    ["imported by each worker", ["--no-preload"]],
    ["in embedded mode", ["--embedded"]],
  ] as const) {
    test(`an application whose import raises: its traceback, one sentence (${way})`, async () => {
      const stderr = await refuses(await run("broken:app", ...extra), /The application broken:app could not be /);
      assert.match(stderr, /Traceback \(most recent call last\):/);
      assert.match(stderr, /File ".*broken\.py", line 3, in <module>/);
      assert.match(stderr, /ZeroDivisionError: division by zero/);
      assert.doesNotMatch(stderr, /vivarium_host/);
    });

    test(`a module that does not exist (${way})`, async () => {
      const stderr = await refuses(await run("nothere:app", ...extra), /The application nothere:app could not be /);
      assert.match(stderr, /ModuleNotFoundError: No module named 'nothere'/);
    });
  }

  const cases: readonly (readonly [string, readonly string[], RegExp])[] = [
    ["a syntax error", ["wrong.py"], /wrong\.py could not be imported: SyntaxError: /],
    ["an application that calls sys.exit", ["ends:app"], /could not be imported: SystemExit: no licence\.$/],
    ["an application that ends the process", ["dies:app"], /Python ended with status 9 while it imported/],
    ["an application that is killed", ["killed:app"], /Python ended by SIGKILL while it imported/],
    ["a module without a callable", ["empty.py"], /neither `application` nor `app`; name the callable/],
    ["a callable that is not there", ["good:missing"], /names `missing`, which good does not have/],
    ["something that cannot be called", ["number:app"], /names app, which is int and cannot be called/],
    ["an ASGI 2 application", ["asgi2:app"], /asgi2:app takes the scope alone, as ASGI 2 had it/],
    [
      "a factory that raises",
      ["factory:create()"],
      /The application factory of factory:create\(\) raised RuntimeError/,
    ],
    ["an application that takes too long", ["slow:app", "--boot-timeout", "1"], /was not ready within 1 seconds/],
  ];
  for (const [name, args, sentence] of cases) {
    for (const mode of [[], ["--embedded"]]) {
      test(`${[name, ...mode].join(", ")}: one sentence`, async () => {
        await refuses(await run(...args, ...mode), sentence);
      });
    }
  }

  test("a port in use: one sentence, and the server that has it goes on", async () => {
    const server = await Server.start();
    try {
      const { port, control } = server.vivarium;
      const args = ["run", "good:app", "--listen", `http://127.0.0.1:${port}`];
      const second = await vivarium([...args, "--control", join(folder, "control")], { cwd: folder });
      await refuses(second, new RegExp(`${port}.* in use`));
      const third = await vivarium(["run", "good:app", "--listen", "http://127.0.0.1:0", "--control", control], {
        cwd: folder,
      });
      await refuses(third, /control|already/i);
      assert.equal(await server.text("/still"), "still");
      assert.equal((await server.status()).pid, server.vivarium.pid);
    } finally {
      await server.stop();
    }
  });

  test("an interpreter, a directory or a file that does not exist is a usage error", async () => {
    for (const args of [
      ["--python", "/nonexistent/python"],
      ["--chdir", join(folder, "nonexistent")],
      ["--listen", "gopher://x"],
      ["--workers", "none"],
      [],
    ]) {
      const { code, stderr } = await run(args.length === 0 ? "nothere.py" : "good:app", ...args);
      assert.equal(code, 2, stderr);
      assert.match(stderr, /^vivarium: [^\n]+\.\n$/);
    }
  });

  const old = ["3.7.16", "3.6.15", "2.7.18"]
    .map((version) =>
      join(process.env["PYENV_ROOT"] ?? join(homedir(), ".pyenv"), "versions", version, "bin", "python"),
    )
    .filter(existsSync);
  for (const python of old) {
    test(`${python} is too old: one sentence`, async () => {
      const finished = await run("good:app", "--python", python);
      await refuses(finished, /Vivarium needs Python 3\.8 or newer/);
      assert.equal(finished.stderr.trimEnd().split("\n").length, 1, finished.stderr);
    });
  }

  test("an interpreter that is none: one sentence", async () => {
    await refuses(await run("good:app", "--python", "/bin/false"), /Python ended with status 1/);
  });

  test("no folder is left by a server that could not start", async () => {
    const temporary = temporaryFolder("tmp");
    for (const args of [["broken:app"], ["good:app", "--python", "/bin/false"]]) {
      const env = { TMPDIR: temporary, XDG_RUNTIME_DIR: temporary };
      const { code } = await vivarium(["run", ...args, "--listen", "0"], { cwd: folder, env });
      assert.equal(code, 1);
      assert.deepEqual(
        readdirSync(temporary).filter((name) => name.startsWith("vivarium-run-")),
        [],
      );
    }
    removeFolder(temporary);
  });
});

describe("vivarium run, as it starts", () => {
  test("one screen: address, application, Python, workers, threads, how to stop", async () => {
    const server = await Server.start({ args: ["--workers", "3", "--threads", "2"] });
    try {
      const { output, vivarium: started } = server;
      assert.match(output, /^vivarium \d+\.\d+\.\d+ is serving after \d+ ms$/m);
      assert.match(output, new RegExp(`^ {2}address +${started.url}$`, "m"));
      assert.match(output, /^ {2}application +.*worker_app\.py:app$/m);
      assert.match(output, /^ {2}Python +3\.\d+\.\d+ \(.*python.*\)$/m);
      assert.match(output, /^ {2}workers +3 processes, 2 threads$/m);
      assert.match(output, /Ctrl-C stops it/);
    } finally {
      assert.deepEqual(await server.stop(), { code: 0, signal: null });
    }
  });

  test("an application that starts threads at import is imported by each worker, and the screen says so", async () => {
    const threads = `import threading, time, os
LIVES = threading.Thread(target=time.sleep, args=(600,), daemon=True)
LIVES.start()
open("imported-%d" % os.getpid(), "w").close()
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"%d %d" % (LIVES.is_alive(), os.path.exists("imported-%d" % os.getpid()))]
`;
    const server = await Server.start({ target: "threads:app", files: { "threads.py": threads } });
    try {
      assert.match(server.output, /each imports the application itself, because importing it starts threads/);
      assert.equal(await server.text("/"), "1 1");
      assert.equal((await server.pool()).spawner.preload, false);
    } finally {
      await server.stop();
    }
  });

  test("with --no-preload each worker imports the application, without it all share one import", async () => {
    const source = `import os
IMPORTED_BY = os.getpid()
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"%d" % (IMPORTED_BY == os.getpid())]
`;
    for (const [args, own] of [
      [["--no-preload"], "1"],
      [[], "0"],
    ] as const) {
      const server = await Server.start({ target: "who:app", files: { "who.py": source }, args });
      try {
        assert.equal(await server.text("/"), own);
        assert.equal(/each imports the application itself$/m.test(server.output), own === "1");
      } finally {
        await server.stop();
      }
    }
  });

  test("multithread and multiprocess are what the configuration makes them", async () => {
    for (const [workers, threads, multiprocess, multithread] of [
      ["1", "1", false, false],
      ["2", "1", true, false],
      ["1", "4", false, true],
      ["2", "auto", true, true],
    ] as const) {
      const server = await Server.start({ args: ["--workers", workers, "--threads", threads] });
      try {
        const facts: Record<string, unknown> = JSON.parse(await server.text("/process"));
        assert.deepEqual([facts["multiprocess"], facts["multithread"]], [multiprocess, multithread]);
      } finally {
        await server.stop();
      }
    }
  });

  test("the application finds itself as if python had started it in its directory", async () => {
    const server = await Server.start();
    try {
      const facts: { argv: string[]; path: string[]; cwd: string; name: string } = JSON.parse(
        await server.text("/process"),
      );
      assert.deepEqual(facts.argv, [application]);
      assert.equal(facts.cwd, server.folder);
      assert.ok(facts.path.includes(server.folder), facts.path.join());
      assert.ok(
        !facts.path.some((path) => path.includes("vivarium_host") || path === join(root, "python")),
        facts.path.join(),
      );
      assert.equal(facts.name, "worker_app");
    } finally {
      await server.stop();
    }
  });

  test("every Python serves", async () => {
    for (const { version, path } of pythons()) {
      const server = await Server.start({ args: ["--python", path, "--workers", "1"] });
      try {
        assert.equal(await server.text(`/${version}`), version);
        assert.ok((await server.pool()).python.startsWith(`${version}.`));
      } finally {
        await server.stop();
      }
    }
  });

  test("the virtual environment that is active is used, one beside the application, and one that --python names", async () => {
    const folder = temporaryFolder("venv");
    const newest = pythons().at(-1);
    assert.ok(newest !== undefined);
    const environment = join(folder, "environment");
    const made = await runProgram(newest.path, ["-m", "venv", "--without-pip", environment]);
    assert.equal(made.code, 0, made.stderr);
    // Not by startVivarium, which names an interpreter where nobody did.
    const prefixIn = async (directory: string, env: Record<string, string | undefined>, ...args: string[]) => {
      const all = [
        "run",
        application,
        "--chdir",
        directory,
        "--listen",
        "http://127.0.0.1:0",
        "--workers",
        "1",
        ...args,
      ];
      const own = [join(root, "bin/vivarium.js"), ...all, "--control", join(folder, "control")];
      const server = start(process.execPath, own, { env });
      try {
        const [url = ""] = await server.line(/http:\/\/127\.0\.0\.1:\d+/);
        const facts: { prefix: string } = JSON.parse(await (await fetch(`${url}/process`)).text());
        return facts.prefix;
      } finally {
        await server.stop();
      }
    };
    const active = { VIRTUAL_ENV: environment };
    const none = { VIRTUAL_ENV: undefined };
    assert.equal(await prefixIn(folder, active), environment);
    assert.equal(await prefixIn(folder, none, "--python", environment), environment);
    assert.equal(await prefixIn(folder, none, "--python", join(environment, "bin", "python")), environment);
    renameSync(environment, join(folder, ".venv"));
    assert.equal(await prefixIn(folder, none), join(folder, ".venv"));
    removeFolder(folder);
  });

  test("a Unix socket, and several addresses at once", async () => {
    const folder = temporaryFolder("addresses");
    const path = join(folder, "site.sock");
    const port = await freePort();
    const server = await Server.start({
      args: ["--listen", `http://127.0.0.1:${port}`, "--listen", `http://unix:${path}`],
    });
    try {
      assert.equal((await server.status()).listen.length, 2);
      assert.equal(await server.text("/hello"), "hello");
      const response = await new Promise<string>((resolve, reject) => {
        get({ socketPath: path, path: "/unix", agent: false }, (answer) => {
          let text = "";
          answer.setEncoding("utf8").on("data", (chunk: string) => {
            text += chunk;
          });
          answer.on("end", () => resolve(text));
        }).on("error", reject);
      });
      assert.equal(response, "unix");
    } finally {
      await server.stop();
    }
    assert.equal(existsSync(path), false);
    removeFolder(folder);
  });
});
