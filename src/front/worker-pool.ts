// The pool with hands: connects exchanges, the pool's decisions and the links of the workers.
import { closeSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { log } from "../channels.js";
import { workerName } from "../config/config.js";
import type { Exchange } from "../exchange.js";
import { type Deadlines, later } from "../net/deadline.js";
import { Pool } from "../pool/pool.js";
import { Overload } from "./overload.js";
import type { LinkOwner, Ticket, WorkerLink } from "./worker-link.js";

export interface WorkerPoolSettings {
  /** How the pool is called in the log, "" where it is the only one. */
  readonly label: string;
  /** The most threads a worker has. */
  readonly threads: number;
  /** Octets of a response a worker sends without credit. */
  readonly responseMemory: number;
  /** The folder of the files in which workers note what they begin. */
  readonly scoreboards: string;
  /** How many requests may wait for a worker, and for how many seconds. */
  readonly queue: number;
  readonly queueTimeout: number;
  /** Methods of requests that are run once more where their worker died. */
  readonly retry: readonly string[];
  readonly deadlines: Deadlines;
}

/** What a pool tells the process it lives in. */
export interface PoolOwner {
  workerReady(worker: number, pid: number): void;
  /** It answered its first request. */
  workerServed(worker: number, pid: number): void;
}

export class WorkerPool implements LinkOwner {
  readonly pool: Pool<Ticket, WorkerLink>;
  readonly #owner: PoolOwner;
  readonly #label: string;
  readonly #scoreboards: string;
  readonly #creditStep: number;
  readonly #retry: ReadonlySet<string>;
  readonly #overload: Overload;
  /** Every connection; of workers that said hello the descriptor of the scoreboard, -1 where it cannot be read. */
  readonly #links = new Map<WorkerLink, number>();
  /** Links with something gathered to write. */
  readonly #written: WorkerLink[] = [];
  #flushPlanned = false;
  #lookPlanned = false;

  constructor(settings: WorkerPoolSettings, owner: PoolOwner) {
    this.pool = new Pool(settings.threads, settings.queue);
    this.#overload = new Overload(this.pool, settings);
    this.#retry = new Set(settings.retry);
    this.#label = settings.label;
    this.#creditStep = settings.responseMemory / 4;
    this.#scoreboards = settings.scoreboards;
    this.#owner = owner;
  }

  /** The handler (src/exchange.ts). */
  handle(exchange: Exchange): void {
    const now = performance.now();
    const ticket: Ticket = {
      exchange,
      queued: false,
      waitingSince: now,
      givenAt: 0,
      suspect: false,
      begun: false,
      link: undefined,
      id: 0,
      flushed: 0,
    };
    if (this.#overload.isDown || !this.pool.submit(ticket, now)) {
      this.#overload.refuse(exchange);
      return;
    }
    exchange.onGone = () => this.#gone(ticket);
    exchange.onInputEnd = () => this.#inputEnded(ticket);
    exchange.onFlushed = (octets) => this.#flushed(ticket, octets);
    this.#dispatch(now);
    if (ticket.queued && exchange.inputEnded) this.#inputEnded(ticket);
  }

  /** No worker is there, nor will be soon; see `Overload`. It is over when one is ready. */
  down(why: string, againIn: number): void {
    if (this.pool.members.length === 0) this.#overload.down = { why, againIn };
  }

  /** Ends every link once it has answered what it has; workers exit then. */
  end(): void {
    for (const link of this.#links.keys()) link.end();
  }

  /** Most responses end long before their worker would need credit: it is given in large steps. */
  #flushed(ticket: Ticket, octets: number): void {
    ticket.flushed += octets;
    if (ticket.flushed < this.#creditStep || ticket.link === undefined) return;
    ticket.link.credit(ticket, ticket.flushed);
    ticket.flushed = 0;
  }

  #gone(ticket: Ticket): void {
    if (!this.pool.withdraw(ticket)) ticket.link?.cancel(ticket);
  }

  #inputEnded(ticket: Ticket): void {
    if (this.pool.withdraw(ticket)) refuseUnbegun(ticket.exchange);
  }

  #dispatch(now: number): void {
    for (;;) {
      const assignment = this.pool.next(now);
      if (assignment === undefined) break;
      assignment.member.worker.give(assignment.request, assignment.handOver);
    }
    if (this.pool.queueLength === 0) return;
    this.#overload.waiting();
    if (!this.#lookPlanned) this.#planLook();
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
    this.#links.set(link, -1);
  }

  linkReady(link: WorkerLink): void {
    // Opened now, because by the time the connection's end is seen the file of this name may be the successor's.
    this.#links.set(link, openScoreboard(join(this.#scoreboards, String(link.worker))));
    link.member = this.pool.ready(link);
    this.#overload.down = { why: "", againIn: 0 };
    this.#owner.workerReady(link.worker, link.pid);
    this.#dispatch(performance.now());
  }

  linkAnswered(link: WorkerLink, ticket: Ticket, wall: number, cpu: number): void {
    const { member } = link;
    if (member === undefined) return;
    this.pool.answered(member, ticket, wall, cpu, performance.now());
    if (member.answered === 1) this.#owner.workerServed(link.worker, link.pid);
  }

  linkReturned(link: WorkerLink, ticket: Ticket): void {
    if (link.member === undefined) return;
    this.pool.returned(link.member, ticket, performance.now());
    if (ticket.exchange.ended) this.pool.withdraw(ticket);
    else if (ticket.exchange.inputEnded) this.#inputEnded(ticket);
  }

  linkDropped(link: WorkerLink, ticket: Ticket): void {
    if (link.member !== undefined) this.pool.dropped(link.member, ticket, performance.now());
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
    const begun = lastBegun(this.#links.get(link) ?? -1);
    this.#links.delete(link);
    const { member } = link;
    if (member === undefined) return;
    link.member = undefined;
    const now = performance.now();
    const unbegun: Ticket[] = [];
    for (const ticket of this.pool.gone(member)) {
      ticket.link = undefined;
      const { exchange } = ticket;
      if (exchange.ended) continue;
      // The distance on the circle that 32-bit ids make; with an infinite `begun` it is 0.
      if (((ticket.id - begun) | 0) > 0) {
        if (exchange.inputEnded) refuseUnbegun(exchange);
        else unbegun.push(ticket);
        continue;
      }
      const again = this.#mayRunAgain(ticket) && this.pool.retry(ticket, now);
      const { method, target } = exchange.request;
      const what = `${method} ${target} (request id ${exchange.id})`;
      const then = again ? "it is run once more" : ticket.begun ? "its response is cut" : "it is answered 502";
      const level = again ? "warning" : "error";
      log(level, "pool", `${this.name(link)} (pid ${link.pid}) died while it executed ${what}; ${then}.`);
      if (!again) exchange.cut();
    }
    this.pool.requeue(unbegun);
    this.#dispatch(now);
  }

  /** RFC 9110 §9.2.2. Of a response that has begun, a second one would not be the continuation. */
  #mayRunAgain({ exchange, begun }: Ticket): boolean {
    return !begun && !exchange.inputEnded && this.#retry.has(exchange.request.method);
  }
}

/** Its client ended its side (`Exchange.inputEnded`) while the request waited. */
function refuseUnbegun(exchange: Exchange): void {
  exchange.refuse(503, "The connection was closed before this request's turn came.");
}

function openScoreboard(path: string): number {
  try {
    return openSync(path, "r");
  } catch {
    return -1;
  }
}

/** The id of the request a worker has begun last, closing its scoreboard; where that cannot be told, all count as begun. */
function lastBegun(scoreboard: number): number {
  if (scoreboard < 0) return Number.POSITIVE_INFINITY;
  const id = Buffer.alloc(4);
  const octets = readSync(scoreboard, id, 0, id.length, 0);
  closeSync(scoreboard);
  return octets < id.length ? Number.POSITIVE_INFINITY : id.readUInt32LE(0);
}
