// A listener of plain HTTP that sends everybody on to HTTPS.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Connection, type Response, values } from "../conformance/wsgi/connection.js";
import { removeFolder, temporaryFolder } from "../support/tools.js";
import { startVivarium, type Vivarium } from "../support/vivarium.js";

describe("http://…?redirect=https", () => {
  let folder = "";
  let server: Vivarium;
  const ask = async (text: string): Promise<Response> => {
    const connection = new Connection(server.port);
    try {
      connection.send(text);
      return await connection.response();
    } finally {
      connection.close();
    }
  };
  const location = async (text: string): Promise<readonly [number, string]> => {
    const response = await ask(text);
    return [response.status, values(response, "Location").join()];
  };

  before(async () => {
    folder = temporaryFolder("redirect");
    mkdirSync(join(folder, "challenges"));
    writeFileSync(join(folder, "challenges/token"), "the answer\n");
    writeFileSync(join(folder, "index.txt"), "a file\n");
    const mounts = ['[[mount]]\nfiles = "."', '[[mount]]\npath = "/.well-known/acme-challenge"\nfiles = "challenges"'];
    writeFileSync(join(folder, "vivarium.toml"), `access-log = "off"\n${mounts.join("\n")}\n`);
    server = await startVivarium(undefined, {
      cwd: folder,
      args: [
        "--listen",
        "http://127.0.0.1:0?redirect=https:8443&proxy-protocol=unix",
        "--trusted-proxies",
        "127.0.0.1",
        "--fronts",
        "1",
      ],
    });
  });
  after(async () => {
    await server?.stop();
    removeFolder(folder);
  });

  test("keeps host, path and query, and names the port", async () => {
    const at = (target: string, host: string): string => `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
    assert.deepEqual(await location(at("/a%20b?c=d&e", "example.com")), [308, "https://example.com:8443/a%20b?c=d&e"]);
    assert.deepEqual(await location(at("/", "example.com:8000")), [308, "https://example.com:8443/"]);
    assert.deepEqual(await location(at("/", "[::1]:8000")), [308, "https://[::1]:8443/"]);
    assert.deepEqual(await location(at("//other.test/", "example.com")), [
      308,
      "https://example.com:8443//other.test/",
    ]);
    assert.deepEqual(await location(at("http://other.test/x", "example.com")), [308, "https://other.test:8443/x"]);
    assert.deepEqual(await location("OPTIONS * HTTP/1.1\r\nHost: example.com\r\n\r\n"), [
      308,
      "https://example.com:8443/",
    ]);
    assert.deepEqual(await location("GET /x HTTP/1.0\r\n\r\n"), [308, "https://127.0.0.1:8443/x"]);
  });

  test("takes the body of a request that it redirects, and keeps the connection", async () => {
    const connection = new Connection(server.port);
    try {
      for (const body of ["one", "two"]) {
        connection.send(`POST /form HTTP/1.1\r\nHost: example.com\r\nContent-Length: 3\r\n\r\n${body}`);
        assert.equal((await connection.response()).status, 308);
      }
    } finally {
      connection.close();
    }
  });

  test("serves the challenges of certificate authorities, and nothing beside them", async () => {
    const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: example.com\r\n\r\n`;
    const challenge = await ask(get("/.well-known/acme-challenge/token"));
    assert.deepEqual([challenge.status, challenge.text], [200, "the answer\n"]);
    assert.equal((await ask(get("/.well-known/acme-challenge/none"))).status, 404);
    assert.equal((await ask(get("/.well-known/acme-challenge/../../index.txt"))).status, 404);
    assert.equal((await ask(get("/.well-known/acme-challenges"))).status, 308);
  });

  test("serves what a trusted proxy says came by HTTPS", async () => {
    const response = await ask(
      "GET /index.txt HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n\r\n",
    );
    assert.deepEqual([response.status, response.text], [200, "a file\n"]);
  });
});
