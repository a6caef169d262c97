import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  type ConnectionFacts,
  decodePath,
  type Origin,
  RequestVariables,
  type VariablesRequest,
} from "../../../src/protocol/cgi/request-variables.js";

const facts: ConnectionFacts = {
  software: "vivarium/1.2.3",
  localAddress: "203.0.113.5",
  localPort: 8000,
  remoteAddress: "192.0.2.7",
  remotePort: 51234,
  scheme: "http",
  host: "",
  port: -1,
};

function requestOf(overrides: Partial<VariablesRequest> = {}): VariablesRequest {
  return {
    method: "GET",
    target: "/a?b=c",
    form: "origin",
    path: "/a",
    query: "b=c",
    host: "example.org",
    fields: ["Host", "example.org"],
    ...overrides,
  };
}

/** The variables as a map; fails where a name comes twice. */
function parse(encoded: string): Map<string, string> {
  const parts = encoded.split("\0");
  assert.equal(parts.length % 2, 0, "names and values alternate");
  const variables = new Map<string, string>();
  for (let at = 0; at + 1 < parts.length; at += 2) {
    const name = parts[at] ?? "";
    assert.equal(variables.has(name), false, `${name} comes once`);
    variables.set(name, parts[at + 1] ?? "");
  }
  return variables;
}

function encode(
  overrides: Partial<VariablesRequest> = {},
  contentLength = -1,
  connection: Partial<ConnectionFacts> = {},
  scriptName = "",
): Map<string, string> {
  const request = requestOf(overrides);
  const place = { scriptName, pathInfo: decodePath(request.path) };
  return parse(new RequestVariables({ ...facts, ...connection }).encode(request, "HTTP/1.1", place, contentLength));
}

/** The HTTP_* variables, and CONTENT_TYPE. */
function fromFields(...fields: readonly string[]): Record<string, string> {
  const variables = encode({ fields, host: "" });
  return Object.fromEntries([...variables].filter(([name]) => name.startsWith("HTTP_") || name === "CONTENT_TYPE"));
}

describe("the variables of a request", () => {
  test("are all that RFC 3875 and PEP 3333 ask for", () => {
    assert.deepEqual(Object.fromEntries(encode()), {
      SERVER_SOFTWARE: "vivarium/1.2.3",
      GATEWAY_INTERFACE: "CGI/1.1",
      "wsgi.url_scheme": "http",
      REMOTE_ADDR: "192.0.2.7",
      REMOTE_PORT: "51234",
      SERVER_NAME: "example.org",
      SERVER_PORT: "8000",
      HTTP_HOST: "example.org",
      REQUEST_METHOD: "GET",
      SCRIPT_NAME: "",
      PATH_INFO: "/a",
      QUERY_STRING: "b=c",
      REQUEST_URI: "/a?b=c",
      SERVER_PROTOCOL: "HTTP/1.1",
    });
  });

  test("say a body's length, zero included, and nothing without a body", () => {
    assert.equal(encode({}, 0).get("CONTENT_LENGTH"), "0");
    assert.equal(encode({}, 2 ** 40).get("CONTENT_LENGTH"), "1099511627776");
    assert.equal(encode().has("CONTENT_LENGTH"), false);
  });

  test("name the server as the client did, and the port that the request came to", () => {
    const server = (host: string, connection: Partial<ConnectionFacts> = {}): string => {
      const variables = encode({ host }, -1, connection);
      return `${variables.get("SERVER_NAME")} ${variables.get("SERVER_PORT")} ${variables.get("HTTP_HOST")}`;
    };
    assert.equal(server("example.org"), "example.org 8000 example.org");
    assert.equal(server("example.org:8080"), "example.org 8000 example.org:8080");
    assert.equal(server("example.org:"), "example.org 8000 example.org:");
    assert.equal(server("[2001:db8::1]"), "[2001:db8::1] 8000 [2001:db8::1]");
    assert.equal(server("[2001:db8::1]:81"), "[2001:db8::1] 8000 [2001:db8::1]:81");
    assert.equal(server(""), "203.0.113.5 8000 undefined");
    assert.equal(server("", { localAddress: "2001:db8::5" }), "[2001:db8::5] 8000 undefined");
  });

  test("on a unix socket, tell the port that the client asked for", () => {
    const port = (host: string, scheme: "http" | "https" = "http"): string | undefined =>
      encode({ host }, -1, { localAddress: "", localPort: -1, scheme }).get("SERVER_PORT");
    assert.equal(port("example.org:8080"), "8080");
    assert.equal(port("[2001:db8::1]:81"), "81");
    assert.equal(port("example.org"), "80");
    assert.equal(port("example.org:"), "80");
    assert.equal(port("example.org", "https"), "443");
    assert.equal(port("[2001:db8::1]"), "80");
    assert.equal(port(""), "80");
    assert.equal(encode({ host: "" }, -1, { localAddress: "", localPort: -1 }).get("SERVER_NAME"), "localhost");
  });

  test("tell https twice, as CGI and WSGI programs ask", () => {
    const variables = encode({}, -1, { scheme: "https" });
    assert.deepEqual([variables.get("HTTPS"), variables.get("wsgi.url_scheme")], ["on", "https"]);
    assert.equal(encode().has("HTTPS"), false);
  });

  test("have no REMOTE_PORT where none is known, and an empty REMOTE_ADDR on a unix socket", () => {
    const variables = encode({}, -1, { remoteAddress: "", remotePort: -1 });
    assert.deepEqual([variables.get("REMOTE_ADDR"), variables.has("REMOTE_PORT")], ["", false]);
  });

  test("with an absolute-form target name its authority, and its path as REQUEST_URI", () => {
    const variables = encode({
      target: "http://www.example.org/p%20q?r",
      form: "absolute",
      path: "/p%20q",
      query: "r",
      host: "www.example.org",
      fields: ["Host", "other"],
    });
    assert.equal(variables.get("HTTP_HOST"), "www.example.org");
    assert.equal(variables.get("REQUEST_URI"), "/p%20q?r");
    assert.equal(variables.get("PATH_INFO"), "/p q");
  });

  test("of OPTIONS * have an empty path, which PEP 3333 allows and '*' it does not", () => {
    const variables = encode({ method: "OPTIONS", target: "*", form: "asterisk", path: "", query: "" });
    assert.deepEqual([variables.get("PATH_INFO"), variables.get("REQUEST_URI")], ["", "*"]);
  });

  test("show the mount", () => {
    assert.equal(encode({}, -1, {}, "/p").get("SCRIPT_NAME"), "/p");
  });
});

describe("percent-encoding", () => {
  test("is undone once, octet by octet", () => {
    assert.equal(decodePath("/plain"), "/plain");
    assert.equal(decodePath("/%61%2Fb%2fc%25%20"), "/a/b/c% ");
    assert.equal(decodePath("%2561"), "%61");
    assert.equal(decodePath("/%c3%A9%FF"), "/\u00c3\u00a9\u00ff");
    assert.equal(decodePath("/+"), "/+");
  });

  test("that is malformed or hides a NUL is a bad request", () => {
    for (const path of ["/%", "/%1", "/%zz", "/%1g", "/%g1", "/%%41", "/% 1", "/%00", "/a%00b", "/%\u00e9\u00e9"]) {
      assert.throws(() => decodePath(path), { code: "ERR_HTTP_BAD_REQUEST", status: 400 }, path);
    }
  });
});

describe("header fields", () => {
  test("become HTTP_ variables, Content-Type its own", () => {
    assert.deepEqual(
      fromFields("Accept", "*/*", "x-lower-Case", "v", "Content-Type", "text/plain", "X.Dot", "", "A", "\u00e9"),
      {
        HTTP_ACCEPT: "*/*",
        HTTP_X_LOWER_CASE: "v",
        CONTENT_TYPE: "text/plain",
        "HTTP_X.DOT": "",
        HTTP_A: "\u00e9",
      },
    );
  });

  test("that repeat are joined, however they are spelt, cookies as cookies", () => {
    assert.deepEqual(fromFields("X-A", "1", "Cookie", "a=b", "x-a", "2", "COOKIE", "c=d", "X-A", ""), {
      HTTP_X_A: "1, 2, ",
      HTTP_COOKIE: "a=b; c=d",
    });
  });

  test("with an underscore, Proxy, and what describes the framing never reach the application", () => {
    assert.deepEqual(
      fromFields(
        ...["X_Forwarded_For", "6.6.6.6", "Content_Length", "5", "Proxy", "http://evil", "PROXY", "http://evil"],
        ...["Content-Length", "5", "Transfer-Encoding", "chunked", "Expect", "100-continue", "Host", "h", "_", "x"],
        ...["X-Kept", "yes"],
      ),
      { HTTP_X_KEPT: "yes" },
    );
  });

  test("of any number of names are told apart, and repetition is still seen", () => {
    for (let n = 0; n < 5000; n++) {
      assert.deepEqual(fromFields(`X-N${n}`, "1", `x-n${n}`, "2"), { [`HTTP_X_N${n}`]: "1, 2" });
    }
  });

  test("named like properties of objects are nothing special", () => {
    assert.deepEqual(fromFields("constructor", "1", "toString", "2", "--proto--", "3"), {
      HTTP_CONSTRUCTOR: "1",
      HTTP_TOSTRING: "2",
      HTTP___PROTO__: "3",
    });
  });
});

describe("on one connection", () => {
  const variables = new RequestVariables(facts);
  const fields = ["Host", "example.org", "X", "1"];
  const at = (overrides: Partial<VariablesRequest>, protocol = "HTTP/1.1", contentLength = -1): string => {
    const request = requestOf({ fields, ...overrides });
    return variables.encode(request, protocol, { scriptName: "", pathInfo: request.path }, contentLength);
  };

  test("every difference from the request before shows", () => {
    const requests: [Partial<VariablesRequest>, string?, number?][] = [
      [{}],
      [{ method: "HEAD" }],
      [{ method: "HEAD", target: "/b", path: "/b", query: "" }],
      [{ host: "other.example" }],
      [{ host: "other.example" }, "HTTP/1.0"],
      [{}, "HTTP/1.1", 0],
      [{}, "HTTP/1.1", 5],
      [{ fields: ["Host", "example.org", "X", "2"] }],
      [{}],
      [{}],
    ];
    for (const [overrides, protocol = "HTTP/1.1", contentLength = -1] of requests) {
      const fresh = new RequestVariables(facts);
      const request = requestOf({ fields, ...overrides });
      const expected = fresh.encode(request, protocol, { scriptName: "", pathInfo: request.path }, contentLength);
      assert.equal(at(overrides, protocol, contentLength), expected);
    }
  });

  test("a trusted proxy's word holds for the request it came with", () => {
    const believe = (given: readonly string[]): Origin => ({
      remoteAddress: given[1] ?? "",
      remotePort: -1,
      scheme: "https",
      host: "public.example",
      port: 8443,
    });
    const behind = new RequestVariables(facts, believe);
    const of = (client: string) =>
      parse(
        behind.encode(
          requestOf({ fields: ["X-Forwarded-For", client] }),
          "HTTP/1.1",
          { scriptName: "", pathInfo: "/a" },
          -1,
        ),
      );
    const first = of("198.51.100.1");
    assert.equal(behind.remoteAddress, "198.51.100.1");
    assert.deepEqual(
      ["REMOTE_ADDR", "REMOTE_PORT", "HTTPS", "HTTP_HOST", "SERVER_NAME", "SERVER_PORT"].map((name) => first.get(name)),
      ["198.51.100.1", undefined, "on", "public.example", "public.example", "8443"],
    );
    assert.equal(of("198.51.100.2").get("REMOTE_ADDR"), "198.51.100.2");
  });

  test("behind a trusted proxy the port is the one that the client asked for", () => {
    const port = (host: string, said: Partial<Origin> = {}): string | undefined => {
      const origin = { remoteAddress: "", remotePort: -1, scheme: "http", host: "", port: -1, ...said } as const;
      const behind = new RequestVariables(facts, () => origin);
      return parse(behind.encode(requestOf({ host }), "HTTP/1.1", { scriptName: "", pathInfo: "/" }, -1)).get(
        "SERVER_PORT",
      );
    };
    assert.equal(port("example.org"), "80");
    assert.equal(port("example.org", { scheme: "https" }), "443");
    assert.equal(port("example.org:81", { scheme: "https" }), "81");
    assert.equal(port("inner", { host: "example.org:8443", scheme: "https" }), "8443");
    assert.equal(port("example.org", { port: 8443 }), "8443");
    assert.equal(port("", { port: 8443 }), "8443");
    assert.equal(port(""), "8000");
  });
});
