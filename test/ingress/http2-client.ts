// Node's client of HTTP/2, and one that writes frames, for servers of these tests.
import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect, type OutgoingHttpHeaders } from "node:http2";
import { createConnection } from "node:net";
import type { TestContext } from "node:test";
import type { Handler } from "../../src/exchange.js";
import { libc } from "../../src/net/libc.js";
import { FrameClient } from "../support/http2-frames.js";
import { type Served, type Surroundings, serve } from "./support.js";

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
  readonly trailers: Readonly<Record<string, unknown>>;
  /** Interim responses. */
  readonly interim: readonly Readonly<Record<string, unknown>>[];
  /** How the stream was closed. */
  readonly code: number;
}

export interface Http2Served extends Served {
  session(): ClientHttp2Session;
  frames(): Promise<FrameClient>;
}

type Config = NonNullable<Parameters<typeof serve>[2]> & Surroundings;

/** Serves with `handler`, HTTP/2 in clear text too, until the test ends. */
export async function serveHttp2(context: TestContext, handler: Handler, config: Config = {}): Promise<Http2Served> {
  // What tells octets that a client has not taken: loaded when asked for first, and time of tests does not wait for it.
  await libc();
  const served = await serve(context, handler, { http2: "all", ...config });
  return {
    ...served,
    session() {
      const session = connect(`http://127.0.0.1:${served.port}`);
      session.on("error", () => {});
      context.after(() => session.destroy());
      return session;
    },
    async frames() {
      const socket = createConnection({ port: served.port, host: "127.0.0.1" });
      context.after(() => socket.destroy());
      await once(socket, "connect");
      return new FrameClient(socket);
    },
  };
}

/** Sends a request; `body` whole where it is given. */
export function ask(
  session: ClientHttp2Session,
  path: string,
  headers: OutgoingHttpHeaders = {},
  body?: string | Uint8Array,
): Promise<Answer> {
  const stream = session.request({ ":path": path, ...headers }, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  return answerOf(stream);
}

/** What is answered on a stream, when it is over. */
export function answerOf(stream: ClientHttp2Stream): Promise<Answer> {
  return new Promise((resolve) => {
    let headers: Readonly<Record<string, unknown>> = {};
    let trailers: Readonly<Record<string, unknown>> = {};
    const interim: Readonly<Record<string, unknown>>[] = [];
    const chunks: Buffer[] = [];
    stream.on("response", (received) => {
      headers = received;
    });
    stream.on("headers", (received) => interim.push(received));
    stream.on("trailers", (received) => {
      trailers = received;
    });
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", () => {});
    stream.on("close", () => {
      const body = Buffer.concat(chunks).toString("latin1");
      resolve({ status: Number(headers[":status"] ?? 0), headers, body, trailers, interim, code: stream.rstCode });
    });
  });
}
