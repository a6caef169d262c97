// Decides which server of a group gets a request, and which gets none for a while. It has no socket, process, timer or clock:
// events and `now` (milliseconds) go in, decisions come out.
//
// Safety:   a draining server is given nothing. An ejected or unhealthy one is given nothing while another server is up, but
//           for one request at a time once its ejection is over (the trial). A backup is given nothing while a primary is up.
// Progress: while a server does not drain, a request that was not tried yet is given to one, be all of them down: what is known
//           of them may be old. Time alone ends an ejection.

export interface MemberConfig {
  /** Which server it is; the same over changes of the membership. */
  readonly key: string;
  /** A whole number from 1. */
  readonly weight: number;
  readonly backup: boolean;
}

/** A server as the balancer sees it. The fields are the balancer's; drivers read. */
export interface Member<S> {
  readonly key: string;
  /** Whatever is needed to reach it. */
  readonly server: S;
  weight: number;
  backup: boolean;
  draining: boolean;
  /** What the last health checks said. */
  healthy: boolean;
  /** Requests it has. */
  outstanding: number;
  /** Requests it was given, and how many of those failed. */
  requests: number;
  failures: number;
  /** Until when it is left out; 0 never was, or was well since. */
  ejectedUntil: number;
  /** A request is on its way to find out whether it is well again. */
  trial: boolean;
  /** Milliseconds to the head of its responses, the recent ones counting most; -1 before the first. */
  latency: number;
  /** Failures that count, and since when. */
  recentFailures: number;
  recentSince: number;
  /** Ejections without a success between them. */
  ejections: number;
  /** Checks in a row that said otherwise than `healthy`; -1 before the first. */
  contrary: number;
  /** Smooth weighted round robin's account. */
  credit: number;
  readonly hash: number;
}

export interface BalancerOptions {
  readonly balance: "least-outstanding" | "round-robin" | "hash";
  /** See UpstreamGroupConfig; 0: no server is ever left out. */
  readonly maxFails: number;
  /** Milliseconds. */
  readonly failTimeout: number;
}

/** What became of a server's health with an event; undefined: nothing. */
export type Change = "ejected" | "back" | "unhealthy" | "healthy" | undefined;

/** An ejection is at most this many times failTimeout. */
const backOffMost = 16;
/** Checks in a row that must agree before a server counts as unwell, or as well again. */
const checksInRow = 2;
/** The share of the newest in `latency`. */
const newest = 0.1;

export class Balancer<S> {
  readonly #options: BalancerOptions;
  #members: Member<S>[] = [];
  /** Those that are equally good, while one is chosen. */
  readonly #best: Member<S>[] = [];

  constructor(options: BalancerOptions) {
    this.#options = options;
  }

  get members(): readonly Member<S>[] {
    return this.#members;
  }

  /**
   * The servers there are from now on. Those that were there before keep what is known of them. Returns the members that are
   * gone: they are given nothing more, and what they have ends as it may.
   */
  update(configs: readonly MemberConfig[], create: (config: MemberConfig) => S): readonly Member<S>[] {
    const before = new Map(this.#members.map((member) => [member.key, member]));
    this.#members = configs.map((config) => {
      const known = before.get(config.key);
      if (known === undefined) return newMember(config, create(config));
      before.delete(config.key);
      known.weight = config.weight;
      known.backup = config.backup;
      known.credit = 0;
      return known;
    });
    return [...before.values()];
  }

  /**
   * The server for a request that was tried on `tried` already; undefined where there is none. `hash` (of `hashOf`) matters with
   * "hash" alone. Whoever sends the request tells `began`.
   */
  pick(now: number, hash: number, tried: readonly Member<S>[]): Member<S> | undefined {
    const up = this.#choose(now, hash, tried, false) ?? this.#choose(now, hash, tried, true);
    if (up !== undefined || tried.length > 0) return up;
    return this.#choose(-1, hash, tried, false) ?? this.#choose(-1, hash, tried, true);
  }

  /** Among those that are up; with `now` -1 among all that do not drain. */
  #choose(now: number, hash: number, tried: readonly Member<S>[], backup: boolean): Member<S> | undefined {
    const { balance } = this.#options;
    const best = this.#best;
    best.length = 0;
    for (const member of this.#members) {
      if (member.backup !== backup || member.draining || tried.includes(member)) continue;
      if (now >= 0) {
        if (!isUp(member, now)) continue;
        // its turn would not come while others are less busy; with a hash it is the next request that belongs to it
        if (member.ejectedUntil > 0 && balance !== "hash") return member;
      }
      const first = best[0];
      const order = first === undefined || balance === "round-robin" ? 0 : compare(member, first, balance, hash);
      if (order > 0) continue;
      if (order < 0) best.length = 0;
      best.push(member);
    }
    return best.length < 2 ? best[0] : this.#next(best);
  }

  /** Smooth weighted round robin: each gets its share, and as evenly spread as can be. */
  #next(members: readonly Member<S>[]): Member<S> | undefined {
    let next: Member<S> | undefined;
    let total = 0;
    for (const member of members) {
      total += member.weight;
      member.credit += member.weight;
      if (next === undefined || member.credit > next.credit) next = member;
    }
    if (next !== undefined) next.credit -= total;
    return next;
  }

  /** A request goes to a server. Returns whether it is its trial, which `ended` must be told. */
  began(member: Member<S>): boolean {
    member.outstanding += 1;
    member.requests += 1;
    if (member.ejectedUntil === 0 || member.trial) return false;
    member.trial = true;
    return true;
  }

  /** The head of a response came after so many milliseconds. */
  responded(member: Member<S>, milliseconds: number): void {
    member.latency = member.latency < 0 ? milliseconds : member.latency + newest * (milliseconds - member.latency);
  }

  /** A request left its server. "gone": its client did, or the request could not be sent, which says nothing of the server. */
  ended(member: Member<S>, trial: boolean, outcome: "answered" | "failed" | "gone", now: number): Change {
    member.outstanding -= 1;
    if (trial) member.trial = false;
    if (outcome === "gone") return undefined;
    if (outcome === "answered") {
      // one that was begun before the ejection says nothing about now
      if (!trial) return undefined;
      member.ejectedUntil = 0;
      member.ejections = 0;
      member.recentFailures = 0;
      return "back";
    }
    member.failures += 1;
    const { maxFails, failTimeout } = this.#options;
    if (maxFails === 0) return undefined;
    // asked before its time, since all were down: that it still fails is no news
    if (member.ejectedUntil > now) return undefined;
    if (trial) return this.#eject(member, now);
    if (member.ejectedUntil > 0) return undefined;
    if (now - member.recentSince > failTimeout) {
      member.recentSince = now;
      member.recentFailures = 0;
    }
    member.recentFailures += 1;
    return member.recentFailures < maxFails ? undefined : this.#eject(member, now);
  }

  #eject(member: Member<S>, now: number): Change {
    member.ejectedUntil = now + this.#options.failTimeout * Math.min(2 ** member.ejections, backOffMost);
    member.ejections += 1;
    member.recentFailures = 0;
    return "ejected";
  }

  /** A health check ended. The first decides alone. */
  checked(member: Member<S>, well: boolean): Change {
    const first = member.contrary < 0;
    if (well === member.healthy) {
      member.contrary = 0;
      return undefined;
    }
    member.contrary = Math.max(member.contrary, 0) + 1;
    if (!first && member.contrary < checksInRow) return undefined;
    member.healthy = well;
    member.contrary = 0;
    return well ? "healthy" : "unhealthy";
  }
}

function newMember<S>({ key, weight, backup }: MemberConfig, server: S): Member<S> {
  return {
    key,
    server,
    weight,
    backup,
    draining: false,
    healthy: true,
    outstanding: 0,
    requests: 0,
    failures: 0,
    ejectedUntil: 0,
    trial: false,
    latency: -1,
    recentFailures: 0,
    recentSince: Number.NEGATIVE_INFINITY,
    ejections: 0,
    contrary: -1,
    credit: 0,
    hash: hashOf(key),
  };
}

/** Whether it may be given requests: it is well, or its trial is due. */
export function isUp(member: Member<unknown>, now: number): boolean {
  if (member.draining || !member.healthy) return false;
  return member.ejectedUntil === 0 || (now >= member.ejectedUntil && !member.trial);
}

/** Below 0 where `a` is the better choice. */
function compare(a: Member<unknown>, b: Member<unknown>, balance: "least-outstanding" | "hash", hash: number): number {
  if (balance === "hash") return rendezvous(b, hash) - rendezvous(a, hash);
  return a.outstanding * b.weight - b.outstanding * a.weight;
}

/**
 * Rendezvous hashing with weights: every server draws a number for the key, the highest wins. A server that comes or goes
 * moves only the keys that it wins or had won, and each key has an order of servers to fall back on.
 */
function rendezvous(member: Member<unknown>, hash: number): number {
  const drawn = (mix(hash ^ member.hash) + 0.5) / 2 ** 32;
  return -member.weight / Math.log(drawn);
}

/** The key that "hash" chooses by, as a number: FNV-1a. */
export function hashOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < key.length; at += 1) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193);
  return mix(hash);
}

/** Every bit of the number into every bit of the result (the finaliser of MurmurHash3). */
function mix(number: number): number {
  let mixed = Math.imul(number ^ (number >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
