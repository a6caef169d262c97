// A Flask application through the whole server and real HTTP clients.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { run } from "../support/processes.js";
import { curl, frameworksPython, removeFolder, root, temporaryFolder, unavailable } from "../support/tools.js";
import { startVivarium, type Vivarium } from "../support/vivarium.js";
import { processesThatAnswer, readLines, Visitor } from "./visitor.js";

const modes = [
  ["in workers", []],
  ["embedded", ["--embedded"]],
] as const;

const sha256 = (octets: Uint8Array): string => createHash("sha256").update(octets).digest("hex");

for (const [name, mode] of modes)
  describe(`a Flask application, ${name}`, { skip: unavailable("venv-frameworks", "curl") }, () => {
    let folder = "";
    let server: Vivarium;
    before(async () => {
      folder = temporaryFolder("flask");
      server = await startVivarium("site_app:app", {
        args: [
          "--chdir",
          join(root, "test", "frameworks", "flask_site"),
          "--python",
          frameworksPython(),
          "--workers",
          "2",
          ...mode,
        ],
        env: {
          FLASK_SITE_FOLDER: folder,
          FLASK_SITE_SECRET: randomBytes(16).toString("hex"),
          PYTHONDONTWRITEBYTECODE: "1",
        },
      });
    });
    after(async () => {
      await server.stop();
      removeFolder(folder);
    });

    test("a login lasts over requests, over processes, until logout", async () => {
      const visitor = new Visitor(server.url);
      assert.match((await visitor.get("/")).text, /Visit 1<.*Log in/s);
      const refused = await visitor.post("/login", { name: "ada", password: "difference" });
      assert.equal(refused.status, 401);
      assert.match(refused.text, /do not match/);
      const welcomed = await visitor.submit("/login", { name: "ada", password: "analytical" });
      assert.match(welcomed.text, /Welcome, ada\..*Visit 2 of ada/s);
      for (let visit = 3; visit < 13; visit += 1) {
        const page = await visitor.get("/");
        assert.match(page.text, new RegExp(`Visit ${visit} of ada`));
        assert.doesNotMatch(page.text, /Welcome/);
      }
      assert.match((await visitor.submit("/logout", {})).text, /Visit 1</);
    });

    test("a note posted is flashed, listed and escaped; without a login it is refused", async () => {
      const visitor = new Visitor(server.url);
      assert.equal((await visitor.post("/notes", { text: "anonymous" })).status, 403);
      await visitor.submit("/login", { name: "ada", password: "analytical" });
      const page = await visitor.submit("/notes", { text: "Ünïcode & <i>markup</i> ✓" });
      assert.match(page.text, /Noted\..*ada: Ünïcode &amp; &lt;i&gt;markup&lt;\/i&gt; ✓/s);
      assert.doesNotMatch(page.text, /anonymous/);
    });

    test("a redirect to an absolute URL names the address the client used", async () => {
      const answer = await new Visitor(server.url).get("/old-address");
      assert.deepEqual([answer.status, answer.headers.get("Location")], [301, `${server.url}/`]);
    });

    test("the JSON API creates, lists and refuses", async () => {
      const visitor = new Visitor(server.url);
      const json = (body: string): RequestInit => ({
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body,
      });
      const created = await visitor.fetch("/api/notes", json('{"text": "by the API"}'));
      assert.equal(created.status, 201);
      const { id }: { id?: unknown } = Object(await created.json());
      const listed = await visitor.json("/api/notes");
      assert.ok(Array.isArray(listed["notes"]));
      assert.deepEqual(
        listed["notes"].filter((note) => Object(note).id === id),
        [{ id, author: "api", text: "by the API" }],
      );
      assert.equal((await visitor.fetch("/api/notes", json("{}"))).status, 400);
      assert.equal((await visitor.fetch("/api/notes", json("{not JSON"))).status, 400);
    });

    test("an upload of 10 MiB by fetch comes back as it was sent", async () => {
      const octets = randomBytes(10 * 1024 * 1024);
      const form = new FormData();
      form.set("comment", "naïve");
      form.set("file", new Blob([octets]), "ten.bin");
      const answer = await new Visitor(server.url).post("/upload", form);
      const expected = { name: "ten.bin", size: octets.length, sha256: sha256(octets), comment: "naïve" };
      assert.deepEqual(JSON.parse(answer.text), expected);
      const back = await new Visitor(server.url).fetch("/files/ten.bin");
      assert.match(back.headers.get("Content-Disposition") ?? "", /^attachment; filename=ten\.bin/);
      assert.equal(sha256(Buffer.from(await back.arrayBuffer())), sha256(octets));
    });

    test("curl uploads with a length and chunked, and downloads in ranges", async () => {
      const octets = randomBytes(3_000_000);
      const [sent, got] = [join(folder, "sent"), join(folder, "got")];
      writeFileSync(sent, octets);
      for (const framing of [[], ["-H", "Transfer-Encoding: chunked"]]) {
        const { stdout } = await run(curl(), [
          "-sS",
          ...framing,
          "-F",
          `file=@${sent};filename=by-curl`,
          `${server.url}/upload`,
        ]);
        assert.equal(Object(JSON.parse(stdout)).sha256, sha256(octets), stdout);
      }
      const url = `${server.url}/files/by-curl`;
      for (const [range, start, end] of [
        ["0-99", 0, 100],
        ["1000000-1999999", 1_000_000, 2_000_000],
        ["-500", 2_999_500, 3_000_000],
        ["2999990-", 2_999_990, 3_000_000],
      ] as const) {
        const { stdout } = await run(curl(), ["-sS", "-r", range, "-o", got, "-w", "%{http_code}", url]);
        assert.equal(stdout, "206");
        assert.ok(readFileSync(got).equals(octets.subarray(start, end)), range);
      }
      // A download that stopped is resumed from where it stopped.
      writeFileSync(got, octets.subarray(0, 1_234_567));
      await run(curl(), ["-sS", "-C", "-", "-o", got, url]);
      assert.ok(readFileSync(got).equals(octets));
    });

    test("a range beyond the end is refused, an unchanged file not sent again", async () => {
      const form = new FormData();
      form.set("file", new Blob(["0123456789"]), "digits");
      await new Visitor(server.url).post("/upload", form);
      const visitor = new Visitor(server.url);
      const beyond = await visitor.fetch("/files/digits", { headers: { Range: "bytes=100-" } });
      assert.deepEqual([beyond.status, beyond.headers.get("Content-Range")], [416, "bytes */10"]);
      const first = await visitor.get("/files/digits");
      const etag = first.headers.get("ETag") ?? "";
      assert.notEqual(etag, "");
      const again = await visitor.fetch("/files/digits", { headers: { "If-None-Match": etag } });
      assert.deepEqual([again.status, await again.text()], [304, ""]);
      const head = await visitor.fetch("/files/digits", { method: "HEAD" });
      assert.deepEqual([head.status, head.headers.get("Content-Length"), await head.text()], [200, "10", ""]);
    });

    test("a body over the application's limit is refused by it", async () => {
      const { stdout } = await run(
        curl(),
        [
          "-sS",
          "-o",
          join(folder, "out"),
          "-w",
          "%{http_code}",
          "-H",
          "Expect:",
          "--data-binary",
          "@-",
          `${server.url}/upload`,
        ],
        { input: Buffer.alloc(65 * 1024 * 1024) },
      );
      assert.match(stdout, /^4\d\d$/);
      assert.match((await new Visitor(server.url).get("/")).text, /Notes/);
    });

    test("a stream arrives line by line, each before the next is made", async () => {
      const response = await new Visitor(server.url).fetch("/stream/fetch?word=line");
      const lines = await readLines(response, (_, number) =>
        writeFileSync(join(folder, `gate-fetch-${number + 1}`), ""),
      );
      assert.deepEqual(lines, ["line 0", "line 1", "line 2", "line 3", "line 4"]);
    });

    test("an unknown page and an exception get the application's own error pages", async () => {
      const visitor = new Visitor(server.url);
      const missing = await visitor.get("/nowhere");
      assert.equal(missing.status, 404);
      assert.match(missing.text, /<h1>Not found<\/h1>/);
      const broken = await visitor.get("/broken");
      assert.equal(broken.status, 500);
      assert.match(broken.text, /<h1>Something broke<\/h1>/);
      await server.process.line(/RuntimeError: broken on purpose/);
      assert.match((await visitor.get("/")).text, /<h1>Notes<\/h1>/);
    });

    test("an exception in the midst of a stream reaches the client as a broken transfer", async () => {
      const response = await new Visitor(server.url).fetch("/broken-stream");
      assert.equal(response.status, 200);
      await assert.rejects(response.text());
      await server.process.line(/RuntimeError: broken in the midst/);
      assert.match((await new Visitor(server.url).get("/")).text, /<h1>Notes<\/h1>/);
    });

    test("several processes answer, and visitors at once each see their own session", async () => {
      assert.equal((await processesThatAnswer(server.url, "/who", 40)).size, 2);
      const visitors = Array.from({ length: 12 }, () => new Visitor(server.url));
      await Promise.all(
        visitors.map(async (visitor, index) => {
          for (let visit = 1; visit <= 5 + index; visit += 1) {
            assert.match((await visitor.get("/")).text, new RegExp(`Visit ${visit}<`));
          }
        }),
      );
    });
  });
