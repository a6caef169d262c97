import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Handler } from "../../src/exchange.js";
import { Router } from "../../src/routing/router.js";

/** A router of mounts written "host/path", and who takes a request: the mount's own text, with the place. */
function router(...mounts: readonly string[]): (host: string, path: string) => string | undefined {
  const names = new Map<Handler, string>();
  const made = new Router(
    mounts.map((mount) => {
      const handler: Handler = () => {};
      names.set(handler, mount);
      const slash = mount.indexOf("/");
      const [host, path] = slash < 0 ? [mount, ""] : [mount.slice(0, slash), mount.slice(slash)];
      return { host, path, handler };
    }),
  );
  return (host, path) => {
    const route = made.find(host, path);
    return route && `${names.get(route.handler)} ${route.place.scriptName}|${route.place.pathInfo}`;
  };
}

describe("the router", () => {
  test("one mount for every host takes what is under its path", () => {
    assert.equal(router("")("any.example", "/a"), " |/a");
    const blog = router("/blog");
    assert.equal(blog("", "/blog/1"), "/blog /blog|/1");
    assert.equal(blog("", "/blog"), "/blog /blog|");
    assert.equal(blog("", "/blogs"), undefined);
    assert.equal(blog("", ""), "/blog /blog|");
  });

  test("the longest path prefix wins, whatever the order, at a segment's boundary", () => {
    const find = router("", "/a/b", "/a");
    assert.equal(find("h", "/a/b/c"), "/a/b /a/b|/c");
    assert.equal(find("h", "/a/bc"), "/a /a|/bc");
    assert.equal(find("h", "/ab"), " |/ab");
  });

  test("a host itself goes before a wildcard, the longer wildcard before the shorter, and those before every host", () => {
    const find = router("", "*.example.com", "*.eu.example.com", "api.example.com");
    assert.equal(find("api.example.com", "/"), "api.example.com |/");
    assert.equal(find("www.example.com", "/"), "*.example.com |/");
    assert.equal(find("a.b.example.com", "/"), "*.example.com |/");
    assert.equal(find("www.eu.example.com", "/"), "*.eu.example.com |/");
    assert.equal(find("example.com", "/"), " |/");
    assert.equal(find(".example.com", "/"), " |/");
    assert.equal(find("", "/"), " |/");
  });

  test("a host is compared without its port, closing dot and case", () => {
    const find = router("API.example.com", "[::1]");
    assert.equal(find("api.EXAMPLE.com:8080", "/"), "API.example.com |/");
    assert.equal(find("api.example.com.", "/"), "API.example.com |/");
    assert.equal(find("api.example.com.:80", "/"), "API.example.com |/");
    assert.equal(find("[::1]:8000", "/"), "[::1] |/");
    assert.equal(find("[::1]", "/"), "[::1] |/");
    assert.equal(find("www.example.com", "/"), undefined);
  });

  test("a path that the mounts of a host do not have is looked for in the less specific ones", () => {
    const find = router("api.example.com/v1", "*.example.com/v2", "/v3");
    assert.equal(find("api.example.com", "/v1/x"), "api.example.com/v1 /v1|/x");
    assert.equal(find("api.example.com", "/v2/x"), "*.example.com/v2 /v2|/x");
    assert.equal(find("api.example.com", "/v3"), "/v3 /v3|");
    assert.equal(find("api.example.com", "/v4"), undefined);
  });

  test("the server as a whole is the affair of the mount nearest to the root", () => {
    assert.equal(router("/a", "/a/b", "")("h", ""), " |");
    assert.equal(router("/a/b", "/a")("h", ""), "/a /a|");
    assert.equal(router("one.example/x", "two.example")("one.example", ""), "one.example/x /x|");
    assert.equal(router("one.example/x", "two.example")("three.example", ""), undefined);
  });

  test("a mount outside ASCII is compared as the octets that clients send", () => {
    assert.equal(router("", "/caf\u00e9")("h", "/caf\u00c3\u00a9/x"), "/caf\u00e9 /caf\u00c3\u00a9|/x");
  });
});
