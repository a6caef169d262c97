// The spawner as the supervisor sees it: a Python process that imports the application once and forks workers from
// itself. Commands and events are JSON lines over its descriptor 3 (python/vivarium_host/spawner.py names them all).
import { type ChildProcess, spawn } from "node:child_process";
import type { Duplex } from "node:stream";
import type { PoolConfig } from "../config/config.js";
import { later } from "../net/deadline.js";
import { Heartbeat } from "../net/heartbeat.js";
import { packageRoot } from "../package.js";
import { eachLine } from "./lines.js";

/** A worker that could not load the application by itself exits with this status (spawner.py, LOAD_FAILED). */
export const loadFailedStatus = 3;

/** Characters a process may print without a line end (a progress bar, while it imports the application). */
export const lineMost = 16_384;

/** Its events arrive within so long after its end, ms: they are in the socket already. */
const lastEventsWithin = 200;

export interface SpawnSettings {
  readonly pool: PoolConfig;
  /** The most threads of a worker. */
  readonly threads: number;
  /** Octets of a response that a worker sends without credit. */
  readonly responseMemory: number;
  /** Whether there are requests with a time limit of their own. */
  readonly ownLimits: boolean;
  readonly wire: string;
  /** The folder of the workers' scoreboards. */
  readonly scoreboards: string;
  /** The folder of the server's, which is removed with all that is in it where the process that started the spawner dies. */
  readonly runtime: string;
  /** Which load of the code it is: 1, 2, 3 … */
  readonly generation: number;
  /** Seconds after which one that does not answer is told to be stuck; 0 is never. */
  readonly hangTimeout: number;
}

export interface Loaded {
  /** Whether the application was imported once, in the spawner. */
  readonly preload: boolean;
  /** Version of the interpreter. */
  readonly python: string;
  /** `module:callable`. */
  readonly application: string;
  /** "wsgi" or "asgi"; "" where each worker imports the application, and nobody knows yet. */
  readonly interface: string;
  /** Of ASGI what runs the application, "asyncio" or "uvloop 0.22.1"; else, or where nobody knows yet, "". */
  readonly eventLoop: string;
}

export interface SpawnerListener {
  /** Workers can be spawned. */
  loaded(facts: Loaded): void;
  /** The application cannot be loaded; the spawner ends. `traceback` may be "". */
  loadFailed(problem: string, traceback: string): void;
  workerForked(worker: number, pid: number): void;
  /** The system had no process, memory or descriptor left for it. */
  workerUnforked(worker: number, problem: string): void;
  /** `signal` is 0 where it exited with `status`. */
  workerExited(worker: number, pid: number, status: number, signal: number): void;
  /** Lines a worker printed; 0 is the spawner itself. */
  output(worker: number, lines: string): void;
  /** It has not answered for so long since it had loaded the application; told again each time it has not for as long. */
  stuck(): void;
  /** The process is gone, or could not be started (both null). */
  exited(status: number | null, signal: NodeJS.Signals | null): void;
}

type Event =
  | ({ readonly event: "loaded" } & Loaded)
  | { readonly event: "failed"; readonly problem: string; readonly traceback: string }
  | { readonly event: "forked"; readonly worker: number; readonly pid: number }
  | { readonly event: "unforked"; readonly worker: number; readonly problem: string }
  | {
      readonly event: "exited";
      readonly worker: number;
      readonly pid: number;
      readonly status: number;
      readonly signal: number;
    }
  | { readonly event: "alive" }
  | { readonly event: "output"; readonly worker: number; readonly text: string };

/** Where the Python side is, in the package and in a checkout alike. */
export const hostDirectory: string = `${packageRoot}python/vivarium_host`;

export class Spawner {
  readonly #child: ChildProcess;
  readonly #control: Duplex;
  readonly #listener: SpawnerListener;
  readonly #hangTimeout: number;
  /** Undefined while it imports the application, which may take its time. */
  #heartbeat: Heartbeat | undefined;

  constructor(settings: SpawnSettings, listener: SpawnerListener) {
    const { pool } = settings;
    this.#listener = listener;
    this.#hangTimeout = settings.hangTimeout;
    const told = {
      target: pool.target,
      chdir: pool.chdir,
      preload: pool.preload,
      workers: pool.workers,
      threads: settings.threads,
      interface: pool.interface,
      eventLoop: pool.eventLoop,
      responseMemory: settings.responseMemory,
      // Milliseconds; 0 is none.
      requestTimeout: pool.requestTimeout * 1000,
      logSlow: pool.logSlow * 1000,
      // KiB; 0 is as much as there is.
      memory: pool.maxWorkerMemory * 1024,
      limits: pool.requestTimeout > 0 || pool.logSlow > 0 || settings.ownLimits,
      wire: settings.wire,
      scoreboards: settings.scoreboards,
      runtime: settings.runtime,
      generation: settings.generation,
    };
    this.#child = spawn(pool.python, [hostDirectory, "spawn", JSON.stringify(told)], {
      stdio: ["ignore", "pipe", "pipe", "pipe"],
    });
    this.#child.on("error", (error: NodeJS.ErrnoException) => this.#cannotStart(pool.python, error));
    this.#control = this.#child.stdio[3] as Duplex;
    this.#control.on("error", () => {}); // "exit" follows
    this.#child.on("exit", (status, signal) => this.#exited(status, signal));
    eachLine(this.#control, (line) => this.#heed(JSON.parse(line) as Event));
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream !== null) eachLine(stream, (line) => listener.output(0, `${line}\n`), lineMost);
    }
  }

  /** 0 where it could not be started. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Whether it does not answer. */
  get stuck(): boolean {
    return this.#heartbeat?.stuck === true;
  }

  /** Forks a worker with this number. */
  spawn(worker: number): void {
    this.#command({ do: "spawn", worker });
  }

  /** Lets it end: at once when no worker is left, else it ends them first. What workers still print is told. */
  end(): void {
    this.#heartbeat?.stop();
    this.#control.end();
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  /** Tells that it is gone, after all it told: its last events may still be in the socket. */
  #exited(status: number | null, signal: NodeJS.Signals | null): void {
    this.#heartbeat?.stop();
    let told = false;
    const tell = (): void => {
      if (told) return;
      told = true;
      cancel();
      this.#control.destroy();
      this.#listener.exited(status, signal);
    };
    // A process that the application forked, and that lives on, holds the other end as well.
    const cancel = later(lastEventsWithin, tell);
    if (this.#control.readableEnded || this.#control.destroyed) tell();
    else this.#control.once("end", tell).once("close", tell);
  }

  #command(command: object): void {
    if (this.#control.writable) this.#control.write(`${JSON.stringify(command)}\n`);
  }

  #heed(event: Event): void {
    const listener = this.#listener;
    switch (event.event) {
      case "loaded":
        this.#heartbeat = new Heartbeat(this.#hangTimeout, {
          ask: () => this.#command({ do: "ping" }),
          stuck: () => listener.stuck(),
        });
        listener.loaded(event);
        break;
      case "alive":
        this.#heartbeat?.answered();
        break;
      case "failed":
        listener.loadFailed(event.problem, event.traceback);
        break;
      case "forked":
        listener.workerForked(event.worker, event.pid);
        break;
      case "unforked":
        listener.workerUnforked(event.worker, event.problem);
        break;
      case "exited":
        listener.workerExited(event.worker, event.pid, event.status, event.signal);
        break;
      case "output":
        listener.output(event.worker, event.text);
        break;
    }
  }

  #cannotStart(python: string, error: NodeJS.ErrnoException): void {
    // Of a process that runs, it is a signal that could not be sent.
    if (this.#child.pid !== undefined) return;
    const why = error.code === "ENOENT" ? "there is no such program" : error.message;
    this.#listener.loadFailed(
      `The Python interpreter ${python} cannot be started: ${why}. Name another with --python.`,
      "",
    );
    // Node tells no "exit" of a process that has never begun.
    this.#exited(null, null);
  }
}
