import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { activatedListeners, listenUrl } from "../../src/config/listen-url.js";
import { Expected, type ReadContext } from "../../src/config/read.js";

const context: ReadContext = { base: "/srv/site", chdir: "/srv/site", target: "", environment: {} };

function read(text: unknown): unknown {
  const address = listenUrl(text, context);
  return address instanceof Expected ? undefined : address.endpoint;
}

describe("listen addresses", () => {
  test("the forms of a TCP address", () => {
    const cases: readonly (readonly [unknown, string, number])[] = [
      ["http://127.0.0.1:8000", "127.0.0.1", 8000],
      ["http://127.0.0.1:8000/", "127.0.0.1", 8000],
      ["HTTP://localhost:0", "localhost", 0],
      ["0.0.0.0:80", "0.0.0.0", 80],
      ["example-1.test:80", "example-1.test", 80],
      ["8000", "127.0.0.1", 8000],
      [8000, "127.0.0.1", 8000],
      [":8000", "", 8000],
      ["*:8000", "", 8000],
      ["http://:8000", "", 8000],
      ["http://[::1]:8000", "::1", 8000],
      ["[::]:8000", "::", 8000],
      ["[fe80::1%eth0]:80", "fe80::1%eth0", 80],
      ["http://127.0.0.1", "127.0.0.1", 80],
      ["http://[::1]", "::1", 80],
    ];
    for (const [text, host, port] of cases) assert.deepEqual(read(text), { kind: "tcp", host, port }, String(text));
  });

  test("unix sockets start from where they are written", () => {
    assert.deepEqual(read("http://unix:/run/a.sock"), { kind: "unix", path: "/run/a.sock" });
    assert.deepEqual(read("unix:/run/a.sock"), { kind: "unix", path: "/run/a.sock" });
    assert.deepEqual(read("unix:run/a.sock"), { kind: "unix", path: "/srv/site/run/a.sock" });
  });

  test("inherited descriptors", () => {
    assert.deepEqual(read("http://fd:3"), { kind: "fd", fd: 3 });
    assert.deepEqual(read("fd:0"), { kind: "fd", fd: 0 });
  });

  test("the URL kept for messages is whole", () => {
    const url = (text: string): string => {
      const address = listenUrl(text, context);
      assert.ok(!(address instanceof Expected));
      return address.url;
    };
    assert.equal(url("8000"), "http://127.0.0.1:8000");
    assert.equal(url("[::1]:80"), "http://[::1]:80");
    assert.equal(url("unix:a"), "http://unix:/srv/site/a");
    assert.equal(url("http://127.0.0.1"), "http://127.0.0.1:80");
  });

  test("anything else is refused", () => {
    const wrong = ["", "localhost", "http://", "127.0.0.1:99999", "127.0.0.1:", "::1:80", "[127.0.0.1]:80", "[zz]:80"];
    const paths = ["http://127.0.0.1:80/app", "http://127.0.0.1:80?x", "http://user@host:80", "ftp://127.0.0.1:80"];
    for (const text of [...wrong, ...paths, "fd:", "fd:x", "unix:", "a b:80", 70_000, true, undefined]) {
      assert.equal(read(text), undefined, String(text));
    }
  });

  test("https without a port is 443", () => {
    assert.deepEqual(listenUrl("https://127.0.0.1", context), {
      url: "https://127.0.0.1:443",
      protocol: "https",
      endpoint: { kind: "tcp", host: "127.0.0.1", port: 443 },
    });
    assert.deepEqual(read("https://unix:/run/a.sock"), { kind: "unix", path: "/run/a.sock" });
    assert.equal(read("https://"), undefined);
  });

  test("a plain listener may redirect to https, and expect PROXY headers as well", () => {
    const read = (text: string): unknown => {
      const address = listenUrl(text, context);
      return address instanceof Expected ? undefined : [address.url, address.redirect, address.proxies];
    };
    assert.deepEqual(read("http://:80?redirect=https"), ["http://:80", 443, undefined]);
    assert.deepEqual(read("8000?proxy-protocol=unix&redirect=https:8443"), ["http://127.0.0.1:8000", 8443, ["unix"]]);
    for (const wrong of [
      "https://:443?redirect=https",
      "scgi://:1?redirect=https",
      "8000?redirect=http",
      "8000?redirect=https:",
      "8000?redirect=https:0",
      "8000?redirect=https:99999",
      "8000?redirect=https&x=1",
    ]) {
      assert.equal(read(wrong), undefined, wrong);
    }
  });

  test("proxies whose connections begin with a PROXY header stand behind the address", () => {
    const proxies = (text: string): unknown => {
      const address = listenUrl(text, context);
      return address instanceof Expected ? address.what : [address.url, address.proxies];
    };
    assert.deepEqual(proxies("https://:443?proxy-protocol=10.0.0.7, 10.1.0.0/16,unix"), [
      "https://:443",
      ["10.0.0.7", "10.1.0.0/16", "unix"],
    ]);
    assert.deepEqual(proxies("unix:/run/a?b.sock?proxy-protocol=unix"), ["http://unix:/run/a?b.sock", ["unix"]]);
    for (const wrong of [
      "http://:80?proxy-protocol=",
      "http://:80?proxy-protocol=somebody",
      "8000?proxy-protocol=10.0.0.0/99",
      "http://:80?proxy=10.0.0.7",
      "unix:/run/a.sock?trusted=unix",
    ]) {
      assert.match(String(proxies(wrong)), /^an address with proxy-protocol=ADDRESSES, or /u);
    }
  });

  test("FCGI_WEB_SERVER_ADDRS says who may connect to FastCGI", () => {
    const peers = (text: string, addresses: string): unknown => {
      const found = listenUrl(text, { ...context, environment: { FCGI_WEB_SERVER_ADDRS: addresses } });
      return found instanceof Expected ? found.what : found.peers;
    };
    assert.deepEqual(peers("fastcgi://:9000", "192.0.2.1, ::1"), ["192.0.2.1", "::1"]);
    assert.equal(peers("fastcgi://:9000", ""), undefined);
    assert.equal(peers("http://:9000", "192.0.2.1"), undefined);
    assert.match(String(peers("fastcgi://:9000", "192.0.2.1,localhost")), /FCGI_WEB_SERVER_ADDRS/u);
  });
});

describe("what systemd opened", () => {
  const found = (environment: Record<string, string>): unknown => {
    const listeners = activatedListeners({ ...context, environment }, 4711);
    return listeners instanceof Expected ? listeners.what : listeners?.map(({ url }) => url);
  };

  test("is listened on in its order, and spoken on as each socket is named", () => {
    const names = "fastcgi:mysite.socket::UWSGI";
    assert.deepEqual(found({ LISTEN_PID: "4711", LISTEN_FDS: "4", LISTEN_FDNAMES: names }), [
      "fastcgi://fd:3",
      "http://fd:4",
      "http://fd:5",
      "uwsgi://fd:6",
    ]);
    assert.deepEqual(found({ LISTEN_PID: "4711", LISTEN_FDS: "1" }), ["http://fd:3"]);
  });

  test("is left alone where it is another process's, or nothing", () => {
    assert.equal(found({ LISTEN_PID: "4712", LISTEN_FDS: "1" }), undefined);
    assert.equal(found({ LISTEN_PID: "4711", LISTEN_FDS: "0" }), undefined);
    assert.equal(found({ LISTEN_PID: "4711", LISTEN_FDS: "x" }), undefined);
    assert.equal(found({}), undefined);
  });
});
