// A Starlette application through the whole server and real HTTP clients, at the root of a site and below a prefix.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { asyncPython, root, unavailable } from "../support/tools.js";
import { startVivarium, type Vivarium } from "../support/vivarium.js";
import { Visitor } from "./visitor.js";

const site = join(root, "test", "frameworks", "starlette_site");

for (const prefix of ["", "/pre"] as const)
  describe(`a Starlette application at ${prefix === "" ? "/" : prefix}`, { skip: unavailable("venv-async") }, () => {
    let server: Vivarium;
    before(async () => {
      const mount = prefix === "" ? [] : ["--mount", prefix];
      server = await startVivarium("site_app:app", {
        args: ["--chdir", site, "--python", asyncPython(), "--workers", "2", ...mount],
        env: { STARLETTE_SITE_SECRET: randomBytes(16).toString("hex"), PYTHONDONTWRITEBYTECODE: "1" },
      });
    });
    after(async () => {
      await server.stop();
    });

    test("a session lasts over requests and processes", async () => {
      const visitor = new Visitor(server.url);
      for (let visit = 1; visit <= 10; visit += 1) {
        assert.match((await visitor.get(`${prefix}/`)).text, new RegExp(`Visit ${visit}<`));
      }
    });

    test("a form logs in, a redirect leads home, and members' pages open", async () => {
      const visitor = new Visitor(server.url);
      assert.equal((await visitor.get(`${prefix}/members`)).status, 403);
      assert.equal((await visitor.post(`${prefix}/login`, {})).status, 400);
      const home = await visitor.submit(`${prefix}/login`, { name: "ada" });
      assert.match(home.text, /Visit 1 of ada/);
      assert.equal((await visitor.get(`${prefix}/members`)).text, "for ada");
      assert.equal((await visitor.fetch(`${prefix}/login`, { method: "DELETE" })).status, 405);
    });

    test("the addresses it makes are those it has", async () => {
      const { client, ...where } = await new Visitor(server.url).json(`${prefix}/where?a=b`);
      assert.deepEqual(where, {
        home: `${server.url}${prefix}/`,
        style: `${server.url}${prefix}/static/style.css`,
        url: `${server.url}${prefix}/where?a=b`,
        root_path: prefix,
        path: `${prefix}/where`,
      });
      assert.ok(Array.isArray(client) && client[0] === "127.0.0.1" && Number(client[1]) > 0);
    });

    test("what is mounted in it gets its paths, and a slash that lacks is added", async () => {
      const visitor = new Visitor(server.url);
      assert.deepEqual(await visitor.json(`${prefix}/nested/a/b%20c`), {
        name: "a/b c",
        list: `${server.url}${prefix}/nested/`,
      });
      const lacking = await visitor.get(`${prefix}/nested`);
      assert.deepEqual([lacking.status, lacking.headers.get("Location")], [307, `${server.url}${prefix}/nested/`]);
    });

    test("static files are conditional, ranged and refused outside their folder", async () => {
      const visitor = new Visitor(server.url);
      const path = `${prefix}/static/style.css`;
      const first = await visitor.get(path);
      assert.equal(first.text, "body {\n  color: #123;\n}\n");
      assert.match(first.headers.get("Content-Type") ?? "", /^text\/css/);
      const etag = first.headers.get("ETag") ?? "";
      const again = await visitor.fetch(path, { headers: { "If-None-Match": etag } });
      assert.deepEqual([again.status, await again.text()], [304, ""]);
      const range = await visitor.fetch(path, { headers: { Range: "bytes=0-3" } });
      assert.deepEqual([range.status, await range.text()], [206, "body"]);
      const head = await visitor.fetch(path, { method: "HEAD" });
      assert.deepEqual([head.status, head.headers.get("Content-Length"), await head.text()], [200, "24", ""]);
      assert.equal((await visitor.get(`${prefix}/static/..%2Fsite_app.py`)).status, 404);
      assert.match((await visitor.get(`${prefix}/static/none`)).text, /^There is nothing at .*\/static\/none\.$/);
    });

    test("an endpoint that is plain ASGI answers any method, fields twice and no body", async () => {
      const answer = await new Visitor(server.url).fetch(`${prefix}/headers`, { method: "REPORT" });
      assert.deepEqual([answer.status, answer.headers.get("X-Method")], [204, "REPORT"]);
      assert.deepEqual(answer.headers.getSetCookie(), ["a=1", "b=2"]);
    });

    test("an exception in the midst of a stream reaches the client as a broken transfer", async () => {
      const visitor = new Visitor(server.url);
      const response = await visitor.fetch(`${prefix}/broken-stream`);
      assert.equal(response.status, 200);
      await assert.rejects(response.text());
      await server.process.line(/RuntimeError: broken in the midst/);
      assert.equal((await visitor.get(`${prefix}/state`)).status, 200);
    });

    test("what the lifespan left is each request's state", async () => {
      assert.equal((await new Visitor(server.url).json(`${prefix}/state`))["greeting"], "of the lifespan");
    });
  });
