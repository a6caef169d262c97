// What several fronts report, as one. Each counts for itself what it has served and what it thinks of a server elsewhere.
import type { GroupStatus, UpstreamStatus } from "../egress/group.js";
import type { FrontReport } from "../front/messages.js";

/** Undefined where no front reports anything. */
export function sumOf(reports: Iterable<FrontReport>): FrontReport | undefined {
  const [first, ...others] = reports;
  if (first === undefined) return undefined;
  return others.reduce<FrontReport>(
    (sum, report) => ({
      connections: sum.connections + report.connections,
      webSockets: sum.webSockets + report.webSockets,
      requests: sum.requests + report.requests,
      // workers are connected to one front
      pools: [...sum.pools, ...report.pools],
      workers: [...sum.workers, ...report.workers],
      executing: [...sum.executing, ...report.executing],
      upstreams: sum.upstreams.map((group) => sumOfGroups(group, named(report.upstreams, group))),
    }),
    first,
  );
}

function named(groups: readonly GroupStatus[], { name }: GroupStatus): GroupStatus | undefined {
  return groups.find((group) => group.name === name);
}

function sumOfGroups(sum: GroupStatus, group: GroupStatus | undefined): GroupStatus {
  if (group === undefined) return sum;
  // For a moment after a change in DNS one front knows servers that another does not.
  const rest = new Map(group.servers.map((server) => [keyOf(server), server]));
  const servers = sum.servers.map((server) => {
    const other = rest.get(keyOf(server));
    rest.delete(keyOf(server));
    return other === undefined ? server : sumOfServers(server, other);
  });
  return {
    ...sum,
    requests: sum.requests + group.requests,
    retries: sum.retries + group.retries,
    servers: [...servers, ...rest.values()],
  };
}

function keyOf({ url, address }: UpstreamStatus): string {
  return `${url} ${address}`;
}

/** From the best to the worst. */
const states: readonly UpstreamStatus["state"][] = ["up", "trial", "ejected", "unhealthy", "draining"];

function sumOfServers(one: UpstreamStatus, other: UpstreamStatus): UpstreamStatus {
  return {
    ...one,
    state: states.indexOf(one.state) > states.indexOf(other.state) ? one.state : other.state,
    outstanding: one.outstanding + other.outstanding,
    requests: one.requests + other.requests,
    failures: one.failures + other.failures,
    latency: meanLatency(one, other),
    ejectedFor: Math.max(one.ejectedFor, other.ejectedFor),
    connections: {
      busy: one.connections.busy + other.connections.busy,
      idle: one.connections.idle + other.connections.idle,
    },
  };
}

/** By the requests each is of; -1 where there was none. */
function meanLatency(one: UpstreamStatus, other: UpstreamStatus): number {
  if (one.latency < 0 || other.latency < 0) return Math.max(one.latency, other.latency);
  const mean = (one.latency * one.requests + other.latency * other.requests) / (one.requests + other.requests);
  return Math.round(mean * 100) / 100;
}
