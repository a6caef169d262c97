import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Origin } from "../../src/protocol/cgi/request-variables.js";
import { claimedOrigin, plainAddress, TrustedProxies } from "../../src/routing/forwarded.js";

const peer = {
  software: "vivarium/0.0.0",
  localAddress: "10.0.0.1",
  localPort: 8000,
  remoteAddress: "10.0.0.9",
  remotePort: 40000,
  scheme: "http",
  host: "",
  port: -1,
} as const;
const trusted = new TrustedProxies(["10.0.0.0/8", "2001:db8:1::/48"]);

/** What is believed of these fields, where it differs from the peer itself. */
function believed(...fields: readonly string[]): Partial<Origin> {
  const origin = claimedOrigin(fields, peer, trusted);
  const difference: { -readonly [key in keyof Origin]?: Origin[key] } = {};
  if (origin.remoteAddress !== peer.remoteAddress) difference.remoteAddress = origin.remoteAddress;
  if (origin.remotePort !== peer.remotePort) difference.remotePort = origin.remotePort;
  if (origin.scheme !== "http") difference.scheme = origin.scheme;
  if (origin.host !== "") difference.host = origin.host;
  if (origin.port !== -1) difference.port = origin.port;
  return difference;
}

describe("who is trusted", () => {
  test("addresses, networks and unix sockets that were named, and nobody else", () => {
    const some = new TrustedProxies(["192.0.2.7", "10.0.0.0/8", "::1", "unix"]);
    for (const address of ["192.0.2.7", "10.255.0.1", "::1", ""]) assert.equal(some.trusts(address), true, address);
    for (const address of ["192.0.2.8", "11.0.0.1", "::2", "nonsense"])
      assert.equal(some.trusts(address), false, address);
    assert.equal(new TrustedProxies([]).trusts(""), false);
    assert.equal(new TrustedProxies(["0.0.0.0/0"]).trusts("198.51.100.1"), true);
  });

  test("an entry that is neither is refused with one sentence", () => {
    for (const entry of ["localhost", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/8/8", "::1/129", "", "10.0.0.0/x"]) {
      assert.throws(() => new TrustedProxies([entry]), { code: "ERR_ROUTING_TRUSTED_PROXY" }, entry);
    }
  });

  test("an IPv4 address in IPv6 clothes is the IPv4 address", () => {
    assert.equal(plainAddress("::ffff:192.0.2.1"), "192.0.2.1");
    assert.equal(plainAddress("::ffff:1"), "::ffff:1");
    assert.equal(plainAddress("2001:db8::1"), "2001:db8::1");
  });
});

describe("X-Forwarded-*", () => {
  test("the client is the right-most address that is not trusted", () => {
    const address = (value: string) => believed("X-Forwarded-For", value).remoteAddress;
    assert.equal(address("192.0.2.1"), "192.0.2.1");
    assert.equal(address("6.6.6.6, 192.0.2.1"), "192.0.2.1");
    assert.equal(address("6.6.6.6, 192.0.2.1, 10.1.1.1, 10.2.2.2"), "192.0.2.1");
    assert.equal(address("10.3.3.3, 10.1.1.1"), "10.3.3.3");
    assert.equal(address("2001:db8:2::5, 2001:db8:1::1"), "2001:db8:2::5");
    assert.equal(address("::ffff:192.0.2.1"), "192.0.2.1");
  });

  test("several lines are one list", () => {
    assert.equal(believed("X-Forwarded-For", "192.0.2.1", "x-forwarded-for", "10.1.1.1").remoteAddress, "192.0.2.1");
  });

  test("ports that some proxies write are understood", () => {
    assert.deepEqual(believed("X-Forwarded-For", "192.0.2.1:4711"), { remoteAddress: "192.0.2.1", remotePort: 4711 });
    assert.deepEqual(believed("X-Forwarded-For", "[2001:db8::1]:4711"), {
      remoteAddress: "2001:db8::1",
      remotePort: 4711,
    });
    assert.deepEqual(believed("X-Forwarded-For", "192.0.2.1"), { remoteAddress: "192.0.2.1", remotePort: -1 });
  });

  test("an address that is none hides what stands left of it", () => {
    assert.deepEqual(believed("X-Forwarded-For", "6.6.6.6, unknown"), {});
    assert.deepEqual(believed("X-Forwarded-For", "6.6.6.6, bad, 10.1.1.1").remoteAddress, "10.1.1.1");
    assert.deepEqual(believed("X-Forwarded-For", "999.1.1.1"), {});
    assert.deepEqual(believed("X-Forwarded-For", "<script>"), {});
  });

  test("scheme, host and port are the ones beside the client's address", () => {
    const fields = ["X-Forwarded-For", "6.6.6.6, 192.0.2.1, 10.1.1.1"];
    const client = { remoteAddress: "192.0.2.1", remotePort: -1 };
    assert.deepEqual(believed(...fields, "X-Forwarded-Proto", "http, https, http"), { ...client, scheme: "https" });
    assert.deepEqual(believed(...fields, "X-Forwarded-Proto", "HTTPS"), { ...client, scheme: "https" });
    assert.deepEqual(believed(...fields, "X-Forwarded-Host", "evil, www.example.org, inner"), {
      ...client,
      host: "www.example.org",
    });
    assert.deepEqual(believed(...fields, "X-Forwarded-Port", "8443"), { ...client, port: 8443 });
  });

  test("values that are malformed change nothing", () => {
    for (const proto of ["ftp", "https\u00e9", "", ","]) assert.deepEqual(believed("X-Forwarded-Proto", proto), {});
    for (const host of ["a b", "a/b", "user@host", "[::1", "[1.2.3.4]", "a:b", "a\u00e9"]) {
      assert.deepEqual(believed("X-Forwarded-Host", host), {}, host);
    }
    for (const port of ["0", "65536", "-1", "x", "1e3"]) assert.deepEqual(believed("X-Forwarded-Port", port), {}, port);
    assert.equal(believed("X-Forwarded-Host", "[2001:db8::1]:8443").host, "[2001:db8::1]:8443");
  });
});

describe("Forwarded (RFC 7239)", () => {
  test("the examples of the RFC", () => {
    assert.deepEqual(believed("Forwarded", 'For="[2001:db8:cafe::17]:4711"'), {
      remoteAddress: "2001:db8:cafe::17",
      remotePort: 4711,
    });
    assert.deepEqual(believed("Forwarded", "for=192.0.2.60;proto=http;by=203.0.113.43"), {
      remoteAddress: "192.0.2.60",
      remotePort: -1,
    });
    assert.equal(believed("Forwarded", "for=192.0.2.43, for=198.51.100.17").remoteAddress, "198.51.100.17");
    assert.deepEqual(believed("Forwarded", 'for="_gazonk"'), {});
    assert.deepEqual(believed("Forwarded", "for=_hidden, for=_SEVKISEK"), {});
    assert.equal(believed("Forwarded", 'for="192.0.2.43:_port"').remotePort, -1);
  });

  test("trusted hops are passed, and what the outermost believed one says holds", () => {
    const value =
      'for=6.6.6.6;host=evil;proto=http, for=192.0.2.1;proto=https;host="www.example.org:8443", for=10.1.1.1;proto=http;host=inner';
    assert.deepEqual(believed("Forwarded", value), {
      remoteAddress: "192.0.2.1",
      remotePort: -1,
      scheme: "https",
      host: "www.example.org:8443",
    });
  });

  test("an unknown hop hides what stands left of it, and its own word still holds", () => {
    assert.deepEqual(believed("Forwarded", "for=6.6.6.6;host=evil, for=unknown;proto=https"), { scheme: "https" });
  });

  test("commas, semicolons and quotes within quotes are no separators", () => {
    assert.equal(believed("Forwarded", 'for=192.0.2.1;ext="a,b;c=\\"d\\""').remoteAddress, "192.0.2.1");
  });

  test("a malformed one is as if it were not there", () => {
    for (const value of [
      "for=192.0.2.1;for=192.0.2.2",
      "for 192.0.2.1",
      'for="192.0.2.1',
      "for=192.0.2.1;=x",
      "for==1",
      "for=192.0.2.1 proto=https",
    ]) {
      assert.deepEqual(believed("Forwarded", value), {}, value);
      assert.equal(believed("Forwarded", value, "X-Forwarded-For", "192.0.2.9").remoteAddress, "192.0.2.9", value);
    }
  });

  test("it comes first where both say the same hop came to our proxy", () => {
    assert.deepEqual(
      believed(
        ...["Forwarded", "for=192.0.2.1;proto=https"],
        ...["X-Forwarded-For", "192.0.2.1", "X-Forwarded-Proto", "http"],
      ),
      { remoteAddress: "192.0.2.1", remotePort: -1, scheme: "https" },
    );
  });

  test("a client's own one, passed on by a proxy that writes X-Forwarded-For, is not believed", () => {
    assert.equal(believed("Forwarded", "for=127.0.0.1", "X-Forwarded-For", "192.0.2.1").remoteAddress, "192.0.2.1");
  });

  test("one made to be hard to take apart is not read", () => {
    assert.deepEqual(believed("Forwarded", `for="${'\\"'.repeat(30_000)}`), {});
  });
});
