// A Django site through the whole server and real HTTP clients.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { run } from "../support/processes.js";
import { curl, frameworksPython, removeFolder, root, temporaryFolder, unavailable } from "../support/tools.js";
import { startVivarium, type Vivarium } from "../support/vivarium.js";
import { hiddenField, type Page, processesThatAnswer, readLines, Visitor } from "./visitor.js";

const site = join(root, "test", "frameworks", "django_site");
const password = "correct horse battery";

const modes = [
  ["in workers", []],
  ["embedded", ["--embedded"]],
] as const;

for (const [name, mode] of modes)
  describe(`a Django site, ${name}`, { skip: unavailable("venv-frameworks", "curl") }, () => {
    let folder = "";
    let server: Vivarium;
    before(async () => {
      folder = temporaryFolder("django");
      const env = {
        DJANGO_SITE_FOLDER: folder,
        DJANGO_SITE_SECRET: randomBytes(32).toString("hex"),
        DJANGO_SUPERUSER_PASSWORD: password,
        PYTHONDONTWRITEBYTECODE: "1",
      };
      for (const args of [
        ["migrate", "--verbosity", "0"],
        ["createsuperuser", "--noinput", "--username", "root", "--email", "root@example.com"],
      ]) {
        const { code, stderr } = await run(frameworksPython(), ["manage.py", ...args], { cwd: site, env });
        assert.equal(code, 0, stderr);
      }
      server = await startVivarium("configuration.wsgi:application", {
        args: ["--chdir", site, "--python", frameworksPython(), "--workers", "2", ...mode],
        env,
      });
    });
    after(async () => {
      await server.stop();
      removeFolder(folder);
    });

    const token = (page: Page): string => hiddenField(page, "csrfmiddlewaretoken");

    async function upload(visitor: Visitor, octets: Uint8Array): Promise<Record<string, unknown>> {
      const form = new FormData();
      form.set("csrfmiddlewaretoken", token(await visitor.get("/")));
      form.set("file", new Blob([octets]), "upload.bin");
      return visitor.json("/upload", { method: "POST", body: form });
    }

    async function adminVisitor(): Promise<Visitor> {
      const visitor = new Visitor(server.url);
      const path = "/admin/login/?next=/admin/";
      const fields = { csrfmiddlewaretoken: token(await visitor.get(path)), username: "root", password };
      assert.match((await visitor.submit(path, fields)).text, /Site administration/);
      return visitor;
    }

    test("a session lasts over requests and processes", async () => {
      const visitor = new Visitor(server.url);
      for (let visit = 1; visit <= 10; visit += 1) {
        assert.match((await visitor.get("/")).text, new RegExp(`Visit ${visit}<`));
      }
    });

    test("a form is accepted with its CSRF token and refused without", async () => {
      const visitor = new Visitor(server.url);
      const page = await visitor.get("/");
      const note = { title: "Tëst & <b>", text: "several\r\nlines" };
      assert.equal((await visitor.post("/add", note)).status, 403);
      assert.equal((await visitor.post("/add", { ...note, csrfmiddlewaretoken: "x".repeat(64) })).status, 403);
      const accepted = await visitor.submit("/add", { ...note, csrfmiddlewaretoken: token(page) });
      assert.match(accepted.text, /Noted: Tëst &amp; &lt;b&gt;/);
      assert.match(accepted.text, /<dt>Tëst &amp; &lt;b&gt;<\/dt><dd>several\r?\nlines<\/dd>/);
    });

    test("a form with an error comes back with it", async () => {
      const visitor = new Visitor(server.url);
      const page = await visitor.get("/");
      const answer = await visitor.post("/add", { title: "", text: "kept", csrfmiddlewaretoken: token(page) });
      assert.equal(answer.status, 422);
      assert.match(answer.text, /This field is required\.[\s\S]*kept<\/textarea>/);
    });

    for (const [size, kept] of [
      [5_000, "InMemoryUploadedFile"],
      [10 * 1024 * 1024, "TemporaryUploadedFile"],
    ] as const) {
      test(`an upload of ${size} octets arrives whole as ${kept}`, async () => {
        const octets = randomBytes(size);
        const sha256 = createHash("sha256").update(octets).digest("hex");
        assert.deepEqual(await upload(new Visitor(server.url), octets), { name: "upload.bin", size, sha256, kept });
      });
    }

    test("a stream arrives line by line, each before the next is made", async () => {
      const response = await new Visitor(server.url).fetch("/stream/fetch");
      const lines = await readLines(response, (_, number) =>
        writeFileSync(join(folder, `gate-fetch-${number + 1}`), ""),
      );
      assert.deepEqual(lines, ["line 0", "line 1", "line 2", "line 3", "line 4"]);
    });

    test("a file is downloaded with its length", async () => {
      const visitor = new Visitor(server.url);
      const fields = { title: "exported", text: "row", csrfmiddlewaretoken: token(await visitor.get("/")) };
      await visitor.submit("/add", fields);
      const { stdout } = await run(curl(), ["-sS", "-D", "-", `${server.url}/export`]);
      const [head = "", body = ""] = stdout.split("\r\n\r\n");
      assert.match(head, /content-disposition: attachment; filename="notes.txt"/i);
      assert.match(head, new RegExp(`content-length: ${Buffer.byteLength(body)}\\b`, "i"));
      assert.match(body, /\texported\trow\n/);
      assert.ok(body.endsWith("#".repeat(300_000)));
    });

    test("the admin refuses a wrong password", async () => {
      const visitor = new Visitor(server.url);
      const path = "/admin/login/?next=/admin/";
      const fields = { csrfmiddlewaretoken: token(await visitor.get(path)), username: "root", password: "wrong" };
      const answer = await visitor.post(path, fields);
      assert.match(answer.text, /Please enter the correct username and password/);
      assert.equal((await visitor.get("/admin/")).status, 302);
    });

    test("a model is added, edited and deleted in the admin, and logout ends the session", async () => {
      const visitor = await adminVisitor();
      const csrf = async (path: string): Promise<{ csrfmiddlewaretoken: string }> => ({
        csrfmiddlewaretoken: token(await visitor.get(path)),
      });
      const add = "/admin/notes/note/add/";
      const added = await visitor.submit(add, { ...(await csrf(add)), title: "From the admin", text: "first version" });
      const change = /href="(\/admin\/notes\/note\/\d+\/change\/)"[^>]*>From the admin</.exec(added.text)?.[1] ?? "";
      assert.notEqual(change, "", added.text);
      assert.match((await visitor.get(change)).text, /first version/);
      const fields = { ...(await csrf(change)), title: "From the admin", text: "second version" };
      assert.match((await visitor.submit(change, fields)).text, /was changed successfully/);
      assert.match((await new Visitor(server.url).get("/")).text, /<dd>second version<\/dd>/);
      const remove = change.replace("change", "delete");
      assert.match((await visitor.submit(remove, { ...(await csrf(remove)), post: "yes" })).text, /was deleted/);
      assert.doesNotMatch((await new Visitor(server.url).get("/")).text, /second version/);
      assert.equal((await visitor.post("/admin/logout/", await csrf("/admin/"))).status, 200);
      assert.equal((await visitor.get("/admin/")).status, 302);
    });

    test("an exception is Django's 500 page, its traceback in the log, and the site goes on", async () => {
      const visitor = new Visitor(server.url);
      const broken = await visitor.get("/broken");
      assert.equal(broken.status, 500);
      assert.match(broken.text, /Server Error \(500\)/);
      await server.process.line(/RuntimeError: broken on purpose/);
      assert.equal((await visitor.get("/")).status, 200);
    });

    test("a host that is not the site's is refused by Django", async () => {
      const { stdout } = await run(curl(), [
        "-sS",
        "-H",
        "Host: evil.example",
        "-w",
        "\n%{http_code}",
        `${server.url}/`,
      ]);
      assert.match(stdout, /400$/);
    });

    test("several processes answer, and visitors at once write without losing a note", async () => {
      assert.equal((await processesThatAnswer(server.url, "/who", 40)).size, 2);
      await Promise.all(
        Array.from({ length: 8 }, async (_, index) => {
          const visitor = new Visitor(server.url);
          const page = await visitor.get("/");
          for (let round = 0; round < 4; round += 1) {
            const fields = { title: `note ${index}.${round}`, text: "at once", csrfmiddlewaretoken: token(page) };
            assert.equal((await visitor.post("/add", fields)).status, 302);
          }
        }),
      );
      const { text } = await new Visitor(server.url).get("/");
      assert.equal(text.match(/<dt>note \d\.\d<\/dt><dd>at once<\/dd>/g)?.length, 32);
    });
  });
