// Names of servers to addresses, by DNS or the way the system looks up names.
import { Resolver as DnsResolver, lookup } from "node:dns/promises";
import { isIP } from "node:net";

/** A service's record (RFC 2782). */
export interface ServiceRecord {
  readonly name: string;
  readonly port: number;
  /** The lower, the better. */
  readonly priority: number;
  readonly weight: number;
}

/** Both reject, with any error, or give an empty list where there is nothing of that name. */
export interface Resolver {
  addresses(name: string): Promise<readonly string[]>;
  services(name: string): Promise<readonly ServiceRecord[]>;
}

/** Milliseconds for the first try; each later one takes twice as long. */
const timeout = 1000;
const tries = 3;

/**
 * `servers`: `address` or `address:port` of the DNS servers to ask. Without any, addresses are looked up as every other
 * program of the system does (/etc/hosts, nsswitch.conf), and services asked of the system's DNS servers.
 */
export function createResolver(servers: readonly string[]): Resolver {
  const dns = new DnsResolver({ timeout, tries });
  if (servers.length > 0) dns.setServers(servers);
  return {
    services: (name) => dns.resolveSrv(name),
    async addresses(name) {
      if (isIP(name) !== 0) return [name];
      if (servers.length === 0) return (await lookup(name, { all: true })).map(({ address }) => address);
      const [four, six] = await Promise.allSettled([dns.resolve4(name), dns.resolve6(name)]);
      if (four.status === "rejected" && six.status === "rejected") throw four.reason;
      return [...(four.status === "fulfilled" ? four.value : []), ...(six.status === "fulfilled" ? six.value : [])];
    },
  };
}
