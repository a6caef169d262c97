// One server that serves files, two applications of its own, and one elsewhere.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { statusAt } from "../faults/server.js";
import { removeFolder, root, temporaryFolder } from "../support/tools.js";
import { startVivarium, type Vivarium } from "../support/vivarium.js";

const application = (name: string): string => `def app(environ, start_response):
    if environ["PATH_INFO"] == "/secret":
        start_response("200 OK", [("X-Accel-Redirect", "/protected/secret.txt"), ("Set-Cookie", "a=1")])
        return [b"not this"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [("${name} %s|%s" % (environ["SCRIPT_NAME"], environ["PATH_INFO"])).encode()]
`;

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly header: (name: string) => string | undefined;
}

let folder = "";
let server: Vivarium;
let elsewhere: Server;
before(async () => {
  folder = temporaryFolder("mounts");
  for (const name of ["shop", "blog", "public", "public/folder", "protected"]) mkdirSync(join(folder, name));
  for (const name of ["shop", "blog"]) writeFileSync(join(folder, name, `${name}.py`), application(name));
  writeFileSync(join(folder, "public/site.css"), "a {}\n");
  writeFileSync(join(folder, "public/folder/index.html"), "<p>index\n");
  writeFileSync(join(folder, "protected/secret.txt"), "the secret\n");
  elsewhere = createServer((incoming, response) => {
    response.end(`elsewhere ${incoming.method} ${incoming.url} for ${incoming.headers["x-forwarded-for"]}`);
  });
  await new Promise<void>((resolve) => elsewhere.listen(0, "127.0.0.1", resolve));
  const { port } = elsewhere.address() as AddressInfo;
  writeFileSync(
    join(folder, "vivarium.toml"),
    `access-log = "off"
workers = 1
[pool.shop]
target = "shop:app"
chdir = "shop"
[pool.blog]
target = "blog.py"
chdir = "blog"
[upstream.old]
servers = "http://127.0.0.1:${port}"
[[mount]]
try = [{ files = "public", cache-control = "max-age=7" }, { pool = "shop" }]
[[mount]]
path = "/assets"
files = "public"
[[mount]]
path = "/old"
upstream = "old"
[[mount]]
host = ["blog.test", "*.blog.test"]
pool = "blog"
accel-redirect = { "/protected/" = "protected" }
[[mount]]
host = "only.test"
path = "/here"
files = "public"
`,
  );
  server = await startVivarium(undefined, { cwd: folder });
});
after(async () => {
  await server.stop();
  await new Promise((resolve) => elsewhere.close(resolve));
  removeFolder(folder);
});

function get(path: string, host = "shop.test", method = "GET", port = server.port): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ port, path, method, headers: { host }, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      const header = (name: string): string | undefined => response.headers[name]?.toString();
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text, header }));
    });
    sent.on("error", reject).end();
  });
}

describe("files, two applications and a server elsewhere in one server", () => {
  test("a file where there is one, and the application otherwise", async () => {
    const css = await get("/site.css");
    assert.deepEqual([css.status, css.text, css.header("cache-control")], [200, "a {}\n", "max-age=7"]);
    assert.match(css.header("content-type") ?? "", /^text\/css/u);
    assert.equal((await get("/page")).text, "shop |/page");
    assert.equal((await get("/folder/")).text, "<p>index\n");
    assert.equal((await get("/")).text, "shop |/");
    assert.equal((await get("/page", "shop.test", "POST")).text, "shop |/page");
  });

  test("files alone answer 404 for what is not there", async () => {
    assert.equal((await get("/assets/site.css")).text, "a {}\n");
    assert.equal((await get("/assets/none.css")).status, 404);
    assert.equal((await get("/assets/%2e%2e/vivarium.toml")).status, 404);
  });

  test("what is elsewhere gets the path whole, and the client's address", async () => {
    assert.equal((await get("/old/a?b=c")).text, "elsewhere GET /old/a?b=c for 127.0.0.1");
    assert.equal((await get("/older")).text, "shop |/older");
  });

  test("a host has its own application, and so have those below it", async () => {
    assert.equal((await get("/page", "blog.test")).text, "blog |/page");
    assert.equal((await get("/site.css", "a.Blog.test:80")).text, "blog |/site.css");
    assert.equal((await get("/page", "notblog.test")).text, "shop |/page");
  });

  test("a host without the path is answered as every host is", async () => {
    assert.equal((await get("/here/site.css", "only.test")).text, "a {}\n");
    assert.equal((await get("/there", "only.test")).text, "shop |/there");
  });

  test("an application names a file that goes out in its place; another's field is its own affair", async () => {
    const secret = await get("/secret", "blog.test");
    assert.deepEqual([secret.status, secret.text, secret.header("set-cookie")], [200, "the secret\n", "a=1"]);
    assert.equal(secret.header("x-accel-redirect"), undefined);
    const plain = await get("/secret");
    assert.deepEqual([plain.text, plain.header("x-accel-redirect")], ["not this", "/protected/secret.txt"]);
  });

  test("the status tells mounts and the servers elsewhere", async () => {
    const { mounts, upstreams } = await statusAt(server.control);
    assert.deepEqual(
      mounts.map(({ host, path, tries }) => [host, path, ...tries]),
      [
        ["", "", `files ${join(folder, "public")}`, "pool shop"],
        ["", "/assets", `files ${join(folder, "public")}`],
        ["", "/old", "upstream old"],
        ["blog.test", "", "pool blog"],
        ["*.blog.test", "", "pool blog"],
        ["only.test", "/here", `files ${join(folder, "public")}`],
      ],
    );
    const [group] = upstreams;
    assert.deepEqual([group?.name, group?.servers.length, group?.servers[0]?.state], ["old", 1, "up"]);
    assert.ok((group?.requests ?? 0) >= 1);
  });
});

test("a request outside all mounts is answered 404", async () => {
  writeFileSync(join(folder, "narrow.toml"), '[[mount]]\nhost = "a.test"\npath = "/a"\nfiles = "public"\n');
  const narrow = await startVivarium(undefined, { cwd: folder, args: ["--config", "narrow.toml"] });
  try {
    const ask = async (path: string, host: string): Promise<number> =>
      (await get(path, host, "GET", narrow.port)).status;
    assert.equal(await ask("/a/site.css", "a.test"), 200);
    assert.equal(await ask("/a/site.css", "b.test"), 404);
    assert.equal(await ask("/b", "a.test"), 404);
  } finally {
    await narrow.stop();
  }
});

test("examples/several serves what its page says", async () => {
  const several = await startVivarium(undefined, { cwd: join(root, "examples/several") });
  try {
    const ask = (path: string, host = "127.0.0.1"): Promise<Answer> => get(path, host, "GET", several.port);
    assert.equal((await ask("/")).text, "The shop, at /\n");
    assert.equal((await ask("/site.css")).header("cache-control"), "public, max-age=86400");
    assert.match((await ask("/media/")).text, /A file of the folder public\/shop/u);
    assert.equal((await ask("/", "blog.localhost")).text, "The blog of blog.localhost\n");
    assert.equal((await ask("/orders")).status, 502);
  } finally {
    await several.stop();
  }
});
