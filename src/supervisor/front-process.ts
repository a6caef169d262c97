// The front as the supervisor sees it: a child that inherits the listening sockets and is told the rest.
import { type ChildProcess, fork } from "node:child_process";
import { log } from "../channels.js";
import type { Config } from "../config/config.js";
import type { Drained, FromFront, FrontReport, ToFront } from "../front/messages.js";
import { later } from "../net/deadline.js";
import { packageRoot } from "../package.js";
import { Heartbeat } from "./heartbeat.js";

export interface FrontListener {
  /** Clients are accepted and workers may connect. */
  frontListening(): void;
  workerReady(worker: number, pid: number): void;
  /** An upstream server, by its address, has no room for another connection of this front. */
  serverScarce(address: string): void;
  /** It cannot serve: why, in a sentence. Its end follows. */
  frontFailed(problem: string): void;
  /** It has not answered for `config.hangTimeout`. Told once. */
  frontStuck(): void;
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
  /** Upstream servers that are drained. */
  readonly drained: readonly string[];
}

/** A front that has not answered after so long, ms, is stuck, and others are not to wait for it. */
const answerWithin = 1000;

/** stdin, stdout, stderr and the channel come before the listeners. */
const firstListener = 4;

/**
 * A front gets so many descriptors of each listening socket. libuv accepts one connection from each in a turn of the event
 * loop: with one descriptor, web servers that connect anew for each request are served one by one, and a worker is woken
 * for each. Measured behind nginx over uwsgi, hello: 261 µs of CPU a request with 1, 236 with 2, 208 with 4, 191 with 8,
 * 238 with 16. A connection that comes alone costs the others a failing system call each.
 */
const acceptors = 8;

type Waiting<Answer> = Map<number, (answer: Answer | undefined) => void>;

export class FrontProcess {
  readonly #child: ChildProcess;
  /** What waits for an answer, by the id of its question; told undefined where the front is gone. */
  readonly #reports: Waiting<FrontReport> = new Map();
  readonly #drains: Waiting<Drained> = new Map();
  #nextId = 1;
  #heartbeat: Heartbeat;

  constructor(settings: FrontSettings, listener: FrontListener) {
    const { hangTimeout, pools } = settings.config;
    this.#child = fork(`${packageRoot}bin/front.js`, {
      env: environment(),
      stdio: [
        "ignore",
        "inherit",
        "inherit",
        "ipc",
        ...settings.listeners.flatMap((fd) => new Array<number>(acceptors).fill(fd)),
      ],
      execArgv: [],
    });
    const gone = (status: number | null, signal: NodeJS.Signals | null): void => {
      for (const waiting of [this.#reports, this.#drains]) {
        for (const give of waiting.values()) give(undefined);
      }
      this.#heartbeat.stop();
      listener.frontExited(status, signal);
    };
    this.#child.on("exit", gone);
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
      else if (message.type === "failed") listener.frontFailed(message.problem);
      else if (message.type === "scarce") listener.serverScarce(message.address);
      else if (message.type === "server-drained") this.#drains.get(message.id)?.(message.drained);
      else this.#reports.get(message.id)?.(message.report);
    });
    this.#tell({
      type: "start",
      front: settings.number,
      config: settings.config,
      listeners: settings.listeners.map((_, index) =>
        Array.from({ length: acceptors }, (__, acceptor) => firstListener + index * acceptors + acceptor),
      ),
      wires: settings.wires,
      scoreboards: settings.scoreboards,
      runtime: settings.runtime,
      drained: settings.drained,
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
    this.#tell({ type: "drain" });
  }

  end(): void {
    this.#tell({ type: "end" });
  }

  reopenLogs(): void {
    this.#tell({ type: "reopen-logs" });
  }

  makeRoom(address: string): void {
    this.#tell({ type: "make-room", address });
  }

  /** Undefined where the front is gone, or does not answer; then it drains the server when it gets to it. */
  drainServer(server: string, undo: boolean): Promise<Drained | undefined> {
    return this.#ask(this.#drains, (id) => ({ type: "drain-server", id, server, undo }));
  }

  /** Undefined where the front is gone, or does not answer. */
  report(): Promise<FrontReport | undefined> {
    return this.#ask(this.#reports, (id) => ({ type: "report", id }));
  }

  #ask<Answer>(waiting: Waiting<Answer>, question: (id: number) => ToFront): Promise<Answer | undefined> {
    if (!this.#child.connected) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const id = this.#nextId++;
      const cancel = later(answerWithin, () => give(undefined));
      const give = (answer: Answer | undefined): void => {
        cancel();
        waiting.delete(id);
        resolve(answer);
      };
      waiting.set(id, give);
      this.#tell(question(id));
    });
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  #tell(message: ToFront): void {
    if (this.#child.connected) this.#child.send(message, () => {});
  }
}

/** This process's, without what costs a front time at its start and is of no use to it: it makes no TLS connection. */
function environment(): NodeJS.ProcessEnv {
  const { NODE_EXTRA_CA_CERTS: _, ...rest } = process.env;
  return rest;
}
