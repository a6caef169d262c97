// Clients that never retry and count every request as exactly one outcome: what is measured is what a server did to its
// clients, so nothing here may hide it. Kept apart from Vivarium's own codec, which it is to judge.
import { connect, type Socket } from "node:net";
import { performance } from "node:perf_hooks";
import { connect as connectTls } from "node:tls";

export const outcomes = [
  "right",
  /** a whole response with a status below 400 that is not the one asked for */
  "wrong content",
  "4xx",
  "5xx",
  /** no connection could be made */
  "refused",
  /** the connection ended before the head of the response was whole */
  "reset",
  /** the connection ended before the body was whole */
  "truncated",
  "timed out",
] as const;
export type Outcome = (typeof outcomes)[number];
export type Counts = Record<Outcome, number>;

export interface Ask {
  /** GET where it is not given. */
  readonly method?: string;
  readonly path: string;
  /** Further field lines, each ending in CR LF. */
  readonly fields?: string;
  readonly body?: string;
  /** The body of the right answer, or whether this one is. */
  readonly right: string | ((body: string) => boolean);
}

export interface LoadOptions {
  readonly port: number;
  readonly clients: number;
  /** What a client (from 0) asks as its request of this number (from 0). */
  readonly ask: (client: number, number: number) => Ask;
  /** A connection for each request, where otherwise a client keeps its own while the server does. */
  readonly connectionEach?: boolean;
  /** Over TLS, whatever the certificate is. */
  readonly secure?: boolean;
  /** What carries a client's requests, where that is no connection of its own (http2-load.ts). */
  readonly line?: (client: number) => Line;
  /** Milliseconds a client waits for an answer; 30,000 where it is not given. */
  readonly patience?: number;
}

export interface Line {
  /** Resolves with what came of it within so many milliseconds. */
  ask(ask: Ask, patience: number): Promise<Result>;
  /** Asks no more, or not on this connection. */
  close(): void;
}

/** A request that was not answered rightly. */
export interface Failure {
  readonly ask: Ask;
  readonly outcome: Outcome;
  /** 0 where there was none. */
  readonly status: number;
  /** What was received, head and body; latin-1. */
  readonly received: string;
  /** When it ended, as `performance.now()` has it. */
  readonly at: number;
}

/** What came of a request; `keep` says whether its connection can carry the next one. */
export interface Result {
  readonly outcome: Outcome;
  readonly status: number;
  readonly received: string;
  readonly keep: boolean;
}

export class Load {
  readonly counts: Counts;
  /** All that was not right, in order. */
  readonly failures: Failure[] = [];
  /** Milliseconds of each request that was answered rightly. */
  readonly times: number[] = [];
  /** When each of these came, as `performance.now()` has it. */
  readonly ends: number[] = [];
  readonly #clients: readonly Promise<void>[];
  #stopped = false;

  /** Begins at once. */
  constructor(options: LoadOptions) {
    this.counts = counted();
    this.#clients = Array.from({ length: options.clients }, (_, client) => this.#run(options, client));
  }

  /** Requests that ended. */
  get requests(): number {
    return outcomes.reduce((sum, outcome) => sum + this.counts[outcome], 0);
  }

  /** What was not right, counted; as a test can compare it with `{}`. */
  get wrong(): Partial<Counts> {
    return Object.fromEntries(
      outcomes.filter((each) => each !== "right" && this.counts[each] > 0).map((each) => [each, this.counts[each]]),
    );
  }

  /** Of all right answers this share, 0 to 1, took at most so many milliseconds. */
  quantile(share: number): number {
    const sorted = [...this.times].sort((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  }

  /** Sends nothing more; resolves when each client has the answer it waits for. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#clients);
  }

  async #run(options: LoadOptions, client: number): Promise<void> {
    const { patience = 30_000 } = options;
    const line = options.line?.(client) ?? new OwnLine(options);
    for (let number = 0; !this.#stopped; number += 1) {
      const ask = options.ask(client, number);
      const from = performance.now();
      const { outcome, status, received, keep } = await line.ask(ask, patience);
      if (!keep) line.close();
      const at = performance.now();
      this.counts[outcome] += 1;
      if (outcome === "right") {
        this.times.push(at - from);
        this.ends.push(at);
      } else this.failures.push({ ask, outcome, status, received, at });
      // A server that refuses at once must not keep this process from its other clients.
      if (outcome === "refused") await new Promise((resolve) => setTimeout(resolve, 1));
    }
    line.close();
  }
}

function counted(): Counts {
  return {
    right: 0,
    "wrong content": 0,
    "4xx": 0,
    "5xx": 0,
    refused: 0,
    reset: 0,
    truncated: 0,
    "timed out": 0,
  };
}

/** A client's connection, made when there is something to ask and none. */
class OwnLine implements Line {
  readonly #options: LoadOptions;
  #socket: Socket | undefined;
  #received: Buffer = Buffer.alloc(0);
  #connected = false;
  #ended = false;
  /** Looks at what has changed, while an answer is awaited. */
  #look: (() => void) | undefined;

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  async ask(ask: Ask, patience: number): Promise<Result> {
    const { connectionEach = false } = this.#options;
    // A connection that the server closed while nothing was asked is no failure: whoever asks next sees it before.
    if (this.#ended) this.close();
    this.#socket ??= this.#connect();
    this.#received = Buffer.alloc(0);
    const { method = "GET", path, fields = "", body } = ask;
    const length = body === undefined ? "" : `Content-Length: ${Buffer.byteLength(body, "latin1")}\r\n`;
    const close = connectionEach ? "Connection: close\r\n" : "";
    this.#socket.write(
      `${method} ${path} HTTP/1.1\r\nHost: test\r\n${close}${length}${fields}\r\n${body ?? ""}`,
      "latin1",
    );
    const result = await this.#answer(ask, patience);
    return connectionEach ? { ...result, keep: false } : result;
  }

  #connect(): Socket {
    const { port, secure = false } = this.#options;
    const to = { port, host: "127.0.0.1", noDelay: true };
    const socket = secure ? connectTls({ ...to, rejectUnauthorized: false }) : connect(to);
    this.#connected = false;
    this.#ended = false;
    const current = (): boolean => this.#socket === socket;
    socket.on("connect", () => {
      if (current()) this.#connected = true;
    });
    socket.on("data", (chunk) => {
      if (!current()) return;
      this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
      this.#look?.();
    });
    const ended = (): void => {
      if (!current()) return;
      this.#ended = true;
      this.#look?.();
    };
    socket.on("end", ended);
    socket.on("close", ended);
    socket.on("error", () => undefined);
    return socket;
  }

  #answer(ask: Ask, patience: number): Promise<Result> {
    return new Promise((resolve) => {
      const give = (outcome: Outcome, status: number, keep: boolean): void => {
        clearTimeout(overdue);
        this.#look = undefined;
        resolve({ outcome, status, received: this.#received.toString("latin1"), keep: keep && !this.#ended });
      };
      const overdue = setTimeout(() => give("timed out", 0, false), patience);
      this.#look = () => {
        const head = readHead(this.#received, ask.method);
        const body = head && readBody(this.#received.subarray(head.octets), head.length, this.#ended);
        if (head !== undefined && body !== undefined) give(judge(ask, head.status, body), head.status, head.keep);
        else if (!this.#ended) return;
        else if (!this.#connected) give("refused", 0, false);
        else give(head === undefined ? "reset" : "truncated", head?.status ?? 0, false);
      };
      this.#look();
    });
  }
}

export function judge(ask: Ask, status: number, body: string): Outcome {
  if (status >= 500) return "5xx";
  if (status >= 400) return "4xx";
  const right = typeof ask.right === "string" ? body === ask.right : ask.right(body);
  return status === 200 && right ? "right" : "wrong content";
}

interface Head {
  readonly octets: number;
  readonly status: number;
  readonly keep: boolean;
  /** Where the body ends (RFC 9112 §6.3): after so many octets, with its last chunk, or with the connection. */
  readonly length: number | "chunked" | "close";
}

/** Undefined while it is not whole. */
function readHead(octets: Buffer, method = "GET"): Head | undefined {
  const end = octets.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const text = octets.toString("latin1", 0, end + 2);
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1] ?? 0);
  const length = /\r\ncontent-length: *(\d+)\r\n/i.exec(text)?.[1];
  const chunked = /\r\ntransfer-encoding: *chunked\r\n/i.test(text);
  const none = method === "HEAD" || status === 204 || status === 304;
  return {
    octets: end + 4,
    status,
    keep: !/\r\nconnection: *close\r\n/i.test(text),
    length: none ? 0 : chunked ? "chunked" : length === undefined ? "close" : Number(length),
  };
}

/** Undefined while it is not whole; latin-1. */
function readBody(octets: Buffer, length: Head["length"], ended: boolean): string | undefined {
  if (length === "close") return ended ? octets.toString("latin1") : undefined;
  if (length === "chunked") return readChunks(octets);
  return octets.length < length ? undefined : octets.toString("latin1");
}

function readChunks(octets: Buffer): string | undefined {
  // The last chunk is the last thing of an answer: before it is there nothing has to be looked at.
  if (octets.toString("latin1", octets.length - 5) !== "0\r\n\r\n") return undefined;
  let body = "";
  for (let at = 0; at < octets.length; ) {
    const line = octets.indexOf("\r\n", at);
    const size = Number.parseInt(octets.toString("latin1", at, line), 16);
    if (line < 0 || Number.isNaN(size)) return undefined;
    if (size === 0) return body;
    body += octets.toString("latin1", line + 2, line + 2 + size);
    at = line + 2 + size + 2;
  }
  return undefined;
}
