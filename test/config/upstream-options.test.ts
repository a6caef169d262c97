import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Expected, type ReadContext } from "../../src/config/read.js";
import { type UpstreamOptionName, upstreamOptionNames, upstreamOptions } from "../../src/config/upstream-options.js";
import { upstreamFlag } from "../../src/config/upstreams.js";

const context: ReadContext = { base: "/srv", chdir: "/srv", target: "", environment: {} };

function read(name: UpstreamOptionName, value: unknown): unknown {
  const found = upstreamOptions[name].read(value, context);
  return found instanceof Expected ? undefined : found;
}

describe("the schema of upstream groups", () => {
  test("a key is its name in UpstreamGroupConfig, written with hyphens; its flag says upstream before it", () => {
    for (const name of upstreamOptionNames) {
      const key = name.replace(/[A-Z]/gu, (letter) => `-${letter.toLowerCase()}`);
      assert.equal(upstreamOptions[name].key, key);
      assert.equal(upstreamFlag(name), name === "servers" ? "upstream" : `upstream-${key}`);
    }
  });

  test("a documented default is the default", () => {
    for (const name of upstreamOptionNames) {
      const { initial, standard, key } = upstreamOptions[name];
      assert.ok(typeof initial !== "function", key);
      if (standard === "none") assert.equal(String(initial), "", key);
      else assert.equal(String(initial), standard, key);
    }
  });

  test("each kind of value", () => {
    const good: readonly (readonly [UpstreamOptionName, unknown, unknown])[] = [
      ["balance", "hash", "hash"],
      ["hashBy", "X-Customer", "X-Customer"],
      ["retryBudget", "0.5", 0.5],
      ["retryBudget", 0, 0],
      ["multiplex", "8", 8],
      ["healthPath", "", ""],
      ["healthPath", "/health?full=1", "/health?full=1"],
      ["dnsServers", "10.0.0.2, [fd00::2]:5353", ["10.0.0.2", "[fd00::2]:5353"]],
      ["dnsServers", ["fd00::2", "10.0.0.2:5353"], ["fd00::2", "10.0.0.2:5353"]],
      ["params", ["A=1", "SCRIPT_FILENAME=/srv/a=b.php"], { A: "1", SCRIPT_FILENAME: "/srv/a=b.php" }],
      ["params", { A: "1" }, { A: "1" }],
      ["forwarded", true, true],
    ];
    for (const [name, given, wanted] of good) assert.deepEqual(read(name, given), wanted, `${name} ${String(given)}`);
    const bad: readonly (readonly [UpstreamOptionName, unknown])[] = [
      ["balance", "random"],
      ["hashBy", "X Customer"],
      ["hashBy", ""],
      ["retryBudget", 1.5],
      ["retryBudget", "-1"],
      ["multiplex", 0],
      ["connectTimeout", 0],
      ["healthPath", "health"],
      ["healthPath", "/a b"],
      ["dnsServers", "dns.example.com"],
      ["dnsServers", "10.0.0.2:0"],
      ["params", "A"],
      ["params", { A: 1 }],
      ["params", { "A=B": "1" }],
      ["params", "A=\0"],
      ["forwarded", "yes"],
    ];
    for (const [name, given] of bad) assert.equal(read(name, given), undefined, `${name} ${JSON.stringify(given)}`);
  });
});
