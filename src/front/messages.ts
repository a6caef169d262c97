// What supervisor and front say to each other, over the channel Node opens between parent and child.
import type { Config } from "../config/config.js";
import type { GroupStatus } from "../egress/group.js";
import type { TlsMaterial } from "../net/tls-identity.js";
import type { Facts } from "../python/embedded/bridge.js";
import type { Libpython } from "../python/libpython.js";

export type ToFront =
  /** First. `listeners` are descriptors of listening sockets this process inherited, of `config.listen` one by one. */
  | {
      readonly type: "start";
      /** Which of `config.fronts` it is: 1, 2, 3 … */
      readonly front: number;
      readonly config: Config;
      readonly listeners: readonly number[];
      /** The unix sockets on which to expect the workers of each pool, and the folder of their scoreboards; all in `runtime`. */
      readonly wires: readonly string[];
      readonly scoreboards: string;
      readonly runtime: string;
      /** Upstream servers that a front before this one was told to drain. */
      readonly drained: readonly string[];
      /** In embedded mode. */
      readonly embedded?: EmbeddedStart | undefined;
      /** Of each pool. */
      readonly pools: readonly PoolStart[];
      /** In embedded mode: answer this path, if it is none other than "", tell "loaded" and accept no clients before "listen". */
      readonly held?: { readonly healthPath: string } | undefined;
      /** Where something listens for https. */
      readonly tls?: TlsMaterial | undefined;
    }
  /** What TLS connections are secured with from now on. */
  | { readonly type: "tls"; readonly material: TlsMaterial }
  /** Accept clients. */
  | { readonly type: "listen" }
  /**
   * Finish what runs, accept nothing more, then end the workers' connections and exit. Gently: connections on which nothing runs are
   * not closed before their next request is answered, or did not come for a few seconds.
   */
  | { readonly type: "drain"; readonly gently: boolean }
  /** Running requests got their time: cut them, and exit. */
  | { readonly type: "end" }
  /**
   * A pool has no worker, and will have none for so many seconds, as they die again and again: why, as clients may read it. It is
   * over when one is ready.
   */
  | { readonly type: "pool-down"; readonly pool: string; readonly why: string; readonly againIn: number }
  /** Log files were renamed: open their names anew. */
  | { readonly type: "reopen-logs" }
  /**
   * Gives an upstream server no more requests (or, with `undo`, again), in each group that has it; its URL or address.
   * `expected`: another front has it, as it looked into DNS later, so this one is to drain it if it comes.
   */
  | {
      readonly type: "drain-server";
      readonly id: number;
      readonly server: string;
      readonly undo: boolean;
      readonly expected: boolean;
    }
  /** Another worker has this one's place: give it nothing more, and end its connection when it has nothing left. */
  | { readonly type: "retire"; readonly pid: number }
  /** This worker is ended in a moment: what has no end of its own ends before. */
  | { readonly type: "end-events"; readonly pid: number }
  /** Another front's connection waits for this upstream server to have room. */
  | { readonly type: "make-room"; readonly address: string }
  | { readonly type: "report"; readonly id: number }
  /** To be answered "alive" at once. */
  | { readonly type: "ping" }
  /**
   * A pool's requests go to workers of this generation; workers with these process ids get no more, and their connections end when
   * they have answered what they have.
   */
  | {
      readonly type: "generation";
      readonly pool: string;
      readonly generation: number;
      readonly leaving: readonly number[];
    }
  /** Asks the workers of a generation that does not serve yet for a path. */
  | {
      readonly type: "check";
      readonly id: number;
      readonly pool: string;
      readonly generation: number;
      readonly path: string;
    };

export interface PoolStart {
  /** The generation that serves. */
  readonly generation: number;
  /** Workers of the front before are on their way: clients are accepted when one is there, or after a moment. */
  readonly awaited: boolean;
}

/** What a front needs to have the application inside. */
export interface EmbeddedStart {
  readonly python: Libpython;
  /** Variables that this process was started without. */
  readonly environment: Readonly<Record<string, string>>;
  /** The server's standard output and error, inherited; this process's own are pipes that take what the application prints. */
  readonly output: number;
  readonly error: number;
}

/** What came of draining a server, or of taking that back. */
export interface Drained {
  /** The names of the groups that have the server: none, if nothing came of it. */
  readonly groups: readonly string[];
  /** All that is drained now: what the next front is started with. */
  readonly servers: readonly string[];
}

/** A request that is executed; see ExecutingStatus (supervisor/status.ts). */
export interface Executing {
  readonly method: string;
  readonly target: string;
  readonly id: string;
  readonly seconds: number;
  readonly client: "waiting" | "timed out" | "gone";
}

export interface WorkerReport {
  readonly pid: number;
  readonly requests: number;
  readonly busy: number;
  readonly blocked: number;
  readonly blockedMost: number;
  readonly executing: readonly Executing[];
}

/** Seconds. */
export interface WaitReport {
  readonly longest: number;
  readonly count: number;
  readonly median: number;
  readonly most: number;
}

/** See PoolStatus (supervisor/status.ts). */
export interface PoolReport {
  readonly name: string;
  readonly threads: number;
  readonly threadsMost: number;
  readonly interface: "" | "wsgi" | "asgi";
  readonly eventLoop: string;
  readonly queue: number;
  readonly wait: WaitReport;
  readonly refused: number;
  readonly down: string;
  readonly writeAhead: number;
  readonly wall: number;
  readonly cpu: number;
  /** What its last generations have answered. */
  readonly answers: readonly GenerationAnswers[];
}

export interface GenerationAnswers {
  readonly generation: number;
  readonly answers: number;
  /** Of these, with a status from 500. */
  readonly errors: number;
}

export interface FrontReport {
  readonly connections: number;
  readonly webSockets: number;
  readonly requests: number;
  readonly pools: readonly PoolReport[];
  /** Of all pools. */
  readonly workers: readonly WorkerReport[];
  /** In embedded mode: responses that go on. */
  readonly executing: readonly Executing[];
  readonly upstreams: readonly GroupStatus[];
}

export type EmbeddedFacts = Facts;

/** A worker has reached a limit, after which another takes its place (see `Spent`, supervisor/recycling.ts). */
export interface WorkerSpent {
  readonly type: "worker-spent";
  readonly worker: number;
  readonly pid: number;
  readonly spent: { readonly cause: "requests" | "memory"; readonly amount: number };
}

/** See PoolOwner (worker-pool.ts). */
export interface WorkerNews {
  readonly type: "worker-hung" | "worker-stuck" | "worker-retired";
  readonly worker: number;
  readonly pid: number;
}

export type FromFront =
  | { readonly type: "alive" }
  /** In embedded mode, before it listens: the application was loaded. */
  | { readonly type: "loaded"; readonly facts: EmbeddedFacts }
  /** The application cannot be loaded, and the front ends. `traceback` may be "". */
  | { readonly type: "load-failed"; readonly problem: string; readonly traceback: string }
  /** Workers may connect, clients are accepted. */
  | { readonly type: "listening" }
  /** It cannot serve, and ends: why, in a sentence. */
  | { readonly type: "failed"; readonly problem: string }
  | { readonly type: "worker-ready"; readonly worker: number; readonly pid: number }
  /** An upstream server has no room for another connection: for the other fronts to be told, "make-room". */
  | { readonly type: "scarce"; readonly address: string }
  /** It answered its first request. */
  | { readonly type: "worker-served"; readonly worker: number; readonly pid: number }
  | WorkerNews
  | WorkerSpent
  /** What is wrong with a generation, in a few words, or "". */
  | { readonly type: "checked"; readonly id: number; readonly problem: string }
  | { readonly type: "server-drained"; readonly id: number; readonly drained: Drained }
  | { readonly type: "report"; readonly id: number; readonly report: FrontReport };

/** The scoreboard's file of a worker: workers of two generations may have the same number at the same time. */
export function scoreboardName(generation: number, worker: number): string {
  return `${generation}-${worker}`;
}
