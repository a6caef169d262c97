// The servers of a group as they are at present: those with a literal address or a path always, those with a name as DNS says,
// asked again at intervals. A name that cannot be resolved keeps the servers it had.
import { isIP, isIPv6 } from "node:net";
import { log } from "../channels.js";
import type { UpstreamServer } from "../config/config.js";
import { type Deadlines, type Timed, ticks } from "../net/deadline.js";
import type { ServerAddress } from "./driver.js";
import type { Resolver } from "./resolver.js";

/** A server with an address. */
export interface Location {
  /** Unique, and the same each time it is found. */
  readonly key: string;
  readonly server: UpstreamServer;
  readonly address: ServerAddress;
  readonly weight: number;
  readonly backup: boolean;
}

export interface MembershipOptions {
  /** The group's, for the log. */
  readonly name: string;
  readonly servers: readonly UpstreamServer[];
  /** Seconds; 0: names are resolved once. */
  readonly resolveInterval: number;
  readonly resolver: Resolver;
  readonly deadlines: Deadlines;
  /** These are the servers from now on. */
  changed(locations: readonly Location[]): void;
  /** After every look-up; before the constructor returns where there is nothing to look up. */
  resolved(): void;
}

/** Seconds after which a name that could never be resolved is asked for again. */
const againAfter = 2;

export class Membership implements Timed {
  deadline = 0;
  readonly #options: MembershipOptions;
  /** What was found for each server, in the servers' order. */
  readonly #found: (readonly Location[] | undefined)[];
  #failing = new Set<UpstreamServer>();
  #shown = "";
  #closed = false;

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.#found = options.servers.map(literal);
    if (this.#found.every((locations) => locations !== undefined)) {
      this.#show();
      options.resolved();
    } else {
      options.deadlines.watch(this);
      this.#resolve();
    }
  }

  close(): void {
    this.#closed = true;
    this.#options.deadlines.unwatch(this);
  }

  /** It is time to ask again. */
  expire(): void {
    this.#resolve();
  }

  async #resolve(): Promise<void> {
    const { servers, deadlines, resolveInterval } = this.#options;
    await Promise.all(
      servers.map(async (server, index) => {
        if (literal(server) === undefined) this.#found[index] = (await this.#find(server)) ?? this.#found[index];
      }),
    );
    if (this.#closed) return;
    this.#show();
    this.#options.resolved();
    const missing = this.#found.includes(undefined);
    const seconds = missing ? Math.min(againAfter, resolveInterval || againAfter) : resolveInterval;
    if (seconds > 0) this.deadline = deadlines.tick + ticks(seconds);
  }

  /** Undefined where the name cannot be resolved; says so once. */
  async #find(server: UpstreamServer): Promise<readonly Location[] | undefined> {
    let reason = "there is nothing of that name";
    try {
      const locations = await locate(server, this.#options.resolver);
      if (locations.length > 0) {
        if (this.#failing.delete(server)) this.#log("info", `${server.url} is found again.`);
        return locations;
      }
    } catch (error) {
      reason = error instanceof Error ? error.message : String(error);
    }
    if (!this.#failing.has(server) && !this.#closed) {
      this.#failing.add(server);
      const kept = this.#found.some((locations) => locations?.[0]?.server === server)
        ? " The addresses known are kept."
        : "";
      this.#log("warning", `${server.url} cannot be resolved: ${reason}.${kept}`);
    }
    return undefined;
  }

  #log(level: "info" | "warning", sentence: string): void {
    log(level, `upstream ${this.#options.name}`, sentence);
  }

  #show(): void {
    const locations = this.#found.flatMap((found) => found ?? []);
    // two names can lead to one server, and one key must be one member
    const unique = [...new Map(locations.map((location) => [location.key, location])).values()];
    const shown = JSON.stringify(unique.map(({ key, weight, backup }) => [key, weight, backup]).sort());
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#options.changed(unique);
  }
}

/** Where a server is that needs no look-up. */
function literal(server: UpstreamServer): readonly Location[] | undefined {
  const { endpoint, url, weight, backup } = server;
  if (endpoint.kind === "unix") return [{ key: url, server, address: endpoint, weight, backup }];
  if (endpoint.kind === "srv" || isIP(endpoint.host) === 0) return undefined;
  return [{ key: url, server, address: endpoint, weight, backup }];
}

async function locate(server: UpstreamServer, resolver: Resolver): Promise<readonly Location[]> {
  const { endpoint } = server;
  if (endpoint.kind === "unix") return [];
  if (endpoint.kind === "tcp")
    return locateName(server, endpoint.host, endpoint.port, server.weight, server.backup, resolver);
  const records = await resolver.services(endpoint.name);
  const best = Math.min(...records.map(({ priority }) => priority));
  const found = await Promise.all(
    // a "." says that the service is decidedly not there (RFC 2782)
    records
      .filter(({ name }) => name !== "" && name !== ".")
      .map(({ name, port, priority, weight }) =>
        locateName(server, name, port, Math.max(weight, 1) * server.weight, server.backup || priority > best, resolver),
      ),
  );
  return found.flat();
}

/**
 * Every address of a name. One of IPv6 beside ones of IPv4 is most often another way to the same machine, and not everywhere
 * one that leads there (as `localhost` shows, whose ::1 many servers do not listen on): a backup.
 */
async function locateName(
  server: UpstreamServer,
  name: string,
  port: number,
  weight: number,
  backup: boolean,
  resolver: Resolver,
): Promise<readonly Location[]> {
  const addresses = [...new Set(await resolver.addresses(name))];
  const both = addresses.some((address) => !isIPv6(address));
  return addresses.map((host) => ({
    key: `${server.url} ${host}:${port}`,
    server,
    address: { kind: "tcp", host, port },
    weight,
    backup: backup || (both && isIPv6(host)),
  }));
}
