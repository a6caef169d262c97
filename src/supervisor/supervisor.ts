// The supervisor: owns the listening sockets, the front, the spawner and the workers' numbers; sees that what died is
// replaced; ends them all. No octet of a request passes through it.
//
//   starting ──every worker ready──▶ serving ──stop──▶ stopping ──everything ended──▶ (resolved)
//      └───────could not start, or stop─────────────────▲

import { constants } from "node:os";
import { performance } from "node:perf_hooks";
import { log } from "../channels.js";
import { type Config, siteUrl, threadsMost } from "../config/config.js";
import { later } from "../net/deadline.js";
import { type Listener, openListeners } from "../net/listen.js";
import { type Loaded, loadFailedStatus, Spawner, type SpawnerListener } from "../spawn/spawner.js";
import { checkAccessLog } from "../telemetry/access-log.js";
import { logToStandardError } from "../telemetry/log.js";
import { ControlSocket } from "./control-socket.js";
import { type FrontListener, FrontProcess } from "./front-process.js";
import { RuntimeDirectory } from "./runtime-directory.js";
import { startScreen } from "./screen.js";
import type { Status } from "./status.js";
import { statusOf } from "./status-of.js";
import { type Slot, WorkerSlots } from "./worker-slots.js";

type Phase = "starting" | "serving" | "stopping";

/** What vivarium_host itself reports begins so (wsgi.py, ERROR_MARK); all else is the application's. */
const errorMark = "\x1f";

/**
 * A signal so soon after another, ms, is the same one: npm passes a terminal's Ctrl-C on to a server that has it from the
 * terminal already, and running requests would be cut.
 */
const echo = 100;

/** What a front has to cut its requests and to write its access log, ms. */
const endAfter = 1000;

/** A front or a spawner that died is replaced after so long, ms, and twice as long each time it did not get to work. */
const replaceAfter = 100;
const replaceAfterMost = 30_000;

/**
 * Serves `config` until told to stop. Resolves with the exit status: 0 stopped as asked, 1 the application could not be
 * loaded. Rejects with a `VivariumError` where an address cannot be listened on.
 */
export async function supervise(config: Config): Promise<0 | 1> {
  logToStandardError();
  const supervisor = new Supervisor(config);
  return await supervisor.run();
}

class Supervisor implements SpawnerListener, FrontListener {
  readonly #config: Config;
  readonly #runtime = new RuntimeDirectory();
  readonly #slots: WorkerSlots;
  readonly #startedAt = Date.now();
  #phase: Phase = "starting";
  #exitStatus: 0 | 1 = 0;
  /** performance.now() of the last signal that asked to stop. */
  #stopAskedAt = 0;
  #listeners: readonly Listener[] = [];
  #control: ControlSocket | undefined;
  #spawner: Spawner | undefined;
  #loaded: Loaded | undefined;
  #front: FrontProcess | undefined;
  #frontListening = false;
  /** How often in a row one died before it could work. */
  #frontFailures = 0;
  #spawnerFailures = 0;
  #cancelDeadline: (() => void) | undefined;
  #ended: (() => void) | undefined;
  readonly #signals: readonly (readonly [NodeJS.Signals, () => void])[] = [
    ["SIGINT", () => this.#stopAsked()],
    ["SIGTERM", () => this.#stopAsked()],
    ["SIGQUIT", () => this.#stopAsked()],
    ["SIGHUP", () => this.#hungUp()],
    ["SIGUSR2", () => this.#notKnown("SIGUSR2")],
    ["SIGUSR1", () => this.#front?.reopenLogs()],
  ];

  constructor(config: Config) {
    this.#config = config;
    this.#slots = new WorkerSlots(config.workers);
  }

  async run(): Promise<0 | 1> {
    const ended = new Promise<void>((resolve) => {
      this.#ended = resolve;
    });
    for (const [signal, act] of this.#signals) process.on(signal, act);
    try {
      // Python takes longest to start: it comes first, the rest meanwhile.
      checkAccessLog(this.#config.accessLog);
      this.#startSpawner();
      this.#cancelDeadline = later(this.#config.bootTimeout * 1000, () => this.#bootTooLong());
      this.#listeners = await openListeners(this.#config.listen);
      this.#startFront();
      this.#control = await ControlSocket.open(this.#config.control, {
        status: () => this.#status(),
        stop: () => this.#stop(),
      });
    } catch (error) {
      this.#kill();
      this.#clean();
      throw error;
    }
    await ended;
    this.#clean();
    return this.#exitStatus;
  }

  #clean(): void {
    for (const [signal, act] of this.#signals) process.off(signal, act);
    this.#cancelDeadline?.();
    this.#control?.close();
    for (const listener of this.#listeners) listener.close();
    this.#runtime.remove();
  }

  // ---- starting

  #startSpawner(): void {
    this.#loaded = undefined;
    this.#spawner = new Spawner(
      {
        config: this.#config,
        threads: threadsMost(this.#config),
        wire: this.#runtime.wire,
        scoreboards: this.#runtime.scoreboards,
      },
      this,
    );
  }

  #startFront(): void {
    // What it would serve may have failed already, or a signal may have come.
    if (this.#phase === "stopping") return;
    this.#frontListening = false;
    this.#front = new FrontProcess(
      {
        config: this.#config,
        listeners: this.#listeners.map((listener) => listener.fd),
        wire: this.#runtime.wire,
        scoreboards: this.#runtime.scoreboards,
        runtime: this.#runtime.path,
      },
      this,
    );
  }

  /** Fills empty slots, as soon as there is somebody to fork workers and somebody for them to connect to. */
  #spawnWorkers(): void {
    for (const slot of this.#slots.all) this.#spawnWorker(slot);
  }

  #spawnWorker(slot: Slot): void {
    if (this.#phase === "stopping" || this.#loaded === undefined || !this.#frontListening) return;
    if (slot.state !== "empty") return;
    this.#slots.booting(slot, Date.now());
    try {
      if (this.#runtime.restore()) {
        log("error", "supervisor", `The folder ${this.#runtime.path} was removed, and the front's socket with it.`);
        this.#slots.exited(slot, Date.now());
        this.#frontListening = false;
        this.#front?.kill();
        return;
      }
      this.#runtime.newScoreboard(slot.number);
    } catch (error) {
      // A full disk, for example: what serves already is not to end for it.
      this.workerUnforked(slot.number, error instanceof Error ? error.message : String(error));
      return;
    }
    this.#spawner?.spawn(slot.number);
  }

  #bootTooLong(): void {
    if (this.#phase !== "starting") return;
    this.#giveUp(
      `The application ${this.#config.target} was not ready within ${this.#config.bootTimeout} seconds (--boot-timeout).`,
      "",
    );
  }

  /** The server cannot start: says why, and ends with status 1. */
  #giveUp(problem: string, traceback: string): void {
    process.stderr.write(
      `${traceback}${traceback === "" || traceback.endsWith("\n") ? "" : "\n"}vivarium: ${problem}\n`,
    );
    this.#exitStatus = 1;
    this.#kill();
  }

  // ---- what the spawner tells

  loaded(facts: Loaded): void {
    this.#loaded = facts;
    this.#spawnerFailures = 0;
    this.#spawnWorkers();
  }

  loadFailed(problem: string, traceback: string): void {
    if (this.#phase === "starting") this.#giveUp(problem, traceback);
    else log("error", "supervisor", `${traceback}${problem}`);
  }

  workerForked(worker: number, pid: number): void {
    const slot = this.#slots.get(worker);
    if (slot !== undefined) slot.pid = pid;
  }

  workerUnforked(worker: number, problem: string): void {
    const slot = this.#slots.get(worker);
    if (slot === undefined || slot.state !== "booting") return;
    const delay = this.#slots.exited(slot, Date.now());
    log("error", "supervisor", `Worker ${worker} cannot be made: ${problem}; tried again in ${delay / 1000} s.`);
    later(delay, () => this.#spawnWorker(slot));
  }

  workerExited(worker: number, pid: number, status: number, signal: number): void {
    const slot = this.#slots.get(worker);
    if (slot === undefined || slot.pid !== pid) return;
    if (this.#phase === "starting" && status === loadFailedStatus) {
      this.#giveUp(`The application ${this.#config.target} could not be loaded; the lines above say why.`, "");
    }
    const delay = this.#slots.exited(slot, Date.now());
    if (this.#phase === "stopping") {
      this.#maybeEnded();
      return;
    }
    if (this.#frontListening) {
      const why = signal === 0 ? `exited with status ${status}` : `was killed by ${signalName(signal)}`;
      const then = delay === 0 ? "another takes its place" : `another takes its place in ${delay / 1000} s`;
      log("error", "supervisor", `Worker ${worker} (pid ${pid}) ${why}; ${then}.`);
    }
    later(delay, () => this.#spawnWorker(slot));
  }

  output(worker: number, lines: string): void {
    const area = worker === 0 ? "spawner" : `worker ${worker}`;
    for (const line of lines.trimEnd().split("\n")) {
      if (line.startsWith(errorMark)) log("error", area, line.slice(errorMark.length));
      else log("info", area, line);
    }
  }

  exited(status: number | null, signal: NodeJS.Signals | null): void {
    this.#spawner = undefined;
    if (this.#phase === "starting" && this.#exitStatus === 0) {
      this.#giveUp(
        `Python ended ${signal === null ? `with status ${status}` : `by ${signal}`} while it imported the application.`,
        "",
      );
    }
    if (this.#phase === "stopping") {
      this.#maybeEnded();
      return;
    }
    if (status !== null || signal !== null) {
      log(
        "error",
        "supervisor",
        `The spawner ended (${signal ?? `status ${status}`}); it and its workers are replaced.`,
      );
    }
    // Its workers have lost their parent: nobody would learn of their end.
    for (const slot of this.#slots.all) {
      killProcess(slot.pid);
      if (slot.state !== "empty") this.#slots.exited(slot, Date.now());
    }
    later(replacementDelay(this.#spawnerFailures++), () => {
      if (this.#phase !== "stopping") this.#startSpawner();
    });
  }

  // ---- what the front tells

  frontListening(): void {
    this.#frontListening = true;
    this.#frontFailures = 0;
    this.#spawnWorkers();
  }

  workerReady(worker: number, pid: number): void {
    const slot = this.#slots.get(worker);
    if (slot === undefined || !this.#slots.connected(slot, pid)) return;
    if (this.#phase === "starting" && this.#slots.ready === this.#slots.all.length) this.#serving();
  }

  frontExited(status: number | null, signal: NodeJS.Signals | null): void {
    this.#front = undefined;
    this.#frontListening = false;
    if (this.#phase === "stopping") {
      // Workers end when their connection does.
      this.#spawner?.end();
      this.#maybeEnded();
      return;
    }
    if (status !== null || signal !== null) {
      log("error", "supervisor", `The front ended (${signal ?? `status ${status}`}); another takes its place.`);
    }
    later(replacementDelay(this.#frontFailures++), () => this.#startFront());
    this.#endWorkersOfDeadFront();
  }

  /** They end with their connection, but what they execute nobody waits for, and the new front has no other workers. */
  #endWorkersOfDeadFront(): void {
    const pids = this.#slots.all.map((slot) => slot.pid);
    later(this.#config.gracefulTimeout * 1000, () => {
      for (const [index, slot] of this.#slots.all.entries()) {
        if (slot.pid === 0 || slot.pid !== pids[index]) continue;
        log(
          "warning",
          "supervisor",
          `Worker ${slot.number} still executes what the front that ended gave it: it is ended.`,
        );
        killProcess(slot.pid);
      }
    });
  }

  #urls(): readonly string[] {
    return this.#listeners.map(({ address, url }) => siteUrl(this.#config, address, url));
  }

  #serving(): void {
    this.#phase = "serving";
    this.#cancelDeadline?.();
    const urls = this.#urls();
    if (this.#loaded !== undefined) {
      process.stderr.write(startScreen(this.#config, urls, this.#loaded, performance.now()));
    }
  }

  // ---- stopping

  /** By a signal: the first asks, the second insists. */
  #stopAsked(): void {
    const now = performance.now();
    if (this.#phase !== "stopping") this.#stop();
    else if (now - this.#stopAskedAt > echo) {
      log("info", "supervisor", "Stopping at once.");
      this.#kill();
    }
    this.#stopAskedAt = now;
  }

  /** A closed terminal ends what runs in it. Elsewhere SIGHUP asks other servers to reload. */
  #hungUp(): void {
    if (process.stdin.isTTY) this.#stopAsked();
    else this.#notKnown("SIGHUP");
  }

  #notKnown(signal: NodeJS.Signals): void {
    log(
      "warning",
      "supervisor",
      `${signal} does nothing in this version, which cannot reload; stop and start it instead.`,
    );
  }

  /** Running requests finish, then everything ends. */
  #stop(): void {
    if (this.#phase === "stopping") return;
    const wasServing = this.#phase === "serving";
    this.#phase = "stopping";
    if (!wasServing || this.#front === undefined) {
      this.#kill();
      return;
    }
    log("info", "supervisor", "Stopping: running requests finish first.");
    this.#front.drain();
    // Whoever connects now is refused, instead of waiting in a backlog that nobody looks at.
    for (const listener of this.#listeners) listener.close();
    this.#cancelDeadline = later(this.#config.gracefulTimeout * 1000, () => {
      log(
        "warning",
        "supervisor",
        `Requests still run after ${this.#config.gracefulTimeout} s (--graceful-timeout); they are ended.`,
      );
      this.#front?.end();
      this.#cancelDeadline = later(endAfter, () => this.#kill());
    });
  }

  #kill(): void {
    this.#phase = "stopping";
    for (const slot of this.#slots.all) killProcess(slot.pid);
    this.#spawner?.kill();
    this.#front?.kill();
    this.#maybeEnded();
  }

  #maybeEnded(): void {
    if (this.#front === undefined && this.#spawner === undefined) this.#ended?.();
  }

  // ---- status

  async #status(): Promise<Status> {
    return statusOf({
      config: this.#config,
      startedAt: this.#startedAt,
      listen: this.#urls(),
      loaded: this.#loaded,
      spawner: this.#spawner?.pid ?? 0,
      front: this.#front?.pid ?? 0,
      frontListening: this.#frontListening,
      stopping: this.#phase === "stopping",
      slots: this.#slots.all,
      report: await this.#front?.report(),
    });
  }
}

function replacementDelay(failures: number): number {
  return Math.min(replaceAfterMost, replaceAfter * 2 ** failures);
}

function killProcess(pid: number): void {
  if (pid === 0) return;
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It is gone already.
  }
}

function signalName(number: number): string {
  const found = Object.entries(constants.signals).find(([, value]) => value === number);
  return found?.[0] ?? `signal ${number}`;
}
