// What a pool has no room or no time for is answered 503, with the seconds after which to come again, and the log says so: when
// it begins and when it is over, not for each request.
import { performance } from "node:perf_hooks";
import { log } from "../channels.js";
import type { Exchange } from "../exchange.js";
import { type Deadlines, later, type Timed } from "../net/deadline.js";
import { DrainRate } from "../pool/drain-rate.js";
import type { Pool } from "../pool/pool.js";
import type { Ticket, WorkerLink } from "./worker-link.js";

export interface OverloadSettings {
  /** How the pool is called in the log, "" where it is the only one. */
  readonly label: string;
  /** How many requests may wait, and for how many seconds. */
  readonly queue: number;
  readonly queueTimeout: number;
  readonly deadlines: Deadlines;
}

export interface Down {
  readonly why: string;
  readonly againIn: number;
}

/**
 * Every so many milliseconds so many are refused, or a share of those that wait for it: the first of a burst at once, thousands
 * within a second. Clients that come again as soon as they are refused would otherwise have the front do nothing but refuse them, and
 * the workers' answers wait behind that: with 2,000 such clients on 16 threads of 20 ms the workers did half of what they could.
 */
const refusalPeriod = 10;
const refusalsLeast = 16;
const refusalsShare = 1 / 64;

/** Milliseconds without a refusal after which it is over. */
const overAfter = 5000;

export class Overload implements Timed {
  deadline = 0;
  readonly #pool: Pool<Ticket, WorkerLink>;
  readonly #settings: OverloadSettings;
  readonly #rate = new DrainRate();
  #watching = false;
  /** Of this time of overload: since when, until when, and how many were refused; 0 outside one. */
  #from = 0;
  #until = 0;
  #refused = 0;
  /** Why every request is refused at the moment; "" where it is not. */
  #down = "";
  #againIn = 0;
  #total = 0;
  /** To be refused, and why, as clients may read it. */
  #refusing = false;
  #pending: { readonly exchange: Exchange; readonly sentence: string }[] = [];

  constructor(pool: Pool<Ticket, WorkerLink>, settings: OverloadSettings) {
    this.#pool = pool;
    this.#settings = settings;
  }

  /** No worker is there, nor will be soon: why, as clients may read it, and in how many seconds it is tried again. */
  set down({ why, againIn }: Down) {
    this.#down = why;
    this.#againIn = Math.max(1, Math.min(30, Math.ceil(againIn)));
    if (why === "") return;
    for (const { exchange } of this.#pool.overdue(Number.POSITIVE_INFINITY)) this.refuse(exchange);
  }
  get down(): Down {
    return { why: this.#down, againIn: this.#againIn };
  }
  get isDown(): boolean {
    return this.#down !== "";
  }
  /** Requests that were answered 503, in all. */
  get refused(): number {
    return this.#total;
  }

  /** Requests wait: from now on it is seen to that they do not wait too long. */
  waiting(): void {
    if (this.#watching) return;
    this.#watching = true;
    this.#settings.deadlines.watch(this);
    this.#expectLook();
  }

  #expectLook(): void {
    this.deadline = this.#settings.deadlines.tick + 1;
  }

  /** There is no room for this one. */
  refuse(exchange: Exchange): void {
    if (this.#down !== "") {
      this.#refuse(exchange, this.#down);
      return;
    }
    const { queue } = this.#settings;
    this.#count(`${queue} requests wait for ${this.#name} (--queue)`);
    this.#refuse(exchange, "The server is busy, and as many requests wait as may. Try again later.");
  }

  #refuse(exchange: Exchange, sentence: string): void {
    this.#total += 1;
    this.#pending.push({ exchange, sentence });
    if (this.#refusing) return;
    this.#refusing = true;
    setImmediate(() => this.#refuseSome());
  }

  #refuseSome(): void {
    const seconds = this.#down === "" ? this.#rate.secondsFor(this.#pool.queueLength) : this.#againIn;
    const pending = this.#pending.length;
    const count = pending === 0 ? 0 : Math.max(refusalsLeast, Math.ceil(pending * refusalsShare));
    // RFC 9110 §10.2.3
    const fields = `Retry-After: ${seconds}\r\n`;
    for (const { exchange, sentence } of this.#pending.splice(0, count)) exchange.refuse(503, sentence, fields);
    this.#refusing = count > 0;
    if (this.#refusing) later(refusalPeriod, () => this.#refuseSome());
  }

  expire(): void {
    const now = performance.now();
    const pool = this.#pool;
    this.#rate.look(pool.answeredCount, now);
    const { queueTimeout } = this.#settings;
    for (const { exchange } of pool.overdue(now - queueTimeout * 1000)) {
      this.#count(`a request has waited ${queueTimeout} s for ${this.#name} (--queue-timeout)`);
      this.#refuse(exchange, "The server is busy, and this request has waited too long for its turn. Try again later.");
    }
    if (this.#refused > 0 && now - this.#until > overAfter) this.#over();
    if (pool.queueLength > 0 || this.#refused > 0) {
      this.#expectLook();
      return;
    }
    this.#watching = false;
    this.#settings.deadlines.unwatch(this);
  }

  get #name(): string {
    return this.#settings.label === "" ? "the application" : this.#settings.label;
  }

  #count(why: string): void {
    this.#until = performance.now();
    if (this.#refused++ > 0) return;
    this.#from = this.#until;
    log("warning", "pool", `The server is overloaded: ${why}. What is too much is answered 503.`);
    this.waiting();
  }

  #over(): void {
    const seconds = ((this.#until - this.#from) / 1000).toFixed(1);
    const count = this.#refused === 1 ? "1 request was" : `${this.#refused} requests were`;
    log("warning", "pool", `The overload of ${this.#name} is over: ${count} answered 503 in ${seconds} s.`);
    this.#refused = 0;
  }
}
