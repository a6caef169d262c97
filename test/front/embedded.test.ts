// Embedded mode through the whole server, on every Python there is.
import assert from "node:assert/strict";
import { existsSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Connection } from "../conformance/wsgi/connection.js";
import { python, pythons, removeFolder, root, temporaryFolder } from "../support/tools.js";
import { startGateway, startVivarium, type Vivarium, vivarium } from "../support/vivarium.js";

const folder = join(root, "test", "front", "embedded_site");

function serve(path: string, ...args: string[]): Promise<Vivarium> {
  return startVivarium("site_app:application", {
    args: ["--embedded", "--chdir", folder, "--python", path, "--access-log", "off", ...args],
    env: { PYTHONDONTWRITEBYTECODE: "1" },
  });
}

/** What 40 blocks of 100,000 octets are. */
const long = Array.from({ length: 40 }, (_, number) => String.fromCharCode(97 + (number % 26)).repeat(100_000)).join(
  "",
);

for (const { version, path } of pythons()) {
  describe(`embedded Python ${version}`, () => {
    let server: Vivarium;
    const ask = async (target: string, body?: string): Promise<string> => {
      const response = await fetch(`${server.url}${target}`, body === undefined ? {} : { method: "POST", body });
      assert.equal(response.status, 200);
      return await response.text();
    };
    before(async () => {
      server = await serve(path, "--workers", "1");
    });
    after(async () => {
      const { code, signal } = await server.stop();
      assert.deepEqual([code, signal], [0, null]);
      assert.match(server.output, /\[info\] worker 1: called at the end/);
    });

    test("the interpreter is that of --python, in the application's folder", async () => {
      const [executable = "", , argv, first] = (await ask("/interpreter")).split("\n");
      assert.equal(realpathSync(executable), realpathSync(path));
      assert.deepEqual([argv, first], ["['site_app:application']", folder]);
    });

    test("alone, and one request at a time", async () => {
      assert.equal(await ask("/environ"), "[False, False]");
    });

    test("a body that arrives as a file, and one larger than the memory for requests", async () => {
      for (const size of [0, 10, 200_000, 3_000_000]) assert.equal(await ask("/body", "x".repeat(size)), String(size));
    });

    test("requests that come again on a connection have each an environ and a body of its own", async () => {
      const connection = new Connection(server.port);
      for (const body of ["1", "2", "3", "4", "5"]) {
        connection.send(`POST /mark HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n${body}`);
        assert.equal((await connection.response()).text, `${body} POST`);
        connection.send("GET /mark HTTP/1.1\r\nHost: a\r\n\r\nGET /mark HTTP/1.1\r\nHost: a\r\n\r\n");
        for (let times = 0; times < 2; times += 1) assert.equal((await connection.response()).text, " GET");
      }
      connection.send(`${"POST /mark HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx".repeat(3)}`);
      for (let times = 0; times < 3; times += 1) assert.equal((await connection.response()).text, "x POST");
      connection.close();
    });

    test("a body in blocks, and one larger than the memory for responses", async () => {
      assert.equal((await ask("/blocks")) === long, true);
      assert.equal((await ask("/whole")) === long, true);
    });

    test("many requests at once are each answered, with bodies small and large", async () => {
      const bodies = Array.from({ length: 100 }, (_, number) =>
        `${number} `.repeat(number % 9 === 0 ? 20_000 : number),
      );
      const marked = async (body: string): Promise<void> => {
        for (let times = 0; times < 5; times += 1) {
          assert.equal(await ask("/mark", body), `${body} POST`);
          assert.equal(await ask("/body", body), String(body.length));
        }
      };
      await Promise.all([...bodies.map(marked), ask("/blocks").then((text) => assert.ok(text === long))]);
    });

    test("after a slow request each that came meanwhile is answered before the next is begun", async () => {
      const waiting = temporaryFolder("vivarium-embedded-");
      const connections = [1, 2, 3].map(() => new Connection(server.port));
      try {
        const [one, two, three] = connections;
        one?.send(`GET /until?${waiting}/one HTTP/1.1\r\nHost: a\r\n\r\n`);
        while (!existsSync(join(waiting, "one.begun"))) await delay(5);
        two?.send("GET /mark HTTP/1.1\r\nHost: a\r\n\r\n");
        three?.send(`GET /until?${waiting}/three HTTP/1.1\r\nHost: a\r\n\r\n`);
        await delay(50);
        writeFileSync(join(waiting, "one"), "");
        assert.equal((await one?.response())?.text, "now");
        assert.equal((await two?.response())?.text, " GET");
        writeFileSync(join(waiting, "three"), "");
        assert.equal((await three?.response())?.text, "now");
      } finally {
        for (const name of ["one", "three"]) writeFileSync(join(waiting, name), "");
        for (const connection of connections) connection.close();
        removeFolder(waiting);
      }
    });

    test("what the application prints is in the log, with the worker's number", async () => {
      await ask("/print");
      for (const line of ["printed by the application", "written to descriptor 1", "told to standard error"]) {
        await server.process.line(new RegExp(`\\[info\\] worker 1: ${line}`), 10_000);
      }
    });

    test("threads of the application run while the server waits", async () => {
      const before = Number(await ask("/ticks"));
      for (let tries = 0; Number(await ask("/ticks")) < before + 20; tries += 1) {
        assert.ok(tries < 500, "they do not run");
        await delay(10);
      }
    });

    test("a program that it starts has none of the server's descriptors", async () => {
      assert.equal(await ask("/descriptors"), `[True, True, True${", False".repeat(6)}]\n`);
    });

    test("signal.signal is ignored, and the log says so", async () => {
      assert.equal(await ask("/signal"), "True");
      await server.process.line(/\[error\] worker 1: the application's handler of SIGTERM is not set/, 10_000);
    });

    for (const method of ["fork", "spawn", "forkserver"]) {
      test(`multiprocessing works with ${method}`, async () => {
        assert.equal(await ask(`/pool/${method}`), "[1, 2, 3]");
      });
    }

    test("a forked process that returns from the application ends, and answers nobody", async () => {
      assert.equal(await ask("/fork"), "the parent's");
      assert.equal(await ask("/environ"), "[False, False]");
    });

    test("a forked process that lives on keeps no client waiting, and a signal ends it", async () => {
      const connection = new Connection(server.port);
      connection.send("GET /child HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
      assert.equal((await connection.response()).status, 200);
      assert.equal(await connection.ended(), true);
      assert.equal(await ask("/kill-child"), "15");
      assert.equal(await ask("/environ"), "[False, False]");
    });

    test("an exception is answered 500, its traceback is in the log, and the server goes on", async () => {
      assert.equal((await fetch(`${server.url}/nowhere`)).status, 500);
      await server.process.line(/\[error\] worker 1: ValueError: no such page: \/nowhere/, 10_000);
      assert.equal(await ask("/environ"), "[False, False]");
    });
  });
}

test("several workers are as many processes, which the status shows as fronts", async () => {
  const server = await serve(python(), "--workers", "2");
  try {
    const response = await fetch(`${server.url}/environ`);
    assert.equal(await response.text(), "[False, True]");
    const { stdout } = await vivarium(["status", "--json", "--control", server.control]);
    const status: unknown = JSON.parse(stdout);
    assert.ok(typeof status === "object" && status !== null && "fronts" in status && "workers" in status);
    assert.ok(Array.isArray(status.fronts) && Array.isArray(status.workers));
    assert.deepEqual([status.fronts.length, status.workers.length], [2, 0]);
  } finally {
    await server.stop();
  }
});

test("an ASGI application does not run in it, and the message says so", async () => {
  const target = `${join(root, "test/support/promises_asgi.py")}:app`;
  const control = join(temporaryFolder("embedded"), "control.sock");
  const listen = ["--listen", "http://127.0.0.1:0", "--control", control, "--python", python()];
  const { code, stdout, stderr } = await vivarium(["run", target, "--embedded", ...listen]);
  removeFolder(join(control, ".."));
  assert.equal(code, 1);
  assert.match(
    stdout + stderr,
    /promises_asgi\.py:app is an ASGI application, and --embedded runs WSGI applications: leave it out\./,
  );
});

describe("embedded mode behind a web server", () => {
  for (const protocol of ["fastcgi", "scgi", "uwsgi"] as const) {
    test(`answers over ${protocol}: bodies small and large, a stream, forty at once`, async () => {
      const doors = ["--listen", "http://127.0.0.1:0", "--listen", `${protocol}://127.0.0.1:0`];
      const server = await serve(python(), "--workers", "2", ...doors);
      try {
        const [, port = ""] = await server.process.line(/(?:FastCGI|SCGI|uwsgi) on 127\.0\.0\.1:(\d+)/);
        const gateway = await startGateway({
          args: ["--upstream", `${protocol}://127.0.0.1:${port}`, "--access-log", "off"],
        });
        try {
          const ask = async (target: string, body?: string): Promise<string> => {
            const asked = body === undefined ? {} : { method: "POST", body };
            return await (await fetch(`${gateway.url}${target}`, asked)).text();
          };
          assert.equal(await ask("/environ"), "[False, True]");
          for (const size of [0, 10, 3_000_000]) assert.equal(await ask("/body", "x".repeat(size)), String(size));
          assert.equal(await ask("/blocks"), long);
          await Promise.all(
            Array.from({ length: 40 }, async () => assert.equal(await ask("/environ"), "[False, True]")),
          );
        } finally {
          await gateway.stop();
        }
      } finally {
        await server.stop();
      }
    });
  }
});

test("embedded mode serves files and servers elsewhere beside the application", async () => {
  const elsewhere = await serve(python(), "--workers", "1", "--mount", "/other");
  const home = temporaryFolder("embedded-mounts");
  writeFileSync(join(home, "page.txt"), "a file");
  writeFileSync(
    join(home, "vivarium.toml"),
    `target = "site_app:application"
chdir = "${folder}"
embedded = true
workers = 1
access-log = "off"
static = ["/files=${home}"]
[upstream.other]
servers = ["http://127.0.0.1:${elsewhere.port}"]
[[mount]]
path = "/other"
upstream = "other"
[[mount]]
pool = "main"
`,
  );
  const server = await startVivarium(undefined, { cwd: home, env: { PYTHONDONTWRITEBYTECODE: "1" } });
  try {
    const ask = async (path: string): Promise<string> => await (await fetch(`${server.url}${path}`)).text();
    assert.equal(await ask("/files/page.txt"), "a file");
    assert.equal(await ask("/other/environ"), "[False, False]");
    assert.equal(await ask("/environ"), "[False, False]");
  } finally {
    await server.stop();
    await elsewhere.stop();
    removeFolder(home);
  }
});
