// The chat of examples/, through the whole server: two processes that hear each other over server-sent events.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { python, removeFolder, root, temporaryFolder } from "../support/tools.js";
import { startVivarium, type Vivarium, vivarium } from "../support/vivarium.js";
import { Visitor } from "./visitor.js";

interface Said {
  readonly id: string;
  readonly name: unknown;
  readonly text: unknown;
}

describe("the chat", () => {
  let folder = "";
  let server: Vivarium;
  before(async () => {
    folder = temporaryFolder("chat");
    server = await startVivarium(undefined, {
      cwd: join(root, "examples", "chat"),
      args: ["--python", python()],
      env: { CHAT_DB: join(folder, "chat.sqlite3"), PYTHONDONTWRITEBYTECODE: "1" },
    });
  });
  after(async () => {
    await server.stop();
    removeFolder(folder);
  });

  const json = { "Content-Type": "application/json" };

  function say(name: unknown, text: unknown, headers: Record<string, string> = json): Promise<Response> {
    const body = JSON.stringify({ name, text });
    return new Visitor(server.url).fetch("/say", { method: "POST", headers, body });
  }

  /** A listener: what it hears, one message after another, until it leaves or the stream ends. */
  async function* listen(leaving: AbortSignal, last?: string): AsyncGenerator<Said> {
    const headers = last === undefined ? {} : { "Last-Event-ID": last };
    const response = await fetch(`${server.url}/events`, { headers, signal: leaving });
    assert.equal(response.headers.get("Content-Type"), "text/event-stream");
    let rest = "";
    for await (const piece of response.body ?? []) {
      rest += Buffer.from(piece).toString("utf8");
      const events = rest.split("\n\n");
      rest = events.pop() ?? "";
      for (const event of events) {
        const found = /^id: (\d+)\ndata: (.*)$/.exec(event);
        if (found === null) continue;
        const { name, text } = Object(JSON.parse(found[2] ?? ""));
        yield { id: found[1] ?? "", name, text };
      }
    }
  }

  async function hears(listener: AsyncGenerator<Said>): Promise<Said> {
    const { value, done } = await listener.next();
    assert.ok(done !== true, "the stream ended");
    return value;
  }

  test("the page and what it loads are there, and nothing else", async () => {
    const visitor = new Visitor(server.url);
    assert.match((await visitor.get("/")).text, /<title>The chat<\/title>/);
    assert.match((await visitor.get("/chat.js")).headers.get("Content-Type") ?? "", /javascript/);
    assert.match((await visitor.get("/style.css")).headers.get("Content-Type") ?? "", /css/);
    const head = await visitor.fetch("/", { method: "HEAD" });
    assert.deepEqual([head.status, await head.text()], [200, ""]);
    assert.equal((await visitor.get("/room.py")).status, 404);
    const refused = await visitor.get("/say");
    assert.deepEqual([refused.status, refused.headers.get("Allow")], [405, "POST"]);
  });

  test("what is no message is refused", async () => {
    assert.equal((await say("ada", "from a form", { "Content-Type": "text/plain" })).status, 415);
    assert.equal((await say("ada", " ")).status, 400);
    assert.equal((await say(["ada"], "text")).status, 400);
    assert.equal((await say("a".repeat(41), "text")).status, 400);
    assert.equal((await say("ada", "x".repeat(9000))).status, 413);
    const visitor = new Visitor(server.url);
    assert.equal((await visitor.fetch("/say", { method: "POST", headers: json, body: "{" })).status, 400);
    assert.equal((await visitor.fetch("/say", { method: "POST", headers: json, body: "[]" })).status, 400);
  });

  test("what is said is heard by all, in order, whichever process they are connected to", async () => {
    const leaving = new AbortController();
    const listeners = Array.from({ length: 8 }, () => listen(leaving.signal));
    const words = ["first", "Ünïcode ✓", "<b>third</b>"];
    const heard = Promise.all(
      listeners.map(async (listener) => {
        const found: unknown[] = [];
        while (found.length < words.length) found.push((await hears(listener)).text);
        return found;
      }),
    );
    for (const text of words) assert.equal((await say("ada", text)).status, 204);
    assert.deepEqual(await heard, Array(8).fill(words));
    leaving.abort();
    await Promise.allSettled(listeners.map((each) => each.return(undefined)));
  });

  test("who connects again is told what was missed, and only that; also over a reload", async () => {
    await say("grace", "before");
    const leaving = new AbortController();
    const listener = listen(leaving.signal);
    let last = "";
    for (let said = await hears(listener); said.text !== "before"; ) said = await hears(listener);
    await say("grace", "the last that was heard");
    last = (await hears(listener)).id;
    leaving.abort();
    await say("grace", "missed");
    const { code, stderr } = await vivarium(["reload", "--control", server.control]);
    assert.equal(code, 0, stderr);
    await say("grace", "after the reload");
    const again = new AbortController();
    const second = listen(again.signal, last);
    assert.equal((await hears(second)).text, "missed");
    assert.equal((await hears(second)).text, "after the reload");
    again.abort();
    await Promise.allSettled([second.return(undefined)]);
  });

  test("a stop does not wait for listeners longer than the configuration says", async () => {
    const leaving = new AbortController();
    const listener = listen(leaving.signal);
    await hears(listener);
    assert.deepEqual((await server.stop()).code, 0);
    leaving.abort();
  });
});
