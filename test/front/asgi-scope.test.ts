import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Request } from "../../src/exchange.js";
import { encodeScope } from "../../src/front/asgi-scope.js";
import { requestFlag } from "../../src/python/wire/frames.js";
import { TestExchange } from "./fake-worker.js";

class Exchange extends TestExchange {
  override readonly request: Request;
  override readonly takesHints: boolean;

  constructor(request: Partial<Request>, takesHints = false) {
    super("/");
    this.request = { method: "GET", target: "/", variables: "", shared: 0, body: { kind: "empty" }, ...request };
    this.takesHints = takesHints;
  }
}

function variables(pairs: Readonly<Record<string, string>>): string {
  return Object.entries(pairs).flat().join("\0");
}

/** The two parts of what is encoded. */
function parts(exchange: Exchange): readonly [shared: readonly string[], own: readonly string[]] {
  const { text, shared } = encodeScope(exchange);
  return [text.slice(0, shared).split("\0"), text.slice(shared + 1).split("\0")];
}

const steady = { "wsgi.url_scheme": "https", REMOTE_ADDR: "192.0.2.7", REMOTE_PORT: "4711", HTTP_HOST: "example.org" };
const own = {
  REQUEST_METHOD: "GET",
  SCRIPT_NAME: "/shop",
  PATH_INFO: "/a b",
  QUERY_STRING: "q=1",
  SERVER_PROTOCOL: "HTTP/1.1",
};

describe("a request that came over HTTP", () => {
  const local = { localAddress: "192.0.2.1", localPort: 443 };
  const fields = ["Host", "example.org", "X-A", "1", "x-a", "2"];
  const whole = variables({ ...steady, ...own });
  const request = { fields, local, pathRaw: "/shop/a%20b", target: "/shop/a%20b?q=1", variables: whole };

  test("has its fields as received, names in lower case, and where it came from and to", () => {
    assert.deepEqual(parts(new Exchange(request)), [
      ["https", "192.0.2.7", "4711", "192.0.2.1", "443", "host", "example.org", "x-a", "1", "x-a", "2"],
      ["GET", "/shop", "/shop/a%20b", "q=1", "1.1"],
    ]);
  });

  test("on a unix socket came to its path, in UTF-8", () => {
    const local = { localAddress: "", localPort: -1, localPath: "/run/é" };
    const [shared] = parts(new Exchange({ ...request, fields: [...fields], local }));
    assert.deepEqual(shared.slice(3, 6), ["/run/\xc3\xa9", "", "host"]);
  });

  test("is not encoded again where the client asks for the same, and in part where it asks for something else", () => {
    const first = encodeScope(new Exchange(request));
    assert.equal(encodeScope(new Exchange(request)), first);
    const other = variables({ ...steady, ...own, QUERY_STRING: "q=2" });
    const second = encodeScope(new Exchange({ ...request, variables: other }));
    assert.ok(second.text !== first.text && second.text.startsWith(first.text.slice(0, first.shared)));
  });

  test("says what its client takes", () => {
    const again = { ...request, fields: [...fields] };
    assert.equal(encodeScope(new Exchange(again, true)).flags, requestFlag.takesHints);
  });

  test("on a unix socket has no addresses", () => {
    const unix = { ...request, fields: [], local: { localAddress: "", localPort: -1 } };
    const [shared] = parts(
      new Exchange({ ...unix, variables: variables({ ...own, "wsgi.url_scheme": "http", REMOTE_ADDR: "" }) }),
    );
    assert.deepEqual(shared, ["http", "", "", "", ""]);
  });
});

describe("a request that a web server in front describes", () => {
  const front = {
    ...steady,
    SERVER_NAME: "example.org",
    SERVER_PORT: "443",
    HTTP_X_FORWARDED_FOR: "10.0.0.1",
    CONTENT_TYPE: "text/plain",
    CONTENT_LENGTH: "3",
    REQUEST_URI: "/shop/a%20b?q=1",
  };

  test("has the fields that the variables tell of", () => {
    assert.deepEqual(parts(new Exchange({ variables: variables({ ...front, ...own }) })), [
      [
        "https",
        "192.0.2.7",
        "4711",
        "example.org",
        "443",
        "host",
        "example.org",
        "x-forwarded-for",
        "10.0.0.1",
        "content-type",
        "text/plain",
        "content-length",
        "3",
      ],
      ["GET", "/shop", "/shop/a%20b", "q=1", "1.1"],
    ]);
  });

  test("whose path was rewritten there has the one that it was rewritten to", () => {
    const [, [, , path]] = parts(new Exchange({ variables: variables({ ...front, ...own, REQUEST_URI: "/old" }) }));
    assert.equal(path, "/shop/a%20b");
  });

  test("of HTTP/2 has its version", () => {
    const [, fields] = parts(new Exchange({ variables: variables({ ...front, ...own, SERVER_PROTOCOL: "HTTP/2.0" }) }));
    assert.equal(fields[4], "2");
  });
});
