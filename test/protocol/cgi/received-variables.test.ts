import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { VivariumError } from "../../../src/errors.js";
import {
  type ReceivedFacts,
  type ReceivedRequest,
  receivedRequest,
} from "../../../src/protocol/cgi/received-variables.js";
import type { Place } from "../../../src/protocol/cgi/request-variables.js";
import { captured, withPath } from "./received.js";

const facts: ReceivedFacts = { software: "vivarium/0.0.0", believe: () => undefined };

function receive(variables: Readonly<Record<string, string>>, how = facts): ReceivedRequest {
  return receivedRequest(Object.entries({ REQUEST_METHOD: "GET", ...variables }).flat(), how);
}

/** What an application at `place`, by default the root, sees. */
function seen(request: ReceivedRequest, bodyLength = -1, place?: Place): Record<string, string> {
  const encoded = request.encode(place ?? { scriptName: "", pathInfo: request.path }, bodyLength).split("\0");
  const variables: Record<string, string> = {};
  for (let at = 0; at + 1 < encoded.length; at += 2) {
    const name = encoded[at] ?? "";
    assert.ok(!(name in variables), `${name} is there twice`);
    variables[name] = encoded[at + 1] ?? "";
  }
  return variables;
}

describe("what real web servers in front send", () => {
  for (const { name, sent, seen: wanted, paths } of captured()) {
    test(`${name}: the application sees what PEP 3333 wants`, () => {
      const request = receivedRequest(sent, facts);
      const variables = seen(request, 5);
      assert.deepEqual(
        Object.entries(variables)
          .map(([key, value]) => `${key}=${value}`)
          .sort(),
        wanted,
      );
      assert.equal(request.contentLength, 5);
      assert.equal(request.remoteAddress, "127.0.0.1");
      assert.equal(request.userAgent, "probe/1");
    });

    test(`${name}: SCRIPT_NAME and PATH_INFO`, () => {
      assert.ok(paths.length >= 5);
      for (const path of paths) {
        const request = receivedRequest(withPath(sent, path.sent), facts);
        const { SCRIPT_NAME, PATH_INFO, REQUEST_URI } = seen(request);
        assert.deepEqual([SCRIPT_NAME, PATH_INFO], [path.scriptName, path.pathInfo], JSON.stringify(path.sent));
        assert.equal(request.path, `${SCRIPT_NAME}${PATH_INFO}`);
        assert.equal(REQUEST_URI, path.sent["REQUEST_URI"]);
      }
    });
  }
});

describe("the path", () => {
  test("an explicit mount is SCRIPT_NAME, whatever the front split", () => {
    const request = receive({ REQUEST_URI: "/app/x", SCRIPT_NAME: "/app/x" });
    const { SCRIPT_NAME, PATH_INFO } = seen(request, -1, { scriptName: "/app", pathInfo: "/x" });
    assert.deepEqual([request.path, SCRIPT_NAME, PATH_INFO], ["/app/x", "/app", "/x"]);
  });

  test("a mount point set beside parameters that have no PATH_INFO is kept", () => {
    const request = receive({ REQUEST_URI: "/app/x%20y?q", SCRIPT_NAME: "/app", DOCUMENT_URI: "/app/x y" });
    const { SCRIPT_NAME, PATH_INFO } = seen(request);
    assert.deepEqual([SCRIPT_NAME, PATH_INFO], ["/app", "/x y"]);
  });

  test("a prefix in SCRIPT_NAME that PATH_INFO has as well is there once", () => {
    const request = receive({ REQUEST_URI: "/app/x", SCRIPT_NAME: "/app", PATH_INFO: "/app/x" });
    const { SCRIPT_NAME, PATH_INFO } = seen(request);
    assert.deepEqual([SCRIPT_NAME, PATH_INFO], ["/app", "/x"]);
  });

  test("a percent sign that was sent encoded is not decoded twice", () => {
    const request = receive({ REQUEST_URI: "/a%252Fb", SCRIPT_NAME: "/a%2Fb" });
    assert.equal(request.path, "/a%2Fb");
  });

  test("without REQUEST_URI the path is what the others say, and the target is made from it", () => {
    const request = receive({ SCRIPT_NAME: "/app", PATH_INFO: "/x y\xe9", QUERY_STRING: "q=1" });
    const { SCRIPT_NAME, PATH_INFO, REQUEST_URI } = seen(request);
    assert.deepEqual([SCRIPT_NAME, PATH_INFO], ["/app", "/x y\xe9"]);
    assert.deepEqual([REQUEST_URI, request.target], ["/app/x%20y%E9?q=1", "/app/x%20y%E9?q=1"]);
  });

  test("a query that the front does not send is REQUEST_URI's", () => {
    assert.equal(seen(receive({ REQUEST_URI: "/a?b=1?2" }))["QUERY_STRING"], "b=1?2");
  });

  test("a target with scheme and authority is reduced to its path, the server as a whole has none", () => {
    const absolute = receive({ REQUEST_URI: "http://example.org/a?b", PATH_INFO: "/a" });
    assert.deepEqual([absolute.path, absolute.target], ["/a", "/a?b"]);
    assert.equal(receive({ REQUEST_URI: "http://example.org" }).path, "/");
    assert.equal(receive({ REQUEST_METHOD: "OPTIONS", REQUEST_URI: "*", SCRIPT_NAME: "*" }).path, "");
  });

  test("SCRIPT_NAME never begins with two slashes, which would be another host's address", () => {
    const request = receive({ REQUEST_URI: "//evil/x", SCRIPT_NAME: "//evil", PATH_INFO: "/x" });
    assert.equal(seen(request)["SCRIPT_NAME"], "/evil");
  });
});

describe("scheme, server and client", () => {
  const schemeOf = (variables: Record<string, string>): string | undefined =>
    seen(receive(variables))["wsgi.url_scheme"];

  test("HTTPS goes before REQUEST_SCHEME, in every way of saying it", () => {
    for (const yes of ["on", "1", "ON", "true"])
      assert.equal(schemeOf({ HTTPS: yes, REQUEST_SCHEME: "http" }), "https");
    for (const no of ["off", "0", "OFF"]) assert.equal(schemeOf({ HTTPS: no, REQUEST_SCHEME: "https" }), "http");
    assert.equal(schemeOf({ HTTPS: "", REQUEST_SCHEME: "https" }), "https");
    assert.equal(schemeOf({ HTTPS: "" }), "http");
    assert.equal(seen(receive({ HTTPS: "1" }))["HTTPS"], "on");
    assert.ok(!("HTTPS" in seen(receive({ HTTPS: "off" }))));
  });

  test("SERVER_NAME and SERVER_PORT are never empty", () => {
    const server = (variables: Record<string, string>): string => {
      const { SERVER_NAME, SERVER_PORT } = seen(receive(variables));
      return `${SERVER_NAME} ${SERVER_PORT}`;
    };
    assert.equal(server({}), "localhost 80");
    assert.equal(server({ HTTPS: "on" }), "localhost 443");
    assert.equal(server({ SERVER_NAME: "site", SERVER_PORT: "8080", HTTP_HOST: "x:1" }), "site 8080");
    assert.equal(server({ SERVER_NAME: "", SERVER_PORT: "", HTTP_HOST: "x:81" }), "x 81");
    for (const none of ["_", "*.example.org", "~^www\\d+$"]) {
      assert.equal(server({ SERVER_NAME: none, SERVER_ADDR: "192.0.2.1", SERVER_PORT: "80" }), "192.0.2.1 80");
    }
    assert.equal(server({ SERVER_NAME: "site.example:8080" }), "site.example 80");
    assert.equal(server({ SERVER_NAME: "::1" }), "[::1] 80");
    assert.equal(server({ SERVER_NAME: "[::1]" }), "[::1] 80");
  });

  test("the client is whom the front names; a client on a unix socket has no address", () => {
    const address = (text: string): string => receive({ REMOTE_ADDR: text }).remoteAddress;
    assert.equal(address("192.0.2.7"), "192.0.2.7");
    assert.equal(address("::ffff:192.0.2.7"), "192.0.2.7");
    assert.equal(address("unix:"), "");
    assert.ok(!("REMOTE_PORT" in seen(receive({ REMOTE_PORT: "" }))));
  });

  test("forwarding fields are put before the one who knows whether they are believed, with the front's client", () => {
    const asked: unknown[] = [];
    const trusting: ReceivedFacts = {
      software: "v",
      believe(fields, peer) {
        asked.push([fields, peer.remoteAddress]);
        return { remoteAddress: "203.0.113.9", remotePort: -1, scheme: "https", host: "shop.example", port: -1 };
      },
    };
    const from = { REMOTE_ADDR: "10.0.0.1", REMOTE_PORT: "99", SERVER_NAME: "inner", SERVER_PORT: "80" };
    const request = receive({ ...from, HTTP_HOST: "inner", HTTP_X_FORWARDED_FOR: "203.0.113.9" }, trusting);
    assert.deepEqual(asked, [[["x-forwarded-for", "203.0.113.9"], "10.0.0.1"]]);
    const variables = seen(request);
    assert.equal(request.remoteAddress, "203.0.113.9");
    assert.equal(request.trustedPeer, "10.0.0.1");
    assert.equal(receive(from).trustedPeer, undefined);
    assert.equal(request.host, "shop.example");
    for (const [name, value] of Object.entries({
      REMOTE_ADDR: "203.0.113.9",
      "wsgi.url_scheme": "https",
      SERVER_NAME: "shop.example",
      SERVER_PORT: "443",
      HTTP_HOST: "shop.example",
    })) {
      assert.equal(variables[name], value, name);
    }
    assert.ok(!("REMOTE_PORT" in variables));
  });

  test("a front that names no client is asked for none to believe", () => {
    const never: ReceivedFacts = {
      software: "v",
      believe: () => assert.fail("asked"),
    };
    assert.equal(receive({ HTTP_X_FORWARDED_FOR: "203.0.113.9" }, never).remoteAddress, "");
  });
});

describe("the body", () => {
  test("an empty length or type is none, and HTTP_CONTENT_* stand in for those that are not sent", () => {
    const none = receive({ CONTENT_LENGTH: "", CONTENT_TYPE: "", HTTP_CONTENT_TYPE: "" });
    assert.equal(none.contentLength, -1);
    assert.ok(!("CONTENT_TYPE" in seen(none)) && !("CONTENT_LENGTH" in seen(none)));
    const fields = receive({ HTTP_CONTENT_LENGTH: "7", HTTP_CONTENT_TYPE: "text/x" });
    assert.equal(fields.contentLength, 7);
    const variables = seen(fields, 7);
    assert.deepEqual([variables["CONTENT_TYPE"], variables["CONTENT_LENGTH"]], ["text/x", "7"]);
    assert.ok(!("HTTP_CONTENT_TYPE" in variables) && !("HTTP_CONTENT_LENGTH" in variables));
  });

  test("a length of -1 is one that is not known, as Caddy says it", () => {
    assert.equal(receive({ CONTENT_LENGTH: "-1" }).contentLength, -1);
  });

  test("the length seen is that of the body received", () => {
    assert.equal(seen(receive({ CONTENT_LENGTH: "7" }), 9)["CONTENT_LENGTH"], "9");
  });

  test("chunked is said only where no length is", () => {
    assert.ok(receive({ HTTP_TRANSFER_ENCODING: "chunked" }).chunked);
    assert.ok(receive({ HTTP_TRANSFER_ENCODING: "gzip, Chunked" }).chunked);
    assert.ok(!receive({ HTTP_TRANSFER_ENCODING: "chunked", CONTENT_LENGTH: "5" }).chunked);
    assert.ok(!receive({ HTTP_TRANSFER_ENCODING: "" }).chunked);
    assert.ok(!("HTTP_TRANSFER_ENCODING" in seen(receive({ HTTP_TRANSFER_ENCODING: "chunked" }))));
  });
});

describe("other variables", () => {
  test("what the administrator added goes on, what could mislead the application does not", () => {
    const added = {
      "myapp.setting": "x",
      SSL_CLIENT_VERIFY: "SUCCESS",
      HTTP_X_A: "1",
      REMOTE_USER: "anna",
      DOCUMENT_ROOT: "/d",
    };
    const misleading = {
      HTTP_PROXY: "http://evil",
      http_proxy: "http://evil",
      HTTP_x_a: "2",
      "HTTP_X-A": "2",
      UWSGI_FILE: "/etc/x.py",
      UWSGI_SETENV: "A=B",
      "wsgi.input": "x",
      "wsgi.url_scheme": "gopher",
      SCRIPT_FILENAME: "proxy:fcgi://127.0.0.1/",
      "A=B": "x",
      "": "x",
      "A B": "x",
      "A\0B": "x",
      HTTP_EXPECT: "100-continue",
      SERVER_SOFTWARE: "nginx",
    };
    const variables = seen(receive({ ...added, ...misleading }));
    for (const [name, value] of Object.entries(added)) assert.equal(variables[name], value, name);
    for (const [name, value] of Object.entries(misleading)) assert.notEqual(variables[name], value, name);
  });

  test("a header field that comes twice is joined, of anything else the last holds", () => {
    const pairs = ["REQUEST_METHOD", "GET", "HTTP_COOKIE", "a=1", "HTTP_X_A", "1", "APP_ENV", "one"];
    const again = ["HTTP_X_A", "2", "HTTP_COOKIE", "b=2", "APP_ENV", "two", "REQUEST_METHOD", "POST"];
    const request = receivedRequest([...pairs, ...again], facts);
    const { HTTP_COOKIE, HTTP_X_A, APP_ENV, REQUEST_METHOD } = seen(request);
    assert.deepEqual([HTTP_COOKIE, HTTP_X_A, APP_ENV], ["a=1; b=2", "1, 2", "two"]);
    assert.deepEqual([REQUEST_METHOD, request.method], ["POST", "POST"]);
  });

  test("an empty REMOTE_USER is none", () => {
    assert.ok(!("REMOTE_USER" in seen(receive({ REMOTE_USER: "", AUTH_TYPE: "" }))));
  });

  test("the version of HTTP is the front's word", () => {
    assert.equal(receive({ SERVER_PROTOCOL: "HTTP/2.0" }).protocol, "HTTP/2.0");
    for (const none of ["", "INCLUDED"]) assert.equal(receive({ SERVER_PROTOCOL: none }).protocol, "HTTP/1.1");
  });

  test("what is no request is refused with 400", () => {
    const wrong: readonly Record<string, string>[] = [
      { REQUEST_METHOD: "" },
      { REQUEST_METHOD: "G T" },
      { CONTENT_LENGTH: "-2" },
      { CONTENT_LENGTH: "1e3" },
      { HTTP_X_A: "a\0b" },
      { REQUEST_URI: "/%zz" },
      { REQUEST_URI: "/%00" },
      { HTTP_HOST: "a, b" },
      { HTTP_HOST: "a/b" },
    ];
    for (const variables of wrong) {
      assert.throws(
        () => receive(variables),
        (error) => error instanceof VivariumError && error.status === 400,
        JSON.stringify(variables),
      );
    }
  });

  test("any number of names is forgotten again", () => {
    for (let n = 0; n < 3000; n += 1) receive({ [`HTTP_X_${n}`]: "1", HTTP_ACCEPT: "*/*" });
    assert.equal(seen(receive({ HTTP_ACCEPT: "text/x" }))["HTTP_ACCEPT"], "text/x");
  });
});

describe("the part that requests share", () => {
  const sent = (method: string, cookie: string, port: string): string[] => [
    ...["REQUEST_METHOD", method, "REQUEST_URI", `/${port}`, "SERVER_PROTOCOL", "HTTP/1.1", "SERVER_NAME", "s"],
    ...[
      "SERVER_PORT",
      "80",
      "REMOTE_ADDR",
      "192.0.2.7",
      "REMOTE_PORT",
      port,
      "HTTP_COOKIE",
      cookie,
      "HTTP_ACCEPT",
      "*/*",
    ],
  ];
  const sharedOf = (pairs: readonly string[]): string => {
    const request = receivedRequest(pairs, facts);
    return request.encode({ scriptName: "", pathInfo: request.path }, -1).slice(0, request.shared);
  };

  test("is the same for other targets, clients, methods and cookies, and ends before a name", () => {
    sharedOf(sent("GET", "", "1"));
    const shared = sharedOf(sent("GET", "a=1", "1000"));
    assert.equal(sharedOf(sent("POST", "b=2", "2000")), shared);
    assert.match(shared, /\0HTTP_ACCEPT\0\*\/\*$/);
    assert.ok(!shared.includes("REMOTE_PORT") && !shared.includes("HTTP_COOKIE"));
  });

  test("is none where variables come in an order that was not met before, as each of Caddy's requests", () => {
    const pairs = sent("GET", "a=1", "1000");
    const turned: string[] = [];
    for (let at = pairs.length - 2; at >= 0; at -= 2) turned.push(pairs[at] ?? "", pairs[at + 1] ?? "");
    sharedOf(pairs);
    assert.equal(sharedOf(turned), "");
    assert.notEqual(sharedOf(pairs), "");
    assert.notEqual(sharedOf(turned), "");
  });
});
