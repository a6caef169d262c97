import assert from "node:assert/strict";
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { logLine } from "../../src/channels.js";
import type { Exchange, Handler } from "../../src/exchange.js";
import { withFileRedirects } from "../../src/static/file-redirect.js";
import { ask, FakeExchange, openBelowFolder, put, temporaryFolder } from "./support.js";

const content = "%PDF of 20 octets...";

/** An application that answers with these field lines and a body of its own. */
function application(lines: string, status = 200, body = "not this"): Handler {
  return (exchange) => {
    const fields = Buffer.from(lines, "latin1");
    exchange.respond({ status, reason: "Fine", fields, contentLength: -1, hasDate: false }, Buffer.from(body), true);
  };
}

interface Site {
  readonly folder: string;
  /** What is answered where the application gives these lines. */
  asked(
    lines: string,
    fields?: Readonly<Record<string, string>>,
    method?: string,
    status?: number,
  ): Promise<FakeExchange>;
  readonly log: string[];
}

function site(context: TestContext): Site {
  const folder = temporaryFolder(context);
  for (const name of ["media", "reports", "reports/old", "private"]) mkdirSync(join(folder, name));
  put(join(folder, "media", "a.pdf"), content);
  put(join(folder, "media", "ü b.txt"), "umlaut");
  put(join(folder, "media", ".hidden"), "hidden");
  put(join(folder, "reports", "a.pdf"), "report");
  put(join(folder, "reports", "old", "a.pdf"), "old report");
  put(join(folder, "private", "a.pdf"), "secret");
  put(join(folder, "secret"), "secret");
  symlinkSync("../secret", join(folder, "media", "link"));
  const roots = {
    accel: [
      { prefix: "/protected/", root: join(folder, "media") },
      { prefix: "/reports", root: join(folder, "reports") },
      { prefix: "/reports/archive/", root: join(folder, "reports", "old") },
    ],
    sendfile: [join(folder, "media"), `${join(folder, "reports")}/`],
  };
  const log: string[] = [];
  const listen = (line: unknown): void => {
    if (typeof line === "object" && line !== null && "message" in line) log.push(String(line.message));
  };
  logLine.subscribe(listen);
  context.after(() => logLine.unsubscribe(listen));
  return {
    folder,
    log,
    asked: (lines, fields = {}, method = "GET", status = 200) =>
      ask(withFileRedirects(application(lines, status), roots), "/download", fields, method),
  };
}

test("X-Accel-Redirect: the file takes the place of the body, and the application's other fields stay", async (context) => {
  const { asked } = site(context);
  const answer = await asked(
    "Content-Type: application/x-mine\r\nContent-Length: 8\r\nX-Accel-Redirect: /protected/a.pdf\r\n" +
      "Set-Cookie: a=b\r\nset-cookie: c=d\r\nContent-Disposition: attachment; filename=x.pdf\r\nCache-Control: private\r\n" +
      'ETag: "of the empty body"\r\nLast-Modified: Sat, 01 Jan 2000 00:00:00 GMT\r\nX-Accel-Buffering: no\r\n',
  );
  assert.deepEqual([answer.status, answer.body], [200, content]);
  assert.equal(
    answer.lines,
    `Content-Type: application/x-mine\r\nContent-Length: ${content.length}\r\nAccept-Ranges: bytes\r\n` +
      `ETag: ${answer.fields.get("etag")}\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n` +
      "Set-Cookie: a=b\r\nset-cookie: c=d\r\nContent-Disposition: attachment; filename=x.pdf\r\nCache-Control: private\r\n",
  );
});

test("X-Sendfile: the same by an absolute path", async (context) => {
  const { asked, folder } = site(context);
  const answer = await asked(`x-sendfile:   ${join(folder, "media", "a.pdf")}  \r\nX-Other: y\r\n`);
  assert.deepEqual([answer.status, answer.body], [200, content]);
  assert.equal(answer.fields.get("content-type"), "application/pdf");
  assert.equal(answer.fields.get("x-other"), "y");
  assert.equal(answer.fields.has("x-sendfile"), false);
  assert.equal((await asked(`X-Sendfile: ${folder}/media/\xc3\xbc b.txt\r\n`)).body, "umlaut");
  assert.equal((await asked(`X-Sendfile: ${folder}/reports/old/a.pdf\r\n`)).body, "old report");
});

test("the longest prefix that matches says the root; paths are decoded, a query is nothing", async (context) => {
  const { asked } = site(context);
  assert.equal((await asked("X-Accel-Redirect: /reports/a.pdf\r\n")).body, "report");
  assert.equal((await asked("X-Accel-Redirect: /reports/old/a.pdf\r\n")).body, "old report");
  assert.equal((await asked("X-Accel-Redirect: /reports/archive/a.pdf\r\n")).body, "old report");
  assert.equal((await asked("X-Accel-Redirect: /protected/%C3%BC%20b.txt?x=/../y\r\n")).body, "umlaut");
  assert.equal((await asked("X-Accel-Redirect: /protected/\xc3\xbc b.txt\r\n")).body, "umlaut");
  assert.equal((await asked("X-Accel-Redirect: /protected/.hidden\r\n")).body, "hidden");
});

test("ranges and conditions are met as for any file", async (context) => {
  const { asked } = site(context);
  const lines = "Content-Type: application/pdf\r\nX-Accel-Redirect: /protected/a.pdf\r\nSet-Cookie: a=b\r\n";
  const part = await asked(lines, { Range: "bytes=0-3" });
  assert.deepEqual([part.status, part.body, part.fields.get("set-cookie")], [206, "%PDF", "a=b"]);
  assert.equal(part.fields.get("content-range"), "bytes 0-3/20");
  const etag = (await asked(lines)).fields.get("etag") ?? "";
  const same = await asked(lines, { "If-None-Match": etag });
  assert.deepEqual([same.status, same.body, same.fields.get("set-cookie")], [304, "", "a=b"]);
  const head = await asked(lines, {}, "HEAD");
  assert.deepEqual([head.status, head.fields.get("content-length"), head.body], [200, "20", ""]);
  // It was done already.
  const post = await asked(lines, { "If-None-Match": etag, Range: "bytes=0-3" }, "POST");
  assert.deepEqual([post.status, post.body], [200, content]);
});

test("an answer that is no success keeps its status and is sent whole", async (context) => {
  const { asked } = site(context);
  const lines = "X-Accel-Redirect: /protected/a.pdf\r\n";
  const answer = await asked(lines, { Range: "bytes=0-3", "If-None-Match": "*" }, "GET", 403);
  assert.deepEqual([answer.status, answer.body], [403, content]);
  const empty = await asked(`${lines}X-Other: y\r\n`, {}, "GET", 304);
  assert.deepEqual([empty.status, empty.body, empty.lines], [304, "", "X-Other: y\r\n"]);
});

test("what is below no root is 502, with a line in the log and nothing of the application's head", async (context) => {
  const { asked, folder, log } = site(context);
  const refused = [
    "X-Accel-Redirect: /other/a.pdf\r\n",
    "X-Accel-Redirect: /protected\r\n",
    "X-Accel-Redirect: /protectedx/a.pdf\r\n",
    "X-Accel-Redirect: protected/a.pdf\r\n",
    "X-Accel-Redirect: /protected/../private/a.pdf\r\n",
    "X-Accel-Redirect: /protected/%2e%2e/private/a.pdf\r\n",
    "X-Accel-Redirect: /protected/..%2fsecret\r\n",
    "X-Accel-Redirect: /protected/./a.pdf\r\n",
    "X-Accel-Redirect: /protected/link\r\n",
    "X-Accel-Redirect: /protected/a.pdf%00\r\n",
    "X-Accel-Redirect: /protected/%zz\r\n",
    "X-Accel-Redirect: @named\r\n",
    "X-Accel-Redirect: \r\n",
    `X-Accel-Redirect: ${folder}/media/a.pdf\r\n`,
    `X-Sendfile: ${folder}/secret\r\n`,
    `X-Sendfile: ${folder}/private/a.pdf\r\n`,
    `X-Sendfile: ${folder}/media/../secret\r\n`,
    `X-Sendfile: ${folder}/media/link\r\n`,
    "X-Sendfile: /etc/passwd\r\n",
    "X-Sendfile: a.pdf\r\n",
    "X-Sendfile: \r\n",
  ];
  for (const lines of refused) {
    log.length = 0;
    const answer = await asked(`${lines}Set-Cookie: a=b\r\n`);
    assert.equal(answer.status, 502, lines);
    assert.equal(answer.lines, "");
    assert.ok(!/secret|not this/.test(answer.body));
    assert.equal(log.length, 1, lines);
    assert.match(log[0] ?? "", /^X-(Accel-Redirect|Sendfile) in the answer to GET \/download names .*below none/);
  }
  assert.deepEqual(openBelowFolder(folder), []);
});

test("a file that is not there is 404, with a line in the log", async (context) => {
  const { asked, folder, log } = site(context);
  for (const lines of [
    "X-Accel-Redirect: /protected/none\r\n",
    "X-Accel-Redirect: /protected/\r\n",
    "X-Accel-Redirect: /reports/old\r\n",
    `X-Sendfile: ${folder}/media/none\r\n`,
    "X-Sendfile: /dev/null\r\n",
  ]) {
    log.length = 0;
    assert.equal((await asked(lines)).status, 404, lines);
    assert.equal(log.length, 1);
  }
});

test("without roots of a kind, its field is refused; other answers pass as they are", async () => {
  const none = { accel: [], sendfile: [] };
  assert.equal((await ask(withFileRedirects(application("X-Sendfile: /etc/passwd\r\n"), none), "/")).status, 502);
  assert.equal((await ask(withFileRedirects(application("X-Accel-Redirect: /etc\r\n"), none), "/")).status, 502);
  const lines = 'X-Other: x-sendfile: /a\r\nMy-X-Sendfile: /b\r\nETag: "e"\r\n';
  const answer = await ask(withFileRedirects(application(lines), none), "/");
  assert.deepEqual([answer.status, answer.lines, answer.body], [200, lines, "not this"]);
});

/** An application in the middle of an answer whose file is sent. */
async function begun(context: TestContext): Promise<{ outer: FakeExchange; inner: Exchange }> {
  const folder = temporaryFolder(context);
  put(join(folder, "a"), "file");
  let inner: Exchange | undefined;
  const handler = withFileRedirects(
    (exchange) => {
      inner = exchange;
    },
    { accel: [{ prefix: "/p/", root: folder }], sendfile: [] },
  );
  const outer = new FakeExchange("GET", "/");
  handler(outer);
  assert.ok(inner !== undefined);
  return { outer, inner };
}

const fields = Buffer.from("X-Accel-Redirect: /p/a\r\n");
const head = { status: 200, reason: "OK", fields, contentLength: -1, hasDate: false };

test("an application that goes on with its body is credited for what is dropped", async (context) => {
  const { outer, inner } = await begun(context);
  let credited = 0;
  let gone = 0;
  inner.onFlushed = (octets) => {
    credited += octets;
  };
  inner.onGone = () => {
    gone += 1;
  };
  inner.respond(head, Buffer.from("12345"), false);
  await outer.done;
  assert.equal(outer.body, "file");
  assert.equal(inner.ended, false);
  inner.write(Buffer.alloc(1000), false);
  assert.deepEqual([credited, gone, inner.ended], [1005, 0, false]);
  inner.write(Buffer.from("x"), true);
  assert.deepEqual([credited, gone, inner.ended], [1005, 0, true]);
  assert.equal(outer.body, "file");
});

test("one that does not end is told, after 64 KiB, that nobody reads it", async (context) => {
  const { outer, inner } = await begun(context);
  let gone = 0;
  inner.onGone = () => {
    gone += 1;
  };
  inner.respond(head, undefined, false);
  for (let blocks = 0; blocks < 10; blocks += 1) inner.write(Buffer.alloc(16_384), false);
  await outer.done;
  assert.deepEqual([gone, inner.ended, outer.body], [1, true, "file"]);
});

test("one that fails after it named the file leaves the file alone", async (context) => {
  const { outer, inner } = await begun(context);
  inner.respond(head, undefined, false);
  inner.cut();
  inner.refuse(500, "no");
  await outer.done;
  assert.deepEqual([outer.status, outer.outcome, outer.body, inner.ended], [200, "complete", "file", true]);
});

test("an answer without a file is the application's own affair, back-pressure and end included", async (context) => {
  const { outer, inner } = await begun(context);
  let flushed = 0;
  let gone = 0;
  inner.onFlushed = (octets) => {
    flushed += octets;
  };
  inner.onGone = () => {
    gone += 1;
  };
  inner.onInputEnd = () => {};
  assert.deepEqual([inner.request, inner.inputEnded], [outer.request, false]);
  assert.equal(inner.onInputEnd, outer.onInputEnd);
  inner.respond({ ...head, fields: Buffer.from("A: b\r\n") }, Buffer.from("123"), false);
  outer.flush();
  assert.equal(flushed, 3);
  outer.leave();
  assert.deepEqual([gone, inner.ended], [1, true]);
});
