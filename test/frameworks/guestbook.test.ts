// The example application over SQLite and over PostgreSQL.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Postgres, startPostgres } from "../support/postgres.js";
import { run } from "../support/processes.js";
import {
  frameworksPython,
  python,
  pythons,
  removeFolder,
  root,
  temporaryFolder,
  unavailable,
} from "../support/tools.js";
import { startVivarium, type Vivarium } from "../support/vivarium.js";
import { hiddenField, type Page, Visitor } from "./visitor.js";

const folder = join(root, "examples", "guestbook");

const modes = [
  ["in workers", []],
  ["embedded", ["--embedded"]],
] as const;

function serve(
  interpreter: string,
  mode: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<Vivarium> {
  return startVivarium("guestbook:application", {
    args: ["--chdir", folder, "--python", interpreter, "--workers", "2", ...mode],
    env: { DATABASE_URL: undefined, GUESTBOOK_DB: undefined, PYTHONDONTWRITEBYTECODE: "1", ...env },
  });
}

/** How many entries the page says there are. */
function counted(page: Page): number {
  const match = /(\d[\d,]*) entr(?:y|ies)/.exec(page.text);
  return match === null ? 0 : Number((match[1] ?? "").replaceAll(",", ""));
}

const total = async (server: Vivarium): Promise<number> => counted(await new Visitor(server.url).get("/"));

const form = (fields: Readonly<Record<string, string>>, headers: Readonly<Record<string, string>>): RequestInit => ({
  method: "POST",
  body: new URLSearchParams(fields),
  headers,
});

function pages(server: () => Vivarium, database: string): void {
  test("an empty book invites, and says who answered from which database", async () => {
    const page = await new Visitor(server().url).get("/");
    assert.equal(page.status, 200);
    assert.equal(page.headers.get("Content-Type"), "text/html; charset=utf-8");
    assert.match(page.text, /The first page is still white/);
    const process = /answered by process <b>(\d+)<\/b>/.exec(page.text)?.[1];
    assert.ok(process !== undefined && Number(process) !== server().pid);
    assert.match(page.text, new RegExp(`${database} took <b>[\\d.]+ ms</b>`));
  });

  test("an entry is written, redirected to, and shown as text", async () => {
    const visitor = new Visitor(server().url);
    const token = hiddenField(await visitor.get("/"), "token");
    const message = "<script>alert('☃')</script>\r\n\"second\" line & more\u0000\u202e";
    const answer = await visitor.post("/sign", { token, name: " Zoë <b>  X ", message });
    assert.equal(answer.status, 303);
    assert.match(answer.headers.get("Location") ?? "", /^\/#entry-\d+$/);
    const page = await visitor.get("/");
    assert.match(page.text, /<h3 id="entry-\d+-name">Zoë &lt;b&gt; X<\/h3>/);
    assert.ok(
      page.text.includes(
        "<p>&lt;script&gt;alert(&#x27;☃&#x27;)&lt;/script&gt;\n&quot;second&quot; line &amp; more</p>",
      ),
    );
    assert.match(page.text, /<time datetime="[^"]+Z" title="[^"]+ UTC">just now<\/time>/);
  });

  test("the same form sent twice signs once", async () => {
    const visitor = new Visitor(server().url);
    const token = hiddenField(await visitor.get("/"), "token");
    const entry = { token, name: "Twice", message: "double click" };
    const [first, second] = [await visitor.post("/sign", entry), await visitor.post("/sign", entry)];
    assert.equal(first.headers.get("Location"), second.headers.get("Location"));
    assert.equal((await visitor.get("/")).text.match(/double click/g)?.length, 1);
  });

  test("what is missing or too long is named, and what was typed stays", async () => {
    const visitor = new Visitor(server().url);
    const before = await total(server());
    const missing = await visitor.post("/sign", { name: "  ", message: 'kept "text"' });
    assert.equal(missing.status, 422);
    assert.match(missing.text, /aria-invalid="true" aria-describedby="name-problem" autofocus/);
    assert.match(missing.text, /Please tell us your name\./);
    assert.match(missing.text, /\nkept &quot;text&quot;<\/textarea>/);
    const long = await visitor.post("/sign", { name: "N".repeat(61), message: "m".repeat(1001) });
    assert.equal(long.status, 422);
    assert.match(
      long.text,
      /At most 60 characters, please; this has 61\..*At most 1000 characters, please; this has 1001\./s,
    );
    assert.equal(await total(server()), before);
  });

  test("a form of another site is refused", async () => {
    const before = await total(server());
    const fields = { name: "Mallory", message: "sent from elsewhere" };
    const own = { Origin: server().url };
    for (const headers of [
      { "Sec-Fetch-Site": "cross-site" },
      { "Sec-Fetch-Site": "same-site" },
      { Origin: "http://evil.example" },
      { Origin: "null" },
    ]) {
      const { status } = await new Visitor(server().url).fetch("/sign", form(fields, headers));
      assert.equal(status, 403, JSON.stringify(headers));
    }
    assert.equal(await total(server()), before);
    for (const headers of [own, { ...own, "Sec-Fetch-Site": "same-origin" }]) {
      const { status } = await new Visitor(server().url).fetch("/sign", form(fields, headers));
      assert.equal(status, 303, JSON.stringify(headers));
    }
  });

  test("what is no form of the guestbook is refused", async () => {
    const visitor = new Visitor(server().url);
    const json = { method: "POST", body: "{}", headers: { "Content-Type": "application/json" } };
    assert.equal((await visitor.fetch("/sign", json)).status, 415);
    assert.equal((await visitor.post("/sign", { name: "a", message: "m".repeat(20_000) })).status, 413);
    const many = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`f${index}`, "x"]));
    assert.equal((await visitor.post("/sign", many)).status, 400);
  });

  test("unknown pages, methods that do not fit, and HEAD", async () => {
    const visitor = new Visitor(server().url);
    for (const path of ["/nowhere", "/sign/", "/?before=x"]) assert.equal((await visitor.get(path)).status, 404, path);
    const refused = await visitor.fetch("/sign");
    assert.deepEqual([refused.status, refused.headers.get("Allow")], [405, "POST"]);
    const removed = await visitor.fetch("/", { method: "DELETE" });
    assert.deepEqual([removed.status, removed.headers.get("Allow")], [405, "GET, HEAD"]);
    const head = await visitor.fetch("/", { method: "HEAD" });
    assert.deepEqual([head.status, await head.text()], [200, ""]);
    assert.ok(Number(head.headers.get("Content-Length")) > 1000);
    assert.deepEqual((await visitor.get("/healthz")).text, "ok\n");
  });

  test("the style sheet the page names is served for good, and nothing else may load", async () => {
    const visitor = new Visitor(server().url);
    const page = await visitor.get("/");
    assert.match(page.headers.get("Content-Security-Policy") ?? "", /default-src 'none'/);
    const style = await visitor.get(/href="(\/style\.css\?[^"]+)"/.exec(page.text)?.[1] ?? "");
    assert.equal(style.headers.get("Content-Type"), "text/css; charset=utf-8");
    assert.match(style.headers.get("Cache-Control") ?? "", /immutable/);
    assert.equal((await visitor.get("/favicon.svg")).status, 200);
  });

  test("many sign at once, several processes answer, and no entry is lost", async () => {
    const before = await total(server());
    const processes = new Set<string>();
    await Promise.all(
      Array.from({ length: 12 }, async (_, guest) => {
        const visitor = new Visitor(server().url);
        for (let visit = 0; visit < 5; visit += 1) {
          const page = await visitor.submit("/sign", { name: `Guest ${guest}`, message: `visit ${guest}.${visit}.` });
          assert.ok(
            await shows(visitor, page, `visit ${guest}.${visit}.`),
            `visit ${visit} of guest ${guest} is missing`,
          );
          processes.add(/process <b>(\d+)</.exec(page.text)?.[1] ?? "");
        }
      }),
    );
    assert.equal(await total(server()), before + 60);
    assert.equal(processes.size, 2);
  });

  test("older pages lead through every entry once", async () => {
    const visitor = new Visitor(server().url);
    const seen: string[] = [];
    let path: string | undefined = "/";
    let page: Page | undefined;
    while (path !== undefined) {
      page = await visitor.get(path);
      seen.push(...[...page.text.matchAll(/<li id="entry-(\d+)"/g)].map(([, id = ""]) => id));
      path = /rel="next" href="([^"]+)"/.exec(page.text)?.[1];
    }
    assert.ok(page !== undefined && /Earlier entries/.test(page.text));
    assert.equal(seen.length, counted(page));
    assert.deepEqual(
      seen,
      [...new Set(seen)].sort((a, b) => Number(b) - Number(a)),
    );
  });
}

/** Whether an entry is on this page or on an older one: while many sign, twenty others may have come behind it. */
async function shows(visitor: Visitor, latest: Page, message: string): Promise<boolean> {
  for (let page = latest; ; ) {
    if (page.text.includes(message)) return true;
    const older = /rel="next" href="([^"]+)"/.exec(page.text)?.[1];
    if (older === undefined) return false;
    page = await visitor.get(older);
  }
}

for (const [name, mode] of modes)
  describe(`the guestbook over SQLite, ${name}`, () => {
    let place = "";
    let server: Vivarium;
    before(async () => {
      place = temporaryFolder("guestbook");
      server = await serve(python(), mode, { GUESTBOOK_DB: join(place, "book.sqlite3") });
    });
    after(async () => {
      await server.stop();
      removeFolder(place);
    });

    pages(() => server, "SQLite");

    test("the entries outlive the server", async () => {
      const before = await total(server);
      await server.stop();
      server = await serve(python(), mode, { GUESTBOOK_DB: join(place, "book.sqlite3") });
      assert.equal(await total(server), before);
    });

    for (const { version, path } of pythons()) {
      test(`it runs on Python ${version}`, async () => {
        const other = await serve(path, mode, { GUESTBOOK_DB: join(place, `${version}.sqlite3`) });
        try {
          const visitor = new Visitor(other.url);
          assert.match((await visitor.submit("/sign", { name: "Guest", message: "hello" })).text, /<p>hello<\/p>/);
        } finally {
          await other.stop();
        }
      });
    }

    test("a file that cannot be opened is a page that says so, and a line in the log", async () => {
      const other = await serve(python(), mode, { GUESTBOOK_DB: join(place, "no", "such", "folder.sqlite3") });
      try {
        const page = await new Visitor(other.url).get("/");
        assert.deepEqual([page.status, page.headers.get("Retry-After")], [503, "5"]);
        assert.match(page.text, /The database does not answer at the moment/);
        assert.equal((await new Visitor(other.url).get("/healthz")).status, 503);
        await other.process.line(/guestbook: SQLite: unable to open database file/);
      } finally {
        await other.stop();
      }
    });
  });

/** The module under test alone, in an interpreter of its own. */
const opened = (interpreter: string, env: Readonly<Record<string, string>>): string =>
  spawnSync(interpreter, ["-B", "-c", "import store; print(store.open_store().name)"], {
    cwd: folder,
    env: { PATH: process.env["PATH"], ...env },
    encoding: "utf8",
  }).stderr;

test("a DATABASE_URL the guestbook does not know is one sentence", () => {
  assert.match(
    opened(python(), { DATABASE_URL: "mysql://localhost/x" }),
    /RuntimeError: DATABASE_URL begins with `mysql:`, but/,
  );
});

for (const [name, mode] of modes)
  describe(`the guestbook over PostgreSQL, ${name}`, { skip: unavailable("postgresql", "venv-frameworks") }, () => {
    let postgres: Postgres;
    let server: Vivarium;
    before(async () => {
      postgres = await startPostgres();
      server = await serve(frameworksPython(), mode, { DATABASE_URL: postgres.url });
    });
    after(async () => {
      await server.stop();
      await postgres.stop();
    });

    pages(() => server, "PostgreSQL");

    test("connections the database ended are replaced without a visitor seeing it", async () => {
      const before = await total(server);
      const ended = await run(frameworksPython(), [
        "-c",
        `import psycopg; c = psycopg.connect("${postgres.url}"); print(c.execute("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = 'vivarium' AND pid <> pg_backend_pid()").fetchone()[0])`,
      ]);
      assert.ok(Number(ended.stdout) > 0, ended.stderr);
      const answers = await Promise.all(
        Array.from({ length: 16 }, (_, index) =>
          new Visitor(server.url).post("/sign", { name: "After", message: `the restart ${index}` }),
        ),
      );
      assert.deepEqual([...new Set(answers.map(({ status }) => status))], [303]);
      assert.equal(await total(server), before + 16);
    });

    test("psycopg2 serves as well where psycopg is not installed", async () => {
      const place = temporaryFolder("psycopg2");
      const hidden = "raise ImportError('hidden by the test')\n";
      try {
        writeFileSync(join(place, "psycopg.py"), hidden);
        const other = await serve(frameworksPython(), mode, { DATABASE_URL: postgres.url, PYTHONPATH: place });
        try {
          const page = await new Visitor(other.url).submit("/sign", { name: "Two", message: "by psycopg2" });
          assert.match(page.text, /<p>by psycopg2<\/p>/);
        } finally {
          await other.stop();
        }
        writeFileSync(join(place, "psycopg2.py"), hidden);
        const stderr = opened(frameworksPython(), { DATABASE_URL: postgres.url, PYTHONPATH: place });
        assert.match(
          stderr,
          /RuntimeError: DATABASE_URL asks for PostgreSQL, but neither psycopg nor psycopg2 is installed/,
        );
      } finally {
        removeFolder(place);
      }
    });

    test("while the database is away the page says so", async () => {
      await postgres.stop();
      const away = await new Visitor(server.url).get("/");
      assert.equal(away.status, 503);
      assert.match(away.text, /The database does not answer/);
      assert.equal((await new Visitor(server.url).get("/style.css")).status, 200);
    });
  });
