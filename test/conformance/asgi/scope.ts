// The scope: ASGI HTTP specification, "HTTP Connection Scope".
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Probe } from "../wsgi/probe.js";

type Scope = Readonly<Record<string, unknown>>;

async function scopeOf(probe: Probe, path: string, fields = "", method = "GET"): Promise<Scope> {
  const scope = await probe.json(path, { fields, method });
  assert.ok(typeof scope === "object" && scope !== null);
  return scope as Scope;
}

export function scopeCases(probe: Probe): void {
  const rules: readonly (readonly [string, string, Scope])[] = [
    ["type is http", "/scope", { type: "http" }],
    ["asgi has the version and that of the specification", "/scope", { asgi: { version: "3.0", spec_version: "2.5" } }],
    ["http_version is the number alone", "/scope", { http_version: "1.1" }],
    ["scheme", "/scope", { scheme: "http" }],
    ["root_path is empty where nothing is mounted", "/scope", { root_path: "" }],
    ["query_string is octets, percent-encoded", "/scope?a=%20&b", { query_string: "b:a=%20&b" }],
    ["query_string is empty where there is none", "/scope", { query_string: "b:" }],
    ["query_string keeps its question marks", "/scope?a?b", { query_string: "b:a?b" }],
    ["path is percent-decoded", "/a%20b%2Fc", { path: "/a b/c" }],
    ["path is UTF-8", "/caf%C3%A9", { path: "/caf\u00e9" }],
    ["path that is no UTF-8 does not fail", "/caf%E9", { path: "/caf\ufffd" }],
    ["path is decoded once", "/%2525", { path: "/%25" }],
    ["path keeps its dots and slashes", "/a//b/../c/./d", { path: "/a//b/../c/./d" }],
    ["path keeps a plus", "/a+b", { path: "/a+b" }],
    ["raw_path is as it came", "/a%20b%2Fc%c3%A9?x", { raw_path: "b:/a%20b%2Fc%c3%A9" }],
    ["state is what lifespan left", "/scope", { state: { from: "startup", shared: [] } }],
  ];
  for (const [rule, path, expected] of rules) {
    test(`scope: ${rule}`, async () => {
      const scope = await scopeOf(probe, path);
      for (const [key, value] of Object.entries(expected)) {
        if (key !== "state") assert.deepEqual(scope[key], value);
        else assert.deepEqual((scope["state"] as Scope)["from"], "startup");
      }
    });
  }

  test("scope: its values have the types the specification names", async () => {
    const { types, pair_types } = await scopeOf(probe, "/scope?a");
    const { client, server, headers, ...rest } = types as Record<string, string>;
    assert.deepEqual(rest, {
      type: "str",
      asgi: "dict",
      http_version: "str",
      method: "str",
      scheme: "str",
      path: "str",
      raw_path: "bytes",
      query_string: "bytes",
      root_path: "str",
      extensions: "dict",
      state: "dict",
    });
    assert.ok([client, server].every((type) => type === "tuple" || type === "list") && headers === "list");
    assert.deepEqual(pair_types, ["tuple"]);
  });

  for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"]) {
    test(`scope: method ${method}`, async () => {
      assert.equal((await scopeOf(probe, "/scope", "", method))["method"], method);
    });
  }

  test("scope: client and server are the connection's ends", async () => {
    const { client, server } = await scopeOf(probe, "/scope");
    assert.ok(Array.isArray(client) && client[0] === "127.0.0.1" && Number.isInteger(client[1]) && client[1] > 0);
    assert.deepEqual(server, ["127.0.0.1", probe.server.port]);
  });

  test("scope: the header's names are lower-case, in order, with what comes twice", async () => {
    const fields = "X-One: 1\r\nACCEPT: a\r\nx-one: 2\r\nX_Under: 3\r\nX-Empty:\r\nX-Latin: \u00e9\r\n";
    const { headers } = await scopeOf(probe, "/scope", fields);
    assert.deepEqual(headers, [
      ["b:host", "b:probe"],
      ["b:x-one", "b:1"],
      ["b:accept", "b:a"],
      ["b:x-one", "b:2"],
      ["b:x_under", "b:3"],
      ["b:x-empty", "b:"],
      ["b:x-latin", "b:\u00e9"],
    ]);
  });

  test("scope: cookies are not joined", async () => {
    const { headers } = await scopeOf(probe, "/scope", "Cookie: a=1\r\nCookie: b=2\r\n");
    assert.deepEqual((headers as unknown[]).slice(1), [
      ["b:cookie", "b:a=1"],
      ["b:cookie", "b:b=2"],
    ]);
  });

  test("scope: white space around values is not theirs", async () => {
    const { headers } = await scopeOf(probe, "/scope", "X-Padded: \t a b \t\r\n");
    assert.deepEqual((headers as unknown[])[1], ["b:x-padded", "b:a b"]);
  });

  test("scope: HTTP/1.0 is said", async () => {
    const connection = probe.connection();
    connection.send("GET /scope HTTP/1.0\r\n\r\n");
    const scope = JSON.parse((await connection.response()).text);
    assert.deepEqual([scope.http_version, scope.headers], ["1.0", []]);
    assert.equal("http.response.early_hint" in scope.extensions, false);
    connection.close();
  });

  test("scope: the authority of an absolute target is the host", async () => {
    const connection = probe.connection();
    connection.send("GET http://other.example/scope?x HTTP/1.1\r\nHost: probe\r\n\r\n");
    const scope = JSON.parse((await connection.response()).text);
    assert.deepEqual(
      [scope.path, scope.raw_path, scope.headers[0]],
      ["/scope", "b:/scope", ["b:host", "b:other.example"]],
    );
    connection.close();
  });

  test("scope: OPTIONS of the server as a whole has the path *", async () => {
    const connection = probe.connection();
    connection.send("OPTIONS * HTTP/1.1\r\nHost: probe\r\n\r\n");
    const scope = JSON.parse((await connection.response()).text);
    assert.deepEqual([scope.path, scope.raw_path], ["*", "b:*"]);
    connection.close();
  });

  test("scope: what one request changes of it the next does not see", async () => {
    const connection = probe.connection();
    for (let times = 0; times < 2; times += 1) {
      connection.send("GET /spoil HTTP/1.1\r\nHost: probe\r\n\r\n");
      assert.equal((await connection.response()).text, "spoilt");
      connection.send("GET /scope HTTP/1.1\r\nHost: probe\r\n\r\n");
      const scope = JSON.parse((await connection.response()).text);
      assert.deepEqual(scope.headers, [["b:host", "b:probe"]]);
      assert.deepEqual(
        [scope.asgi.version, scope.path, scope.state.spoilt, scope.extensions.spoilt],
        ["3.0", "/scope", undefined, undefined],
      );
    }
    connection.close();
  });

  test("each request has a context of its own", async () => {
    for (let times = 0; times < 3; times += 1) assert.deepEqual(await probe.json("/context"), ["unset", "mine"]);
  });

  test("each request is one task, on the main thread", async () => {
    assert.deepEqual(await probe.json("/task"), [true, true]);
  });

  test("lifespan has its own scope, with state", async () => {
    const { started } = (await probe.json("/who")) as { readonly started: unknown };
    assert.deepEqual(started, [["lifespan", { version: "3.0", spec_version: "2.0" }, ["asgi", "state", "type"]]]);
  });
}
