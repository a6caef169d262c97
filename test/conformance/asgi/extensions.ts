// Extensions: "HTTP Trailers", "Early Hints", "Path Send".
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { root } from "../../support/tools.js";
import { values } from "../wsgi/connection.js";
import { freshKey, type Probe, request } from "../wsgi/probe.js";
import { remembers } from "./bodies.js";

async function extensions(probe: Probe, fields = ""): Promise<string[]> {
  const scope = await probe.json("/scope", { fields });
  assert.ok(typeof scope === "object" && scope !== null && "extensions" in scope);
  return Object.keys(scope.extensions as object).sort();
}

export function extensionCases(probe: Probe): void {
  test("extensions: those that the client can have are named", async () => {
    const always = ["http.response.early_hint", "http.response.pathsend"];
    assert.deepEqual(await extensions(probe), always);
    assert.deepEqual(await extensions(probe, "TE: gzip\r\n"), always);
    assert.deepEqual(await extensions(probe, "TE: gzip, trailers\r\n"), [...always, "http.response.trailers"]);
  });

  test("trailers: they are announced, and several messages of them go behind the body", async () => {
    const key = freshKey();
    const connection = probe.connection();
    connection.send(request(`/trailers?key=${key}`, { fields: "TE: trailers\r\n" }));
    await connection.received("\r\ntrailer: x-sum\r\n");
    await connection.received("\r\n6\r\nsummed\r\n0\r\nx-sum: 21\r\nx-more: 22\r\n\r\n");
    connection.close();
    await remembers(probe, key, ["sent"]);
  });

  test("trailers: a client that has not asked for them gets the body alone, and the connection goes on", async () => {
    const key = freshKey();
    const connection = probe.connection();
    connection.send(request(`/trailers?key=${key}`));
    const response = await connection.response();
    assert.deepEqual([response.text, response.whole, values(response, "trailer")], ["summed", true, []]);
    connection.send(request("/unread"));
    assert.equal((await connection.response()).text, "not read");
    connection.close();
  });

  test("early hints: a 103 with each link comes before the response", async () => {
    const connection = probe.connection();
    connection.send(request("/hints"));
    await connection.received(
      "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nlink: </b.js>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\n",
    );
    assert.equal((await connection.response()).text, "hinted");
    connection.close();
  });

  test("early hints: HTTP/1.0 gets none", async () => {
    const connection = probe.connection();
    connection.send("GET /hints HTTP/1.0\r\n\r\n");
    assert.equal((await connection.response()).text, "hinted");
    connection.close();
  });

  const file = readFileSync(join(root, "test/conformance/asgi/asgi_probe.py"), "latin1");

  test("path send: the file is the body, and its length is said", async () => {
    const response = await probe.ask("/path");
    assert.deepEqual(values(response, "content-length"), [String(file.length)]);
    assert.deepEqual(values(response, "content-type"), ["text/x-python"]);
    assert.ok(response.whole && response.text === file);
  });

  test("path send: HEAD gets the length alone, and the connection goes on", async () => {
    const connection = probe.connection();
    connection.send(request("/path", { method: "HEAD" }));
    assert.deepEqual(values(await connection.response("HEAD"), "content-length"), [String(file.length)]);
    connection.send(request("/unread"));
    assert.equal((await connection.response()).text, "not read");
    connection.close();
  });

  test("path send: a file that is not there is a 500, and the log says which", async () => {
    assert.equal((await probe.ask("/path-missing")).status, 500);
    await probe.logged(/The file \/nonexistent\/file, which the application names .*, cannot be sent/);
  });
}
