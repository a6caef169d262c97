import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Forwarded, type ForwardedOptions, forwarder } from "../../src/egress/forwarded.js";
import { requestOf, type TestRequest } from "./support.js";

const http: ForwardedOptions = { http: true, forwarded: false, params: {} };
const cgi: ForwardedOptions = { http: false, forwarded: false, params: {} };

/** What a server is told beside what the request said anyway. */
function toldOver(options: ForwardedOptions, request: TestRequest): Record<string, string> {
  const before = requestOf({});
  const known = new Set(pairsOf(before.variables).map((pair) => pair.join("=")));
  const variables = whole(forwarder(options)(requestOf(request)));
  assert.equal(variables.split("\0").length % 2, 0);
  const pairs = pairsOf(variables).filter((pair) => !known.has(pair.join("=")));
  assert.equal(new Set(pairs.map(([name]) => name)).size, pairs.length, "a name twice");
  return Object.fromEntries(pairs);
}

function whole({ common, own }: Forwarded): string {
  return [common, own].filter((part) => part !== "").join("\0");
}

function pairsOf(variables: string): [string, string][] {
  const parts = variables.split("\0");
  return Array.from({ length: parts.length / 2 }, (_, at) => [parts[2 * at] ?? "", parts[2 * at + 1] ?? ""]);
}

const own = {
  HTTP_X_FORWARDED_FOR: "192.0.2.7",
  HTTP_X_FORWARDED_PROTO: "http",
  HTTP_X_FORWARDED_HOST: "example.org",
  HTTP_X_FORWARDED_PORT: "8000",
};

const claims = {
  HTTP_X_FORWARDED_FOR: "203.0.113.9, 198.51.100.1",
  HTTP_X_FORWARDED_PROTO: "https",
  HTTP_X_FORWARDED_HOST: "shop.example",
  HTTP_X_FORWARDED_PORT: "443",
  HTTP_X_FORWARDED_PREFIX: "/p",
  HTTP_X_REAL_IP: "203.0.113.9",
  HTTP_FORWARDED: "for=203.0.113.9",
  HTTP_X_OTHER: "kept",
};

describe("a server told over HTTP", () => {
  test("is told who the client is, how and where it asked", () => {
    assert.deepEqual(toldOver(http, {}), own);
  });

  test("is told nothing that an untrusted client claims; Forwarded is said where the request had it", () => {
    assert.deepEqual(toldOver(http, { variables: claims }), {
      HTTP_X_OTHER: "kept",
      ...own,
      HTTP_FORWARDED: "for=192.0.2.7;host=example.org;proto=http",
    });
  });

  test("is told what a trusted proxy says, and that it came by it", () => {
    assert.deepEqual(toldOver(http, { variables: claims, trustedPeer: "10.0.0.1" }), {
      ...claims,
      HTTP_X_FORWARDED_FOR: "203.0.113.9, 198.51.100.1, 10.0.0.1",
      HTTP_FORWARDED: "for=203.0.113.9, for=10.0.0.1;host=example.org;proto=http",
    });
  });

  test("is told by a trusted proxy that says nothing what is known here, and the proxy as the client", () => {
    const variables = { REMOTE_ADDR: "10.0.0.1" };
    assert.deepEqual(toldOver(http, { variables, trustedPeer: "10.0.0.1" }), {
      REMOTE_ADDR: "10.0.0.1",
      ...own,
      HTTP_X_FORWARDED_FOR: "10.0.0.1",
    });
  });

  test("is told no address of a peer on a unix socket", () => {
    const { HTTP_X_FORWARDED_FOR: _, ...others } = own;
    assert.deepEqual(toldOver(http, { variables: { REMOTE_ADDR: "" } }), { REMOTE_ADDR: "", ...others });
    const trusted = toldOver(http, { variables: { HTTP_X_FORWARDED_FOR: "203.0.113.9" }, trustedPeer: "" });
    assert.equal(trusted["HTTP_X_FORWARDED_FOR"], "203.0.113.9");
  });

  test("is told in Forwarded too where that is asked for; an IPv6 address and a port are quoted (RFC 7239 §6)", () => {
    const variables = { REMOTE_ADDR: "2001:db8::1", HTTP_HOST: "example.org:8000" };
    const told = toldOver({ ...http, forwarded: true }, { variables });
    assert.equal(told["HTTP_FORWARDED"], 'for="[2001:db8::1]";host="example.org:8000";proto=http');
  });

  test("is not fooled by values that are names of variables", () => {
    const variables = { HTTP_X: "REMOTE_ADDR", HTTP_Y: "HTTP_X_FORWARDED_FOR", HTTP_Z: "wsgi.url_scheme" };
    assert.deepEqual(toldOver(http, { variables }), { ...variables, ...own });
  });
});

describe("a server told over FastCGI, SCGI or uwsgi", () => {
  test("is told the scheme by its CGI name, and the rest by the variables there are", () => {
    assert.deepEqual(toldOver(cgi, {}), { REQUEST_SCHEME: "http" });
  });

  test("is told no forwarding fields of an untrusted client, and those of a trusted proxy as they came", () => {
    assert.deepEqual(toldOver(cgi, { variables: claims }), { REQUEST_SCHEME: "http", HTTP_X_OTHER: "kept" });
    assert.deepEqual(toldOver(cgi, { variables: claims, trustedPeer: "10.0.0.1" }), {
      REQUEST_SCHEME: "http",
      ...claims,
    });
  });

  test("is told further parameters, which take the place of the request's", () => {
    const options = { ...cgi, params: { SCRIPT_FILENAME: "/srv/ä.php", SERVER_NAME: "php" } };
    assert.deepEqual(toldOver(options, {}), {
      REQUEST_SCHEME: "http",
      SCRIPT_FILENAME: "/srv/Ã¤.php",
      SERVER_NAME: "php",
    });
  });

  test("is told what comes last right, whether that goes or has an empty value", () => {
    assert.deepEqual(toldOver(cgi, { variables: { HTTP_A: "", HTTP_FORWARDED: "for=x" } }), {
      REQUEST_SCHEME: "http",
      HTTP_A: "",
    });
    assert.deepEqual(toldOver(cgi, { variables: { HTTP_FORWARDED: "for=x", HTTP_A: "" } }), {
      REQUEST_SCHEME: "http",
      HTTP_A: "",
    });
  });
});

describe("what comes again in later requests", () => {
  const common = requestOf({ variables: { HTTP_X_FORWARDED_FOR: "x", HTTP_X_LAST: "1" } }).variables;
  const tell = (options: ForwardedOptions, own: string, trustedPeer?: string): ((again: string) => Forwarded) => {
    const forward = forwarder(options);
    const request = (last: string): Parameters<typeof forward>[0] => {
      const variables = own === "" && last === "" ? common : `${common}\0${own}${last}`;
      return { variables, shared: common.length, trustedPeer };
    };
    return (last) => forward(request(last));
  };
  const apart = (options: ForwardedOptions, own: string, peer?: string): Record<string, string> =>
    Object.fromEntries(
      pairsOf(whole(forwarder(options)({ variables: `${common}\0${own}`, shared: 0, trustedPeer: peer }))),
    );

  for (const options of [http, cgi, { ...cgi, params: { SCRIPT_FILENAME: "/srv/x.php" } }]) {
    for (const peer of [undefined, "", "10.0.0.1"]) {
      test(`is the same, and with the rest says the same (${JSON.stringify(options)}, ${peer})`, () => {
        const forward = tell(options, "PATH_INFO\0/", peer);
        const first = forward("one");
        assert.equal(first.own, "PATH_INFO\0/one");
        assert.equal(first.common, forward("two").common);
        assert.deepEqual(Object.fromEntries(pairsOf(whole(first))), apart(options, "PATH_INFO\0/one", peer));
      });
    }
  }

  test("is told of a trusted proxy as of that one", () => {
    const forward = forwarder(http);
    const told = ["10.0.0.1", "10.0.0.2", undefined].map(
      (trustedPeer) => forward({ variables: `${common}\0PATH_INFO\0/`, shared: common.length, trustedPeer }).common,
    );
    assert.equal(new Set(told).size, 3);
  });

  test("counts for nothing where the rest says who the client is, or has a further parameter's name", () => {
    const options = { ...cgi, params: { PATH_INFO: "/fixed" } };
    for (const [how, own] of [
      [http, "HTTP_X_FORWARDED_HOST\0evil.example"],
      [cgi, "PATH_INFO\0/\0HTTP_FORWARDED\0for=x"],
      [cgi, "PATH_INFO\0/\0wsgi.url_scheme\0https"],
      [options, "PATH_INFO\0/"],
    ] as const) {
      const told = tell(how, own)("");
      assert.equal(told.common, "");
      assert.deepEqual(Object.fromEntries(pairsOf(told.own)), apart(how, own));
      assert.doesNotMatch(told.own, /evil|for=x/);
    }
  });

  test("is divided once where the request comes again, unless a proxy speaks for its client", () => {
    const forward = forwarder(cgi);
    const variables = `${common}\0PATH_INFO\0/\0HTTP_X_REAL_IP\0${"203.0.113.9"}`;
    const ask = (more: { readonly again?: boolean; readonly trustedPeer?: string }): Forwarded =>
      forward({ variables, shared: common.length, ...more });
    const known = ask({ again: true });
    assert.equal(ask({ again: true }), known);
    assert.deepEqual(whole(known), whole(ask({})));
    assert.equal(ask({}).encoded, undefined);
    assert.doesNotMatch(whole(known), /203/);
    assert.match(whole(ask({ again: true, trustedPeer: "10.0.0.1" })), /203/);
    assert.equal(forwarder(cgi)({ variables, shared: common.length, again: true }).own, known.own);
  });

  test("is encoded once by one protocol, and by each where there are several", () => {
    const { common: begin, own: rest, encoded } = forwarder(cgi)({ variables: common, shared: 0, again: true });
    assert.ok(encoded !== undefined);
    const made: string[] = [];
    const by = (protocol: string) => (first: string, second: string) => {
      made.push(protocol);
      return Buffer.from(`${protocol} ${first}${second}`);
    };
    const [one, other] = [by("one"), by("other")];
    const octets = encoded.by(one, begin, rest);
    assert.equal(encoded.by(one, begin, rest), octets);
    assert.equal(String(encoded.by(other, begin, rest)), `other ${begin}${rest}`);
    assert.deepEqual(made, ["one", "other"]);
  });

  test("may be all there is", () => {
    assert.deepEqual(tell(cgi, "")(""), { common: forwarder(cgi)({ variables: common, shared: 0 }).own, own: "" });
  });
});
