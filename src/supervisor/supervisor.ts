// The supervisor: a server's listening sockets, the signals and commands it gets, and what it says to people. Its processes, the
// fronts and spawners and workers, are the service's (service.ts). No octet of a request passes through it.
import { performance } from "node:perf_hooks";
import { isatty } from "node:tty";
import { log } from "../channels.js";
import { type Config, siteUrl } from "../config/config.js";
import { type Listener, openListeners } from "../net/listen.js";
import type { Libpython } from "../python/libpython.js";
import { checkAccessLog } from "../telemetry/access-log.js";
import { logToStandardError } from "../telemetry/log.js";
import type { Certificates } from "./certificates.js";
import { ControlSocket } from "./control-socket.js";
import { thisMachine } from "./machine.js";
import type { ReloadedBy, ReloadOutcome } from "./reloads.js";
import { frontCauses, Restarts } from "./restarts.js";
import { RuntimeDirectory } from "./runtime-directory.js";
import { startScreen } from "./screen.js";
import { Service, type ServiceOwner } from "./service.js";
import type { Status } from "./status.js";
import { statusOf } from "./status-of.js";
import { watchTouched } from "./touch.js";

/**
 * A signal so soon after another, ms, is the same one: npm passes a terminal's Ctrl-C on to a server that has it from the
 * terminal already, and running requests would be cut.
 */
const echo = 100;

/**
 * Serves `config` until told to stop. Resolves with the exit status: 0 stopped as asked, 1 an application could not be
 * loaded. Rejects with a `VivariumError` where an address cannot be listened on.
 */
export async function supervise(config: Config): Promise<0 | 1> {
  logToStandardError();
  const supervisor = new Supervisor(config);
  return await supervisor.run();
}

class Supervisor implements ServiceOwner {
  readonly #config: Config;
  readonly #runtime = new RuntimeDirectory();
  readonly #startedAt = Date.now();
  readonly #service: Service;
  #exitStatus: 0 | 1 = 0;
  /** Why it gives up; said when nobody else says anything any more, so that it is what is read first. */
  #lastWords = "";
  /** performance.now() of the last signal that asked to stop. */
  #stopAskedAt = 0;
  #listeners: readonly Listener[] = [];
  #control: ControlSocket | undefined;
  /** Where something listens for https. */
  #certificates: Certificates | undefined;
  #stopWatching: (() => void) | undefined;
  /** Whether it was started from a terminal. */
  readonly #fromTerminal = isatty(0);
  #ended: (() => void) | undefined;
  readonly #signals: readonly (readonly [NodeJS.Signals, () => void])[] = [
    ["SIGINT", () => this.#stopAsked()],
    ["SIGTERM", () => this.#stopAsked()],
    ["SIGQUIT", () => this.#stopAsked()],
    ["SIGHUP", () => this.#hungUp()],
    ["SIGUSR2", () => this.#service.tellStacks()],
    ["SIGUSR1", () => this.#service.fronts?.reopenLogs()],
  ];

  constructor(config: Config) {
    this.#config = config;
    this.#service = new Service(
      { config, runtime: this.#runtime, machine: thisMachine, tls: () => this.#certificates?.material },
      this,
    );
  }

  async run(): Promise<0 | 1> {
    const ended = new Promise<void>((resolve) => {
      this.#ended = resolve;
    });
    for (const [signal, act] of this.#signals) process.on(signal, act);
    try {
      // Python takes longest to start: it comes first, the rest meanwhile.
      checkAccessLog(this.#config.accessLog);
      await this.#readCertificates();
      this.#service.startPools();
      const python = this.#findPython();
      python.catch(() => {}); // it is awaited below
      this.#listeners = await openListeners(this.#config.listen, this.#config);
      this.#warnOfExposed();
      this.#service.startFronts(
        this.#listeners.map((listener) => listener.fd),
        await python,
      );
      this.#control = await ControlSocket.open(this.#config.control, {
        status: () => this.#status(),
        stop: () => this.#service.stop(),
        drain: (server, undo) => this.#drainServer(server, undo),
        reload: async () => {
          const pools = await this.#reload("vivarium reload");
          return { pools, certificates: this.#certificates?.status ?? [] };
        },
      });
      this.#stopWatching = watchTouched(this.#config.touchReload, (file) => this.#touched(file));
    } catch (error) {
      this.#service.kill();
      this.#clean();
      throw error;
    }
    await ended;
    this.#clean();
    return this.#exitStatus;
  }

  #clean(): void {
    for (const [signal, act] of this.#signals) process.off(signal, act);
    this.#stopWatching?.();
    this.#certificates?.close();
    this.#control?.close();
    for (const listener of this.#listeners) listener.close();
    this.#runtime.remove();
  }

  async #readCertificates(): Promise<void> {
    const { tls } = this.#config;
    if (tls === undefined) return;
    const { Certificates } = await import("./certificates.js");
    this.#certificates = new Certificates(tls, (material) => this.#service.fronts?.renewTls(material));
  }

  /** The interpreter that the fronts are to have inside, in embedded mode. */
  async #findPython(): Promise<Libpython | undefined> {
    const { embedded, pools } = this.#config;
    const [only] = pools;
    if (!embedded || only === undefined) return undefined;
    return await (await import("../python/libpython.js")).findLibpython(only.python);
  }

  // ---- what the service tells

  serving(): void {
    const loaded = this.#service.pools.map((pool) => pool.facts);
    process.stderr.write(startScreen(this.#config, this.#urls(), loaded, performance.now()));
  }

  failed(problem: string, traceback: string): void {
    this.#lastWords += `${traceback}${traceback === "" || traceback.endsWith("\n") ? "" : "\n"}vivarium: ${problem}\n`;
    this.#exitStatus = 1;
  }

  /** Whoever connects now is refused, instead of waiting in a backlog that nobody looks at; who waits there already is served. */
  draining(): void {
    for (const listener of this.#listeners) listener.close();
  }

  ended(): void {
    process.stderr.write(this.#lastWords);
    this.#ended?.();
  }

  /** A web server in front is believed about who the client is, so none but it should get there. */
  #warnOfExposed(): void {
    for (const { address, exposed, url } of this.#listeners) {
      if (/^https?$/u.test(address.protocol) || !exposed || address.peers !== undefined) continue;
      log(
        "warning",
        "supervisor",
        `Whoever can connect to ${url} is believed whatever they say of a request: its client's address, its user, that it came by HTTPS. Listen on 127.0.0.1 or a unix socket, or let a firewall admit the web server alone.`,
      );
    }
  }

  #urls(): readonly string[] {
    return this.#listeners.map(({ address, url }) => siteUrl(this.#config, address, url));
  }

  // ---- stopping

  /** By a signal: the first asks, the second insists. */
  #stopAsked(): void {
    const now = performance.now();
    if (this.#service.phase !== "stopping") this.#service.stop();
    else if (now - this.#stopAskedAt > echo) {
      log("info", "supervisor", "Stopping at once.");
      this.#service.kill();
    }
    this.#stopAskedAt = now;
  }

  /** A closed terminal ends what runs in it: then standard input is none any more. Otherwise somebody asks for a reload. */
  #hungUp(): void {
    // Not process.stdin, which would read from what may be a listening socket.
    if (this.#fromTerminal && !isatty(0)) this.#stopAsked();
    else this.#reload("SIGHUP");
  }

  #touched(file: string): void {
    log("info", "supervisor", `${file} was touched.`);
    this.#reload(`touch of ${file}`);
  }

  #reload(by: ReloadedBy): Promise<readonly ReloadOutcome[]> {
    this.#certificates?.reread();
    return this.#service.reload(by);
  }

  // ---- what is asked at the control socket

  async #drainServer(server: string, undo: boolean): Promise<readonly string[] | string> {
    const drained = await this.#service.fronts?.drainServer(server, undo);
    if (drained === undefined) return "No front answers: it is just being replaced, or stuck; try again.";
    const { groups } = drained;
    if (groups.length === 0) {
      const urls = this.#config.upstreams.flatMap(({ servers }) => servers.map(({ url }) => url));
      const known = urls.length === 0 ? "there is no upstream at all" : `there is ${[...new Set(urls)].join(", ")}`;
      return `No upstream group has a server ${server}; ${known}.`;
    }
    return groups;
  }

  async #status(): Promise<Status> {
    return statusOf({
      config: this.#config,
      startedAt: this.#startedAt,
      listen: this.#urls(),
      fronts: this.#service.fronts?.slots ?? [],
      frontRestarts: this.#service.fronts?.restarts ?? new Restarts(frontCauses, thisMachine.now),
      stopping: this.#service.phase === "stopping",
      pools: this.#service.pools,
      reports: await this.#service.reports(),
      certificates: this.#certificates?.status ?? [],
    });
  }
}
