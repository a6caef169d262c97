// Clients of a load (load.ts) that share connections of HTTP/2: what happens to the connection happens to all of them.
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from "node:http2";
import { connect as connectPlain } from "node:net";
import { connect as connectTls } from "node:tls";
import { type Ask, judge, type Line, type Outcome, type Result } from "./load.js";

export interface Http2LineOptions {
  readonly port: number;
  /** So many clients have a connection together. */
  readonly share: number;
  /** In clear text, with prior knowledge, where otherwise over TLS. */
  readonly plain?: boolean;
}

/** For `LoadOptions.line`. */
export function http2Lines(options: Http2LineOptions): (client: number) => Line {
  const shared = new Map<number, Shared>();
  return (client) => {
    const number = Math.floor(client / options.share);
    const connection = shared.get(number) ?? new Shared(options);
    shared.set(number, connection);
    return new Http2Line(connection);
  };
}

/** A connection of several clients, made when there is something to ask and none. */
class Shared {
  readonly #options: Http2LineOptions;
  #session: ClientHttp2Session | undefined;
  #users = 0;
  #connected = false;

  constructor(options: Http2LineOptions) {
    this.#options = options;
  }

  /** Whether the last one could be made. */
  get connected(): boolean {
    return this.#connected;
  }

  enter(): void {
    this.#users += 1;
  }

  leave(): void {
    this.#users -= 1;
    if (this.#users === 0) this.#session?.close();
  }

  get session(): ClientHttp2Session {
    const { port, plain = false } = this.#options;
    if (this.#session !== undefined && !this.#session.closed && !this.#session.destroyed) return this.#session;
    const to = { port, host: "127.0.0.1" };
    const socket = plain ? connectPlain(to) : connectTls({ ...to, ALPNProtocols: ["h2"], rejectUnauthorized: false });
    this.#connected = false;
    socket.once("connect", () => {
      this.#connected = true;
    });
    this.#session = connect(`${plain ? "http" : "https"}://test`, { createConnection: () => socket });
    // Its streams tell.
    this.#session.on("error", () => {});
    return this.#session;
  }
}

class Http2Line implements Line {
  readonly #shared: Shared;

  constructor(shared: Shared) {
    this.#shared = shared;
    shared.enter();
  }

  close(): void {
    this.#shared.leave();
  }

  /** A request of which the server says that it has not looked at it is made anew, as clients do (RFC 9113 §8.7). */
  async ask(ask: Ask, patience: number): Promise<Result> {
    for (;;) {
      const { method = "GET", path, fields = "", body } = ask;
      const lines = fields.split("\r\n").filter((line) => line !== "");
      const further = Object.fromEntries(lines.map((line) => line.split(/: */, 2)));
      const head = { ":method": method, ":path": path, ...further };
      const stream = this.#shared.session.request(head, { endStream: body === undefined });
      if (body !== undefined) stream.end(body, "latin1");
      const result = await this.#answer(stream, ask, patience);
      if (stream.rstCode !== constants.NGHTTP2_REFUSED_STREAM) return result;
    }
  }

  async #answer(stream: ClientHttp2Stream, ask: Ask, patience: number): Promise<Result> {
    let status = 0;
    let whole = false;
    let overdue = false;
    const body: Buffer[] = [];
    stream.on("response", (head) => {
      status = Number(head[":status"]);
    });
    stream.on("data", (chunk: Buffer) => body.push(chunk));
    stream.on("end", () => {
      whole = true;
    });
    stream.on("error", () => {});
    const timer = setTimeout(() => {
      overdue = true;
      stream.close(constants.NGHTTP2_CANCEL);
    }, patience);
    await new Promise((resolve) => stream.on("close", resolve));
    clearTimeout(timer);
    const received = Buffer.concat(body).toString("latin1");
    const outcome = (): Outcome => {
      if (overdue) return "timed out";
      if (status === 0) return this.#shared.connected ? "reset" : "refused";
      return whole && stream.rstCode === constants.NGHTTP2_NO_ERROR ? judge(ask, status, received) : "truncated";
    };
    return { outcome: outcome(), status, received, keep: true };
  }
}
