// When descriptors run short, connections on which nothing happens give way to new ones, those first that have rested longest:
// a client that finds its idle connection closed makes another, where one that is turned away has nothing. Where all are busy, a new
// one is answered 503 at once. The log says so when it begins and when it is over, not for each.
import { performance } from "node:perf_hooks";
import { log } from "../channels.js";
import { type VivariumError, vivariumError } from "../errors.js";
import { type Deadlines, type Timed, ticks } from "../net/deadline.js";
import type { Descriptors } from "../net/descriptors.js";
import type { IngressConnection } from "./options.js";

/** A connection rests only from here on: before, its client may be about to send the next request. */
const restLeast = ticks(1);
/** A shortage is over when nothing was short for so long. */
const overAfter = ticks(2);

export class Shortage implements Timed {
  deadline = 0;
  readonly descriptors: Descriptors;
  readonly #deadlines: Deadlines;
  readonly #connections: Iterable<IngressConnection>;
  /** Those that rest, the longest first, as of `lookedAt`. */
  #resting: IngressConnection[] = [];
  /** The tick of the last look. What rests by then rests long enough; what comes to rest since does not, in the same tick. */
  #lookedAt = 0;
  /** Connections that are only to be told that there is no room, the oldest first. */
  readonly #refused = new Set<IngressConnection>();
  /** Of this shortage: since when, and what it cost; 0 outside one. */
  #from = 0;
  #until = 0;
  #closedCount = 0;
  #refusedCount = 0;

  constructor(descriptors: Descriptors, deadlines: Deadlines, connections: Iterable<IngressConnection>) {
    this.descriptors = descriptors;
    this.#deadlines = deadlines;
    this.#connections = connections;
  }

  /** A client's connection has this descriptor. Whether there is room for it, perhaps because another gave way. */
  admits(descriptor: number): boolean {
    if (descriptor < this.descriptors.clientsEnd) return true;
    this.#note();
    const resting = this.#longestResting();
    if (resting === undefined) {
      this.#refusedCount += 1;
      return false;
    }
    this.#closedCount += 1;
    resting.destroy();
    return true;
  }

  /** This connection was not admitted: it is to be answered soon, or gives way to the next of its kind. */
  refuse(connection: IngressConnection): void {
    const [oldest] = this.#refused;
    if (oldest !== undefined && this.#refused.size >= this.descriptors.refusedMost) {
      this.#refused.delete(oldest);
      oldest.destroy();
    }
    this.#refused.add(connection);
  }

  closed(connection: IngressConnection): void {
    this.#refused.delete(connection);
  }

  /** A request could not be given the descriptor that it needs. */
  requestRefused(): void {
    this.#note();
    this.#refusedCount += 1;
  }

  #longestResting(): IngressConnection | undefined {
    const { tick } = this.#deadlines;
    const until = tick - restLeast;
    if (tick !== this.#lookedAt) {
      this.#lookedAt = tick;
      this.#resting = [...this.#connections].filter(({ restingSince }) => restingSince <= until);
      // The next to go is the last. They came in the order of their age, which decides between equals.
      this.#resting.sort((one, other) => one.restingSince - other.restingSince).reverse();
    }
    let next = this.#resting.pop();
    while (next !== undefined && next.restingSince > until) next = this.#resting.pop();
    return next;
  }

  #note(): void {
    this.#until = performance.now();
    this.deadline = this.#deadlines.tick + overAfter;
    if (this.#from !== 0) return;
    this.#from = this.#until;
    this.#deadlines.watch(this);
    log(
      "warning",
      "ingress",
      `Descriptors run short: this process may have ${this.descriptors.most} (ulimit -n, LimitNOFILE=). Idle connections are ` +
        "closed for new ones; what there is no room for is answered 503.",
    );
  }

  /** Nothing was short for a while. */
  expire(): void {
    const seconds = ((this.#until - this.#from) / 1000).toFixed(1);
    const closed = this.#closedCount === 1 ? "1 idle connection was" : `${this.#closedCount} idle connections were`;
    log(
      "warning",
      "ingress",
      `There are descriptors again: ${closed} closed, and 503 answered ${this.#refusedCount} times, in ${seconds} s.`,
    );
    this.#deadlines.unwatch(this);
    this.#resting = [];
    this.#from = 0;
    this.#closedCount = 0;
    this.#refusedCount = 0;
  }
}

/** What a request is answered on a connection that there is no room for. */
export const noRoom: VivariumError = vivariumError(
  "ERR_INGRESS_DESCRIPTORS",
  "The server has as many connections as it can. Try again later.",
  { status: 503 },
);
