// The control socket (a unix socket, mode 0600) speaks lines of JSON: {"command":"status"} is answered with a `Status`,
// {"command":"stop"} with {"ok":true} as the server begins to stop, {"command":"drain","server":URL,"undo":false} with
// {"ok":true,"groups":[NAME]}, {"command":"reload"} with {"pools":[{"pool":NAME,"generation":2,"problem":"","traceback":""}]} when that
// has succeeded or failed, anything else with {"error":"sentence"}.
// `vivarium status --json` hands the status on unchanged, so the names here are a promise to scripts.

import type { GroupStatus } from "../egress/group.js";
import type { GenerationState } from "./lifecycles.js";
import type { LastReload, ReloadUnderWay } from "./reloads.js";
import type { FrontCause, RestartsStatus, WorkerCause } from "./restarts.js";

/**
 * `booting`: not yet connected. `waiting`: of a generation that does not serve yet. `ready`: takes requests. `lost`: its front
 * has died, and it has not come to the next one. `draining`: finishes what it executes, then ends.
 */
export type WorkerState = "booting" | "waiting" | "ready" | "lost" | "draining";

/** A request that is being executed. */
export interface ExecutingStatus {
  readonly method: string;
  /** The path and query as the client sent them; of one longer than 1000 characters the middle is left out. */
  readonly target: string;
  /** What it is called on pages of errors and in the log. */
  readonly id: string;
  /** Seconds for which it has been executed. */
  readonly seconds: number;
  /** `timed out`: answered 504, while the worker still executes it. `gone`: it left, or has all of its answer. */
  readonly client: "waiting" | "timed out" | "gone";
}

/** How long requests wait for a worker; seconds. */
export interface WaitStatus {
  /** Of those that wait now, the longest; 0 where none does. */
  readonly longest: number;
  /** Requests that were given to a worker in the last 10 seconds. */
  readonly count: number;
  /** Half of these waited no longer than this (give or take a fifth); */
  readonly median: number;
  /** and none longer than this. */
  readonly most: number;
}

export interface WorkerStatus {
  /**
   * 1, 2, 3 …, the number in the log's lines. A replacement takes over the number of the worker it replaces, which may still be
   * draining; with the process id it is unique.
   */
  readonly id: number;
  /** The name of its pool. */
  readonly pool: string;
  /** Which load of the pool's code it runs. */
  readonly generation: number;
  readonly pid: number;
  readonly state: WorkerState;
  /** Why another takes its place, or will as soon as that is ready; "" where none does. */
  readonly replaced: WorkerCause | "";
  /** ISO 8601. */
  readonly startedAt: string;
  /** Requests answered since it connected to the front. */
  readonly requests: number;
  /** Requests it executes at this moment: busy threads. */
  readonly busy: number;
  /** ASGI: for how many seconds its event loop has been blocked at this moment, and the longest that it was; from a second up, else 0. */
  readonly blocked: number;
  readonly blockedMost: number;
  /** These requests, the oldest first. */
  readonly executing: readonly ExecutingStatus[];
  /** Processor time since it started, seconds. */
  readonly cpu: number;
  /** Octets: its proportional share (PSS), or its resident set (RSS) where the system does not tell that. */
  readonly memory: number;
}

/**
 * `silent`: does not answer the supervisor, because something occupies or has stopped it; counts are 0 then. `down`: ended, and
 * about to be replaced.
 */
export type FrontState = "booting" | "ready" | "silent" | "draining" | "down";

export interface FrontStatus {
  /** 1, 2, 3 …: the number in the log's lines. A replacement takes over the number of the front it replaces. */
  readonly id: number;
  /** 0 where there is none. */
  readonly pid: number;
  readonly state: FrontState;
  /** ISO 8601. */
  readonly startedAt: string;
  /** Client connections open at this moment. */
  readonly connections: number;
  /** WebSockets on these: those of applications, and those that are passed on to servers elsewhere. */
  readonly webSockets: number;
  /** Requests received since it started. */
  readonly requests: number;
  /** In embedded mode: responses that go on, the oldest first. Of what is computed right now it cannot tell: then it is `silent`. */
  readonly executing: readonly ExecutingStatus[];
  /** Processor time, seconds. */
  readonly cpu: number;
  /** Octets, as for a worker. */
  readonly memory: number;
}

export interface SpawnerStatus {
  readonly pid: number;
  /** Whether the application was imported here, once, and the workers forked from it. */
  readonly preload: boolean;
}

export interface MissingWorker {
  readonly id: number;
  /** Workers of this number that ended in a row before they were of use. */
  readonly failures: number;
  /** Seconds until the next is started; 0 at once, or as soon as the application is loaded. */
  readonly againIn: number;
}

/** One load of the code of which anything is left. */
export interface GenerationStatus {
  readonly number: number;
  /** In the words of generation-states.ts. */
  readonly state: GenerationState;
  /** When it came to this state; ISO 8601. */
  readonly since: string;
  /** The process id of its spawner; 0 where there is none. */
  readonly spawner: number;
}

export interface PoolStatus {
  readonly name: string;
  /** What was loaded, as Python names it: `guestbook:application`. */
  readonly application: string;
  /** As the user gave it. */
  readonly target: string;
  /** The directory the application runs in, absolute. */
  readonly chdir: string;
  /** Which load of the code serves: 1, and one more with each reload. */
  readonly generation: number;
  /** Workers there should be, and are not: about to be made, or to be tried again. */
  readonly missing: readonly MissingWorker[];
  /** The oldest first; none in embedded mode. */
  readonly generations: readonly GenerationStatus[];
  /** The reload that is under way; null where there is none. */
  readonly reload: ReloadUnderWay | null;
  /** What came of the last reload; null where there was none. */
  readonly lastReload: LastReload | null;
  /** Workers that were replaced, other than by a reload. */
  readonly restarts: RestartsStatus<WorkerCause>;
  /** Version of the interpreter: "3.11.7". */
  readonly python: string;
  /** Whether the fronts have the application inside: then there is no spawner and no worker. */
  readonly embedded: boolean;
  readonly spawner: SpawnerStatus;
  /** Requests a worker executes at once, by the scheduler's present judgement. */
  readonly threads: number;
  /** The most it may choose. */
  readonly threadsMost: number;
  /** What the generation that serves speaks; "" before its first worker. */
  readonly interface: "" | "wsgi" | "asgi";
  /** Of ASGI the event loop, "asyncio" or "uvloop 0.22.1"; else "". */
  readonly eventLoop: string;
  /** Requests waiting for a worker. */
  readonly queue: number;
  /** How long they wait. */
  readonly wait: WaitStatus;
  /** Requests answered 503 since the front started, as there was no room or no time for them, or no worker. */
  readonly refused: number;
  /** Why every request is answered 503 at the moment; "" where it is not. */
  readonly down: string;
  /** Requests written ahead to a worker at most, by the scheduler's present judgement. */
  readonly writeAhead: number;
  /** Moving average of a request's time in the application, microseconds. */
  readonly wall: number;
  /** Moving average of a request's processor time in the application, microseconds. */
  readonly cpu: number;
}

/** A certificate of https listeners. */
export interface CertificateStatus {
  /** Its file, absolute. */
  readonly file: string;
  /** Names that it is for. */
  readonly names: readonly string[];
  /** When the one in use does; ISO 8601. */
  readonly expires: string;
  /** What is wrong with what the file holds now, in a sentence, so that another is in use; "" where nothing is. */
  readonly problem: string;
}

export interface MountStatus {
  /** "" is every host. */
  readonly host: string;
  /** "" or "/prefix". */
  readonly path: string;
  /** What answers, in the order in which it is asked: "pool shop", "upstream legacy", "files /srv/shop/static". */
  readonly tries: readonly string[];
}

export interface Status {
  /** Of Vivarium. */
  readonly version: string;
  /** Of the supervisor. */
  readonly pid: number;
  /** What it serves, in short: its applications, or "gateway" where it has none. */
  readonly name: string;
  /** Absolute. `vivarium status` and `stop` prefer the server whose directory is the current one. */
  readonly chdir: string;
  /** URLs, with the real port where the system chose it. */
  readonly listen: readonly string[];
  /** ISO 8601. */
  readonly startedAt: string;
  /** Seconds. */
  readonly uptime: number;
  readonly fronts: readonly FrontStatus[];
  /** Fronts that were replaced, other than by a reload. */
  readonly frontRestarts: RestartsStatus<FrontCause>;
  readonly certificates: readonly CertificateStatus[];
  readonly mounts: readonly MountStatus[];
  readonly pools: readonly PoolStatus[];
  /** Of all fronts together: sums, and of each server the worst state that a front sees it in. */
  readonly upstreams: readonly GroupStatus[];
  /** Of all pools. */
  readonly workers: readonly WorkerStatus[];
}
