import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { UpstreamServer } from "../../src/config/config.js";
import { Expected, type ReadContext } from "../../src/config/read.js";
import { upstreamServers } from "../../src/config/upstream-url.js";

const context: ReadContext = { base: "/srv/site", chdir: "/srv/site", target: "", environment: {} };

function read(value: unknown): readonly UpstreamServer[] | Expected {
  return upstreamServers(value, context);
}

function one(value: unknown): UpstreamServer {
  const found = read(value);
  assert.ok(!(found instanceof Expected), JSON.stringify(value));
  assert.equal(found.length, 1);
  const [server] = found;
  assert.ok(server !== undefined);
  return server;
}

describe("servers of an upstream group", () => {
  test("an address and a port, of each protocol", () => {
    const cases: readonly (readonly [string, UpstreamServer["protocol"], string, number, string])[] = [
      ["http://10.0.0.5:8000", "http", "10.0.0.5", 8000, "http://10.0.0.5:8000"],
      ["http://10.0.0.5:8000/", "http", "10.0.0.5", 8000, "http://10.0.0.5:8000"],
      ["http://app.internal", "http", "app.internal", 80, "http://app.internal:80"],
      ["HTTP://[::1]:81", "http", "::1", 81, "http://[::1]:81"],
      ["uwsgi://localhost:3031", "uwsgi", "localhost", 3031, "uwsgi://localhost:3031"],
      ["scgi://127.0.0.1:4000", "scgi", "127.0.0.1", 4000, "scgi://127.0.0.1:4000"],
      ["fastcgi://127.0.0.1:9000", "fastcgi", "127.0.0.1", 9000, "fastcgi://127.0.0.1:9000"],
      ["fcgi://127.0.0.1:9000", "fastcgi", "127.0.0.1", 9000, "fastcgi://127.0.0.1:9000"],
      // A machine may be called srv.
      ["http://srv:8000", "http", "srv", 8000, "http://srv:8000"],
    ];
    for (const [text, protocol, host, port, url] of cases) {
      const wanted = { url, protocol, endpoint: { kind: "tcp", host, port }, weight: 1, backup: false };
      assert.deepEqual(one(text), wanted, text);
    }
  });

  test("a unix socket, from the directory it is written in, and a name with SRV records", () => {
    assert.deepEqual(one("uwsgi://unix:run/a.sock"), {
      url: "uwsgi://unix:/srv/site/run/a.sock",
      protocol: "uwsgi",
      endpoint: { kind: "unix", path: "/srv/site/run/a.sock" },
      weight: 1,
      backup: false,
    });
    assert.deepEqual(one("http://srv:_http._tcp.example.com").endpoint, {
      kind: "srv",
      name: "_http._tcp.example.com",
    });
  });

  test("weight and backup, in words or in a table", () => {
    const wanted = [2, true];
    for (const value of [
      "http://a:1 weight=2 backup",
      "  http://a:1  backup weight=2 ",
      { url: "http://a:1", weight: 2, backup: true },
    ]) {
      const { weight, backup, url } = one(value);
      assert.deepEqual([weight, backup], wanted);
      assert.equal(url, "http://a:1");
    }
  });

  test("several, which differ", () => {
    const found = read(["http://a:1", { url: "http://b:1" }]);
    assert.ok(!(found instanceof Expected));
    assert.deepEqual(
      found.map(({ url }) => url),
      ["http://a:1", "http://b:1"],
    );
    for (const [value, sentence] of [
      [["http://a", "http://a:80"], /differ from each other/u],
      [[], /at least one server/u],
    ] as const) {
      const refused = read(value);
      assert.ok(refused instanceof Expected);
      assert.match(refused.what, sentence);
    }
  });

  test("anything else is refused", () => {
    const texts = ["", "a:1", "ftp://a:1", "https://a", "http://", "http://a:0", "http://a:70000", "uwsgi://a"];
    const more = ["http://a:1/path", "http://u@a:1", "http://[zz]:1", "uwsgi://unix:", "http://a:1 weight=0"];
    const words = ["http://a:1 backup=no", "http://a:1 weight=2 weight=3", "http://a:1 best", "http://srv:"];
    const tables = [{ url: "http://a:1", wieght: 2 }, { url: "http://a:1", backup: "yes" }, { weight: 2 }, 5, null];
    for (const value of [...texts, ...more, ...words, ...tables]) {
      assert.ok(read(value) instanceof Expected, JSON.stringify(value));
    }
  });
});
