// A group of servers that answer the same requests, as the handler of a mount: which server gets a request is decided by
// balancer.ts, how it gets it by the protocol's driver, and what is known of the servers is shown by `status`.
import { log } from "../channels.js";
import type { UpstreamGroupConfig } from "../config/config.js";
import type { Exchange } from "../exchange.js";
import { Deadlines, ticks } from "../net/deadline.js";
import { ResponseMemory } from "../net/response-memory.js";
import { Attempt, type AttemptOwner } from "./attempt.js";
import { Balancer, type Change, isUp, type Member } from "./balancer.js";
import type { ServerAddress, UpstreamFailure } from "./driver.js";
import { type Drivers, drivers } from "./drivers.js";
import { FailureLog } from "./failure-log.js";
import { type Forwarder, forwarder } from "./forwarded.js";
import { HashKey } from "./hash-key.js";
import { HealthChecks } from "./health.js";
import { type Location, Membership } from "./membership.js";
import { createResolver, type Resolver } from "./resolver.js";
import { RetryBudget } from "./retry.js";
import type { Server } from "./server.js";

export interface GroupOptions {
  /** Octets of a response kept in memory for a client that reads slowly. Default 1 MiB. */
  readonly responseMemory?: number;
  /** Of all responses together. Default: no bound. */
  readonly responseMemoryTotal?: number;
  /** Octets, and fields, of a response's head. Default 64 KiB, and 256. */
  readonly maxHead?: number;
  readonly maxFields?: number;
  /** Default: its own. */
  readonly deadlines?: Deadlines;
  /** Milliseconds, of any origin. Default: performance.now. */
  readonly now?: () => number;
  /** Default: by the configuration's dnsServers. */
  readonly resolver?: Resolver;
  readonly drivers?: Drivers;
  /** URLs and addresses that are drained from the beginning. Default none. */
  readonly drained?: readonly string[];
  /**
   * A server has no room for a new connection, and other processes that have connections to it should hear so (`makeRoom`); its
   * address as in `status`. Default: there are none.
   */
  readonly tellScarce?: (address: string) => void;
}

/** A server in `status`. */
export interface UpstreamStatus {
  /** As configured: what `drain` takes. */
  readonly url: string;
  /** `10.0.0.5:9000`, `[::1]:9000` or a path. */
  readonly address: string;
  readonly state: "up" | "trial" | "ejected" | "unhealthy" | "draining";
  readonly backup: boolean;
  readonly weight: number;
  readonly outstanding: number;
  readonly requests: number;
  readonly failures: number;
  /** Milliseconds to the head of its responses; -1 before the first. */
  readonly latency: number;
  /** Seconds until it is tried again; 0 where it is not ejected. */
  readonly ejectedFor: number;
  readonly connections: { readonly busy: number; readonly idle: number };
}

export interface GroupStatus {
  readonly name: string;
  readonly balance: UpstreamGroupConfig["balance"];
  readonly requests: number;
  readonly retries: number;
  readonly servers: readonly UpstreamStatus[];
}

const mebibyte = 1024 * 1024;

export class UpstreamGroup implements AttemptOwner {
  readonly now: () => number;
  readonly #config: UpstreamGroupConfig;
  readonly #options: GroupOptions;
  readonly #responses: ResponseMemory;
  readonly #deadlines: Deadlines;
  readonly #drivers: Drivers;
  readonly #balancer: Balancer<Server>;
  readonly #budget: RetryBudget;
  readonly #hashKey: HashKey | undefined;
  readonly #forwarders: { readonly http: Forwarder; readonly cgi: Forwarder };
  readonly #failures: FailureLog;
  readonly #membership: Membership;
  /** URLs and addresses that are drained, so that a member that DNS brings back is too. */
  readonly #drained: Set<string>;
  /** Requests that came before any name was resolved; undefined from then on. */
  #early: Exchange[] | undefined = [];
  #requests = 0;
  #retries = 0;

  constructor(config: UpstreamGroupConfig, options: GroupOptions = {}) {
    this.#config = config;
    this.#options = options;
    this.#drained = new Set(options.drained);
    const { responseMemory = mebibyte, responseMemoryTotal = Number.POSITIVE_INFINITY } = options;
    this.#responses = new ResponseMemory(responseMemory, responseMemoryTotal);
    this.now = options.now ?? (() => performance.now());
    this.#deadlines = options.deadlines ?? new Deadlines();
    this.#drivers = options.drivers ?? drivers;
    this.#balancer = new Balancer({
      balance: config.balance,
      maxFails: config.maxFails,
      failTimeout: config.failTimeout * 1000,
    });
    this.#budget = new RetryBudget(config.retryBudget);
    this.#hashKey = config.balance === "hash" ? new HashKey(config.hashBy) : undefined;
    const { forwarded, params } = config;
    this.#forwarders = {
      http: forwarder({ http: true, forwarded, params }),
      cgi: forwarder({ http: false, forwarded, params }),
    };
    this.#failures = new FailureLog(`upstream ${config.name}`);
    this.#membership = new Membership({
      name: config.name,
      servers: config.servers,
      resolveInterval: config.resolveInterval,
      resolver: options.resolver ?? createResolver(config.dnsServers),
      deadlines: this.#deadlines,
      changed: (locations) => this.#changed(locations),
      resolved: () => this.#resolved(),
    });
  }

  /** The handler (exchange.ts). */
  readonly handle = (exchange: Exchange): void => {
    if (this.#early !== undefined) {
      this.#early.push(exchange);
      return;
    }
    this.#requests += 1;
    this.#budget.earn();
    const hash = this.#hashKey?.of(exchange.request.variables) ?? 0;
    new Attempt(this, exchange, hash).begin();
  };

  /**
   * Gives a server nothing more; what it has, it finishes. `url` is that of the configuration, or an address as `status` shows
   * it. False where there is no such server: then it is drained as soon as it is a member if that is `expected`.
   */
  drain(url: string, expected = false): boolean {
    const found = this.#setDraining(url, true);
    if (expected) this.#drained.add(url);
    return found;
  }

  /** Takes `drain` back. */
  undrain(url: string): boolean {
    return this.#setDraining(url, false);
  }

  #setDraining(url: string, draining: boolean): boolean {
    let found = this.#config.servers.some((server) => server.url === url);
    for (const member of this.#balancer.members) {
      if (member.server.config.url !== url && addressOf(member.server) !== url) continue;
      found = true;
      if (member.draining !== draining)
        this.#log(`${member.server.name} ${draining ? "is drained" : "is no longer drained"}.`);
      member.draining = draining;
    }
    if (draining && found) this.#drained.add(url);
    if (!draining) this.#forgetDrained(url);
    return found;
  }

  /** What is no longer drained, by its URL or its address. Of a URL of which one address is taken back, the others stay drained. */
  #forgetDrained(url: string): void {
    this.#drained.delete(url);
    for (const { server } of this.#balancer.members) {
      const address = addressOf(server);
      if (server.config.url === url) this.#drained.delete(address);
      if (address !== url || !this.#drained.delete(server.config.url)) continue;
      for (const other of this.#balancer.members) {
        if (other.server.config.url === server.config.url && other.draining) this.#drained.add(addressOf(other.server));
      }
    }
  }

  /** URLs and addresses that are drained: what a group after this one needs to be told (`GroupOptions.drained`). */
  get drained(): readonly string[] {
    return [...this.#drained];
  }

  status(): GroupStatus {
    const now = this.now();
    return {
      name: this.#config.name,
      balance: this.#config.balance,
      requests: this.#requests,
      retries: this.#retries,
      servers: this.#balancer.members.map((member) => statusOf(member, now)),
    };
  }

  /** Another process has told that the server at this address has no room for it (`GroupOptions.tellScarce`). */
  makeRoom(address: string): void {
    for (const { server } of this.#balancer.members) if (addressOf(server) === address) server.driver.makeRoom();
  }

  /** Closes idle connections now, and the others when their requests end; no more checks, no more look-ups. */
  close(): void {
    this.#membership.close();
    for (const member of this.#balancer.members) closeServer(member.server);
  }

  // -- the servers there are

  #changed(locations: readonly Location[]): void {
    const byKey = new Map(locations.map((location) => [location.key, location]));
    const known = new Set(this.#balancer.members.map(({ key }) => key));
    const gone = this.#balancer.update(locations, ({ key }) => {
      const location = byKey.get(key);
      if (location === undefined) throw new Error("a member has no location");
      return this.#createServer(location);
    });
    for (const member of gone) {
      closeServer(member.server);
      this.#log(`${member.server.name} is no longer a member.`);
    }
    for (const member of this.#balancer.members) {
      const { server } = member;
      member.draining = this.#drained.has(server.config.url) || this.#drained.has(addressOf(server));
      if (known.has(member.key)) continue;
      if (this.#early === undefined) this.#log(`${server.name} is a member now.`);
      if (this.#config.healthPath !== "") server.health = this.#watch(member);
    }
  }

  /** The names were asked for, and those that could be are resolved. */
  #resolved(): void {
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const exchange of early) if (!exchange.ended) this.handle(exchange);
  }

  #createServer({ server, address, key }: Location): Server {
    const config = this.#config;
    const { tellScarce } = this.#options;
    const text = addressText(address);
    const driver = this.#drivers[server.protocol]({
      address,
      name: key,
      deadlines: this.#deadlines,
      connectTimeout: ticks(config.connectTimeout),
      sendTimeout: ticks(config.sendTimeout),
      firstByteTimeout: ticks(config.firstByteTimeout),
      idleTimeout: ticks(config.idleTimeout),
      tunnelTimeout: ticks(config.tunnelTimeout),
      keepAlive: config.keepAlive,
      multiplex: config.multiplex,
      maxHead: this.#options.maxHead ?? 65536,
      maxFields: this.#options.maxFields ?? 256,
      responses: this.#responses,
      tellScarce: tellScarce && (() => tellScarce(text)),
    });
    const forwarder = server.protocol === "http" ? this.#forwarders.http : this.#forwarders.cgi;
    return { config: server, address, name: key, driver, forwarder, health: undefined };
  }

  #watch(member: Member<Server>): HealthChecks {
    const { driver, config } = member.server;
    const { endpoint } = config;
    const host =
      endpoint.kind === "tcp" ? (endpoint.host.includes(":") ? `[${endpoint.host}]` : endpoint.host) : "localhost";
    return new HealthChecks(driver, {
      path: this.#config.healthPath,
      interval: this.#config.healthInterval,
      host: endpoint.kind === "tcp" ? `${host}:${endpoint.port}` : host,
      params: this.#config.params,
      deadlines: this.#deadlines,
      checked: (well) => this.#tellChange(member, this.#balancer.checked(member, well)),
    });
  }

  // -- for requests (AttemptOwner)

  get responseMemory(): number {
    return this.#responses.most;
  }

  pick(now: number, hash: number, tried: readonly Member<Server>[]): Member<Server> | undefined {
    return this.#balancer.pick(now, hash, tried);
  }

  spendRetry(): boolean {
    if (!this.#budget.spend()) return false;
    this.#retries += 1;
    return true;
  }

  began(member: Member<Server>): boolean {
    return this.#balancer.began(member);
  }

  responded(member: Member<Server>, milliseconds: number): void {
    this.#balancer.responded(member, milliseconds);
  }

  ended(
    member: Member<Server>,
    trial: boolean,
    outcome: "answered" | "failed" | "gone",
    failure?: UpstreamFailure,
  ): void {
    const told = outcome === "failed" || failure?.kind === "exhausted";
    const now = told ? this.now() : 0;
    const change = this.#balancer.ended(member, trial, outcome, now);
    if (told && failure !== undefined) this.#failures.report(now, member.server.name, failure.sentence);
    if (change !== undefined) this.#tellChange(member, change);
  }

  #tellChange(member: Member<Server>, change: Change): void {
    const { name } = member.server;
    if (change === "ejected") {
      const seconds = Math.round((member.ejectedUntil - this.now()) / 1000);
      log("warning", this.#area, `${name} failed too often and is left out for ${seconds} s.`);
    } else if (change === "back") this.#log(`${name} answers again.`);
    else if (change === "unhealthy") log("warning", this.#area, `${name} fails its health check and is left out.`);
    else if (change === "healthy") this.#log(`${name} passes its health check again.`);
  }

  get #area(): string {
    return `upstream ${this.#config.name}`;
  }

  #log(sentence: string): void {
    log("info", this.#area, sentence);
  }
}

function closeServer(server: Server): void {
  server.health?.close();
  server.driver.close();
}

function addressOf({ address }: Server): string {
  return addressText(address);
}

function addressText(address: ServerAddress): string {
  if (address.kind === "unix") return address.path;
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

function stateOf(member: Member<Server>, now: number): UpstreamStatus["state"] {
  if (member.draining) return "draining";
  if (!member.healthy) return "unhealthy";
  if (member.trial) return "trial";
  return isUp(member, now) ? "up" : "ejected";
}

function statusOf(member: Member<Server>, now: number): UpstreamStatus {
  const { server } = member;
  return {
    url: server.config.url,
    address: addressOf(server),
    state: stateOf(member, now),
    backup: member.backup,
    weight: member.weight,
    outstanding: member.outstanding,
    requests: member.requests,
    failures: member.failures,
    latency: member.latency < 0 ? -1 : Math.round(member.latency * 100) / 100,
    ejectedFor: Math.max(0, Math.ceil((member.ejectedUntil - now) / 1000)),
    connections: { busy: server.driver.busy, idle: server.driver.idle },
  };
}
