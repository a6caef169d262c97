import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Config } from "../../src/config/config.js";
import { cores } from "../../src/config/cores.js";
import { type Given, loadConfig } from "../../src/config/load.js";
import { removeFolder, temporaryFolder } from "../support/tools.js";

let folder = "";
let files = 0;
before(() => {
  folder = temporaryFolder("load");
  mkdirSync(join(folder, "site"));
  writeFileSync(join(folder, "site/app.py"), "");
});
after(() => removeFolder(folder));

const environment = { PATH: process.env["PATH"] };

async function load(given: Given): Promise<Config> {
  return (await loadConfig({ cwd: folder, environment, ...given })).config;
}

/** Loads a vivarium.toml of this text, in a directory of its own. */
async function loadToml(text: string, given: Given = {}): Promise<Config> {
  files += 1;
  const cwd = join(folder, `toml-${files}`);
  mkdirSync(cwd);
  writeFileSync(join(cwd, "vivarium.toml"), text);
  return (await loadConfig({ cwd, environment, ...given })).config;
}

function rejects(promise: Promise<unknown>, code: string, message: RegExp): Promise<void> {
  return assert.rejects(promise, { name: "VivariumError", code, message });
}

describe("configuration", () => {
  test("a target alone gets the defaults, frozen", async () => {
    const config = await load({ target: "app:app" });
    const { control, tempDir, pools, ...rest } = config;
    const { workers = 0, python = "", ...pool } = pools[0] ?? {};
    assert.deepEqual(pool, {
      name: "main",
      target: "app:app",
      threads: "auto",
      interface: "auto",
      concurrency: 1000,
      eventLoop: "auto",
      chdir: folder,
      preload: true,
      bootTimeout: 60,
      healthPath: "",
      probation: 10,
      reloadOverlap: "all",
      queue: 1024,
      queueTimeout: 30,
      retry: ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"],
      requestTimeout: 0,
      interruptGrace: 5,
      maxRequests: 0,
      maxWorkerAge: 0,
      maxWorkerMemory: 0,
      maxWorkerMemoryHard: 0,
      logSlow: 0,
    });
    assert.equal(pools.length, 1);
    assert.deepEqual(rest, {
      listen: [
        { url: "http://127.0.0.1:8000", protocol: "http", endpoint: { kind: "tcp", host: "127.0.0.1", port: 8000 } },
      ],
      chdir: folder,
      fronts: 1,
      hangTimeout: 60,
      embedded: false,
      upstreams: [],
      mounts: [{ host: "", path: "", tries: [{ kind: "pool", name: "main" }] }],
      limits: [],
      trustedProxies: [],
      accessLog: "-",
      maxBody: 2 ** 30,
      bodyMemory: 2 ** 18,
      requestMemoryTotal: 2 ** 26,
      responseMemory: 2 ** 20,
      responseMemoryTotal: 2 ** 29,
      responseDisk: 2 ** 30,
      maxTarget: 8192,
      maxHead: 65536,
      maxFields: 128,
      http2: "tls",
      keepAlive: 75,
      headTimeout: 30,
      stallTimeout: 30,
      minRate: 500,
      wsMaxSize: 2 ** 24,
      wsPingInterval: 20,
      wsPingTimeout: 20,
      wsCompression: false,
      touchReload: [],
      gracefulTimeout: 30,
      socketMode: 0o660,
      socketOwner: "",
    });
    assert.ok(workers >= 1 && python.startsWith("/") && control.endsWith(`-${process.pid}.sock`) && tempDir !== "");
    assert.ok(Object.isFrozen(config) && Object.isFrozen(config.listen) && Object.isFrozen(config.listen[0]));
  });

  test("there is one front for applications, and else one per core, half of them in front of this machine, or as many as are asked for", async () => {
    const files = { static: ["/=site"] };
    assert.equal((await load({ flags: files })).fronts, cores());
    assert.equal((await load({ flags: { ...files, fronts: "auto" } })).fronts, cores());
    assert.equal((await load({ flags: { ...files, fronts: "3" } })).fronts, 3);
    assert.equal((await load({ gateway: { servers: ["http://127.0.0.1:1"] } })).fronts, Math.ceil(cores() / 2));
    for (const fronts of ["1", "auto"]) assert.equal((await load({ target: "app:app", flags: { fronts } })).fronts, 1);
  });

  test("what is said of certificates is refused where nobody listens for https, and in a file obeys --listen", async () => {
    const sentence =
      /^(--|\S+vivarium\.toml: )(cert|key|client-ca|client-cert) is for https listeners, and there is none: /;
    for (const flag of [{ cert: "a.pem" }, { key: "a.pem" }, { clientCa: "a.pem" }, { clientCert: "required" }]) {
      await rejects(load({ target: "app:app", flags: flag }), "ERR_CONFIG_VALUE", sentence);
    }
    const toml = 'target = "x:app"\nlisten = "http://:80"\nkey = "a.pem"\n';
    await rejects(loadToml(toml), "ERR_CONFIG_VALUE", sentence);
    const secure = toml.replace("http", "https").replace("key", "cert");
    assert.equal((await loadToml(secure, { flags: { listen: ["8000"] } })).tls, undefined);
    await rejects(loadToml(secure, { flags: { listen: ["8000"], key: "b" } }), "ERR_CONFIG_VALUE", /^--key is for/);
  });

  test("clients' certificates are asked for by client-ca alone, so that client-cert without it is refused", async () => {
    const https = { listen: ["https://:443"], cert: "a.pem" };
    const tls = async (more: NonNullable<Given["flags"]>): Promise<unknown> =>
      (await load({ target: "app:app", flags: { ...https, ...more } })).tls?.clientCert;
    assert.equal(await tls({}), "required");
    assert.equal(await tls({ clientCa: "ca.pem", clientCert: "optional" }), "optional");
    for (const clientCert of ["required", "optional"]) {
      await rejects(
        tls({ clientCert }),
        "ERR_CONFIG_VALUE",
        /^--client-cert needs those who sign clients' certificates/,
      );
    }
  });

  test("the application of embedded mode has one thread in each worker, and a front for each", async () => {
    const config = await load({ target: "app:app", flags: { embedded: true, workers: "3" } });
    assert.deepEqual(
      [config.embedded, config.fronts, config.pools[0]?.workers, config.pools[0]?.threads],
      [true, 3, 3, 1],
    );
    assert.equal((await loadToml('target = "app:app"\nembedded = true\nworkers = 2')).fronts, 2);
  });

  test("what embedded mode cannot do is refused", async () => {
    const code = "ERR_CONFIG_VALUE";
    const flags = { embedded: true } as const;
    const threads = /^--embedded executes one request at a time in each process, so that threads can only be 1, not 4;/;
    await rejects(load({ target: "app:app", flags: { ...flags, threads: "4" } }), code, threads);
    const fronts =
      /^--fronts must be left out with embedded, where the workers talk to clients themselves; say workers\.$/;
    await rejects(load({ target: "app:app", flags: { ...flags, fronts: "2" } }), code, fronts);
    for (const [key, option] of [
      ["requestTimeout", "request-timeout"],
      ["logSlow", "log-slow"],
    ] as const) {
      const limit = new RegExp(`which nobody can interrupt: leave ${option} out \\(hang-timeout is the limit then\\)`);
      await rejects(load({ target: "app:app", flags: { ...flags, [key]: "5" } }), code, limit);
    }
    const limits = 'target = "app:app"\nembedded = true\n[[limit]]\npath = "/a"\nrequest-timeout = 5';
    await rejects(loadToml(limits), code, /vivarium\.toml: embedded executes .* leave \[\[limit\]\] out/);
    for (const [key, option] of [
      ["maxRequests", "max-requests"],
      ["maxWorkerAge", "max-worker-age"],
      ["maxWorkerMemory", "max-worker-memory"],
      ["maxWorkerMemoryHard", "max-worker-memory-hard"],
    ] as const) {
      const place = new RegExp(`has no workers that others could take the place of: leave ${option} out, or`);
      await rejects(load({ target: "app:app", flags: { ...flags, [key]: "5" } }), code, place);
    }
    const none = /\/vivarium\.toml: embedded says where the application runs, and there is none; leave it out\.$/;
    await rejects(loadToml('embedded = true\nstatic = "/=."'), code, none);
    const two =
      '[pool.a]\ntarget = "a:a"\n[pool.b]\ntarget = "b:b"\n[[mount]]\npool = "a"\n[[mount]]\npath = "/b"\npool = "b"';
    const several = /embedded runs one application inside the server, and here are several \(a, b\);/;
    await rejects(loadToml(`embedded = true\n${two}`), code, several);
  });

  test("a worker is not killed for memory before it could be replaced", async () => {
    const reason =
      " is 100, and max-worker-memory is 100: workers would be killed before they are replaced; make it greater\\.$";
    const code = "ERR_CONFIG_VALUE";
    const flags = { maxWorkerMemory: "100", maxWorkerMemoryHard: "100" };
    const flag = new RegExp(`^--max-worker-memory-hard${reason}`, "u");
    await rejects(load({ target: "app:app", flags }), code, flag);
    const toml = '[pool.a]\ntarget = "a:a"\nmax-worker-memory = 100\nmax-worker-memory-hard = 100';
    await rejects(
      loadToml(toml),
      code,
      new RegExp(`/vivarium\\.toml: \\[pool\\.a\\]: max-worker-memory-hard${reason}`, "u"),
    );
    const [pool] = (await load({ target: "app:app", flags: { ...flags, maxWorkerMemoryHard: "101" } })).pools;
    assert.deepEqual([pool?.maxWorkerMemory, pool?.maxWorkerMemoryHard], [100, 101]);
    const only = (await load({ target: "app:app", flags: { maxWorkerMemoryHard: "9" } })).pools[0];
    assert.deepEqual([only?.maxWorkerMemory, only?.maxWorkerMemoryHard], [0, 9]);
  });

  test("several fronts for an application are refused", async () => {
    const reason = "fronts must be 1, or left out, where there is an application: its workers connect to one front\\.$";
    const code = "ERR_CONFIG_VALUE";
    await rejects(load({ target: "app:app", flags: { fronts: "2" } }), code, new RegExp(`^--${reason}`, "u"));
    await rejects(loadToml('target = "app:app"\nfronts = 2'), code, new RegExp(`/vivarium\\.toml: ${reason}`, "u"));
  });

  test("methods to run once more are any but those of which nobody knows what they did", async () => {
    const retry = async (value: string): Promise<readonly string[] | undefined> =>
      (await load({ target: "app:app", flags: { retry: value } })).pools[0]?.retry;
    assert.deepEqual(await retry("GET, PROPFIND"), ["GET", "PROPFIND"]);
    assert.deepEqual(await retry("none"), []);
    assert.deepEqual((await loadToml('target = "app:app"\nretry = ["HEAD"]')).pools[0]?.retry, ["HEAD"]);
    for (const wrong of ["GET,POST", "PATCH", "CONNECT", "get", "GET PUT", ""]) {
      await rejects(
        load({ target: "app:app", flags: { retry: wrong } }),
        "ERR_CONFIG_VALUE",
        /--retry must be methods/,
      );
    }
  });

  test("a file gives every kind of value", async () => {
    const config = await loadToml(`
      target = "app:app"
      listen = ["http://127.0.0.1:1", "http://unix:run.sock"]
      workers = 3
      threads = "auto"
      max-body = "2m"
      body-memory = 1024
      keep-alive = 0.5
      preload = false
      trusted-proxies = "10.0.0.0/8, unix"
      access-log = "access.log"
    `);
    assert.deepEqual(
      config.listen.map(({ url }) => url),
      ["http://127.0.0.1:1", `http://unix:${config.chdir}/run.sock`],
    );
    const [pool] = config.pools;
    assert.deepEqual([pool?.workers, pool?.threads, pool?.preload], [3, "auto", false]);
    assert.deepEqual([config.maxBody, config.bodyMemory, config.keepAlive], [2 ** 21, 1024, 0.5]);
    assert.deepEqual(config.trustedProxies, ["10.0.0.0/8", "unix"]);
    assert.equal(config.accessLog, join(config.chdir, "access.log"));
  });

  test("the command line wins over the file, which wins over the defaults", async () => {
    const config = await loadToml('target = "app:app"\nworkers = 3\nthreads = 5', {
      target: "other:app",
      flags: { workers: "2" },
    });
    const [pool] = config.pools;
    assert.deepEqual([pool?.target, pool?.workers, pool?.threads, config.maxFields], ["other:app", 2, 5, 128]);
  });

  test("a list given on the command line takes the place of the file's", async () => {
    const config = await loadToml('target = "app:app"\nlisten = ["8001", "8002"]', { flags: { listen: ["8003"] } });
    assert.deepEqual(
      config.listen.map(({ url }) => url),
      ["http://127.0.0.1:8003"],
    );
  });

  test("--no-config reads no file, --config another one, from whose directory everything starts", async () => {
    assert.equal((await loadToml("max-fields = 9", { target: "a:b", config: false })).maxFields, 128);
    writeFileSync(join(folder, "site/other.toml"), 'target = "app.py"\ntemp-dir = "."');
    const config = await load({ config: "site/other.toml" });
    assert.equal(config.chdir, join(folder, "site"));
    assert.equal(config.tempDir, join(folder, "site"));
    assert.equal(config.pools[0]?.target, "app.py");
  });

  test("a path of a target starts from the application's directory and must exist", async () => {
    assert.equal((await load({ target: "app.py:app", flags: { chdir: "site" } })).pools[0]?.target, "app.py:app");
    await rejects(
      load({ target: "app.py:app" }),
      "ERR_CONFIG_VALUE",
      /TARGET must be an existing file \(looked for in /u,
    );
    await rejects(load({ target: "nowhere/site.wsgi" }), "ERR_CONFIG_VALUE", /an existing file/u);
  });

  test("a name in .wsgi is a file where there is one, and otherwise Django's module", async () => {
    assert.equal((await load({ target: "mysite.wsgi:application" })).pools[0]?.target, "mysite.wsgi:application");
    writeFileSync(join(folder, "site/site.wsgi"), "");
    assert.equal((await load({ target: "site.wsgi", flags: { chdir: "site" } })).pools[0]?.target, "site.wsgi");
    await rejects(load({ target: "conf/site.wsgi" }), "ERR_CONFIG_VALUE", /an existing file/u);
  });

  test("targets are modules with an attribute, a factory, or nothing but a module", async () => {
    for (const target of ["a", "a.b.c:d", "a:b.c", "a:make()", "größe:app"]) {
      assert.equal((await load({ target })).pools[0]?.target, target);
    }
    for (const target of ["", ":app", "a b:c", "a:b:c", "1a:b", "a:b)"]) {
      await rejects(load({ target }), "ERR_CONFIG_VALUE", /^TARGET must be package\.module:callable/u);
    }
  });
});

describe("wrong configuration is one sentence", () => {
  test("a flag names itself, what was expected and what was given", async () => {
    await rejects(
      load({ target: "a:b", flags: { workers: "many" } }),
      "ERR_CONFIG_VALUE",
      /^--workers must be a whole number from 1 to 1024, or "auto", not "many"\.$/u,
    );
  });

  test("a value in a file names the file and the key", async () => {
    await rejects(
      loadToml('target = "a:b"\nkeep-alive = "long"'),
      "ERR_CONFIG_VALUE",
      /^\/.*\/vivarium\.toml: keep-alive must be a number of seconds from 0 up to 86400, not "long"\.$/u,
    );
    await rejects(
      loadToml('target = "a:b"\ntrusted-proxies = ["::1", "nobody"]'),
      "ERR_CONFIG_VALUE",
      /trusted-proxies must be .*, not "nobody"\.$/u,
    );
    await rejects(loadToml("target = 5"), "ERR_CONFIG_VALUE", /target must be package\.module:callable.*, not 5\.$/u);
  });

  test("malformed TOML names the line", async () => {
    await rejects(
      loadToml('target = "a:b"\nworkers = = 3\n'),
      "ERR_CONFIG_FILE",
      /vivarium\.toml, line 2, column \d+: /u,
    );
  });

  test("an unknown key is refused, with the nearest known one", async () => {
    await rejects(loadToml("worker = 3"), "ERR_CONFIG_KEY", /there is no key "worker"; did you mean "workers"\?$/u);
    await rejects(loadToml("max_body = 3"), "ERR_CONFIG_KEY", /did you mean "max-body"\?$/u);
    await rejects(loadToml("gracefulTimeout = 3"), "ERR_CONFIG_KEY", /did you mean "graceful-timeout"\?$/u);
    await rejects(loadToml("[server]\nworkers = 3"), "ERR_CONFIG_KEY", /no key "server"; the keys are listed in/u);
    await rejects(loadToml("__proto__ = 3"), "ERR_CONFIG_KEY", /no key "__proto__"/u);
  });

  test("a file that cannot be read says why", async () => {
    await rejects(load({ config: "none.toml" }), "ERR_CONFIG_FILE", /none\.toml: there is no such file\.$/u);
    await rejects(load({ config: "site" }), "ERR_CONFIG_FILE", /site: it is a directory\.$/u);
    writeFileSync(join(folder, "latin1.toml"), Buffer.from([0x23, 0xff]));
    await rejects(load({ config: "latin1.toml" }), "ERR_CONFIG_FILE", /it is not UTF-8 text\.$/u);
  });

  test("nothing to run says how to name an application", async () => {
    await rejects(load({}), "ERR_CONFIG_VALUE", /^There is nothing to run: name an application/u);
    await rejects(loadToml("workers = 3"), "ERR_CONFIG_VALUE", /vivarium\.toml: target is missing/u);
  });

  test("directories must exist, and addresses differ", async () => {
    await rejects(
      load({ target: "a:b", flags: { chdir: "none" } }),
      "ERR_CONFIG_VALUE",
      /^--chdir must be an existing dir/u,
    );
    await rejects(
      load({ target: "a:b", flags: { tempDir: "site/app.py" } }),
      "ERR_CONFIG_VALUE",
      /^--temp-dir must be/u,
    );
    const flags = { listen: ["8000", "http://127.0.0.1:8000"] };
    await rejects(load({ target: "a:b", flags }), "ERR_CONFIG_VALUE", /^--listen must be addresses that differ/u);
    await rejects(loadToml('target = "a:b"\nlisten = []'), "ERR_CONFIG_VALUE", /listen must be at least one address/u);
    const twice = await load({ target: "a:b", flags: { listen: ["127.0.0.1:0", "127.0.0.1:0"] } });
    assert.equal(twice.listen.length, 2);
  });

  test("a control socket's path must fit into a socket address", async () => {
    const flags = { control: `/tmp/${"x".repeat(110)}` };
    await rejects(
      load({ target: "a:b", flags }),
      "ERR_CONFIG_VALUE",
      /^--control must be a path of at most 107 octets/u,
    );
  });
});
