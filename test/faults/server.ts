// Vivarium with the application of test/python/worker_app.py, in a folder of its own through which tests and application
// tell each other what has happened. Nothing here depends on how fast anything is.
import { readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { FrontStatus, PoolStatus, Status } from "../../src/supervisor/status.js";
import { Connection, type Response } from "../conformance/wsgi/connection.js";
import type { Exit } from "../support/processes.js";
import { removeFolder, root, temporaryFolder } from "../support/tools.js";
import { startGateway, startVivarium, type Vivarium } from "../support/vivarium.js";

/** The application's target. */
export const application: string = `${join(root, "test/python/worker_app.py")}:app`;

export interface ServerOptions {
  readonly target?: string;
  /** It is started as `vivarium gateway`: there is no application. */
  readonly gateway?: boolean;
  /** Of `vivarium run`, or `vivarium gateway`. */
  readonly args?: readonly string[];
  /** Files of the folder the application runs in, which are there before it starts. */
  readonly files?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** See VivariumOptions. */
  readonly through?: readonly string[];
  /** It leads a group of processes of its own. */
  readonly detached?: boolean;
}

/** Waits for what another process brings about. Throws when it does not happen. */
export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let waited = 0; !(await condition()); waited += 10) {
    if (waited > 20_000) throw new Error(`it did not happen: ${what}`);
    await delay(10);
  }
}

/** The status, asked at a control socket. */
export function statusAt(control: string): Promise<Status> {
  return new Promise((resolve, reject) => {
    let text = "";
    const socket = connect({ path: control }, () => socket.write('{"command":"status"}\n'));
    socket.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    socket.on("error", reject);
    socket.on("end", () => {
      const status: Status = JSON.parse(text);
      resolve(status);
    });
  });
}

/** The only front. */
export function frontOf({ fronts }: Status): FrontStatus {
  const [front, ...others] = fronts;
  if (front === undefined || others.length > 0) throw new Error(`there are ${fronts.length} fronts`);
  return front;
}

export function request(path: string, fields = "", method = "GET"): string {
  return `${method} ${path} HTTP/1.1\r\nHost: test\r\n${fields}\r\n`;
}

export class Server {
  readonly vivarium: Vivarium;
  readonly folder: string;
  readonly #connections: Connection[] = [];

  static async start(options: ServerOptions = {}): Promise<Server> {
    const folder = temporaryFolder("faults");
    for (const [name, text] of Object.entries(options.files ?? {})) writeFileSync(join(folder, name), text);
    const own = ["--access-log", "off", ...(options.args ?? [])];
    const args = ["--chdir", folder, ...own];
    const { through = [], detached = false } = options;
    const start = { through, detached, ...(options.env === undefined ? {} : { env: options.env }) };
    if (options.gateway === true) return new Server(await startGateway({ args: own, ...start }), folder);
    return new Server(await startVivarium(options.target ?? application, { args, ...start }), folder);
  }

  private constructor(vivarium: Vivarium, folder: string) {
    this.vivarium = vivarium;
    this.folder = folder;
  }

  get output(): string {
    return this.vivarium.output;
  }

  /** A connection, closed with the server at the latest. */
  connection(): Connection {
    const connection = new Connection(this.vivarium.port);
    this.#connections.push(connection);
    return connection;
  }

  /** Sends a request on a connection of its own. */
  begin(path: string, fields = ""): Connection {
    const connection = this.connection();
    connection.send(request(path, fields));
    return connection;
  }

  async get(path: string): Promise<Response> {
    const connection = this.begin(path);
    try {
      return await connection.response();
    } finally {
      connection.close();
    }
  }

  async text(path: string): Promise<string> {
    return (await this.get(path)).text;
  }

  status(): Promise<Status> {
    return statusAt(this.vivarium.control);
  }

  /** What the status says of the front. */
  async front(): Promise<FrontStatus> {
    return frontOf(await this.status());
  }

  /** What the status says of the first pool. */
  async pool(): Promise<PoolStatus> {
    const [pool] = (await this.status()).pools;
    if (pool === undefined) throw new Error("there is no pool");
    return pool;
  }

  /** Lets what waits for this name in the application go on. */
  release(name: string): void {
    writeFileSync(join(this.folder, name), "");
  }

  /** What the application recorded so far. */
  record(): string[] {
    try {
      return readFileSync(join(this.folder, "record"), "utf8").trimEnd().split("\n");
    } catch {
      return [];
    }
  }

  async recorded(event: string): Promise<void> {
    await until(() => this.record().includes(event), `the application records "${event}"; so far ${this.record()}`);
  }

  /** Waits for a line of the log. */
  async logged(pattern: RegExp): Promise<void> {
    await this.vivarium.process.line(pattern);
  }

  /** Closes all connections that were made. */
  closeConnections(): void {
    for (const connection of this.#connections.splice(0)) connection.close();
  }

  /** Stops it, and asserts nothing but that none of its processes outlives it. */
  async stop(signal?: NodeJS.Signals): Promise<Exit> {
    this.closeConnections();
    const exit = await this.vivarium.stop(signal);
    removeFolder(this.folder);
    return exit;
  }
}
