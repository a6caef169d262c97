// What reaches the application of a request: method, path, fields, the environ of PEP 3333.
import assert from "node:assert/strict";
import { type AskCase, digestOf, environCase, environOf, shownEnvironOf, textOf } from "./cases.js";
import { type Ask, type Fields, valuesOf } from "./client.js";
import { pattern, patternDigest } from "./pattern.js";

function methodCase(method: string, body?: string): AskCase {
  const ask: Ask = { method, target: "/digest?q=1", ...(body === undefined ? {} : { body }) };
  return {
    name: `method ${method}${body === undefined ? "" : body === "" ? " with an empty body" : " with a body"}`,
    ask,
    check(answer) {
      const seen = digestOf(answer);
      assert.deepEqual([seen.method, seen.length, seen.query], [method, body?.length ?? 0, "q=1"]);
    },
  };
}

export const methodCases: readonly AskCase[] = [
  methodCase("GET"),
  methodCase("POST", "a body"),
  methodCase("POST", ""),
  methodCase("PUT", "a body"),
  methodCase("PATCH", "a body"),
  methodCase("DELETE"),
  methodCase("DELETE", "a body"),
  methodCase("OPTIONS"),
  methodCase("PROPFIND", "<propfind/>"),
  methodCase("REPORT", "<report/>"),
  methodCase("M-SEARCH", ""),
  {
    name: "method HEAD",
    ask: { method: "HEAD", target: "/head" },
    check(answer) {
      assert.deepEqual([answer.status, answer.body.length, answer.whole], [200, 0, true]);
      assert.deepEqual(valuesOf(answer, "X-Answer"), ["yes"]);
    },
  },
];

/** The decoded path is SCRIPT_NAME and PATH_INFO together; an application at the root has the first empty. */
function pathCase(name: string, path: string, decoded: string, query = ""): AskCase {
  const target = query === "" ? path : `${path}?${query}`;
  return environCase(`path ${name}`, { target }, { SCRIPT_NAME: "", PATH_INFO: decoded, QUERY_STRING: query });
}

export const pathCases: readonly AskCase[] = [
  pathCase("with a query", "/environ/a", "/environ/a", "a=1&b=%20+&c"),
  pathCase("with a query of percent signs, slashes, question marks", "/environ", "/environ", "%2F=//?&%25=%"),
  pathCase("with a closing slash", "/environ/", "/environ/"),
  pathCase("with a space", "/environ/a%20b", "/environ/a b"),
  pathCase("with UTF-8", "/environ/caf%C3%A9/%E2%82%AC", "/environ/caf\xc3\xa9/\xe2\x82\xac"),
  pathCase("with latin-1", "/environ/caf%E9", "/environ/caf\xe9"),
  pathCase("with an encoded slash", "/environ/a%2Fb", "/environ/a/b"),
  pathCase("with an encoded percent sign", "/environ/100%25", "/environ/100%"),
  pathCase("that is decoded once only", "/environ/%252F", "/environ/%2F"),
  pathCase("with an encoded question mark and hash", "/environ/a%3Fb%23c", "/environ/a?b#c", "q"),
  pathCase("with a semicolon", "/environ/a;b=1;c", "/environ/a;b=1;c"),
  pathCase("with two slashes inside", "/environ//a", "/environ//a"),
  pathCase("with two slashes at its end", "/environ/a//", "/environ/a//"),
  pathCase("with two slashes at its beginning", "//environ/a", "//environ/a"),
  pathCase("with a dot segment's letters in a name", "/environ/..a/.b", "/environ/..a/.b"),
  pathCase("with delimiters", "/environ/a:b@c!$&'()*+,=~-._", "/environ/a:b@c!$&'()*+,=~-._"),
  pathCase("that looks like a script's", "/environ/x.php/y.cgi", "/environ/x.php/y.cgi"),
  pathCase("of 4,000 octets", `/environ/${"a".repeat(3991)}`, `/environ/${"a".repeat(3991)}`),
];

function fieldsCase(name: string, fields: Fields, wanted: Readonly<Record<string, string | undefined>>): AskCase {
  return environCase(`fields ${name}`, { target: "/environ", fields }, wanted);
}

const many = Array.from({ length: 60 }, (_, at) => [`X-Many-${at}`, `value ${at}`] as const);

export const fieldCases: readonly AskCase[] = [
  fieldsCase(
    "of the usual kinds",
    ["Accept", "text/html, */*;q=0.1", "Accept-Language", "de", "User-Agent", "suite/1"],
    {
      HTTP_ACCEPT: "text/html, */*;q=0.1",
      HTTP_ACCEPT_LANGUAGE: "de",
      HTTP_USER_AGENT: "suite/1",
    },
  ),
  fieldsCase("with credentials", ["Authorization", "Basic dXNlcjpwYXNz"], { HTTP_AUTHORIZATION: "Basic dXNlcjpwYXNz" }),
  fieldsCase("with a cookie", ["Cookie", "a=1; b=2"], { HTTP_COOKIE: "a=1; b=2" }),
  fieldsCase("with an empty value", ["X-Empty", ""], { HTTP_X_EMPTY: "" }),
  fieldsCase("with latin-1", ["X-Name", "caf\xe9"], { HTTP_X_NAME: "caf\xe9" }),
  fieldsCase("with UTF-8", ["X-Name", "caf\xc3\xa9"], { HTTP_X_NAME: "caf\xc3\xa9" }),
  fieldsCase("with spaces inside", ["X-Name", "a  b\tc"], { HTTP_X_NAME: "a  b\tc" }),
  fieldsCase(
    "60 of them",
    many.flat(),
    Object.fromEntries(many.map(([n, v]) => [`HTTP_${n.toUpperCase().replaceAll("-", "_")}`, v])),
  ),
  fieldsCase("of 6,000 octets", ["X-Long", "x".repeat(6000)], { HTTP_X_LONG: "x".repeat(6000) }),
  fieldsCase("with Proxy, which is not HTTP_PROXY", ["Proxy", "http://192.0.2.1"], { HTTP_PROXY: undefined }),
  fieldsCase("that name a variable of the server", ["Remote-Addr", "192.0.2.1", "Script-Name", "/x", "Https", "on"], {
    HTTP_REMOTE_ADDR: "192.0.2.1",
    SCRIPT_NAME: "",
    "wsgi.url_scheme": "http",
  }),
  {
    name: "fields with an underscore do not take the place of one with a hyphen",
    ask: { target: "/environ", fields: ["X_Forged", "underscore", "X-Forged", "hyphen"] },
    check: (answer) => assert.equal(environOf(answer)["HTTP_X_FORGED"], "hyphen"),
  },
  {
    name: "fields that repeat are joined",
    ask: { target: "/environ", fields: ["X-Twice", "one", "X-Other", "o", "X-Twice", "two"] },
    check: (answer) => assert.match(environOf(answer)["HTTP_X_TWICE"] ?? "", /^one, ?two$/u),
  },
  {
    name: "fields Cookie that repeat are joined with semicolons",
    ask: { target: "/environ", fields: ["Cookie", "a=1", "Cookie", "b=2"] },
    check: (answer) => assert.match(environOf(answer)["HTTP_COOKIE"] ?? "", /^a=1; ?b=2$/u),
  },
];

export const environCases: readonly AskCase[] = [
  {
    name: "environ has what PEP 3333 asks for, in the types it asks for",
    ask: { target: "/environ" },
    check(answer) {
      const seen = shownEnvironOf(answer);
      const { version, methods, dict, names } = seen;
      assert.deepEqual(
        { version, methods, dict, names },
        { version: [1, 0], methods: [true, true], dict: true, names: true },
      );
      assert.ok(seen.flags.every((flag) => typeof flag === "boolean"));
      assert.equal(environOf(answer)["wsgi.url_scheme"], "http");
      assert.match(environOf(answer)["SERVER_PROTOCOL"] ?? "", /^HTTP\/1\.[01]$/u);
      assert.match(environOf(answer)["SERVER_NAME"] ?? "", /^([^:]+|\[[0-9a-f:.]+\])$/u);
    },
  },
  environCase(
    "environ of a GET tells of no body",
    { target: "/environ" },
    {
      REQUEST_METHOD: "GET",
      QUERY_STRING: "",
      HTTP_CONTENT_TYPE: undefined,
      HTTP_CONTENT_LENGTH: undefined,
      HTTP_TRANSFER_ENCODING: undefined,
    },
  ),
  {
    // Several servers in front say CONTENT_LENGTH 0 where the client said nothing.
    name: "environ of a GET has no CONTENT_TYPE, and a CONTENT_LENGTH of 0 at most",
    ask: { target: "/environ" },
    check(answer) {
      const { CONTENT_LENGTH = "", CONTENT_TYPE = "" } = environOf(answer);
      assert.match(CONTENT_LENGTH, /^0?$/u);
      assert.equal(CONTENT_TYPE, "");
    },
  },
  environCase(
    "environ of a POST has the body's length and type once",
    {
      method: "POST",
      target: "/environ",
      body: "a=1&b=2",
      fields: ["Content-Type", "application/x-www-form-urlencoded"],
    },
    {
      REQUEST_METHOD: "POST",
      CONTENT_TYPE: "application/x-www-form-urlencoded",
      CONTENT_LENGTH: "7",
      HTTP_CONTENT_TYPE: undefined,
      HTTP_CONTENT_LENGTH: undefined,
    },
  ),
  environCase(
    "environ has the host the client asked for",
    { target: "/environ", host: "shop.example" },
    { HTTP_HOST: "shop.example" },
  ),
  environCase(
    "environ has the host and port the client asked for",
    { target: "/environ", host: "shop.example:8443" },
    { HTTP_HOST: "shop.example:8443" },
  ),
  {
    name: "environ has the client's address",
    ask: { target: "/environ" },
    check: (answer, { client }) => assert.equal(environOf(answer)["REMOTE_ADDR"], client),
  },
  {
    name: "environ has the port the client connected to",
    ask: { target: "/environ" },
    check: (answer, { port }) => assert.equal(environOf(answer)["SERVER_PORT"], String(port)),
  },
];

function bodyCase(what: string, size: number, chunked = false): AskCase {
  return {
    name: `body of ${what}${chunked ? " in chunks" : ""} arrives whole`,
    ask: { method: "POST", target: "/digest", body: size, chunked },
    check(answer) {
      const seen = digestOf(answer);
      assert.deepEqual([seen.length, seen.sha256], [size, patternDigest(size)]);
    },
  };
}

function echoCase(what: string, size: number): AskCase {
  return {
    name: `body of ${what} comes back`,
    ask: { method: "PUT", target: "/echo", body: size },
    check(answer) {
      assert.deepEqual([answer.status, answer.whole], [200, true]);
      assert.ok(answer.body.equals(Buffer.concat([...pattern(size)])), "the body is the same");
    },
  };
}

export const bodyCases: readonly AskCase[] = [
  bodyCase("0 octets", 0),
  bodyCase("1 octet", 1),
  bodyCase("64 KiB - 1", 65_535),
  bodyCase("64 KiB", 65_536),
  bodyCase("1 MiB", 1_048_576),
  bodyCase("100 MB", 100_000_000),
  bodyCase("0 octets", 0, true),
  bodyCase("1 octet", 1, true),
  bodyCase("1 MiB", 1_048_576, true),
  echoCase("1 octet", 1),
  echoCase("64 KiB", 65_536),
  echoCase("1 MiB", 1_048_576),
  {
    name: "body read by lines, and nothing behind its end",
    ask: { method: "POST", target: "/lines?count=3", body: "one\ntwo\r\nthree" },
    check: (answer) =>
      assert.deepEqual(JSON.parse(textOf(answer)), { lines: ["one\n", "two\r\n", "three"], after: "" }),
  },
  {
    name: "body of a form in a field's encoding",
    ask: { method: "POST", target: "/echo", body: "name=caf\xe9&\0=1" },
    check: (answer) => assert.equal(textOf(answer), "name=caf\xe9&\0=1"),
  },
];
