// The pool with hands: connects exchanges, the pool's decisions and the links of the workers.
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { workerName } from "../config/config.js";
import type { Exchange, Request } from "../exchange.js";
import { type Deadlines, later, type Timed, ticks } from "../net/deadline.js";
import { ResponseMemory } from "../net/response-memory.js";
import { version } from "../package.js";
import { Concurrency } from "../pool/concurrency.js";
import { Pace } from "../pool/pace.js";
import { type Member, Pool } from "../pool/pool.js";
import { HealthCheck } from "./health-check.js";
import { Losses } from "./losses.js";
import { scoreboardName } from "./messages.js";
import { Overload } from "./overload.js";
import type { SpoolSpace } from "./response-spool.js";
import { hasBegun, type Noted, nothingNoted, Scoreboard } from "./scoreboard.js";
import { type LimitSettings, type LimitsOwner, TimeLimits } from "./time-limits.js";
import { endEvents, type Interface, type LinkOwner, type Tally, type Ticket, type WorkerLink } from "./worker-link.js";

/** Generations whose answers are counted: the one that serves, the one before it, the one that comes. */
const talliesMost = 3;
/** Workers that were started together are not replaced together: each answers more requests by up to this share. */
const jitter = 0.1;

/**
 * A worker with too much memory gets nothing more, where there are others, until its successor is ready; but no longer than this, seconds:
 * that may have to wait, and then it is better to have the memory than not to be served.
 */
const restMost = 1;

export interface WorkerPoolSettings extends LimitSettings {
  /** How the pool is called in the log, "" where it is the only one. */
  readonly label: string;
  /** The most threads a worker has. */
  readonly threads: number;
  /** The most requests at once of a worker that speaks ASGI. */
  readonly concurrency: number;
  /** Octets of a response a worker sends without credit. */
  readonly responseMemory: number;
  /** The same of all responses of this process together, beyond which each has `littleResponse` of it. */
  readonly responseMemoryTotal: number;
  /** The folder of the files in which workers note what they begin. */
  readonly scoreboards: string;
  /** How many requests may wait for a worker, and for how many seconds. */
  readonly queue: number;
  readonly queueTimeout: number;
  /** Whether requests that take microseconds are given to as few workers as are done with them as soon (pool.ts). */
  readonly gathers: boolean;
  /** Methods of requests that are run once more where their worker died. */
  readonly retry: readonly string[];
  /** Requests after which a worker is replaced, and up to a tenth more; 0: never. */
  readonly maxRequests: number;
  readonly deadlines: Deadlines;
  /** Where responses wait for slow clients, and how many. */
  readonly spoolSpace: SpoolSpace;
  /** Which load of the code serves. */
  readonly generation: number;
}

/** What a pool tells the process it lives in. */
export interface PoolOwner {
  workerReady(worker: number, pid: number): void;
  /** It answered its first request. */
  workerServed(worker: number, pid: number): void;
  /** It does nothing any more: it is to be killed. */
  workerHung(worker: number, pid: number): void;
  /** It has answered so many requests (`maxRequests`), or has so many MiB of memory (`maxWorkerMemory`); replaced as one that is stuck. */
  workerSpent(worker: number, pid: number, cause: "requests" | "memory", amount: number): void;
  /** A thread of it does not come back: it is to be replaced, by one that is ready before it is told to `retire`. */
  workerStuck(worker: number, pid: number): void;
  /** It was told to `retire`, and has nothing left to do but what it was interrupted in. Its connection is ended. */
  workerRetired(worker: number, pid: number): void;
}

/** Why every request is refused, and in how many seconds it is tried again. */
interface Down {
  readonly why: string;
  readonly againIn: number;
}
const notDown: Down = { why: "", againIn: 0 };

export class WorkerPool implements LinkOwner, LimitsOwner {
  readonly pool: Pool<Ticket, WorkerLink>;
  readonly spoolSpace: SpoolSpace;
  readonly #owner: PoolOwner;
  readonly #label: string;
  readonly #scoreboards: string;
  readonly #responses: ResponseMemory;
  readonly #deadlines: Deadlines;
  readonly #maxRequests: number;
  readonly #retry: ReadonlySet<string>;
  readonly #overload: Overload;
  readonly #limits: TimeLimits;
  /** Every connection; of workers that said hello the scoreboard. */
  readonly #links = new Map<WorkerLink, Scoreboard | undefined>();
  /** Whose workers get requests. */
  #serving: number;
  /** Of the last generations, the newest last. */
  #tallies: readonly Tally[] = [];
  /** Links with something gathered to write. */
  readonly #written: WorkerLink[] = [];
  /** What workers are asked before they serve. */
  readonly #checks = new Map<WorkerLink, HealthCheck>();
  /** Workers that have too much memory, for `restMost` after they said so. */
  readonly #oversized = new Map<WorkerLink, Timed>();
  readonly #threads: number;
  readonly #concurrency: number;
  /** What the generation that serves speaks; undefined before its first worker. */
  #interface: Interface | undefined;
  /** What runs an ASGI application, in the worker that was made last. */
  #eventLoop = "";
  #staffed: () => void = () => {};
  /** What `down` told, until a worker is ready; `why` is "" otherwise. */
  #downWhenEmpty: Down = notDown;
  #flushPlanned = false;
  #lookPlanned = false;

  constructor(settings: WorkerPoolSettings, owner: PoolOwner) {
    this.pool = new Pool(settings.threads, settings.queue, settings.gathers);
    this.#threads = settings.threads;
    this.#concurrency = settings.concurrency;
    this.#overload = new Overload(this.pool, settings);
    this.#retry = new Set(settings.retry);
    this.#limits = new TimeLimits(settings, settings.deadlines, this);
    this.#label = settings.label;
    this.#responses = new ResponseMemory(settings.responseMemory, settings.responseMemoryTotal);
    this.#maxRequests = settings.maxRequests;
    this.#deadlines = settings.deadlines;
    this.spoolSpace = settings.spoolSpace;
    this.#scoreboards = settings.scoreboards;
    this.#serving = settings.generation;
    this.#owner = owner;
  }

  /** The workers that have said hello. */
  get links(): readonly WorkerLink[] {
    return [...this.#links.keys()].filter((link) => link.pid !== 0);
  }
  /** Requests that were answered 503, in all, as there was no room or no time for them. */
  get refused(): number {
    return this.#overload.refused;
  }
  /** Why every request is answered 503 at the moment; "" where it is not. */
  get downBecause(): string {
    return this.#overload.down.why;
  }
  /** Whether the request's client was answered 504, while its worker still executes it. */
  isLate(ticket: Ticket): boolean {
    return this.#limits.isLate(ticket);
  }
  /** Resolves when there is a worker. */
  readonly whenStaffed: Promise<void> = new Promise((resolve) => {
    this.#staffed = resolve;
  });

  /** What the last generations have answered. */
  get tallies(): readonly Tally[] {
    return this.#tallies;
  }

  /** Whether its workers take requests whose body has not arrived yet. */
  get streams(): boolean {
    return this.#interface === "asgi";
  }

  get interface(): Interface | undefined {
    return this.#interface;
  }

  get eventLoop(): string {
    return this.#eventLoop;
  }

  /** The handler (src/exchange.ts). */
  handle(exchange: Exchange): void {
    const now = performance.now();
    const ticket = ticketOf(exchange, now);
    if (this.#overload.isDown || !this.pool.submit(ticket, now)) {
      this.#overload.refuse(exchange);
      return;
    }
    exchange.onGone = () => this.#gone(ticket);
    exchange.onInputEnd = () => this.#inputEnded(ticket);
    exchange.onFlushed = (octets) => this.#flushed(ticket, octets);
    this.#dispatch(now);
    if (exchange.inputEnded) this.#inputEnded(ticket);
  }

  /** No worker is there, nor will be soon; see `Overload`. It is over when one is ready. */
  down(why: string, againIn: number): void {
    this.#downWhenEmpty = { why, againIn };
    this.#maybeDown();
  }

  /** Word that there is no worker may come before the end of the last one's connection. */
  #maybeDown(): void {
    if (this.pool.members.length === 0 && this.#downWhenEmpty.why !== "") this.#overload.down = this.#downWhenEmpty;
  }

  /**
   * Requests go to workers of this generation from now on. Those with these process ids get no more, and end when they have
   * answered what they have.
   */
  serve(generation: number, leaving: readonly number[]): void {
    this.#serving = generation;
    for (const link of this.#links.keys()) {
      if (leaving.includes(link.pid)) this.retire(link.pid);
      else if (link.generation === generation && link.member === undefined) this.#admit(link);
    }
    this.#dispatch(performance.now());
  }

  #admit(link: WorkerLink): void {
    link.member = this.pool.ready(link);
    this.#eventLoop = link.eventLoop;
    if (this.#interface !== link.interface) {
      this.#interface = link.interface;
      this.pool.pace = link.interface === "asgi" ? new Concurrency(this.#concurrency) : new Pace(this.#threads);
    }
    this.#staffed();
    this.#spare();
    link.quota = Math.round(this.#maxRequests * (1 + jitter * Math.random()));
    this.#downWhenEmpty = notDown;
    this.#overload.down = notDown;
  }

  /** A worker that gets no more and has nothing left ends with its connection. */
  #maybeLeave(link: WorkerLink): void {
    if (link.member?.admission === "draining" && link.member.outstanding === 0) this.#limits.idle(link);
  }

  /** Asks each worker of a generation that does not serve yet for `path`. What is wrong, in a few words, or "". */
  async check(generation: number, path: string): Promise<string> {
    const asked = [...this.#links.keys()].filter((link) => link.generation === generation && link.member === undefined);
    // They may have died a moment ago: what nobody has answered proves nothing.
    if (asked.length === 0) return "no worker was there to be asked";
    const problems = await Promise.all(asked.map((link) => this.#ask(link, path)));
    return problems.find((problem) => problem !== "") ?? "";
  }

  #ask(link: WorkerLink, path: string): Promise<string> {
    return new Promise((resolve) => {
      const exchange = new HealthCheck(path, `vivarium/${version}`, resolve);
      const ticket = ticketOf(exchange, performance.now());
      ticket.givenAt = ticket.waitingSince;
      this.#checks.set(link, exchange);
      exchange.onFlushed = (octets) => this.#flushed(ticket, octets);
      ticket.window = this.#responses.most;
      link.give(ticket, false, this.#responses.scarce);
    });
  }

  /** Running requests got their time, all or those of this worker: streams of events and WebSockets end, as they have no end of their own. */
  endEvents(pid?: number): void {
    for (const link of this.#links.keys()) {
      if (pid === undefined || link.pid === pid) for (const ticket of link.tickets) endEvents(ticket);
    }
  }

  /** Ends every link once it has answered what it has; workers exit then. */
  end(): void {
    for (const link of this.#links.keys()) link.end();
  }

  /** Most responses end long before their worker would need credit: it is given in large steps. */
  #flushed(ticket: Ticket, octets: number): void {
    ticket.flushed += octets;
    if (ticket.flushed < ticket.window / 4 || ticket.link === undefined) return;
    ticket.link.credit(ticket, ticket.flushed);
    ticket.flushed = 0;
  }

  #gone(ticket: Ticket): void {
    if (!this.pool.withdraw(ticket)) ticket.link?.cancel(ticket);
  }

  #inputEnded(ticket: Ticket): void {
    if (this.pool.withdraw(ticket)) refuseUnbegun(ticket.exchange);
    else ticket.link?.inputEnded(ticket);
  }

  #dispatch(now: number): void {
    for (;;) {
      const assignment = this.pool.next(now);
      if (assignment === undefined) break;
      const { member, request, handOver } = assignment;
      if (request.exchange.request.stream !== undefined && member.worker.interface === "wsgi") {
        // It waited while a reload put a WSGI application in the place of an ASGI one.
        this.pool.dropped(member, request, now);
        request.exchange.refuse(503, "The application has changed. Send this request again.", "Retry-After: 1\r\n");
        continue;
      }
      request.window = this.#responses.most;
      member.worker.give(request, handOver, this.#responses.scarce);
      this.#limits.began();
    }
    if (this.pool.queueLength === 0) return;
    this.#overload.waiting();
    if (!this.#lookPlanned && Number.isFinite(this.pool.pace.patience)) this.#planLook();
  }

  /** While requests wait, time alone can make room for them (`Pace.patience`). */
  #planLook(): void {
    this.#lookPlanned = true;
    later(this.pool.pace.patience, () => {
      this.#lookPlanned = false;
      this.#dispatch(performance.now());
    });
  }

  /** How a worker of this pool is called in the log. */
  name(link: WorkerLink): string {
    return workerName(this.#label, link.worker);
  }

  // ---- links

  /** A worker connected. */
  add(link: WorkerLink): void {
    this.#links.set(link, undefined);
  }

  linkReady(link: WorkerLink): void {
    // Opened now, because by the time the connection's end is seen the file of this name may be the successor's.
    const board = scoreboardName(link.generation, link.worker);
    this.#links.set(link, new Scoreboard(join(this.#scoreboards, board)));
    link.tally = this.#tallyOf(link.generation);
    if (link.generation === this.#serving) this.#admit(link);
    this.#owner.workerReady(link.worker, link.pid);
    this.#dispatch(performance.now());
  }

  linkAnswered(link: WorkerLink, ticket: Ticket, wall: number, cpu: number): void {
    const { member } = link;
    if (member === undefined) return;
    this.pool.answered(member, ticket, wall, cpu, performance.now());
    if (member.answered === 1) this.#owner.workerServed(link.worker, link.pid);
    if (member.answered === link.quota) this.#owner.workerSpent(link.worker, link.pid, "requests", link.quota);
    this.#maybeLeave(link);
  }

  linkOversized(link: WorkerLink, kib: number): void {
    this.#owner.workerSpent(link.worker, link.pid, "memory", Math.round(kib / 1024));
    // One that has too much from the beginning is not replaced (supervisor/recycling.ts).
    if (link.member === undefined || link.member.answered === 0) return;
    const rest: Timed = { deadline: this.#deadlines.tick + ticks(restMost), expire: () => this.#rested(link) };
    this.#oversized.set(link, rest);
    this.#deadlines.watch(rest);
    this.#spare();
  }

  /** Workers with too much memory get nothing more while there are others; where there are none, the latest of them serves on. */
  #spare(): void {
    if (this.#oversized.size === 0) return;
    const staying = this.pool.members.filter(({ admission }) => admission !== "draining");
    const others = staying.some(({ worker }) => !this.#oversized.has(worker));
    const latest = [...this.#oversized.keys()].findLast((link) => staying.some(({ worker }) => worker === link));
    for (const member of staying) {
      const { worker } = member;
      this.pool.rest(member, this.#oversized.has(worker) && (others || worker !== latest));
    }
  }

  #rested(link: WorkerLink): void {
    this.#recovered(link);
    this.#dispatch(performance.now());
  }

  /** What its memory is does not matter any more: it has rested, or leaves. */
  #recovered(link: WorkerLink): void {
    const rest = this.#oversized.get(link);
    if (rest !== undefined) this.#deadlines.unwatch(rest);
    this.#oversized.delete(link);
    if (link.member !== undefined) this.pool.rest(link.member, false);
    this.#spare();
  }

  #tallyOf(generation: number): Tally {
    const there = this.#tallies.find((tally) => tally.generation === generation);
    if (there !== undefined) return there;
    const tally = { generation, answers: 0, errors: 0 };
    this.#tallies = [...this.#tallies, tally].slice(-talliesMost);
    return tally;
  }

  linkBegan(link: WorkerLink, ticket: Ticket): void {
    if (link.member !== undefined) this.pool.streams(link.member, ticket);
  }

  linkReturned(link: WorkerLink, ticket: Ticket): void {
    if (link.member === undefined) return;
    this.pool.returned(link.member, ticket, performance.now());
    this.#maybeLeave(link);
    if (ticket.exchange.ended) this.pool.withdraw(ticket);
    else if (ticket.exchange.inputEnded) this.#inputEnded(ticket);
  }

  linkDropped(link: WorkerLink, ticket: Ticket): void {
    if (link.member === undefined) return;
    this.pool.dropped(link.member, ticket, performance.now());
    this.#maybeLeave(link);
  }

  // ---- time limits

  ownLimit(request: Request): number | undefined {
    return this.#limits.own(request);
  }

  linkLate(link: WorkerLink, ticket: Ticket, flags: number, stack: string): void {
    this.#limits.late(link, ticket, flags, stack);
  }

  members(): readonly Member<Ticket, WorkerLink>[] {
    return this.pool.members;
  }

  noted(link: WorkerLink): Noted {
    return this.#links.get(link)?.read() ?? nothingNoted;
  }

  linkRelieved(link: WorkerLink, ticket: Ticket): void {
    this.linkDropped(link, ticket);
  }

  linkStuck(link: WorkerLink): void {
    this.#owner.workerStuck(link.worker, link.pid);
  }

  linkHung(link: WorkerLink): void {
    this.#owner.workerHung(link.worker, link.pid);
  }

  linkIdle(link: WorkerLink): void {
    link.end();
    this.#owner.workerRetired(link.worker, link.pid);
  }

  /** Another worker has this one's place: it finishes what it has, and is given nothing more. */
  retire(pid: number): void {
    const link = [...this.#links.keys()].find((each) => each.pid === pid);
    const member = link?.member;
    if (member === undefined) {
      // Of a generation that does not serve any more: it came from the front before this one.
      if (link !== undefined) this.linkIdle(link);
      return;
    }
    this.pool.drain(member);
    this.#rested(member.worker);
    this.#limits.retire(member.worker);
    this.#maybeLeave(member.worker);
  }

  linkRead(): void {
    this.#dispatch(performance.now());
    this.#flush();
  }

  #flush(): void {
    for (const written of this.#written) written.flush();
    this.#written.length = 0;
  }

  linkWritten(link: WorkerLink): void {
    this.#written.push(link);
    if (this.#flushPlanned) return;
    this.#flushPlanned = true;
    // The check phase follows the poll phase: by then every client socket that was readable has been read.
    setImmediate(() => {
      this.#flushPlanned = false;
      this.#flush();
    });
  }

  linkClosed(link: WorkerLink): void {
    const { begun } = this.noted(link);
    this.#links.get(link)?.close();
    this.#checks.get(link)?.cut();
    this.#checks.delete(link);
    this.#links.delete(link);
    this.#limits.closed(link);
    const { member } = link;
    if (member === undefined) return;
    link.member = undefined;
    const now = performance.now();
    const unbegun: Ticket[] = [];
    const losses = new Losses(`${this.name(link)} (pid ${link.pid})`);
    for (const ticket of this.pool.gone(member)) {
      ticket.link = undefined;
      const { exchange } = ticket;
      if (exchange.ended || (member.admission === "draining" && endEvents(ticket))) continue;
      // Of a body that was passed on while it came there is no second copy.
      if (!hasBegun(ticket.id, begun) && exchange.request.stream === undefined) {
        if (exchange.inputEnded) refuseUnbegun(exchange);
        else unbegun.push(ticket);
        continue;
      }
      const again = this.#mayRunAgain(ticket) && this.pool.retry(ticket, now);
      if (ticket.socket !== undefined) losses.webSocket();
      else losses.request(exchange, again ? "again" : ticket.begun ? "cut" : "failed");
      if (!again) exchange.cut();
    }
    losses.end();
    this.#recovered(link);
    this.pool.requeue(unbegun);
    this.#dispatch(now);
    this.#maybeDown();
  }

  /** RFC 9110 §9.2.2. Of a response that has begun, a second one would not be the continuation. */
  #mayRunAgain({ exchange, begun }: Ticket): boolean {
    const { stream } = exchange.request;
    return !begun && stream === undefined && !exchange.inputEnded && this.#retry.has(exchange.request.method);
  }
}

function ticketOf(exchange: Exchange, now: number): Ticket {
  return {
    exchange,
    queued: false,
    waitingSince: now,
    givenAt: 0,
    suspect: false,
    streaming: false,
    place: undefined,
    events: false,
    begun: false,
    link: undefined,
    id: 0,
    flushed: 0,
    window: 0,
    spool: undefined,
    socket: undefined,
  };
}

/** Its client ended its side (`Exchange.inputEnded`) while the request waited. */
function refuseUnbegun(exchange: Exchange): void {
  exchange.refuse(503, "The connection was closed before this request's turn came.");
}
