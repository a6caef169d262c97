// How long workers may take, as far as the front has a part in it.
//
// When a request was begun, and where its thread is, only its worker knows: it says when one is late (LATE), and interrupts it. The
// client is answered here. A worker that says nothing is watched: it notes in the scoreboard that it is well. One whose requests
// got no answer, and that does not say so a second after the limit, has stopped or is in a function that holds the GIL: its clients
// are answered all the same.
//
//   executing ──LATE, or a second later──▶ late ──OVER──▶ (forgotten)
//                                            └──after the grace──▶ its worker is replaced; killed at once if it hangs
//
// Nothing of this costs a request anything: what is here is looked at four times a second while there are requests.
import { performance } from "node:perf_hooks";
import { log } from "../channels.js";
import type { LimitConfig } from "../config/config.js";
import type { Exchange, Request } from "../exchange.js";
import type { Deadlines, Timed } from "../net/deadline.js";
import type { Member } from "../pool/pool.js";
import { pickVariables } from "../protocol/cgi/variables.js";
import { lateFlag } from "../python/wire/frames.js";
import { mountOctets, placeUnder } from "../routing/mount.js";
import { hasBegun, type Noted } from "./scoreboard.js";
import type { Ticket, WorkerLink } from "./worker-link.js";

/** Durations in seconds; 0 is none. */
export interface LimitSettings {
  readonly requestTimeout: number;
  readonly limits: readonly LimitConfig[];
  readonly interruptGrace: number;
  readonly logSlow: number;
  readonly hangTimeout: number;
}

export interface LimitsOwner {
  /** How the worker is called in the log. */
  name(link: WorkerLink): string;
  members(): Iterable<Member<Ticket, WorkerLink>>;
  noted(link: WorkerLink): Noted;
  /** A late request does not occupy its worker any more. */
  linkRelieved(link: WorkerLink, ticket: Ticket): void;
  /** The worker is to be replaced: a thread of it does not come back. */
  linkStuck(link: WorkerLink): void;
  /** The worker is to be killed: it does nothing any more. */
  linkHung(link: WorkerLink): void;
  /** A worker that was to get nothing more has nothing left. */
  linkIdle(link: WorkerLink): void;
}

/** A request that was answered in its worker's place, and is not over there. */
interface Late {
  readonly link: WorkerLink;
  since: number;
  /** Its worker has not said where it is, and has interrupted nothing. */
  silent: boolean;
  /** Something was done about its worker. */
  givenUp: boolean;
}

/** A worker has this long to say itself that a request is late, ms. */
const backstop = 1000;
/** Requests that take less say nothing about their worker, ms. */
const lookFrom = 1000;
/** Looks between two at the worker's notes. */
const looksPerBeat = 4;
/** Seconds between these. */
const beatPeriod = 1;

const pathVariables: ReadonlyMap<string, number> = new Map([
  ["SCRIPT_NAME", 0],
  ["PATH_INFO", 1],
]);

export class TimeLimits implements Timed {
  deadline = 0;
  readonly #settings: LimitSettings;
  readonly #deadlines: Deadlines;
  readonly #owner: LimitsOwner;
  /** The longest first; milliseconds. */
  readonly #paths: readonly { readonly path: string; readonly limit: number }[];
  readonly #late = new Map<Ticket, Late>();
  /** What workers noted when it was looked at last, and how often that was the same; of those with a request that takes long. */
  readonly #beats = new Map<WorkerLink, { readonly beat: number; readonly same: number }>();
  readonly #retiring = new Set<WorkerLink>();
  /** Those that are to be killed, or replaced. */
  readonly #lost = new Set<WorkerLink>();
  #looks = 0;
  #watching = false;

  constructor(settings: LimitSettings, deadlines: Deadlines, owner: LimitsOwner) {
    this.#settings = settings;
    this.#deadlines = deadlines;
    this.#owner = owner;
    this.#paths = settings.limits
      .map(({ path, requestTimeout }) => ({ path: mountOctets(path), limit: requestTimeout * 1000 }))
      .sort((one, other) => other.path.length - one.path.length);
  }

  /** The limit of a request that has one of its own, ms; 0: none at all. */
  own(request: Request): number | undefined {
    if (this.#paths.length === 0) return undefined;
    const [scriptName = "", pathInfo = ""] = pickVariables(request.variables, pathVariables);
    const path = `${scriptName}${pathInfo}`;
    return this.#paths.find((each) => placeUnder(each.path, path) !== undefined)?.limit;
  }

  /** A worker has something to do. */
  began(): void {
    if (this.#watching) return;
    this.#watching = true;
    this.deadline = this.#deadlines.tick + 1;
    this.#deadlines.watch(this);
  }

  /** The worker is given nothing more: `linkIdle` is told when it has nothing left. */
  retire(link: WorkerLink): void {
    this.#retiring.add(link);
    this.began();
  }

  /** It has nothing left. */
  idle(link: WorkerLink): void {
    if (this.#retiring.delete(link)) this.#owner.linkIdle(link);
  }

  /** Whether its client was answered in its worker's place, which still executes it. */
  isLate(ticket: Ticket): boolean {
    return this.#late.has(ticket);
  }

  /** A LATE frame. */
  late(link: WorkerLink, ticket: Ticket, flags: number, stack: string): void {
    const where = stack === "" ? "It is in no line of the application." : `It is here:\n${stack.trimEnd()}`;
    const { exchange } = ticket;
    if ((flags & lateFlag.slow) !== 0) {
      const { logSlow } = this.#settings;
      log("warning", "pool", `${this.#executes(link, exchange, logSlow)} (--log-slow). ${where}`);
    } else if ((flags & lateFlag.over) !== 0) {
      this.#late.delete(ticket);
      this.#owner.linkRelieved(link, ticket);
    } else if ((flags & lateFlag.replaced) !== 0) {
      this.#owner.linkRelieved(link, ticket);
    } else this.#refuse(link, ticket, where, false);
  }

  /** The worker is gone. */
  closed(link: WorkerLink): void {
    this.#beats.delete(link);
    this.#retiring.delete(link);
    this.#lost.delete(link);
    for (const [ticket, late] of this.#late) if (late.link === link) this.#late.delete(ticket);
  }

  // ---- four times a second

  expire(): void {
    this.#looks += 1;
    const now = performance.now();
    for (const [ticket, late] of this.#late) {
      if (!late.givenUp && now - late.since > this.#settings.interruptGrace * 1000) this.#giveUp(late, ticket);
    }
    let busy = this.#late.size > 0;
    for (const member of this.#owner.members()) {
      if (member.outstanding > 0) {
        busy = true;
        this.#look(member, now);
      }
      if (this.#retiring.has(member.worker)) this.#retired(member);
    }
    if (busy || this.#retiring.size > 0) this.deadline = this.#deadlines.tick + 1;
    else {
      this.#watching = false;
      this.#beats.clear();
      this.#deadlines.unwatch(this);
    }
  }

  #retired({ worker, requests }: Member<Ticket, WorkerLink>): void {
    for (const ticket of requests) if (!this.#late.has(ticket)) return;
    this.idle(worker);
  }

  #look({ worker, requests }: Member<Ticket, WorkerLink>, now: number): void {
    const oldest = requests.first?.member;
    if (oldest === undefined || now - oldest.givenAt < lookFrom) {
      this.#beats.delete(worker);
      return;
    }
    const noted = this.#owner.noted(worker);
    if (this.#looks % looksPerBeat === 0) this.#feel(worker, noted.beat);
    for (const ticket of requests) {
      if (!hasBegun(ticket.id, noted.begun) || this.#late.has(ticket)) continue;
      const limit = this.#limit(ticket);
      if (limit > 0 && now - ticket.givenAt > limit + backstop) {
        this.#refuse(
          worker,
          ticket,
          "It does not say where it is: it has stopped, or is in a function that holds the GIL.",
          true,
        );
      }
    }
  }

  /** Looks are counted, not time: where the whole server was stopped for a while, nobody hangs. */
  #feel(link: WorkerLink, beat: number): void {
    const before = this.#beats.get(link);
    const same = before?.beat === beat ? before.same + 1 : 0;
    const { hangTimeout } = this.#settings;
    if (hangTimeout > 0 && same * beatPeriod >= hangTimeout) {
      this.#hung(link, same * beatPeriod, "--hang-timeout");
    } else this.#beats.set(link, { beat, same });
  }

  // ---- what is done about it

  #limit(ticket: Ticket): number {
    // A WebSocket lasts as long as its two sides want.
    if (ticket.socket !== undefined) return 0;
    return this.own(ticket.exchange.request) ?? this.#settings.requestTimeout * 1000;
  }

  #executes(link: WorkerLink, { request, id }: Exchange, seconds: number): string {
    const { method, target } = request;
    return `${this.#who(link)} has been executing ${method} ${target} (request id ${id}) for ${seconds} s`;
  }

  #who(link: WorkerLink): string {
    return `${this.#owner.name(link)} (pid ${link.pid})`;
  }

  #refuse(link: WorkerLink, ticket: Ticket, where: string, silent: boolean): void {
    const { exchange } = ticket;
    // After a second's silence the worker may say so after all.
    const late = this.#late.get(ticket);
    if (late === undefined) this.#late.set(ticket, { link, since: performance.now(), silent, givenUp: false });
    else Object.assign(late, { since: performance.now(), silent });
    const gone = exchange.ended;
    exchange.refuse(504, "The application took too long to answer this request.");
    const answered = gone
      ? "its client was answered or has left"
      : exchange.ended
        ? "answered with 504"
        : "its response is cut";
    exchange.cut();
    const limit = this.#limit(ticket) / 1000;
    log("error", "pool", `${this.#executes(link, exchange, limit)} (--request-timeout): ${answered}. ${where}`);
  }

  #giveUp(late: Late, ticket: Ticket): void {
    const { link } = late;
    const { interruptGrace } = this.#settings;
    if (late.silent) {
      // It may only have been slow to say so; then it says so now.
      const same = this.#beats.get(link)?.same ?? 0;
      if (same === 0) return;
      late.givenUp = true;
      this.#hung(link, same * beatPeriod, "--interrupt-grace");
      return;
    }
    late.givenUp = true;
    if (this.#lost.has(link)) return;
    this.#lost.add(link);
    const { method, target } = ticket.exchange.request;
    log(
      "warning",
      "pool",
      `${this.#who(link)} was interrupted in ${method} ${target} (request id ${ticket.exchange.id}) and has not come back for ${interruptGrace} s (--interrupt-grace): another takes its place.`,
    );
    this.#owner.linkStuck(link);
  }

  #hung(link: WorkerLink, seconds: number, option: string): void {
    if (this.#lost.has(link)) return;
    this.#lost.add(link);
    log(
      "error",
      "pool",
      `${this.#who(link)} has executed requests and shown no sign of life for ${seconds} s (${option}): it is killed. Its stacks follow, if it can still tell them.`,
    );
    this.#owner.linkHung(link);
  }
}
