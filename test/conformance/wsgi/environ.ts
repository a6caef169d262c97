// environ: PEP 3333, "environ Variables", "Unicode Issues", "URL Reconstruction"; RFC 3875 §4.1.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Ask, freshKey, type Probe, request } from "./probe.js";

async function environ(probe: Probe, path: string, ask: Ask = {}): Promise<Record<string, unknown>> {
  const told = await probe.json(path, ask);
  assert.ok(typeof told === "object" && told !== null && !Array.isArray(told));
  return { ...told };
}

/** `threads`: whether a process executes several requests at once. */
export function environCases(probe: Probe, threads: boolean): void {
  required(probe);
  paths(probe);
  fields(probe);
  isolation(probe);
  if (threads) concurrency(probe);
  else sequence(probe);
}

function required(probe: Probe): void {
  test("environ is a dict of native strings of latin-1 characters, and its wsgi variables have their types", async () => {
    for (const prefix of ["", "/validated"]) {
      const types = await environ(probe, `${prefix}/environ/types`, {
        method: "POST",
        fields: "X-A: caf\u00e9\r\n",
        body: "",
      });
      assert.deepEqual([...new Set(Object.values(types))], [true]);
    }
  });

  test("environ has what PEP 3333 requires", async () => {
    const { port } = probe.server;
    const found = await environ(probe, "/environ?a=b%20c");
    const expected: Record<string, unknown> = {
      REQUEST_METHOD: "GET",
      SCRIPT_NAME: "",
      PATH_INFO: "/environ",
      QUERY_STRING: "a=b%20c",
      SERVER_PROTOCOL: "HTTP/1.1",
      REMOTE_ADDR: "127.0.0.1",
      HTTP_HOST: "probe",
      "wsgi.version": [1, 0],
      "wsgi.url_scheme": "http",
      "wsgi.run_once": false,
    };
    for (const [name, value] of Object.entries(expected)) assert.deepEqual(found[name], value, name);
    assert.ok(typeof found["SERVER_NAME"] === "string" && found["SERVER_NAME"] !== "");
    assert.equal(found["SERVER_PORT"], String(port));
    assert.equal(found["CONTENT_LENGTH"], undefined);
    assert.equal(found["CONTENT_TYPE"], undefined);
  });

  test("a body's type and length have their CGI names and no others", async () => {
    const fields = "Content-Type: text/x-probe\r\n";
    const found = await environ(probe, "/environ", { method: "PUT", fields, body: "12345" });
    assert.deepEqual(
      [found["REQUEST_METHOD"], found["CONTENT_TYPE"], found["CONTENT_LENGTH"]],
      ["PUT", "text/x-probe", "5"],
    );
    assert.equal(found["HTTP_CONTENT_TYPE"], undefined);
    assert.equal(found["HTTP_CONTENT_LENGTH"], undefined);
  });

  test("HTTP/1.0 is told as such", async () => {
    const connection = probe.connection();
    connection.send("GET /environ HTTP/1.0\r\n\r\n");
    const told: unknown = JSON.parse((await connection.response()).text);
    assert.ok(typeof told === "object" && told !== null && "SERVER_PROTOCOL" in told);
    assert.equal(told.SERVER_PROTOCOL, "HTTP/1.0");
    connection.close();
  });
}

function paths(probe: Probe): void {
  test("PATH_INFO is decoded once to octets as latin-1 characters, QUERY_STRING not at all", async () => {
    const connection = probe.connection();
    connection.send(request("/no/caf%C3%A9%2520%2Fx;y=1?q=%C3%A9&r=a+b"));
    const response = await connection.response();
    // The probe decodes its PATH_INFO as UTF-8, as PEP 3333 has applications do.
    assert.equal(response.status, 404);
    assert.equal(response.body.toString("utf8"), "no such probe: /no/caf\u00e9%20/x;y=1");
    connection.close();
    assert.equal((await environ(probe, "/environ?q=%C3%A9&r=a+b"))["QUERY_STRING"], "q=%C3%A9&r=a+b");
  });

  test("the URL can be put together again", async () => {
    for (const prefix of ["", "/validated"]) {
      const response = await probe.ask(`${prefix}/environ/uri?x=%C3%A9`);
      assert.equal(response.text, `http://probe${prefix}/environ/uri?x=%C3%A9`);
    }
  });

  test("an absolute-form target gives its host and path", async () => {
    const connection = probe.connection();
    connection.send("GET http://other.example/environ?z=1 HTTP/1.1\r\nHost: probe\r\n\r\n");
    const told: unknown = JSON.parse((await connection.response()).text);
    assert.ok(typeof told === "object" && told !== null && "HTTP_HOST" in told && "PATH_INFO" in told);
    // RFC 9112 §3.2.2: the Host field is ignored.
    assert.deepEqual([told.HTTP_HOST, told.PATH_INFO], ["other.example", "/environ"]);
    connection.close();
  });
}

function fields(probe: Probe): void {
  test("header fields become HTTP_ variables, repeated ones joined", async () => {
    const sent = "X-One: 1\r\nx-two:  spaced \t\r\nX-One: 2\r\nCookie: a=1\r\nCookie: b=2\r\nX-Empty:\r\n";
    const found = await environ(probe, "/environ", { fields: sent });
    assert.deepEqual(
      ["HTTP_X_ONE", "HTTP_X_TWO", "HTTP_COOKIE", "HTTP_X_EMPTY"].map((name) => found[name]),
      ["1, 2", "spaced", "a=1; b=2", ""],
    );
  });

  test("a header value's octets come as latin-1 characters", async () => {
    const found = await environ(probe, "/environ", { fields: "X-A: caf\u00e9\r\n" });
    assert.equal(found["HTTP_X_A"], "caf\u00e9");
  });

  test("names with an underscore, and Proxy, do not reach the application", async () => {
    // X_Forwarded_User would arrive as X-Forwarded-User does; Proxy as HTTP_PROXY (httpoxy, CVE-2016-5385).
    const sent = "X_Forwarded_User: root\r\nProxy: http://evil.example/\r\nX-Kept: 1\r\n";
    const found = await environ(probe, "/environ", { fields: sent });
    assert.deepEqual(
      [found["HTTP_X_FORWARDED_USER"], found["HTTP_PROXY"], found["HTTP_X_KEPT"]],
      [undefined, undefined, "1"],
    );
  });

  test("X-Forwarded fields of a client nobody named change nothing", async () => {
    const sent = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\n";
    const found = await environ(probe, "/environ", { fields: sent });
    assert.deepEqual(
      [found["REMOTE_ADDR"], found["wsgi.url_scheme"], found["HTTP_HOST"], found["HTTP_X_FORWARDED_FOR"]],
      ["127.0.0.1", "http", "probe", "192.0.2.1"],
    );
  });
}

function isolation(probe: Probe): void {
  test("an application may empty its environ", async () => {
    const response = await probe.ask("/environ/cleared");
    assert.deepEqual([response.status, response.text], [200, "cleared"]);
    await probe.alive();
  });

  test("what an application puts into its environ is gone in the next request", async () => {
    for (let times = 0; times < 5; times += 1) assert.equal((await probe.ask("/environ/marked")).text, "unmarked");
    const found = await environ(probe, "/environ");
    assert.deepEqual([found["HTTP_X_LEFT_BEHIND"], found["wsgi.version"]], [undefined, [1, 0]]);
  });
}

function concurrency(probe: Probe): void {
  test("requests run in several threads at once, and environ says so", async () => {
    const key = freshKey();
    assert.equal((await environ(probe, "/environ"))["wsgi.multithread"], true);
    const met = await Promise.all([1, 2, 3, 4].map(() => probe.json(`/environ/meet?key=${key}&count=4`)));
    assert.deepEqual(met, Array(4).fill({ met: true, threads: 4 }));
  });
}

function sequence(probe: Probe): void {
  test("requests run one after another in one thread, and environ says so", async () => {
    assert.equal((await environ(probe, "/environ"))["wsgi.multithread"], false);
    const all = await Promise.all([1, 2, 3, 4].map(() => environ(probe, "/environ/who")));
    assert.equal(new Set(all.map((who) => who["thread"])).size, 1);
  });
}
