// A FastAPI application through the whole server and real HTTP clients, on both event loops.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { run } from "../support/processes.js";
import { asyncPython, curl, removeFolder, root, temporaryFolder, unavailable } from "../support/tools.js";
import { startVivarium, type Vivarium, vivarium } from "../support/vivarium.js";
import { processesThatAnswer, readLines, Visitor } from "./visitor.js";

const site = join(root, "test", "frameworks", "fastapi_site");
const clients = join(root, "test", "frameworks", "clients");
const sha256 = (octets: Uint8Array): string => createHash("sha256").update(octets).digest("hex");
const ada = { Authorization: "Bearer analytical", "Content-Type": "application/json" };

for (const loop of ["uvloop", "asyncio"] as const)
  describe(`a FastAPI application, on ${loop}`, { skip: unavailable("venv-async", "curl") }, () => {
    let folder = "";
    let server: Vivarium;
    before(async () => {
      folder = temporaryFolder("fastapi");
      server = await startVivarium("site_app:app", {
        args: ["--chdir", site, "--python", asyncPython(), "--workers", "2", "--event-loop", loop],
        env: { FASTAPI_SITE_FOLDER: folder, PYTHONDONTWRITEBYTECODE: "1" },
      });
    });
    after(async () => {
      await server.stop();
      removeFolder(folder);
    });

    const open = (gate: string): void => writeFileSync(join(folder, `gate-${gate}`), "");

    /** What the application noticed under this name, when it has. */
    async function noticed(name: string): Promise<string> {
      const path = join(folder, name);
      for (let i = 0; i < 1500 && !existsSync(path); i += 1) await delay(20);
      return readFileSync(path, "utf8");
    }

    test("it runs on that loop, in each worker", async () => {
      const module = loop === "uvloop" ? /^uvloop/ : /^asyncio\./;
      assert.match(String((await new Visitor(server.url).json("/who"))["loop"]), module);
      assert.equal((await processesThatAnswer(server.url, "/who", 40)).size, 2);
      const said =
        loop === "uvloop"
          ? /ASGI on uvloop \d+\.\d+\.\d+, up to 1,?000 requests/
          : /ASGI on asyncio, up to 1,?000 requests/;
      assert.match(server.output, said);
      assert.match((await vivarium(["status", "--control", server.control])).stdout, said);
    });

    test("parameters and bodies are typed, dependencies guard, and what was saved is listed", async () => {
      const visitor = new Visitor(server.url);
      const post = (body: unknown, headers: Record<string, string>): Promise<Response> =>
        visitor.fetch("/notes", { method: "POST", headers, body: JSON.stringify(body) });
      const refused = await post({ text: "anonymous" }, { "Content-Type": "application/json" });
      assert.deepEqual([refused.status, refused.headers.get("WWW-Authenticate")], [401, "Bearer"]);
      assert.equal((await post({ text: "" }, ada)).status, 422);
      assert.equal((await post({}, ada)).status, 422);
      const saved = await post({ text: "Ünïcode ✓" }, ada);
      assert.equal(saved.status, 201);
      const note: unknown = await saved.json();
      const listed: unknown = await (await visitor.fetch("/notes")).json();
      assert.ok(Array.isArray(listed));
      assert.deepEqual(
        listed.filter(({ id }) => id === Object(note).id),
        [{ ...Object(note), author: "ada", text: "Ünïcode ✓" }],
      );
      assert.equal((await visitor.get("/notes?limit=0")).status, 422);
      assert.equal((await visitor.get("/notes?limit=x")).status, 422);
    });

    test("the documentation that FastAPI makes names the application's paths", async () => {
      const visitor = new Visitor(server.url);
      const { paths } = await visitor.json("/openapi.json");
      assert.ok("/notes" in Object(paths));
      assert.match((await visitor.get("/docs")).text, /openapi\.json/);
    });

    test("a response does not wait for its background tasks, and the connection serves on meanwhile", async () => {
      const visitor = new Visitor(server.url);
      const answer = await visitor.fetch("/later/task", { method: "POST" });
      assert.deepEqual([answer.status, await answer.json()], [202, { accepted: "task" }]);
      assert.equal(existsSync(join(folder, "done-task")), false);
      for (let i = 0; i < 10; i += 1) assert.equal((await visitor.get("/who")).status, 200);
      open("task");
      assert.equal(await noticed("done-task"), "on the loop");
      assert.equal(await noticed("thread-task"), "on a thread");
    });

    test("an upload of 10 MiB by fetch comes back as it was sent, whole and in ranges", async () => {
      const octets = randomBytes(10 * 1024 * 1024);
      const form = new FormData();
      form.set("comment", "naïve");
      form.set("file", new Blob([octets]), "ten.bin");
      const visitor = new Visitor(server.url);
      const answer = await visitor.post("/upload", form);
      const expected = { name: "ten.bin", size: octets.length, sha256: sha256(octets), comment: "naïve" };
      assert.deepEqual(JSON.parse(answer.text), expected);
      const back = await visitor.fetch("/files/ten.bin");
      assert.match(back.headers.get("Content-Disposition") ?? "", /filename="ten\.bin"/);
      assert.equal(back.headers.get("Content-Length"), String(octets.length));
      assert.equal(sha256(Buffer.from(await back.arrayBuffer())), sha256(octets));
      for (const [range, start, end] of [
        ["bytes=0-99", 0, 100],
        ["bytes=1000000-1999999", 1_000_000, 2_000_000],
        ["bytes=-500", octets.length - 500, octets.length],
      ] as const) {
        const part = await visitor.fetch("/files/ten.bin", { headers: { Range: range } });
        assert.equal(part.status, 206);
        assert.ok(Buffer.from(await part.arrayBuffer()).equals(octets.subarray(start, end)), range);
      }
      const beyond = await visitor.fetch("/files/ten.bin", { headers: { Range: "bytes=99999999-" } });
      assert.equal(beyond.status, 416);
      const head = await visitor.fetch("/files/none", { method: "HEAD" });
      assert.equal(head.status, 405);
    });

    test("a body is read while it is sent", async () => {
      const sent = request(`${server.url}/raw?watch=body`, { method: "POST" });
      const answered = new Promise<string>((resolve, reject) => {
        sent.once("error", reject).once("response", (response) => {
          let text = "";
          response.setEncoding("utf8").on("data", (part: string) => {
            text += part;
          });
          response.once("end", () => resolve(text));
        });
      });
      sent.write("the first of it");
      assert.equal(await noticed("first-body"), "15");
      sent.end(", and the rest");
      const { size, sha256: digest } = Object(JSON.parse(await answered));
      assert.deepEqual([size, digest], [29, sha256(Buffer.from("the first of it, and the rest"))]);
    });

    test("curl uploads with a length, chunked, and when it is told to go on", async () => {
      const octets = randomBytes(3_000_000);
      const sent = join(folder, "sent");
      writeFileSync(sent, octets);
      for (const framing of [[], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"]]) {
        const args = ["-sS", ...framing, "-H", "Content-Type: application/octet-stream"];
        const { stdout } = await run(curl(), [...args, "--data-binary", `@${sent}`, `${server.url}/raw`]);
        const { size, sha256: digest } = Object(JSON.parse(stdout));
        assert.deepEqual([size, digest], [octets.length, sha256(octets)], stdout);
      }
    });

    test("a stream arrives line by line, each before the next is made", async () => {
      const response = await new Visitor(server.url).fetch("/stream/fetch?word=line");
      const lines = await readLines(response, (_, number) => open(`fetch-${number + 1}`));
      assert.deepEqual(lines, ["line 0", "line 1", "line 2", "line 3", "line 4"]);
    });

    test("server-sent events come one by one, and the application hears that the client has left", async () => {
      const leaving = new AbortController();
      const response = await fetch(`${server.url}/events/sse`, { signal: leaving.signal });
      assert.match(response.headers.get("Content-Type") ?? "", /^text\/event-stream/);
      assert.ok(response.body !== null);
      let text = "";
      await assert.rejects(async () => {
        for await (const piece of response.body ?? []) {
          text += Buffer.from(piece).toString("utf8");
          if (text.includes('"number": 5}')) leaving.abort();
        }
      });
      assert.match(text, /^id: 0\ndata: \{"number": 0\}\n\nid: 1\n/);
      assert.equal(await noticed("left-sse"), "events");
    });

    test("who waits in silence hears that the client has left, too", async () => {
      const leaving = new AbortController();
      const asked = fetch(`${server.url}/patient/silence`, { signal: leaving.signal });
      await noticed("waiting-silence");
      leaving.abort();
      await assert.rejects(asked);
      assert.equal(await noticed("left-silence"), "patient");
    });

    test("a response of 100 MiB arrives whole, and gzip where the client takes it", async () => {
      const size = 100 * 1024 * 1024;
      const { stdout } = await run(curl(), [
        "-sS",
        "-o",
        "/dev/null",
        "-w",
        "%{size_download}",
        `${server.url}/large/${size}`,
      ]);
      assert.equal(stdout, String(size));
      const zipped = await new Visitor(server.url).fetch("/large/2000000");
      assert.equal(zipped.headers.get("Content-Encoding"), "gzip");
      assert.equal((await zipped.arrayBuffer()).byteLength, 2_000_000);
    });

    test("an exception that is handled, and one that is not", async () => {
      const visitor = new Visitor(server.url);
      const handled = await visitor.get("/trouble");
      assert.deepEqual([handled.status, handled.text], [418, '{"trouble":"handled"}']);
      const broken = await visitor.get("/broken");
      assert.deepEqual([broken.status, broken.text], [500, "Internal Server Error"]);
      await server.process.line(/RuntimeError: broken on purpose/);
      assert.equal((await visitor.get("/who")).status, 200);
    });

    test("functions that block run on threads: hundreds at once hold up nobody else", async () => {
      const visitor = new Visitor(server.url);
      const blocking = Promise.all(Array.from({ length: 100 }, () => visitor.json("/blocking")));
      let others = 0;
      let over = false;
      void blocking.then(() => {
        over = true;
      });
      while (!over) {
        await visitor.json("/who");
        others += 1;
      }
      assert.equal((await blocking).length, 100);
      assert.ok(others > 2, `${others} were answered meanwhile`);
    });

    test("the scope says what the client asked", async () => {
      const args = ["-sS", "-b", "a=1; b=2", "-H", "X-Two: one", "-H", "X-Two: two", "--path-as-is"];
      const { stdout } = await run(curl(), [...args, `${server.url}/seen/a%2Fb/%C3%BC?x=%20&y`]);
      const seen = Object(JSON.parse(stdout));
      assert.deepEqual(
        [seen.path, seen.raw_path, seen.query, seen.client, seen.http_version, seen.cookies],
        ["/seen/a/b/ü", "/seen/a%2Fb/%C3%BC", "x=%20&y", "127.0.0.1", "1.1", { a: "1", b: "2" }],
      );
      assert.equal(seen.base, `${server.url}/`);
      assert.deepEqual(
        seen.headers.filter(([name]: [string]) => name === "x-two"),
        [
          ["x-two", "one"],
          ["x-two", "two"],
        ],
      );
    });

    test("httpx asks by many connections, streams up and down", async () => {
      const args = [join(clients, "httpx_client.py"), server.url];
      const { stdout, stderr } = await run(asyncPython(), args, { env: { PYTHONDONTWRITEBYTECODE: "1" } });
      assert.notEqual(stdout, "", stderr);
      assert.deepEqual(JSON.parse(stdout), {
        processes: 2,
        statuses: [200],
        streamed: [1_500_000, true],
        uploaded: [200_000, "naïve"],
        large: 3_000_000,
        seen: ["/seen/a/b/ü", "/seen/a%2Fb/%C3%BC", "q=%E2%9C%93+%2B", { one: "1", two: "2" }],
        version: ["HTTP/1.1", "1.1"],
        trouble: [418, { trouble: "handled" }],
      });
    });

    test("a stop runs the lifespan's end in each worker", async () => {
      await server.stop();
      assert.equal(readdirSync(folder).filter((name) => /^goodbye-\d+$/.test(name)).length, 2);
    });
  });
