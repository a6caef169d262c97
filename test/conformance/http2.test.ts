// h2spec's cases, all of them, against the whole server and against Node's own: ours passes what Node's passes, and more.
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { createSecureServer, createServer, type Http2Server } from "node:http2";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { statusAt, until } from "../faults/server.js";
import { makeCertificate } from "../support/certificates.js";
import { run } from "../support/processes.js";
import { h2spec, removeFolder, root, temporaryFolder, unavailable } from "../support/tools.js";
import { startVivarium, type Vivarium } from "../support/vivarium.js";

const casesOfAll = 146;
/** Seconds. What a busy machine did not get done in the first, is asked once more with the second. */
const patience = 2;
const morePatience = 10;

const forgotten = "nghttp2 forgets streams that are closed, and drops what comes on them: RFC 9113 §5.1 allows that";
/** What both fail: h2spec holds servers to RFC 7540, and to more. */
const failedByBoth: ReadonlyMap<string, string> = new Map([
  ["http2/5.1/8", forgotten],
  ["http2/5.1/9", forgotten],
  ["http2/5.1/11", forgotten],
  ["http2/5.1/12", forgotten],
  ["http2/5.1.1/2", `a stream that was not opened before a later one is closed (§5.1.1), and ${forgotten}`],
  [
    "http2/6.7/2",
    "Node closes a connection on which comes an answer to a PING that it did not send: nobody honest sends one",
  ],
]);

interface Door {
  readonly port: number;
  readonly secure: boolean;
}

interface Outcome {
  /** By which h2spec runs it: section and number. */
  readonly id: string;
  /** What was expected and what came; "" where nothing is wrong. */
  readonly failure: string;
}

let folder = "";
let reports = 0;

async function ask(door: Door, seconds: number, ...chosen: readonly string[]): Promise<readonly Outcome[]> {
  reports += 1;
  const path = join(folder, `report-${reports}.xml`);
  const how = ["--strict", "--timeout", String(seconds), "--junit-report", path, "--port", String(door.port)];
  const { stdout, stderr } = await run(h2spec(), [...chosen, ...how, ...(door.secure ? ["--tls", "--insecure"] : [])]);
  assert.ok(existsSync(path), `h2spec reports nothing: ${stdout}${stderr}`);
  let section = "";
  let number = 0;
  const cases = readFileSync(path, "latin1").matchAll(
    /<testcase package="(.*?)" classname="(.*?)"[^>]*>([\s\S]*?)<\/testcase>/g,
  );
  return [...cases].map(([, of = "", title = "", told = ""]) => {
    number = of === section ? number + 1 : 1;
    section = of;
    return { id: `${of}/${number}`, failure: told.includes("<error>") ? `${title}: ${told.trim()}` : "" };
  });
}

/** The cases that fail, by what they are run by. */
async function failuresOf(door: Door): Promise<Map<string, string>> {
  const outcomes = await ask(door, patience);
  assert.equal(outcomes.length, casesOfAll);
  return new Map(outcomes.filter(({ failure }) => failure !== "").map(({ id, failure }) => [id, failure]));
}

/** Those of Vivarium's: what nobody expects is asked again, as a busy machine may be what is late. */
async function failuresOfOurs(door: Door): Promise<Map<string, string>> {
  const failures = await failuresOf(door);
  for (const id of [...failures.keys()].filter((each) => !failedByBoth.has(each))) {
    const again = await ask(door, morePatience, id);
    if (again.every(({ failure }) => failure === "")) failures.delete(id);
  }
  return failures;
}

describe("h2spec", { skip: unavailable("h2spec") }, () => {
  const servers: Vivarium[] = [];
  const bare: Http2Server[] = [];
  const doors: Record<string, Door> = {};

  async function serve(target: string, ...args: readonly string[]): Promise<void> {
    const both = ["--listen", "http://127.0.0.1:0", "--listen", "https://127.0.0.1:0", "--http2", "all"];
    const server = await startVivarium(join(root, "test/conformance/http2", target), {
      args: [...both, ...args, "--workers", "1", "--access-log", "off"],
      env: { PYTHONDONTWRITEBYTECODE: "1" },
    });
    servers.push(server);
    for (const scheme of ["http", "https"]) {
      const [, port] = await server.process.line(new RegExp(`${scheme}://127.0.0.1:(\\d+)`));
      doors[`${target.slice(target.indexOf(":") + 1)}, ${scheme}`] = { port: Number(port), secure: scheme === "https" };
    }
  }

  async function serveBare(server: Http2Server, scheme: string): Promise<void> {
    bare.push(server);
    server.on("sessionError", () => {});
    server.on("request", (_request, response) => {
      response.on("error", () => {});
      setTimeout(() => response.end("A page of some octets.\n"), 10);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    doors[`node, ${scheme}`] = { port, secure: scheme === "https" };
  }

  const failures: Record<string, ReadonlyMap<string, string>> = {};
  before(async () => {
    folder = temporaryFolder("h2spec");
    const { cert, key } = makeCertificate(folder, "localhost", { names: "DNS:localhost,IP:127.0.0.1" });
    await serve("apps.py:wsgi", "--cert", cert, "--key", key);
    await serve("apps.py:asgi", "--cert", cert, "--key", key);
    await serveBare(createServer(), "http");
    await serveBare(createSecureServer({ cert: readFileSync(cert), key: readFileSync(key) }), "https");
    const all = Object.entries(doors).map(async ([name, door]) => {
      failures[name] = await (name.startsWith("node") ? failuresOf : failuresOfOurs)(door);
    });
    await Promise.all(all);
  });
  after(async () => {
    for (const server of bare) server.close();
    for (const server of servers) await server.stop();
    removeFolder(folder);
  });

  test("no connection is left behind, however its client broke the rules", async () => {
    for (const { control } of servers) {
      await until(async () => (await statusAt(control)).fronts[0]?.connections === 0, "all are closed");
    }
  });

  for (const scheme of ["http", "https"]) {
    for (const kind of ["wsgi", "asgi"]) {
      test(`${kind}, ${scheme}: fails nothing but what nghttp2 and Node do otherwise`, () => {
        const unexpected = [...(failures[`${kind}, ${scheme}`] ?? [])].filter(([id]) => !failedByBoth.has(id));
        assert.deepEqual(unexpected, []);
      });

      test(`${kind}, ${scheme}: no case is worse than Node's own server`, () => {
        const ours = [...(failures[`${kind}, ${scheme}`] ?? [])];
        assert.deepEqual(
          ours.filter(([id]) => failures[`node, ${scheme}`]?.has(id) !== true),
          [],
        );
      });
    }
  }
});
