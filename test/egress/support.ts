// Servers that do exactly what a test says, exchanges that note what they are told, and groups whose time passes when a test
// says so.
import { once } from "node:events";
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { createServer, type Server as NetServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type LogLine, logLine } from "../../src/channels.js";
import type { UpstreamGroupConfig, UpstreamServer } from "../../src/config/config.js";
import type { DriverOptions } from "../../src/egress/driver.js";
import { type GroupOptions, UpstreamGroup } from "../../src/egress/group.js";
import type { Body, Exchange, FileBody, Request, ResponseHead } from "../../src/exchange.js";
import { Deadlines } from "../../src/net/deadline.js";

/** A connection that a server accepted. */
export class Accepted {
  readonly socket: Socket;
  received = "";
  ended = false;
  closed = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk) => {
      this.received += chunk.toString("latin1");
    });
    socket.on("end", () => {
      this.ended = true;
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.closed = true;
    });
  }

  send(text: string): void {
    this.socket.write(Buffer.from(text, "latin1"));
  }

  until(pattern: RegExp | string): Promise<void> {
    return eventually(
      () => (typeof pattern === "string" ? this.received.includes(pattern) : pattern.test(this.received)),
      () => `${pattern} in ${JSON.stringify(this.received)}`,
    );
  }
}

export interface FakeServer {
  readonly port: number;
  readonly accepted: readonly Accepted[];
  /** Resolves when so many connections were accepted, with the last of them. */
  connection(count?: number): Promise<Accepted>;
  close(): Promise<void>;
}

/** Those of a driver of a server on the loopback; a second for each phase. */
export function optionsFor(port: number, deadlines: Deadlines = new Deadlines(false)): DriverOptions {
  return {
    address: { kind: "tcp", host: "127.0.0.1", port },
    name: "test",
    deadlines,
    connectTimeout: 4,
    sendTimeout: 4,
    firstByteTimeout: 4,
    idleTimeout: 4,
    tunnelTimeout: 4,
    keepAlive: 0,
    multiplex: 1,
    maxHead: 1000,
    maxFields: 10,
    responses: { most: 1000 },
  };
}

/** A server on the loopback until the test ends. `serve` is called with each connection. */
export async function fakeServer(
  context: TestContext,
  serve: (connection: Accepted) => void = () => {},
): Promise<FakeServer> {
  const accepted: Accepted[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const connection = new Accepted(socket);
    accepted.push(connection);
    serve(connection);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = async (): Promise<void> => {
    for (const { socket } of accepted) socket.destroy();
    if (!server.listening) return;
    server.close();
    await once(server, "close");
  };
  context.after(close);
  return {
    port: portOf(server),
    accepted,
    async connection(count = 1) {
      await eventually(() => accepted.length >= count);
      const connection = accepted[count - 1];
      if (connection === undefined) throw new Error("no connection");
      return connection;
    },
    close,
  };
}

function portOf(server: NetServer): number {
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("no port");
  return address.port;
}

/** A port on which nobody listens. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const port = portOf(server);
  server.close();
  await once(server, "close");
  return port;
}

/** Answers each request on its connections with what `answer` makes of it. */
export function answering(answer: (head: string, connection: Accepted) => string): (connection: Accepted) => void {
  return (connection) => {
    let done = 0;
    connection.socket.on("data", () => {
      for (;;) {
        const end = connection.received.indexOf("\r\n\r\n", done);
        if (end < 0) return;
        const head = connection.received.slice(done, end);
        const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
        if (connection.received.length < end + 4 + length) return;
        done = end + 4 + length;
        connection.send(answer(head, connection));
      }
    });
  };
}

/** Serves one connection at a time, as a server with one process does: the others wait until that one is closed. */
export function oneByOne(serve: (connection: Accepted) => void = () => {}): (connection: Accepted) => void {
  let active: Accepted | undefined;
  const waiting: Accepted[] = [];
  return (connection) => {
    serve(connection);
    connection.socket.on("end", () => connection.socket.end());
    connection.socket.on("close", () => {
      if (active !== connection) return;
      active = waiting.shift();
      active?.socket.resume();
    });
    if (active === undefined) active = connection;
    else {
      waiting.push(connection);
      connection.socket.pause();
    }
  };
}

/** A whole response. */
export function response(text: string, fields = ""): string {
  return `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n${fields}\r\n${text}`;
}

const defaults: Omit<UpstreamGroupConfig, "servers"> = {
  name: "shop",
  balance: "least-outstanding",
  hashBy: "client",
  connectTimeout: 5,
  sendTimeout: 60,
  firstByteTimeout: 60,
  idleTimeout: 60,
  tunnelTimeout: 3600,
  keepAlive: 32,
  multiplex: 1,
  retryBudget: 0.2,
  maxFails: 3,
  failTimeout: 10,
  healthPath: "",
  healthInterval: 5,
  resolveInterval: 0,
  dnsServers: [],
  params: {},
  forwarded: false,
};

export function serverAt(port: number, more: Partial<UpstreamServer> = {}): UpstreamServer {
  return {
    url: `http://127.0.0.1:${port}`,
    protocol: "http",
    endpoint: { kind: "tcp", host: "127.0.0.1", port },
    weight: 1,
    backup: false,
    ...more,
  };
}

export interface TestGroup {
  readonly group: UpstreamGroup;
  readonly deadlines: Deadlines;
  /** Lets so many seconds pass, for deadlines and the balancer. */
  pass(seconds: number): void;
  send(request?: TestRequest): FakeExchange;
}

/** A group until the test ends. Time passes when the test says so. */
export function groupOf(
  context: TestContext,
  servers: readonly (number | UpstreamServer)[],
  config: Partial<UpstreamGroupConfig> = {},
  options: GroupOptions = {},
): TestGroup {
  const deadlines = new Deadlines(false);
  let now = 1000;
  const group = new UpstreamGroup(
    {
      ...defaults,
      servers: servers.map((server) => (typeof server === "number" ? serverAt(server) : server)),
      ...config,
    },
    { deadlines, now: () => now, ...options },
  );
  context.after(() => group.close());
  return {
    group,
    deadlines,
    pass(seconds) {
      now += seconds * 1000;
      deadlines.advance(seconds * 4 + 2);
    },
    send(request = {}) {
      const exchange = new FakeExchange(request);
      group.handle(exchange);
      return exchange;
    },
  };
}

export interface TestRequest {
  readonly method?: string;
  readonly variables?: Readonly<Record<string, string>>;
  readonly body?: Body;
  readonly trustedPeer?: string;
}

export function requestOf({
  method = "GET",
  variables = {},
  body = { kind: "empty" },
  trustedPeer,
}: TestRequest): Request {
  const whole: Record<string, string> = {
    SERVER_SOFTWARE: "vivarium/0",
    "wsgi.url_scheme": "http",
    REMOTE_ADDR: "192.0.2.7",
    SERVER_NAME: "example.org",
    SERVER_PORT: "8000",
    HTTP_HOST: "example.org",
    REQUEST_METHOD: method,
    SCRIPT_NAME: "",
    PATH_INFO: "/hello",
    QUERY_STRING: "",
    REQUEST_URI: "/hello",
    SERVER_PROTOCOL: "HTTP/1.1",
    ...variables,
  };
  const pairs = Object.entries(whole).map(([name, value]) => `${name}\0${value}`);
  return { method, target: "/hello", variables: pairs.join("\0"), shared: 0, body, trustedPeer };
}

/** Notes what it is told. The client takes what it is given when the test says so, or at once. */
export class FakeExchange implements Exchange {
  readonly request: Request;
  readonly id: string = "0123456789abcdef";
  ended = false;
  inputEnded = false;
  onInputEnd: (() => void) | undefined = undefined;
  onFlushed: ((octets: number) => void) | undefined = undefined;
  onGone: (() => void) | undefined = undefined;
  takes = true;
  head: ResponseHead | undefined;
  body = "";
  refused: number | undefined;
  wasCut = false;
  whole = false;

  constructor(request: TestRequest = {}) {
    this.request = requestOf(request);
  }

  get fields(): string {
    return Buffer.from(this.head?.fields ?? []).toString("latin1");
  }

  readonly takesHints = false;
  readonly takesTrailers = false;
  inform(): void {}
  respond(head: ResponseHead, body: Uint8Array | undefined, last: boolean): void {
    if (this.ended) return;
    this.head = head;
    this.#take(body, last);
  }
  write(octets: Uint8Array, last: boolean): void {
    if (!this.ended) this.#take(octets, last);
  }
  #take(octets: Uint8Array | undefined, last: boolean): void {
    this.body += Buffer.from(octets ?? []).toString("latin1");
    if (last) this.whole = this.ended = true;
    else if (this.takes && octets !== undefined) setImmediate(() => this.onFlushed?.(octets.length));
  }
  cut(): void {
    this.wasCut = this.ended = true;
  }
  refuse(status: number): void {
    if (this.ended) return;
    this.refused = status;
    this.ended = true;
  }
  /** The client leaves. */
  leave(): void {
    this.ended = true;
    this.onGone?.();
  }

  /** Resolves when it has ended, with what came of it. */
  async end(): Promise<string> {
    await eventually(() => this.ended);
    return this.outcome;
  }
  get outcome(): string {
    if (this.refused !== undefined) return `refused ${this.refused}`;
    if (this.wasCut) return `${this.head?.status} cut ${this.body}`;
    return `${this.head?.status} ${this.whole ? "whole" : "begun"} ${this.body}`;
  }
}

/** A body in a file, of `size` octets by what is said of it and of `real` in truth. */
export function fileBody(context: TestContext, size: number, real: number = size): FileBody & { holders: number } {
  const directory = mkdtempSync(join(tmpdir(), "vivarium-egress-"));
  const fd = openSync(join(directory, "body"), "w+");
  writeSync(fd, Buffer.alloc(size, "abcdefg"));
  ftruncateSync(fd, real);
  context.after(() => {
    closeSync(fd);
    rmSync(directory, { recursive: true });
  });
  const body = {
    kind: "file" as const,
    fd,
    size,
    holders: 0,
    hold() {
      body.holders += 1;
    },
    release() {
      body.holders -= 1;
    },
  };
  return body;
}

/** Resolves when `condition` holds; a test that waits in vain fails. */
export async function eventually(
  condition: () => boolean,
  about: () => string = () => String(condition),
): Promise<void> {
  for (let turns = 0; !condition(); turns += 1) {
    if (turns > 10_000) throw new Error(`Waited in vain for ${about()}`);
    await new Promise((resolve) => (turns < 2000 ? setImmediate(resolve) : setTimeout(resolve, 1)));
  }
}

/** Lets everything happen that is under way on the loopback. */
export async function settle(): Promise<void> {
  for (let turns = 0; turns < 50; turns += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** The lines logged from now on until the test ends. */
export function logged(context: TestContext): string[] {
  const lines: string[] = [];
  const note = (line: unknown): void => {
    const { level, area, message } = line as LogLine;
    lines.push(`${level} ${area}: ${message}`);
  };
  logLine.subscribe(note);
  context.after(() => logLine.unsubscribe(note));
  return lines;
}
