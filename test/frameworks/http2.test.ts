// HTTP/2 as its clients speak it, curl, nghttp, httpx and Chromium, with a FastAPI application: over TLS, and in clear text.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Chromium } from "../browser/chromium.js";
import { type CertificateFiles, makeCertificate } from "../support/certificates.js";
import { run } from "../support/processes.js";
import { asyncPython, curl, nghttp, removeFolder, root, temporaryFolder, unavailable } from "../support/tools.js";
import { startVivarium, type Vivarium } from "../support/vivarium.js";

const folders = join(root, "test", "frameworks");
const quiet = { PYTHONDONTWRITEBYTECODE: "1" };

describe("a FastAPI application over HTTP/2", { skip: unavailable("venv-async", "curl", "nghttp") }, () => {
  let folder = "";
  let certificate: CertificateFiles;
  let server: Vivarium;
  let secure = "";
  let clear = "";
  before(async () => {
    folder = temporaryFolder("http2");
    certificate = makeCertificate(folder, "local", { names: "DNS:localhost,IP:127.0.0.1" });
    const where = ["--listen", "https://127.0.0.1:0", "--listen", "http://127.0.0.1:0", "--http2", "all"];
    const how = ["--cert", certificate.cert, "--key", certificate.key, "--python", asyncPython(), "--workers", "2"];
    server = await startVivarium("site_app:app", {
      args: ["--chdir", join(folders, "fastapi_site"), ...where, ...how],
      env: { ...quiet, FASTAPI_SITE_FOLDER: folder },
    });
    const port = async (scheme: string): Promise<string> =>
      (await server.process.line(new RegExp(`${scheme}://127\\.0\\.0\\.1:(\\d+)`)))[1] ?? "";
    secure = `https://127.0.0.1:${await port("https")}`;
    clear = `http://127.0.0.1:${await port("http")}`;
  });
  after(async () => {
    await server.stop();
    removeFolder(folder);
  });

  async function noticed(name: string): Promise<string> {
    const path = join(folder, name);
    for (let i = 0; i < 1500 && !existsSync(path); i += 1) await delay(20);
    return readFileSync(path, "utf8");
  }

  test("curl asks over TLS and in clear text; the application is told the version", async () => {
    for (const [url, how] of [
      [secure, ["--http2", "--cacert", certificate.cert]],
      [clear, ["--http2-prior-knowledge"]],
    ] as const) {
      const { stdout, stderr } = await run(curl(), ["-sS", ...how, "-w", "\n%{http_version}", `${url}/seen/a%2Fb?x=y`]);
      const [text = "", version] = stdout.split("\n");
      assert.equal(version, "2", stderr);
      const seen = Object(JSON.parse(text));
      assert.deepEqual(
        [seen.http_version, seen.raw_path, seen.query, seen.base],
        ["2", "/seen/a%2Fb", "x=y", `${url}/`],
      );
    }
  });

  test("curl uploads and downloads what is larger than any window", async () => {
    const [sent, got] = [join(folder, "sent"), join(folder, "got")];
    const octets = randomBytes(5_000_000);
    writeFileSync(sent, octets);
    const how = ["-sS", "--http2", "--cacert", certificate.cert];
    const up = await run(curl(), [...how, "-F", `file=@${sent};filename=h2.bin`, `${secure}/upload`]);
    assert.equal(Object(JSON.parse(up.stdout)).size, octets.length, up.stderr);
    const down = await run(curl(), [...how, "-o", got, "-w", "%{http_version}", `${secure}/files/h2.bin`]);
    assert.equal(down.stdout, "2");
    assert.ok(readFileSync(got).equals(octets));
  });

  test("nghttp asks many times at once on one connection", async () => {
    const urls = Array.from({ length: 50 }, (_, number) => `${secure}/large/${number * 1000}`);
    const { code, stdout, stderr } = await run(nghttp(), ["--null-out", "--stat", "--no-verify-peer", ...urls]);
    assert.equal(code, 0, stderr);
    assert.equal([...stdout.matchAll(/ 200 +\S+ +\/large\/\d+/g)].length, 50, stdout);
  });

  test("httpx does over HTTP/2 all that it does over HTTP/1.1", async () => {
    const args = [join(folders, "clients", "httpx_client.py"), secure, certificate.cert];
    const { stdout, stderr } = await run(asyncPython(), args, { env: quiet });
    assert.notEqual(stdout, "", stderr);
    const { version, streamed, uploaded, large, trouble, statuses, processes } = Object(JSON.parse(stdout));
    assert.deepEqual([version, statuses, processes], [["HTTP/2", "2"], [200], 2]);
    assert.deepEqual([streamed, uploaded, large], [[1_500_000, true], [200_000, "naïve"], 3_000_000]);
    assert.deepEqual(trouble, [418, { trouble: "handled" }]);
  });

  test("Chromium speaks it, hears server-sent events over it, and leaves", {
    skip: unavailable("chromium"),
  }, async () => {
    const browser = new Chromium(["--ignore-certificate-errors"]);
    try {
      const tab = await browser.tab();
      await tab.open(`${secure}/who`);
      assert.equal(await tab.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol"), "h2");
      const heard = await tab.evaluate(`new Promise((resolve) => {
        const events = new EventSource("/events/chromium");
        const found = [];
        events.onmessage = ({ data, lastEventId }) => {
          found.push([JSON.parse(data).number, lastEventId]);
          if (found.length < 3) return;
          events.close();
          resolve(found);
        };
      })`);
      assert.deepEqual(heard, [
        [0, "0"],
        [1, "1"],
        [2, "2"],
      ]);
      assert.equal(await noticed("left-chromium"), "events");
    } finally {
      await browser.close();
    }
  });
});
