import assert from "node:assert/strict";
import { test } from "node:test";
import { VivariumError } from "../../src/errors.js";
import { Ingress } from "../../src/ingress/ingress.js";
import { readReceived, receivedRecord } from "../../src/ingress/received-request.js";
import { Deadlines } from "../../src/net/deadline.js";
import { Router } from "../../src/routing/router.js";

const ingress = new Ingress(
  {
    trustedProxies: ["10.0.0.0/8", "unix"],
    maxBody: 1000,
    bodyMemory: 65536,
    requestMemoryTotal: 2 ** 26,
    tempDir: "/nowhere",
    maxTarget: 100,
    maxHead: 65536,
    maxFields: 10,
    keepAlive: 75,
    headTimeout: 30,
    stallTimeout: 30,
    minRate: 500,
    wsMaxSize: 2 ** 24,
    wsPingInterval: 20,
    wsPingTimeout: 20,
    wsCompression: false,
  },
  new Router([]),
  { version: "0.0.0", deadlines: new Deadlines(false) },
);

function read(variables: Readonly<Record<string, string>>): ReturnType<typeof readReceived> {
  return readReceived(Object.entries({ REQUEST_METHOD: "GET", REQUEST_URI: "/", ...variables }).flat(), ingress);
}

function fields(count: number, prefix: string): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, n) => [`${prefix}${n}`, "1"]));
}

test("a request beyond a limit has the status it has over HTTP", () => {
  const cases: readonly (readonly [Record<string, string>, number, string])[] = [
    [{ REQUEST_URI: `/${"a".repeat(100)}` }, 414, "ERR_HTTP_TARGET_TOO_LONG"],
    [fields(11, "HTTP_X_"), 431, "ERR_HTTP_HEAD_TOO_LARGE"],
    [{ CONTENT_LENGTH: "1001" }, 413, "ERR_HTTP_BODY_TOO_LARGE"],
    [{ REQUEST_METHOD: "" }, 400, "ERR_CGI_BAD_REQUEST"],
  ];
  for (const [variables, status, code] of cases) {
    assert.throws(
      () => read(variables),
      (error) => error instanceof VivariumError && error.status === status && error.code === code,
    );
  }
  assert.equal(
    read({ REQUEST_URI: `/${"a".repeat(99)}`, CONTENT_LENGTH: "1000", ...fields(10, "HTTP_X_") }).path[1],
    "a",
  );
});

test("what the web server in front adds of its own does not count as header fields", () => {
  assert.equal(read(fields(40, "SSL_CLIENT_")).method, "GET");
});

test("forwarding fields are believed of trusted proxies only, by the address that the web server in front says", () => {
  const from = (address: string, fieldsSent: Record<string, string>): string =>
    read({ REMOTE_ADDR: address, ...fieldsSent }).remoteAddress;
  const claim = { HTTP_X_FORWARDED_FOR: "203.0.113.9, 10.0.0.2" };
  assert.equal(from("10.0.0.1", claim), "203.0.113.9");
  assert.equal(from("192.0.2.1", claim), "192.0.2.1");
  assert.equal(from("unix:", claim), "203.0.113.9");
  assert.equal(from("", claim), "");
  assert.equal(from("10.0.0.1", { HTTP_FORWARDED: 'for="203.0.113.8:99"' }), "203.0.113.8");
  const proto = read({
    REMOTE_ADDR: "10.0.0.1",
    HTTP_X_FORWARDED_PROTO: "https",
    HTTP_X_FORWARDED_HOST: "shop.example",
  });
  assert.equal(proto.host, "shop.example");
  assert.match(
    proto.encode({ scriptName: "", pathInfo: "/" }, -1),
    /wsgi\.url_scheme\0https\0HTTPS\0on\0SERVER_NAME\0shop\.example\0SERVER_PORT\x00443/,
  );
});

test("the record of a request has what the access log says", () => {
  const request = read({
    REQUEST_URI: "/a?b",
    REMOTE_ADDR: "192.0.2.1",
    SERVER_PROTOCOL: "HTTP/2.0",
    HTTP_REFERER: "http://r/",
    HTTP_USER_AGENT: "u",
  });
  const { milliseconds, ...record } = receivedRecord(request, 200, 5, 0);
  assert.equal(milliseconds, 0);
  assert.deepEqual(record, {
    remoteAddress: "192.0.2.1",
    method: "GET",
    target: "/a?b",
    protocol: "HTTP/2.0",
    status: 200,
    octets: 5,
    referer: "http://r/",
    userAgent: "u",
  });
  assert.equal(receivedRecord(undefined, 400, 0, 0).method, "");
});
