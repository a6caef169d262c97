// A server around an ingress, and a client that says exactly which octets go and sees exactly which come.
import { once } from "node:events";
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { createConnection, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { ListenProtocol } from "../../src/config/config.js";
import type { Exchange, Handler, ResponseHead } from "../../src/exchange.js";
import type { BodyStore } from "../../src/ingress/body.js";
import { Http2Door } from "../../src/ingress/http2.js";
import { Ingress, type IngressConfig, type ListenerRules, serverOptions } from "../../src/ingress/ingress.js";
import { RequestMemory } from "../../src/ingress/request-memory.js";
import { Shortage } from "../../src/ingress/shortage.js";
import type { TlsDoor } from "../../src/ingress/tls.js";
import { Deadlines } from "../../src/net/deadline.js";
import { Descriptors } from "../../src/net/descriptors.js";
import { TrustedProxies } from "../../src/routing/forwarded.js";
import { Router } from "../../src/routing/router.js";
import { listenFor } from "../net/accepting.js";

export interface Served {
  readonly ingress: Ingress;
  /** Time passes when a test says so. */
  readonly deadlines: Deadlines;
  readonly tempDir: string;
  /** 0 on a unix socket. */
  readonly port: number;
  connect(): Promise<Client>;
}

export interface Surroundings {
  readonly host?: string;
  readonly mount?: string;
  /** The handler takes bodies while they arrive. */
  readonly streams?: boolean;
  readonly descriptors?: Descriptors;
  /** Whose connections begin with a PROXY header. */
  readonly proxies?: readonly string[];
  readonly tls?: TlsDoor;
  /** Whether the handler takes requests for a WebSocket. */
  readonly upgrades?: boolean;
}

/** Serves with `handler` until the test ends. */
export async function serve(
  context: TestContext,
  handler: Handler,
  config: Partial<IngressConfig> & Surroundings = {},
  unixSocket = false,
  protocol: ListenProtocol = "http",
  bySystemCalls = true,
): Promise<Served> {
  const tempDir = mkdtempSync(join(tmpdir(), "vivarium-ingress-"));
  const deadlines = new Deadlines(false);
  const whole: IngressConfig = {
    trustedProxies: [],
    maxBody: 2 ** 30,
    bodyMemory: 65536,
    requestMemoryTotal: 2 ** 26,
    tempDir,
    maxTarget: 8192,
    maxHead: 65536,
    maxFields: 128,
    keepAlive: 75,
    headTimeout: 30,
    stallTimeout: 30,
    minRate: 500,
    wsMaxSize: 2 ** 24,
    wsPingInterval: 20,
    wsPingTimeout: 20,
    wsCompression: false,
    ...config,
  };
  const router = new Router([
    {
      host: config.host ?? "",
      path: config.mount ?? "",
      handler,
      streams: () => config.streams === true,
      upgrades: () => config.upgrades === true,
    },
  ]);
  const ingress = new Ingress(whole, router, {
    version: "0.0.0",
    deadlines,
    http2: config.http2 === "all" || config.http2 === "tls" ? (options) => new Http2Door(options) : undefined,
    ...(config.descriptors && { descriptors: config.descriptors }),
    tls: config.tls,
  });
  const proxies = config.proxies && new TrustedProxies(config.proxies);
  const path = join(tempDir, "listen");
  const rules = { protocol, proxies };
  const listening =
    bySystemCalls && protocol !== "https" && proxies === undefined
      ? await listenFor((socket) => ingress.accept(socket, rules), unixSocket ? path : "")
      : await listenWithNode(ingress, rules, unixSocket ? path : "");
  const clients: Client[] = [];
  context.after(async () => {
    for (const client of clients) client.socket.destroy();
    ingress.destroy();
    await listening.close();
    rmSync(tempDir, { recursive: true });
  });
  const { port } = listening;
  return {
    ingress,
    deadlines,
    tempDir,
    port,
    async connect() {
      const socket = unixSocket
        ? createConnection({ path, allowHalfOpen: true })
        : createConnection({ port, host: "127.0.0.1", allowHalfOpen: true });
      await once(socket, "connect");
      const client = new Client(socket);
      clients.push(client);
      return client;
    },
  };
}

/** As where connections cannot be accepted by system calls. */
async function listenWithNode(
  ingress: Ingress,
  rules: ListenerRules,
  path: string,
): Promise<{ readonly port: number; close(): Promise<unknown> }> {
  const server = createServer(serverOptions);
  ingress.attach(server, rules);
  server.listen(path === "" ? { host: "127.0.0.1", port: 0 } : { path });
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return { port, close: () => once(server.close(), "close") };
}

/** Where bodies are kept, for a receiver without an ingress. */
export function storeOf(
  bodyMemory: number,
  tempDir: string,
  memory: RequestMemory = new RequestMemory(2 ** 26),
): BodyStore {
  const deadlines = new Deadlines(false);
  return { bodyMemory, tempDir, memory, shortage: new Shortage(new Descriptors(), deadlines, []) };
}

export class Client {
  readonly socket: Socket;
  received = "";
  /** The server closed its side in order. */
  ended = false;
  /** The connection is gone; "reset" where the server said so. */
  closed: "" | "closed" | "reset" = "";

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk) => {
      this.received += chunk.toString("latin1");
    });
    socket.on("end", () => {
      this.ended = true;
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      this.closed = error.code === "ECONNRESET" ? "reset" : "closed";
    });
    socket.on("close", () => {
      this.closed ||= "closed";
    });
  }

  send(...parts: readonly (string | Uint8Array)[]): void {
    for (const part of parts) this.socket.write(typeof part === "string" ? Buffer.from(part, "latin1") : part);
  }

  /** Resolves when the octets received match. */
  until(pattern: string | RegExp): Promise<void> {
    return eventually(() =>
      typeof pattern === "string" ? this.received.includes(pattern) : pattern.test(this.received),
    ).catch(() => {
      throw new Error(`Waited for ${pattern}, received ${JSON.stringify(this.received)} (${this.closed})`);
    });
  }

  /** Resolves when the server has closed its side, or the connection is gone. */
  untilEnd(): Promise<void> {
    return eventually(() => this.ended || this.closed !== "");
  }

  /** How many responses begin in what was received. */
  get responses(): number {
    return this.received.split("HTTP/1.1 ").length - 1;
  }
}

/** Resolves when `condition` holds; a test that waits in vain fails. */
export async function eventually(condition: () => boolean): Promise<void> {
  for (let turns = 0; !condition(); turns += 1) {
    if (turns > 20_000) throw new Error(`Waited in vain for ${condition}`);
    await new Promise((resolve) => (turns < 2000 ? setImmediate(resolve) : setTimeout(resolve, 1)));
  }
}

/** Resolves when `condition` holds, while time passes slowly enough for all that is under way to happen. */
export async function inTime({ deadlines }: Pick<Served, "deadlines">, condition: () => boolean): Promise<void> {
  for (let count = 0; !condition(); count += 1) {
    if (count > 100) throw new Error(`Waited in vain for ${condition}`);
    // A kernel may take 40 ms to say that octets have arrived.
    await new Promise((resolve) => setTimeout(resolve, 5));
    deadlines.advance();
  }
}

/** Lets everything happen that is under way on the loopback. */
export async function settle(): Promise<void> {
  for (let pause = 0; pause < 2; pause += 1) {
    for (let turns = 0; turns < 25; turns += 1) await new Promise((resolve) => setImmediate(resolve));
    // On a busy machine the kernel leaves what was sent to a thread of its own, which needs a processor.
    await new Promise((resolve) => setTimeout(resolve, 4));
  }
}

/** The head of a response, as a worker would give it. */
export function headOf(status: number, fields: Readonly<Record<string, string>> = {}): ResponseHead {
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return {
    status,
    reason: status === 200 ? "OK" : "",
    fields: Buffer.from(lines.join(""), "latin1"),
    contentLength: Number(fields["Content-Length"] ?? -1),
    hasDate: false,
  };
}

/** Answers at once. */
export function answer(exchange: Exchange, text: string, fields: Readonly<Record<string, string>> = {}): void {
  exchange.respond(headOf(200, fields), Buffer.from(text), true);
}

/** An exchange's variables. */
export function variablesOf(exchange: Exchange): Map<string, string> {
  const parts = exchange.request.variables.split("\0");
  const variables = new Map<string, string>();
  for (let at = 0; at + 1 < parts.length; at += 2) variables.set(parts[at] ?? "", parts[at + 1] ?? "");
  return variables;
}

/** What the file descriptors of this process that point into `directory` point to. */
export function openFilesIn(directory: string): string[] {
  const targets: string[] = [];
  for (const fd of readdirSync("/proc/self/fd")) {
    try {
      targets.push(readlinkSync(`/proc/self/fd/${fd}`));
    } catch {
      // The descriptor that read the directory itself is closed by now.
    }
  }
  return targets.filter((target) => target.startsWith(`${directory}/vivarium-body-`));
}

export const hello = "GET /hello HTTP/1.1\r\nHost: example.org\r\n\r\n";
