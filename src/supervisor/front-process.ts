// The front as the supervisor sees it: a child that inherits the listening sockets and is told the rest.
import { type ChildProcess, fork, type StdioOptions } from "node:child_process";
import { log } from "../channels.js";
import type { Config } from "../config/config.js";
import type {
  Drained,
  EmbeddedFacts,
  FromFront,
  FrontReport,
  PoolStart,
  ToFront,
  WorkerNews,
  WorkerSpent,
} from "../front/messages.js";
import { later } from "../net/deadline.js";
import { Heartbeat } from "../net/heartbeat.js";
import type { TlsMaterial } from "../net/tls-identity.js";
import { packageRoot } from "../package.js";
import type { Libpython } from "../python/libpython.js";
import { eachLine } from "../spawn/lines.js";
import { lineMost } from "../spawn/spawner.js";

export interface FrontListener {
  /** Clients are accepted and workers may connect. */
  frontListening(): void;
  workerReady(worker: number, pid: number): void;
  /** An upstream server, by its address, has no room for another connection of this front. */
  serverScarce(address: string): void;
  workerServed(worker: number, pid: number): void;
  workerNews(news: WorkerNews | WorkerSpent): void;
  /** It cannot serve: why, in a sentence. Its end follows. */
  frontFailed(problem: string): void;
  /** It has not answered for `config.hangTimeout`. Told once. */
  frontStuck(): void;
  /** In embedded mode: the application was loaded, or cannot be, lines that it printed. */
  applicationLoaded(facts: EmbeddedFacts): void;
  applicationFailed(problem: string, traceback: string): void;
  applicationPrinted(lines: string): void;
  /** It is gone, or could not be started (both null). */
  frontExited(status: number | null, signal: NodeJS.Signals | null): void;
}

export interface FrontSettings {
  /** 1, 2, 3 … */
  readonly number: number;
  readonly config: Config;
  /** Descriptors of listening sockets in this process. */
  readonly listeners: readonly number[];
  /** The unix sockets on which it expects the workers of each pool. */
  readonly wires: readonly string[];
  readonly scoreboards: string;
  readonly runtime: string;
  /** In embedded mode, the interpreter. */
  readonly python?: Libpython | undefined;
  /** Where something listens for https. */
  readonly tls?: TlsMaterial | undefined;
  /** Upstream servers that are drained. */
  readonly drained: readonly string[];
  readonly pools: readonly PoolStart[];
  /** In embedded mode, where it is to take another's place: it accepts no clients before `listen`, and answers this path first. */
  readonly held?: { readonly healthPath: string } | undefined;
}

/** A front that has not answered after so long, ms, is stuck, and others are not to wait for it. */
const answerWithin = 1000;

/** stdin, stdout, stderr and the channel come before the listeners. */
const firstListener = 4;

/** What a process printed before its end arrives within so long after it, ms: it is in the pipe already. */
const lastWordsWithin = 200;

/** SIGRTMAX, which nobody else uses: Python's threads print where they are (python/vivarium_host/embedded.py). */
const tracebackSignal = 64;

type Waiting<Answer> = Map<number, (answer: Answer | undefined) => void>;

export class FrontProcess {
  readonly #child: ChildProcess;
  /** What waits for an answer, by the id of its question; told undefined where the front is gone. */
  readonly #reports: Waiting<FrontReport> = new Map();
  readonly #drains: Waiting<Drained> = new Map();
  readonly #embedded: boolean;
  readonly #checks: Waiting<string> = new Map();
  #nextId = 1;
  #heartbeat: Heartbeat;
  #gone: () => void = () => {};
  /** Resolves when there is no process any more. */
  readonly whenGone: Promise<void> = new Promise((resolve) => {
    this.#gone = resolve;
  });

  constructor(settings: FrontSettings, listener: FrontListener) {
    const { python } = settings;
    const { hangTimeout, pools } = settings.config;
    this.#embedded = python !== undefined;
    const { listeners } = settings;
    const own = firstListener + listeners.length;
    const stdio: StdioOptions =
      python === undefined
        ? ["ignore", "inherit", "inherit", "ipc", ...listeners]
        : // The application's output is for the log; what the front itself has to say goes where it always goes.
          ["ignore", "pipe", "pipe", "ipc", ...listeners, 1, 2];
    const env = python === undefined ? { ...allocator, ...environment } : environment;
    this.#child = fork(`${packageRoot}bin/front.js`, { env, stdio, execArgv: [] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream !== null) eachLine(stream, (line) => listener.applicationPrinted(`${line}\n`), lineMost);
    }
    const gone = (status: number | null, signal: NodeJS.Signals | null): void => {
      for (const waiting of [this.#reports, this.#drains, this.#checks]) {
        for (const give of waiting.values()) give(undefined);
      }
      this.#heartbeat.stop();
      this.#gone();
      listener.frontExited(status, signal);
    };
    this.#child.on("exit", (status, signal) => {
      if (python === undefined) gone(status, signal);
      else this.#afterLastWords(() => gone(status, signal));
    });
    this.#child.on("error", (error) => {
      // Of a process that runs, "exit" follows or has come; one that could not be started has none.
      if (this.#child.pid !== undefined) return;
      log("error", "supervisor", `The front cannot be started: ${error.message}.`);
      gone(null, null);
    });
    this.#child.on("message", (message: FromFront) => {
      if (message.type === "alive") this.#heartbeat.answered();
      else if (message.type === "listening") {
        this.#heartbeat.stop();
        this.#heartbeat = this.#watch(hangTimeout, listener);
        listener.frontListening();
      } else if (message.type === "worker-ready") listener.workerReady(message.worker, message.pid);
      else if (message.type === "worker-served") listener.workerServed(message.worker, message.pid);
      else if (message.type === "failed") listener.frontFailed(message.problem);
      else if (message.type === "scarce") listener.serverScarce(message.address);
      else if (message.type === "loaded") listener.applicationLoaded(message.facts);
      else if (message.type === "load-failed") listener.applicationFailed(message.problem, message.traceback);
      else if (message.type === "checked") this.#checks.get(message.id)?.(message.problem);
      else if (message.type === "server-drained") this.#drains.get(message.id)?.(message.drained);
      else if (message.type === "report") this.#reports.get(message.id)?.(message.report);
      else listener.workerNews(message);
    });
    this.#tell({
      type: "start",
      front: settings.number,
      config: settings.config,
      listeners: listeners.map((_, index) => firstListener + index),
      wires: settings.wires,
      scoreboards: settings.scoreboards,
      runtime: settings.runtime,
      drained: settings.drained,
      embedded: python && { python, environment: applicationEnvironment, output: own, error: own + 1 },
      pools: settings.pools,
      held: settings.held,
      tls: settings.tls,
    });
    // What it loads may take so long, too.
    const booting = Math.max(0, ...pools.map((pool) => pool.bootTimeout));
    this.#heartbeat = this.#watch(hangTimeout === 0 ? 0 : hangTimeout + booting, listener);
  }

  #watch(seconds: number, listener: FrontListener): Heartbeat {
    return new Heartbeat(seconds, {
      ask: () => this.#tell({ type: "ping" }),
      stuck: () => listener.frontStuck(),
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** From now on it may take the time it needs. */
  drain(): void {
    this.#heartbeat.stop();
    this.#tell({ type: "drain", gently: false });
  }

  /** As `drain`, but clients that keep their connection get to send one more request. */
  drainGently(): void {
    this.#heartbeat.stop();
    this.#tell({ type: "drain", gently: true });
  }

  /** It may accept clients now. */
  listen(): void {
    this.#tell({ type: "listen" });
  }

  end(): void {
    this.#tell({ type: "end" });
  }

  retire(pid: number): void {
    this.#tell({ type: "retire", pid });
  }

  endEvents(pid: number): void {
    this.#tell({ type: "end-events", pid });
  }

  reopenLogs(): void {
    this.#tell({ type: "reopen-logs" });
  }

  /** What TLS connections are secured with from now on. */
  renewTls(material: TlsMaterial): void {
    this.#tell({ type: "tls", material });
  }

  makeRoom(address: string): void {
    this.#tell({ type: "make-room", address });
  }

  poolDown(pool: string, why: string, againIn: number): void {
    this.#tell({ type: "pool-down", pool, why, againIn });
  }

  generationServes(pool: string, generation: number, leaving: readonly number[]): void {
    this.#tell({ type: "generation", pool, generation, leaving });
  }

  /** What is wrong with a generation, or ""; undefined where the front is gone. Takes as long as the workers do. */
  checkGeneration(pool: string, generation: number, path: string): Promise<string | undefined> {
    return this.#ask(this.#checks, (id) => ({ type: "check", id, pool, generation, path }), Number.POSITIVE_INFINITY);
  }

  /** Undefined where the front is gone, or does not answer; then it drains the server when it gets to it. */
  drainServer(server: string, undo: boolean, expected = false): Promise<Drained | undefined> {
    return this.#ask(this.#drains, (id) => ({ type: "drain-server", id, server, undo, expected }));
  }

  /** Undefined where the front is gone, or does not answer. */
  report(): Promise<FrontReport | undefined> {
    return this.#ask(this.#reports, (id) => ({ type: "report", id }));
  }

  /** `within` milliseconds, or it is undefined. */
  #ask<Answer>(
    waiting: Waiting<Answer>,
    question: (id: number) => ToFront,
    within: number = answerWithin,
  ): Promise<Answer | undefined> {
    if (!this.#child.connected) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const id = this.#nextId++;
      const cancel = Number.isFinite(within) ? later(within, () => give(undefined)) : () => {};
      const give = (answer: Answer | undefined): void => {
        cancel();
        waiting.delete(id);
        resolve(answer);
      };
      waiting.set(id, give);
      this.#tell(question(id));
    });
  }

  /** A process that the application started may live on, and hold the pipes open; one it forked, the channel. */
  #afterLastWords(act: () => void): void {
    let acted = false;
    const once = (): void => {
      if (acted) return;
      acted = true;
      cancel();
      this.#child.stdout?.destroy();
      this.#child.stderr?.destroy();
      if (this.#child.connected) this.#child.disconnect();
      act();
    };
    const cancel = later(lastWordsWithin, once);
    this.#child.once("close", once);
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  /** Kills one that does not answer. Where it has an application inside, that one's threads first print where they are. */
  killStuck(): void {
    if (!this.#embedded) {
      this.kill();
      return;
    }
    try {
      process.kill(this.pid, tracebackSignal);
    } catch {
      // It has ended.
    }
    later(lastWordsWithin, () => this.kill());
  }

  #tell(message: ToFront): void {
    if (this.#child.connected) this.#child.send(message, () => {});
  }
}

/** What costs a front time at its start and is of no use to it: it makes no TLS connection. */
const { NODE_EXTRA_CA_CERTS, ...environment } = process.env;

/**
 * A front makes and frees pieces of tens of KiB all the time, and glibc would give memory back and ask for it again (mallopt(3); octets):
 * responses of 100 KB cost 2 to 4 % less CPU so, with a twentieth of the page faults. Another C library does not
 * read this. In embedded mode the memory is the application's, too, and its programs' environment.
 */
const allocator = {
  MALLOC_TRIM_THRESHOLD_: String(16 << 20),
  MALLOC_MMAP_THRESHOLD_: String(4 << 20),
  MALLOC_TOP_PAD_: String(1 << 20),
};

/** The application inside may start programs to which it is of use. */
const applicationEnvironment: Readonly<Record<string, string>> =
  NODE_EXTRA_CA_CERTS === undefined ? {} : { NODE_EXTRA_CA_CERTS };
