import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer, get, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { frontOf, statusAt, until } from "../faults/server.js";
import { alive, type Finished } from "../support/processes.js";
import { removeFolder, temporaryFolder } from "../support/tools.js";
import { startGateway, type Vivarium, vivarium } from "../support/vivarium.js";

let folder = "";
before(() => {
  folder = temporaryFolder("gateway");
  mkdirSync(join(folder, "public"));
  writeFileSync(join(folder, "public/a.txt"), "a file\n");
});
after(() => removeFolder(folder));

/** A server elsewhere, which says its name. */
async function elsewhere(name: string): Promise<Server> {
  const server = createServer((request, response) => response.end(`${name} ${request.url}`));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

function urlOf(server: Server): string {
  const { port } = server.address() as AddressInfo;
  return `http://127.0.0.1:${port}`;
}

/** Over a connection of its own, as one kept alive dies with its front. */
function textAt(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get(url, { agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => resolve(text));
    }).on("error", reject);
  });
}

describe("vivarium gateway", () => {
  let one: Server;
  let two: Server;
  let gateway: Vivarium;
  const text = (path: string): Promise<string> => textAt(`${gateway.url}${path}`);
  const drain = (...args: readonly string[]): Promise<Finished> =>
    vivarium(["drain", "--control", gateway.control, ...args], { cwd: folder });

  beforeEach(async () => {
    [one, two] = [await elsewhere("one"), await elsewhere("two")];
    const servers = [
      "--upstream",
      urlOf(one),
      "--upstream",
      `${urlOf(two)} weight=2`,
      "--upstream-balance",
      "round-robin",
    ];
    const args = ["--fronts=1", ...servers, "--static", "/=public", "--access-log", "off"];
    gateway = await startGateway({ cwd: folder, args, env: { PATH: "" } });
  });
  afterEach(async () => {
    assert.deepEqual(await gateway.stop(), { code: 0, signal: null });
    for (const server of [one, two]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });

  test("passes requests on to its servers, by their weight, and serves files, without Python", async () => {
    assert.equal(await text("/a.txt"), "a file\n");
    const names: string[] = [];
    for (let n = 0; n < 6; n += 1) names.push(await text("/x?y=z"));
    const count = (name: string): number => names.filter((each) => each === `${name} /x?y=z`).length;
    assert.deepEqual([count("one"), count("two")], [2, 4]);
    const { name, pools, workers, upstreams } = await statusAt(gateway.control);
    assert.deepEqual([name, pools, workers], ["gateway", [], []]);
    const [group] = upstreams;
    assert.deepEqual([group?.name, group?.balance, group?.requests], ["main", "round-robin", 6]);
    assert.deepEqual(
      group?.servers.map(({ url, weight, requests, state }) => [url, weight, requests, state]),
      [
        [urlOf(one), 1, 2, "up"],
        [urlOf(two), 2, 4, "up"],
      ],
    );
  });

  test("says on its screen where requests go", () => {
    assert.match(gateway.output, /^ {2}mounts {7}\/ {2}files .*\/public, else upstream main$/mu);
    const servers = `${urlOf(one)}, ${urlOf(two)} \\(weight 2\\)`;
    assert.match(gateway.output, new RegExp(`^ {2}upstreams {4}main {2}${servers}$`, "mu"));
    assert.doesNotMatch(gateway.output, /Python|workers/u);
  });

  test("vivarium status shows its servers", async () => {
    await text("/x");
    const { stdout } = await vivarium(["status", "--control", gateway.control]);
    assert.match(stdout, /^gateway\naddress /u);
    assert.match(stdout, /^mount {2}answered by\n\/ {6}files .*\/public, else upstream main$/mu);
    const server = `^main {6}${urlOf(one)} {2}up +0 +\\d+ +0 `;
    assert.match(stdout, new RegExp(server, "mu"));
    assert.doesNotMatch(stdout, /worker/u);
  });

  test("a drained server gets nothing, whatever becomes of the front, until that is undone", async () => {
    const { code, stdout } = await drain(`${urlOf(two)}/`);
    assert.deepEqual([code, stdout], [0, `${urlOf(two)} gets no more requests of main.\n`]);
    const asked = async (): Promise<ReadonlySet<string>> => {
      const names = new Set<string>();
      for (let n = 0; n < 6; n += 1) names.add(await text("/"));
      return names;
    };
    assert.deepEqual(await asked(), new Set(["one /"]));
    const { pid } = frontOf(await statusAt(gateway.control));
    process.kill(pid, "SIGKILL");
    await until(() => !alive(pid), "the front is gone");
    assert.deepEqual(await asked(), new Set(["one /"]));
    const states = async (): Promise<unknown> =>
      (await statusAt(gateway.control)).upstreams[0]?.servers.map(({ state }) => state);
    assert.deepEqual(await states(), ["up", "draining"]);
    const undone = await drain(urlOf(two), "--undo");
    assert.deepEqual([undone.code, undone.stdout], [0, `${urlOf(two)} gets requests of main again.\n`]);
    assert.deepEqual(await states(), ["up", "up"]);
    assert.deepEqual(await asked(), new Set(["one /", "two /"]));
  });

  test("a stop lets the requests that servers have finish", async () => {
    let answer = (): void => {};
    const slow = createServer((_, response) => {
      response.write("first ");
      answer = () => response.end("last");
    });
    await new Promise<void>((resolve) => slow.listen(0, "127.0.0.1", resolve));
    const front = await startGateway({ cwd: folder, args: ["--upstream", urlOf(slow), "--access-log", "off"] });
    try {
      let received = "";
      const whole = new Promise<void>((resolve, reject) => {
        get(`${front.url}/`, { agent: false }, (response) => {
          response.setEncoding("utf8").on("data", (chunk: string) => {
            received += chunk;
          });
          response.on("end", resolve);
        }).on("error", reject);
      });
      await until(() => received === "first ", "the response has begun");
      front.process.kill("SIGTERM");
      await front.process.line(/Stopping: running requests finish first/u);
      answer();
      await whole;
      assert.equal(received, "first last");
      assert.deepEqual(await front.process.exited, { code: 0, signal: null });
    } finally {
      await front.stop();
      slow.closeAllConnections();
      await new Promise((resolve) => slow.close(resolve));
    }
  });

  test("a server is drained by its address, too; one that is not there is an error that names those that are", async () => {
    const address = urlOf(one).replace("http://", "");
    assert.equal((await drain(address)).code, 0);
    assert.equal(await text("/"), "two /");
    const { code, stderr } = await drain("http://127.0.0.1:1");
    assert.equal(code, 1);
    const sentence = `No upstream group has a server http://127.0.0.1:1; there is ${urlOf(one)}, ${urlOf(two)}.`;
    assert.equal(stderr, `vivarium: ${sentence}\n`);
  });
});

describe("vivarium gateway, wrongly used", () => {
  const refused = async (...args: readonly string[]): Promise<string> => {
    const { code, stderr } = await vivarium(["gateway", ...args], { cwd: folder });
    assert.equal(code, 2, stderr);
    return stderr;
  };

  test("without a server is one sentence that says how to name one", async () => {
    assert.match(await refused(), /^vivarium: There is nobody to pass requests to: [^\n]+--upstream http[^\n]+\n$/u);
  });

  test("an option of applications is not known", async () => {
    assert.match(await refused("--upstream", "http://a:1", "--workers", "2"), /^vivarium: Unknown option '--workers'/u);
  });

  test("help shows the flags of upstream groups, and what applications have not", async () => {
    const { stdout } = await vivarium(["gateway", "--help"]);
    for (const flag of [
      "--upstream <URL>",
      "--upstream-balance <HOW>",
      "--upstream-forwarded ",
      "--static <PREFIX=DIR>",
    ]) {
      assert.ok(stdout.includes(flag), flag);
    }
    assert.doesNotMatch(stdout, /--workers|--python|TARGET\]/u);
  });
});
