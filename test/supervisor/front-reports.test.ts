import assert from "node:assert/strict";
import { test } from "node:test";
import type { UpstreamStatus } from "../../src/egress/group.js";
import type { FrontReport } from "../../src/front/messages.js";
import { sumOf } from "../../src/supervisor/front-reports.js";

const server: UpstreamStatus = {
  url: "http://a:1",
  address: "10.0.0.5:1",
  state: "up",
  backup: false,
  weight: 2,
  outstanding: 1,
  requests: 30,
  failures: 2,
  latency: 4,
  ejectedFor: 0,
  connections: { busy: 1, idle: 5 },
};

function report(servers: readonly UpstreamStatus[], differences: Partial<FrontReport> = {}): FrontReport {
  const group = { name: "main", balance: "hash", requests: 40, retries: 3, servers } as const;
  const counts = { connections: 5, webSockets: 2, requests: 50 };
  return { ...counts, pools: [], workers: [], executing: [], upstreams: [group], ...differences };
}

test("nothing is the sum of nothing, and one report its own", () => {
  assert.equal(sumOf([]), undefined);
  const one = report([server]);
  assert.deepEqual(sumOf([one]), one);
});

test("what fronts counted is added up", () => {
  const other = { ...server, requests: 10, failures: 1, latency: 8, outstanding: 4, connections: { busy: 2, idle: 0 } };
  const sum = { ...server, requests: 40, failures: 3, latency: 5, outstanding: 5, connections: { busy: 3, idle: 5 } };
  const group = { name: "main", balance: "hash", requests: 80, retries: 6, servers: [sum] } as const;
  assert.deepEqual(
    sumOf([report([server]), report([other])]),
    report([], { connections: 10, webSockets: 4, requests: 100, upstreams: [group] }),
  );
});

test("a server is in the worst state that one of the fronts sees it in", () => {
  const stateOf = (...states: readonly UpstreamStatus["state"][]): UpstreamStatus | undefined =>
    sumOf(states.map((state) => report([{ ...server, state, ejectedFor: state === "ejected" ? 7 : 0 }])))?.upstreams[0]
      ?.servers[0];
  assert.equal(stateOf("up", "up", "up")?.state, "up");
  assert.equal(stateOf("up", "trial", "up")?.state, "trial");
  assert.equal(stateOf("ejected", "trial")?.state, "ejected");
  assert.equal(stateOf("up", "ejected", "up")?.ejectedFor, 7);
  assert.equal(stateOf("unhealthy", "ejected")?.state, "unhealthy");
  assert.equal(stateOf("unhealthy", "draining", "up")?.state, "draining");
});

test("a latency that only one front has measured is that", () => {
  const latencyOf = (one: number, other: number): number | undefined =>
    sumOf([report([{ ...server, latency: one }]), report([{ ...server, latency: other }])])?.upstreams[0]?.servers[0]
      ?.latency;
  assert.deepEqual([latencyOf(-1, 3), latencyOf(3, -1), latencyOf(-1, -1)], [3, 3, -1]);
});

test("servers that only one front knows are there, too", () => {
  const others = [
    { ...server, address: "10.0.0.6:1" },
    { ...server, address: "10.0.0.7:1" },
  ];
  const addresses = sumOf([report([server]), report(others), report([server])])?.upstreams[0]?.servers.map(
    ({ address, requests }) => [address, requests],
  );
  assert.deepEqual(addresses, [
    ["10.0.0.5:1", 60],
    ["10.0.0.6:1", 30],
    ["10.0.0.7:1", 30],
  ]);
});
