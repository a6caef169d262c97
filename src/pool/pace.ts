// How many requests a worker gets at once, found from what the application does. Workers report each request's wall
// time and CPU time; from these follow two answers:
//
//   ahead    A fast application is served by one thread of a worker, request after request, and requests are written
//            ahead to the worker so that one wake-up serves many. The more requests turn out slow, the fewer.
//   threads  A slow one that waits (wall time far above CPU time) has threads used at once, as many as it takes to
//            keep the interpreter busy; one that computes has one, because more would only fight for the GIL.
//
// Nothing here knows a worker or a request; `now` is milliseconds of any monotonic clock.

/** Wall time from which a request is slow, µs: the hop to a worker costs some 20, so below this it is what counts. */
const slowFrom = 1000;
/** Share of slow requests from which threads are used instead of writing ahead (measured; ARCHITECTURE.md). */
const slowShareMost = 0.3;
/**
 * The most requests written ahead. From 8 to 16 gains little CPU (1 µs of 22) and a tenth to a quarter of requests/s, where
 * wake-ups are slow; what then waits behind a slow one is moved on all the same (python/vivarium_host/worker.py).
 */
const aheadMost = 16;
/**
 * Time between two requests of a worker, µs, below which it has the next in hand. On a busy machine the wake-ups between
 * cost up to a millisecond: a page that computes 2 ms was served at 0.64 × the rate of uWSGI, whose workers never sleep.
 */
const inHandMost = 10_000;
/** Requests to see before anything is written ahead. */
const samplesLeast = 16;
/** A moving average's weight for the newest request. */
const weight = 1 / 32;
/** The controller of `threads` decides at most this often, ms. */
const period = 50;
/** After using fewer threads turned out worse, the next attempt waits this long, ms. */
const holdAfterLoss = 4000;
/** Interpreter utilisation below which more threads help, and above which fewer might do. */
const utilisationLow = 0.6;
const utilisationHigh = 0.85;

/** How long a worker may be at a request before it is taken to occupy a thread of its own, ms; at least, and per CPU ms. */
const patienceLeast = 5;
const patiencePerCpu = 8;

/** What a worker may need for all that it is given while others have nothing to do, µs: about what waking one of these costs, both sides together. */
const gatheredMost = 200;

/** How many requests of `wall` µs each are over within that; 0 where nothing is known of them. */
export function gathered(wall: number): number {
  return wall === 0 ? 0 : gatheredMost / wall;
}

/** What the pool asks of it. */
export interface Pacing {
  readonly most: number;
  readonly patience: number;
  readonly slow: boolean;
  readonly limit: number;
  readonly ahead: number;
  readonly threads: number;
  readonly wall: number;
  readonly cpu: number;
  ended(wall: number, cpu: number): void;
  busy(milliseconds: number): void;
  demand(): void;
  decide(now: number): void;
}

export class Pace implements Pacing {
  /** Threads a worker may use at once. */
  readonly most: number;
  #threads = 1;
  #samples = 0;
  #slowShare = 0;
  #wall = 0;
  #cpu = 0;
  // The window of the controller.
  #windowFrom = 0;
  #windowCpu = 0;
  #windowBusy = 0;
  #windowDemand = false;
  #trial: { readonly threads: number; readonly utilisation: number } | undefined;
  #holdUntil = 0;

  constructor(most: number) {
    this.most = most;
  }

  /**
   * Milliseconds after which a request that is still with a worker no longer counts against `limit`, while threads are
   * free: what was found from the requests that ended says nothing about one that does not end. An application that
   * computes for long is given longer, because a thread more would only slow it.
   */
  get patience(): number {
    return Math.max(patienceLeast, (patiencePerCpu * this.#cpu) / 1000);
  }

  /** Whether the application is slow: requests go to threads instead of being written ahead. */
  get slow(): boolean {
    return this.#slowShare > slowShareMost;
  }

  /** Requests one worker is given at once. */
  get limit(): number {
    return this.slow ? this.#threads + this.#inHand : this.ahead;
  }

  /**
   * Where a thread of a worker is done every few milliseconds, the worker has the next request in hand: a thread goes on
   * with it at once, without two wake-ups and the way to the front and back. Should no thread get to it after all, the
   * worker gives it back (RETURNED).
   */
  get #inHand(): number {
    return this.#wall / this.#threads < inHandMost ? 1 : 0;
  }

  /** Requests written to a worker at once while the application is fast, the executing one included. */
  get ahead(): number {
    if (this.#samples < samplesLeast) return 1;
    // With a share s of slow requests, n written ahead hold one up that is not the last with probability about n·s.
    return Math.max(1, Math.min(aheadMost, Math.floor(slowShareMost / Math.max(this.#slowShare, 0.01))));
  }

  /** Threads of a worker used at once when the application is slow. */
  get threads(): number {
    return this.#threads;
  }

  /** Moving averages, µs. */
  get wall(): number {
    return this.#wall;
  }
  get cpu(): number {
    return this.#cpu;
  }

  /** A request ended after `wall` µs, `cpu` µs of them computing. */
  ended(wall: number, cpu: number): void {
    this.#samples++;
    const share = Math.max(weight, 1 / this.#samples);
    this.#wall += (wall - this.#wall) * share;
    this.#cpu += (cpu - this.#cpu) * share;
    this.#slowShare += ((wall >= slowFrom ? 1 : 0) - this.#slowShare) * weight;
    this.#windowCpu += cpu;
  }

  /** A worker was executing something during `milliseconds`. */
  busy(milliseconds: number): void {
    this.#windowBusy += milliseconds * 1000;
  }

  /** A request found no worker with room. */
  demand(): void {
    this.#windowDemand = true;
  }

  /** Decides on `threads`; called whenever a request ended. */
  decide(now: number): void {
    if (now - this.#windowFrom < period) return;
    const busy = this.#windowBusy;
    const demand = this.#windowDemand;
    const utilisation = busy > 0 ? this.#windowCpu / busy : 0;
    this.#windowFrom = now;
    this.#windowCpu = 0;
    this.#windowBusy = 0;
    this.#windowDemand = false;
    // Utilisation says nothing about more or fewer threads unless all that are allowed were wanted.
    if (!this.slow || !demand || busy < (period * 1000) / 2) return;
    if (this.#trial !== undefined) {
      const { threads, utilisation: before } = this.#trial;
      this.#trial = undefined;
      if (utilisation < before * 0.93) {
        this.#threads = threads;
        this.#holdUntil = now + holdAfterLoss;
        return;
      }
    }
    if (utilisation < utilisationLow) {
      if (now < this.#holdUntil && utilisation > utilisationLow / 2) return;
      // The GIL is free for most of the time, so its use grows about linearly with the threads.
      const wanted = Math.ceil((this.#threads * 0.9) / Math.max(utilisation, 0.01));
      this.#threads = Math.min(this.most, Math.max(this.#threads + 1, wanted));
    } else if (utilisation > utilisationHigh && this.#threads > 1 && now >= this.#holdUntil) {
      this.#trial = { threads: this.#threads, utilisation };
      this.#threads--;
    }
  }
}
