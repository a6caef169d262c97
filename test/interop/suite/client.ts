// The suite's HTTP client: Node's own, whose parser is not ours. It connects from an address of its own, so that the
// application can tell the client from the web server in between.
import { createHash } from "node:crypto";
import { Agent, type IncomingMessage, type RequestOptions, request } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { pattern } from "./pattern.js";

/** Where the suite's clients connect from: Linux has all of 127.0.0.0/8 on the loopback interface. */
export const clientAddress = "127.0.0.2";

/** Field names and values in turn, latin-1. */
export type Fields = readonly string[];

export interface Ask {
  /** Default GET. */
  readonly method?: string;
  /** As it stands in the request line; latin-1. */
  readonly target: string;
  /** Added to Host, and to what says how long the body is. */
  readonly fields?: Fields;
  /** Replaces the Host that the address gives. */
  readonly host?: string;
  /** A body of text (latin-1), or of so many octets of the pattern. Without it there is none, nor a length. */
  readonly body?: string | number;
  /** The body goes out in chunks, its length unsaid. */
  readonly chunked?: boolean;
}

export interface Answer {
  readonly status: number;
  /** Names and values in turn, as they came. */
  readonly fields: Fields;
  readonly body: Buffer;
  /** False where the response ended before it was whole by its own account (RFC 9112 §8). */
  readonly whole: boolean;
}

/** All values of a field, in their order. */
export function valuesOf(answer: { readonly fields: Fields }, name: string): string[] {
  const { fields } = answer;
  return fields.filter((_, at) => at % 2 === 1 && fields[at - 1]?.toLowerCase() === name.toLowerCase());
}

/** A response whose head has come. */
export class Incoming {
  readonly status: number;
  readonly fields: Fields;
  readonly message: IncomingMessage;

  constructor(message: IncomingMessage) {
    this.message = message;
    this.status = message.statusCode ?? 0;
    this.fields = message.rawHeaders;
  }

  /** The body piece by piece. Ends also where the response was cut: `whole` tells. */
  async *pieces(): AsyncGenerator<Buffer> {
    try {
      for await (const piece of this.message) yield piece;
    } catch (error) {
      // Node reports a body that stopped too early as an error; that is an answer here.
      if (!(error instanceof Error && "code" in error)) throw error;
    }
  }

  get whole(): boolean {
    return this.message.complete;
  }

  async answer(): Promise<Answer> {
    const pieces: Buffer[] = [];
    for await (const piece of this.pieces()) pieces.push(piece);
    return { status: this.status, fields: this.fields, body: Buffer.concat(pieces), whole: this.whole };
  }

  /** SHA-256 and length of the body, which is not kept. */
  async digest(): Promise<{ readonly length: number; readonly sha256: string }> {
    const hash = createHash("sha256");
    let length = 0;
    for await (const piece of this.pieces()) {
      hash.update(piece);
      length += piece.length;
    }
    return { length, sha256: hash.digest("hex") };
  }

  /** Leaves: the connection is closed, whatever is still to come. */
  leave(): void {
    this.message.destroy();
  }
}

function headerOf(ask: Ask, host: string): string[] {
  const { body, chunked = false } = ask;
  const length = typeof body === "string" ? body.length : body;
  const framing = chunked ? ["Transfer-Encoding", "chunked"] : ["Content-Length", String(length)];
  return ["Host", ask.host ?? host, ...(ask.fields ?? []), ...(length === undefined ? [] : framing)];
}

/** An HTTP server, as its clients see it: connections are kept and used again by whoever passes the same agent. */
export class Client {
  readonly port: number;
  readonly host: string;

  /** `port` is one of 127.0.0.1. */
  constructor(port: number) {
    this.port = port;
    this.host = `127.0.0.1:${port}`;
  }

  /** Sends a request and waits for the head of its response. Without an agent the connection is its own. */
  begin(ask: Ask, agent?: Agent): Promise<Incoming> {
    const options: RequestOptions = {
      host: "127.0.0.1",
      port: this.port,
      localAddress: clientAddress,
      method: ask.method ?? "GET",
      path: ask.target,
      headers: headerOf(ask, this.host),
      agent: agent ?? false,
      maxHeaderSize: 1 << 20,
    };
    return new Promise((resolve, reject) => {
      const outgoing = request(options, (message) => resolve(new Incoming(message)));
      outgoing.once("error", reject);
      const expecting = ask.fields?.includes("100-continue") === true;
      if (ask.body === undefined) outgoing.end();
      else if (typeof ask.body === "string" && !expecting) outgoing.end(ask.body, "latin1");
      else {
        const size = ask.body;
        const pieces = typeof size === "string" ? [Buffer.from(size, "latin1")] : pattern(size);
        // A server may answer, and close, before it has read all: that shows in the response.
        const send = (): void => void pipeline(Readable.from(pieces, { objectMode: false }), outgoing).catch(() => {});
        if (expecting) outgoing.once("continue", send);
        else send();
      }
    });
  }

  /** Sends a request and waits for its whole response. */
  async ask(ask: Ask, agent?: Agent): Promise<Answer> {
    return (await this.begin(ask, agent)).answer();
  }
}

/** Uses one connection for all that is asked within. */
export async function onOneConnection(use: (agent: Agent) => Promise<void>): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  try {
    await use(agent);
  } finally {
    agent.destroy();
  }
}
