import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Config, MountConfig } from "../../src/config/config.js";
import { mountLines } from "../../src/config/describe.js";
import { type Given, loadConfig } from "../../src/config/load.js";
import { filesConfig } from "../../src/static/config.js";
import { removeFolder, temporaryFolder } from "../support/tools.js";

let folder = "";
before(() => {
  folder = temporaryFolder("mounts");
  for (const name of ["public", "shop", "blog", "shop/public"]) mkdirSync(join(folder, name));
});
after(() => removeFolder(folder));

const environment = { PATH: process.env["PATH"] };
const TWO_POOLS = '[pool.shop]\ntarget = "shop:app"\n[pool.blog]\ntarget = "blog:app"\n';
const UPSTREAM = '[upstream.old]\nservers = "uwsgi://127.0.0.1:3031"\n';

async function load(toml: string, given: Given = {}): Promise<Config> {
  writeFileSync(join(folder, "vivarium.toml"), toml);
  return (await loadConfig({ cwd: folder, environment, ...given })).config;
}

/** `/PLACE  ANSWERS` of each mount, paths shown from the folder. */
async function places(toml: string, given: Given = {}): Promise<readonly string[]> {
  return mountLines(await load(toml, given)).map((line) => line.replaceAll(`${folder}/`, "").replace(/ +/gu, " "));
}

/** The one sentence a file is refused with, from after the file's name. */
async function refusal(toml: string, given: Given = {}): Promise<string> {
  const error: unknown = await load(toml, given).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof Error && "code" in error, `not refused: ${toml}`);
  assert.match(String(error.code), /^ERR_CONFIG_(VALUE|KEY)$/u);
  assert.match(error.message, /^[^\n]+[.?]$/u);
  return error.message.replaceAll(`${folder}/`, "");
}

describe("pools", () => {
  test("take from the top of the file, or from the command line, what they do not say themselves", async () => {
    const toml = `workers = 3\nthreads = 2\n[pool.shop]\ntarget = "shop:app"\nworkers = 1\nchdir = "shop"\npreload = false\nboot-timeout = 5
      [[mount]]\npool = "shop"\n[[mount]]\npath = "/blog"\npool = "blog"\n[pool.blog]\ntarget = "blog:app"`;
    const facts = async (flags: NonNullable<Given["flags"]>): Promise<unknown> =>
      (await load(toml, { flags })).pools.map((pool) => [pool.name, pool.workers, pool.threads, pool.preload]);
    assert.deepEqual(await facts({}), [
      ["shop", 1, 2, false],
      ["blog", 3, 2, true],
    ]);
    assert.deepEqual(await facts({ workers: "7", threads: "auto" }), [
      ["shop", 1, "auto", false],
      ["blog", 7, "auto", true],
    ]);
    const { pools, chdir } = await load(toml);
    assert.deepEqual(
      pools.map((pool) => [pool.chdir, pool.bootTimeout]),
      [
        [join(folder, "shop"), 5],
        [folder, 60],
      ],
    );
    assert.equal(chdir, folder);
  });

  test("have the Python of their own directory", async () => {
    mkdirSync(join(folder, "blog/.venv/bin"), { recursive: true });
    writeFileSync(join(folder, "blog/.venv/bin/python"), "", { mode: 0o700 });
    const { pools } = await load(
      `${TWO_POOLS}chdir = "blog"\n[[mount]]\npool = "shop"\n[[mount]]\npath = "/b"\npool = "blog"`,
    );
    assert.notEqual(pools[0]?.python, pools[1]?.python);
    assert.equal(pools[1]?.python, join(folder, "blog/.venv/bin/python"));
  });

  test("are not needed: files and upstreams alone are a server, too, and no Python is looked for", async () => {
    const config = await load(`${UPSTREAM}[[mount]]\nupstream = "old"`, { environment: {} });
    assert.deepEqual([config.pools.length, config.upstreams[0]?.name], [0, "old"]);
    assert.match(config.control, /\/gateway-\d+\.sock$/u);
    assert.deepEqual(await places('[[mount]]\nfiles = "public"'), ["/ files public"]);
  });
});

describe("mounts", () => {
  test("of each kind, in each place; a mount for several hosts is one for each", async () => {
    const toml = `${TWO_POOLS}${UPSTREAM}
      [[mount]]
      try = [{ files = "public", index = [] }, { pool = "shop" }]
      [[mount]]
      host = ["Blog.example.com", "*.blog.example.com"]
      path = "/b/"
      pool = "blog"
      [[mount]]
      path = "/old"
      upstream = "old"
      [[mount]]
      path = "/files"
      files = "shop/public"`;
    assert.deepEqual(await places(toml), [
      "/ files public, else pool shop",
      "blog.example.com/b pool blog",
      "*.blog.example.com/b pool blog",
      "/old upstream old",
      "/files files shop/public",
    ]);
    const { mounts } = await load(toml);
    assert.ok(Object.isFrozen(mounts) && Object.isFrozen(mounts[0]) && Object.isFrozen(mounts[0]?.tries[0]));
  });

  test("hosts are as clients send them", async () => {
    const hosts = ["EXAMPLE.com.", "*.Bücher.example", "[::1]", "127.0.0.1", "under_score"];
    const { mounts } = await load(`[[mount]]\nhost = ${JSON.stringify(hosts)}\nfiles = "public"`);
    assert.deepEqual(
      mounts.map(({ host }) => host),
      ["example.com", "*.xn--bcher-kva.example", "[::1]", "127.0.0.1", "under_score"],
    );
    for (const host of ["", "*", "*.", "a b", "a/b", "a:80", "a.*.b", "[::1]:80"]) {
      assert.match(
        await refusal(`[[mount]]\nhost = "${host}"\nfiles = "public"`),
        /host must be a host without a port/u,
      );
    }
  });

  test("TARGET is one more application, at / or at --mount", async () => {
    const toml = `${TWO_POOLS}[[mount]]\npath = "/shop"\npool = "shop"\n[[mount]]\npath = "/blog"\npool = "blog"`;
    const tables = ["/shop pool shop", "/blog pool blog"];
    assert.deepEqual(await places(toml, { target: "a:b" }), ["/ pool main", ...tables]);
    assert.deepEqual(await places(toml, { target: "a:b", flags: { mount: "/a" } }), ["/a pool main", ...tables]);
    assert.deepEqual(await places(`target = "a:b"\n${toml}`), ["/ pool main", ...tables]);
  });

  test("TARGET is where a [[mount]] has its pool, and besides where --mount says", async () => {
    const toml = 'target = "a:b"\n[[mount]]\npath = "/a"\npool = "main"';
    assert.deepEqual(await places(toml), ["/a pool main"]);
    assert.deepEqual(await places(toml, { flags: { mount: "/c" } }), ["/c pool main", "/a pool main"]);
    assert.deepEqual(await places('target = "a:b"\nmount = "/c"'), ["/c pool main"]);
  });

  test("--static mounts folders; at a place that has a mount, in front of it", async () => {
    const given = { target: "a:b", flags: { static: ["/static=public", "/=shop/public"] } };
    assert.deepEqual(await places("", given), ["/ files shop/public, else pool main", "/static files public"]);
    assert.deepEqual(await places('static = "/=public"'), ["/ files public"]);
    assert.deepEqual(await places('target = "a:b"\nmount = "/a"\nstatic = "/a/=public"'), [
      "/a files public, else pool main",
    ]);
  });

  test("files have the defaults of static/config.ts, and what stands beside them", async () => {
    const filesOf = (mount: MountConfig | undefined): unknown => {
      const [one] = mount?.tries ?? [];
      return one?.kind === "files" ? one.files : undefined;
    };
    const toml = `static = "/plain=public"\n[[mount]]\nfiles = "public"\n[[mount]]\npath = "/all"\nfiles = "public"
      index = "a.html"\ncache-control = { "*.css" = "max-age=9", "**" = "no-cache" }\nprecompressed = false
      hidden = true\ncharset = ""\ntypes = { ".X" = "a/b" }\nmemory = "1m"
      [[mount]]\npath = "/one"\nfiles = "public"\ncache-control = "no-cache"`;
    const [plain, all, one, flag] = (await load(toml)).mounts;
    const root = join(folder, "public");
    assert.deepEqual(filesOf(plain), filesConfig(root));
    assert.deepEqual(filesOf(flag), filesConfig(root));
    assert.deepEqual(filesOf(all), {
      root,
      index: ["a.html"],
      cacheControl: [
        { pattern: "*.css", value: "max-age=9" },
        { pattern: "**", value: "no-cache" },
      ],
      precompressed: false,
      hidden: true,
      charset: "",
      types: { x: "a/b" },
      memory: 2 ** 20,
    });
    assert.deepEqual(filesOf(one), { ...filesConfig(root), cacheControl: [{ pattern: "**", value: "no-cache" }] });
  });

  test("responses may name files below named folders", async () => {
    const toml = `target = "a:b"\n[[mount]]\npool = "main"\naccel-redirect = { "/p/" = "public" }\nsendfile = "shop/public"`;
    const [mount] = (await load(toml)).mounts;
    assert.deepEqual(mount?.redirects, {
      accel: [{ prefix: "/p/", root: join(folder, "public") }],
      sendfile: [join(folder, "shop/public")],
    });
  });
});

describe("a gateway", () => {
  test("passes everything to the servers of its flags", async () => {
    const gateway = { servers: ["http://a:1", "http://b:1 weight=2"], balance: "hash", hashBy: "X-A", keepAlive: "0" };
    const { upstreams, pools } = await load("", { gateway });
    assert.deepEqual(await places("", { gateway }), ["/ upstream main"]);
    const [{ servers, name, balance, hashBy, keepAlive, connectTimeout } = assert.fail()] = upstreams;
    assert.deepEqual([name, balance, hashBy, keepAlive, connectTimeout], ["main", "hash", "X-A", 0, 5]);
    assert.deepEqual([servers.length, pools.length], [2, 0]);
  });

  test("has what the file mounts beside it, and files in front of it", async () => {
    const toml = `${UPSTREAM}[[mount]]\npath = "/old"\nupstream = "old"`;
    const given = { gateway: { servers: ["http://a:1"] }, flags: { static: ["/=public"], mount: "/" } };
    assert.deepEqual(await places(toml, given), ["/ files public, else upstream main", "/old upstream old"]);
    assert.deepEqual(await places(toml, { gateway: {} }), ["/old upstream old"]);
  });

  test("runs no application, and says where one is named", async () => {
    const gateway = { servers: ["http://a:1"] };
    assert.equal(
      await refusal('target = "a:b"', { gateway }),
      'vivarium.toml: target names an application, and a gateway runs none; "vivarium run" runs this file, and --no-config leaves it out.',
    );
    assert.match(await refusal(TWO_POOLS, { gateway }), /^vivarium\.toml: \[pool\.shop\] names an application, /u);
    assert.match(await refusal("", { gateway: {} }), /^There is nobody to pass requests to: name a server, as in /u);
    assert.equal(
      await refusal("", { gateway: { ...gateway, balance: "best" } }),
      '--upstream-balance must be "least-outstanding", "round-robin" or "hash", not "best".',
    );
    assert.match(
      await refusal("", { gateway: { servers: ["a:1"] } }),
      /^--upstream must be a server such as .*, not "a:1"\.$/u,
    );
  });
});

describe("wrong tables are one sentence, with file, table and key", () => {
  const mounted = (mount: string): string => `${TWO_POOLS}${UPSTREAM}[[mount]]\npool = "shop"\n[[mount]]\n${mount}`;
  const cases: readonly (readonly [what: string, toml: string, sentence: string])[] = [
    [
      "an unknown pool",
      mounted('path = "/a"\npool = "blok"'),
      '[[mount]] 2: there is no pool "blok"; did you mean "blog"?',
    ],
    [
      "an unknown upstream",
      mounted('path = "/a"\nupstream = "elsewhere"'),
      '[[mount]] 2: there is no upstream "elsewhere"; there is "old".',
    ],
    [
      "a folder that does not exist",
      mounted('path = "/a"\nfiles = "none"'),
      '[[mount]] 2: files must be an existing directory, not "none".',
    ],
    [
      "a folder that does not exist, in try",
      mounted('path = "/a"\ntry = [{ files = "public" }, { files = "none" }]'),
      '[[mount]] 2: try 2: files must be an existing directory, not "none".',
    ],
    [
      "two mounts at one place",
      mounted('pool = "blog"'),
      "[[mount]] 2 is at the same place as [[mount]] 1, /; each place has one mount.",
    ],
    [
      "two mounts at one place of a host",
      mounted('host = ["a.b", "A.b"]\npath = "/x"\npool = "blog"'),
      "[[mount]] 2 is at the same place as [[mount]] 2, a.b/x/; each place has one mount.",
    ],
    [
      "a pool that nothing mounts",
      mounted('path = "/o"\nupstream = "old"'),
      '[pool.blog] is mounted nowhere; add a [[mount]] with pool = "blog".',
    ],
    [
      "an upstream that nothing mounts",
      mounted('path = "/b"\npool = "blog"'),
      '[upstream.old] is mounted nowhere; add a [[mount]] with upstream = "old".',
    ],
    ["no mount at all", TWO_POOLS, 'nothing is mounted; add a [[mount]] with pool = "shop".'],
    ["upstreams and no mount", UPSTREAM, 'nothing is mounted; add a [[mount]] with upstream = "old".'],
    [
      "a mount of nothing",
      mounted('path = "/a"'),
      "[[mount]] 2: names nothing that answers: pool, upstream or files (or a list of them, try).",
    ],
    [
      "a mount of two things",
      mounted('path = "/a"\npool = "blog"\nfiles = "public"'),
      "[[mount]] 2: pool and files cannot both answer; for one after the other write try = [{ … }, { … }].",
    ],
    [
      "try beside pool",
      mounted('path = "/a"\npool = "blog"\ntry = []'),
      "[[mount]] 2: pool stands beside try; write it into an entry of try.",
    ],
    [
      "index beside try",
      mounted('path = "/a"\nindex = []\ntry = []'),
      "[[mount]] 2: index stands beside try; write it into an entry of try.",
    ],
    [
      "an empty try",
      mounted('path = "/a"\ntry = []'),
      '[[mount]] 2: try must be a list such as [{ files = "public" }, { pool = "shop" }], not [].',
    ],
    [
      "something behind a pool in try",
      mounted('path = "/a"\ntry = [{ pool = "blog" }, { files = "public" }]'),
      "[[mount]] 2: try 1 answers every request, so that nothing can come after it; only files fall through.",
    ],
    ["text in try", mounted('path = "/a"\ntry = ["blog"]'), '[[mount]] 2: try 1: must be a table, not "blog".'],
    [
      "a misspelt key",
      mounted('paht = "/a"\npool = "blog"'),
      '[[mount]] 2: there is no key "paht"; did you mean "path"?',
    ],
    [
      "a misspelt key in try",
      mounted('try = [{ file = "public" }]'),
      '[[mount]] 2: try 1: there is no key "file"; did you mean "files"?',
    ],
    [
      "how files are served, without files",
      mounted('path = "/a"\npool = "blog"\nhidden = true'),
      "[[mount]] 2: hidden says how files are served, and there is no files.",
    ],
    [
      "redirects without an application",
      mounted('path = "/a"\nfiles = "public"\nsendfile = "public"'),
      "[[mount]] 2: accel-redirect and sendfile are for a pool or an upstream, whose responses name the files.",
    ],
    [
      "a host with a port",
      mounted('host = "a.b:80"\npool = "blog"'),
      '[[mount]] 2: host must be a host without a port, such as "example.com" or "*.example.com", not "a.b:80".',
    ],
    [
      "no host",
      mounted('host = []\npool = "blog"'),
      "[[mount]] 2: host must be at least one host; without the key it is every host.",
    ],
    [
      "a path that is none",
      mounted('path = "a"\npool = "blog"'),
      '[[mount]] 2: path must be a path prefix such as "/blog", beginning with a slash and not percent-encoded, not "a".',
    ],
    ["a number for a pool", mounted('path = "/a"\npool = 5'), "[[mount]] 2: pool must be a name, not 5."],
    [
      "a Cache-Control no field can hold",
      mounted('path = "/a"\nfiles = "public"\ncache-control = "a\\nb"'),
      '[[mount]] 2: cache-control must be a value for all files, or values by pattern, such as { "*.css" = "public, max-age=86400" }, not "a\\nb".',
    ],
    [
      "a folder for X-Accel-Redirect that does not exist",
      mounted('path = "/a"\npool = "blog"\naccel-redirect = { "/p" = "none" }'),
      '[[mount]] 2: accel-redirect must be existing directories by URL prefix, such as { "/protected/" = "/srv/protected" }, not {"/p":"none"}.',
    ],
    ["a list of something else", 'mount = ["/a"]\ntarget = "a:b"', '[[mount]] 1: must be a table, not "/a".'],
    [
      "a pool without a target",
      "[pool.shop]\nworkers = 2",
      '[pool.shop]: target is missing; it names the application, as in target = "package.module:callable".',
    ],
    [
      "a pool's value",
      '[pool.shop]\ntarget = "a:b"\nworkers = 0',
      '[pool.shop]: workers must be a whole number from 1 to 1024, or "auto", not 0.',
    ],
    [
      "a pool's target",
      '[pool.shop]\ntarget = "a b"',
      '[pool.shop]: target must be package.module:callable, path/to/file.py[:callable] or path/to/site.wsgi, not "a b".',
    ],
    [
      "a key that no pool has",
      '[pool.shop]\ntarget = "a:b"\nlisten = "8000"',
      '[pool.shop]: there is no key "listen"; the keys are listed in docs/configuration.md.',
    ],
    ["a pool that is no table", 'pool = "a:b"', 'pool, as in [pool.shop], must be a table, not "a:b".'],
    ["a pool among pools that is no table", 'pool.shop = "a:b"', '[pool.shop]: must be a table, not "a:b".'],
    [
      "a pool's name",
      '[pool."a b"]\ntarget = "a:b"',
      '[pool."a b"]: a name is made of letters, digits, "-" and "_", 40 at most.',
    ],
    [
      "a pool called as TARGET's",
      'target = "a:b"\n[pool.main]\ntarget = "a:b"',
      "[pool.main]: main is what the pool of TARGET is called; give this one another name.",
    ],
    [
      "an upstream without servers",
      "[upstream.old]\nkeep-alive = 1",
      '[upstream.old]: servers is missing; it lists who answers, as in servers = ["http://10.0.0.5:8000"].',
    ],
    [
      "an upstream's server",
      '[upstream.old]\nservers = ["a:1"]',
      '[upstream.old]: servers must be a server such as "http://10.0.0.5:8000", "uwsgi://unix:/run/site.sock" or { url = "fastcgi://10.0.0.5:9000", weight = 2, backup = true }, not "a:1".',
    ],
    [
      "an upstream's value",
      `${UPSTREAM}max-fails = -1`,
      "[upstream.old]: max-fails must be a whole number from 0 to 10000, not -1.",
    ],
    [
      "an upstream's key",
      `${UPSTREAM}max_fails = 1`,
      '[upstream.old]: there is no key "max_fails"; did you mean "max-fails"?',
    ],
    [
      "a place for no application",
      `mount = "/a"\n${TWO_POOLS}`,
      "mount says where TARGET is mounted, and there is none.",
    ],
    [
      "a folder of --static",
      'target = "a:b"\nstatic = "/s=none"',
      'static must be PREFIX=DIR, a URL prefix and an existing directory, such as /static=public, not "/s=none".',
    ],
  ];
  for (const [what, toml, sentence] of cases) {
    test(what, async () => {
      assert.equal((await refusal(toml)).replace("vivarium.toml: ", ""), sentence.replace("FILE", "vivarium.toml"));
    });
  }

  test("TARGET at a place that the file has given away", async () => {
    assert.equal(
      await refusal('[[mount]]\nfiles = "public"', { target: "a:b" }),
      "vivarium.toml: [[mount]] 1 is at the same place as TARGET, /; each place has one mount.",
    );
  });
});
