// A front: the process that does all I/O with clients. Its supervisor starts it with the listening sockets as inherited
// descriptors and tells it the rest; it ends when told to, or at once when the supervisor is gone.
import { chmodSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { log } from "../channels.js";
import { type Config, threadsMost } from "../config/config.js";
import type { Handler } from "../exchange.js";
import { Ingress, serverOptions } from "../ingress/ingress.js";
import { later } from "../net/deadline.js";
import { version } from "../package.js";
import { Router } from "../routing/router.js";
import { AccessLog } from "../telemetry/access-log.js";
import { logToStandardError } from "../telemetry/log.js";
import type { FromFront, FrontReport, ToFront } from "./messages.js";
import { WorkerLink } from "./worker-link.js";
import { WorkerPool } from "./worker-pool.js";

/** Milliseconds that workers have to end their connections after the last answer; the spawner ends who takes longer. */
const workersMercy = 2000;

function tell(message: FromFront): void {
  // To a supervisor that is gone nothing can be told; "disconnect" follows.
  process.send?.(message, undefined, undefined, () => {});
}

class Front {
  readonly #config: Config;
  readonly #runtime: string;
  readonly #pool: WorkerPool;
  readonly #ingress: Ingress;
  readonly #accessLog: AccessLog | undefined;
  readonly #servers: Server[] = [];
  readonly #wire: Server;

  constructor(start: Extract<ToFront, { type: "start" }>) {
    const { config } = start;
    this.#config = config;
    this.#runtime = start.runtime;
    this.#accessLog = AccessLog.open(config.accessLog);
    this.#pool = new WorkerPool(threadsMost(config), config.responseMemory, start.scoreboards, {
      workerReady: (worker, pid) => tell({ type: "worker-ready", worker, pid }),
    });
    const handler: Handler = (exchange) => this.#pool.handle(exchange);
    this.#ingress = new Ingress(config, new Router([{ host: "", path: config.mount, handler }]), { version });
    this.#wire = createServer((socket) => this.#pool.add(new WorkerLink(socket, this.#pool)));
    // A front that was killed leaves the socket's file, and its successor could not bind.
    rmSync(start.wire, { force: true });
    this.#wire.listen(start.wire, () => {
      chmodSync(start.wire, 0o600);
      this.#listen(start.listeners);
    });
  }

  #listen(descriptors: readonly number[]): void {
    let waiting = descriptors.length;
    for (const [index, fd] of descriptors.entries()) {
      const protocol = this.#config.listen[index]?.protocol ?? "http";
      const server = createServer(serverOptions, (socket) => this.#ingress.accept(socket, protocol));
      server.on("error", (error) => log("error", "ingress", `Connections cannot be accepted: ${error.message}.`));
      server.listen({ fd }, () => {
        waiting -= 1;
        if (waiting === 0) tell({ type: "listening" });
      });
      this.#servers.push(server);
    }
  }

  async drain(): Promise<void> {
    for (const server of this.#servers) server.close();
    await this.#ingress.drain();
    await this.#accessLog?.close();
    this.#pool.end();
    this.#wire.close(() => process.exit(0));
    later(workersMercy, () => process.exit(0));
  }

  /** What still runs is cut; the access log says so. */
  async end(): Promise<void> {
    this.#ingress.destroy();
    await this.#ingress.drain();
    await this.#accessLog?.close();
    process.exit(0);
  }

  reopenLogs(): void {
    this.#accessLog?.reopen();
  }

  /** The supervisor is gone, so nobody else will clean up. */
  abandon(): void {
    rmSync(this.#runtime, { recursive: true, force: true });
    process.exit(1);
  }

  report(): FrontReport {
    const { pool } = this.#pool;
    const { pace } = pool;
    return {
      connections: this.#ingress.connections,
      requests: this.#ingress.requests,
      pool: {
        threads: pace.threads,
        threadsMost: threadsMost(this.#config),
        queue: pool.queueLength,
        writeAhead: pace.slow ? 0 : pace.ahead,
        wall: Math.round(pace.wall),
        cpu: Math.round(pace.cpu),
      },
      workers: pool.members.map((member) => ({
        id: member.worker.worker,
        requests: member.answered,
        busy: member.outstanding,
      })),
    };
  }
}

logToStandardError();
let front: Front | undefined;
process.on("message", (message: ToFront) => {
  if (message.type === "start") front = new Front(message);
  else if (message.type === "drain") front?.drain();
  else if (message.type === "end") front?.end();
  else if (message.type === "reopen-logs") front?.reopenLogs();
  else if (front !== undefined) tell({ type: "report", id: message.id, report: front.report() });
});
process.on("disconnect", () => {
  if (front === undefined) process.exit(1);
  front.abandon();
});
// A terminal's Ctrl-C and a service manager's SIGTERM reach every process of the group; the supervisor decides.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => {});
process.on("SIGHUP", () => {});
process.on("SIGUSR1", () => {});
