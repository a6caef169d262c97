// A FastCGI application that does exactly what a test says.
import type { TestContext } from "node:test";
import { decodePairs } from "../../src/protocol/fastcgi/params.js";
import { RequestDecoder, type RequestEvent } from "../../src/protocol/fastcgi/request-decoder.js";
import { encodeEnd, encodeErrors, encodeOutput, encodeValues } from "../../src/protocol/fastcgi/response-encoder.js";
import { type Accepted, type FakeServer, fakeServer, oneByOne } from "./support.js";

/** A request that has arrived whole. */
export class Asked {
  readonly id: number;
  readonly connection: Accepted;
  readonly variables: ReadonlyMap<string, string>;
  readonly keepConnection: boolean;
  readonly #release: () => void;
  body = "";
  aborted = false;

  constructor(connection: Accepted, event: Extract<RequestEvent, { type: "request" }>, release: () => void) {
    this.id = event.id;
    this.connection = connection;
    this.keepConnection = event.keepConnection;
    this.#release = release;
    const { params: pairs } = event;
    this.variables = new Map(pairs.flatMap((name, at) => (at % 2 === 0 ? [[name, pairs[at + 1] ?? ""] as const] : [])));
  }

  /** A part of STDOUT. */
  write(text: string): void {
    send(this.connection, encodeOutput(this.id, [Buffer.from(text, "latin1")], false));
  }
  errors(text: string): void {
    send(this.connection, encodeErrors(this.id, Buffer.from(text)));
  }
  /** The rest of STDOUT, and END_REQUEST. */
  answer(text: string, applicationStatus = 0): void {
    this.#release();
    send(this.connection, encodeOutput(this.id, [Buffer.from(text, "latin1")], true, applicationStatus));
  }
  /** END_REQUEST alone. */
  end(status: number): void {
    this.#release();
    send(this.connection, encodeEnd(this.id, status));
  }
}

export function send(connection: Accepted, octets: Uint8Array | readonly Uint8Array[]): void {
  for (const part of octets instanceof Uint8Array ? [octets] : octets) connection.socket.write(part);
}

export interface Application extends FakeServer {
  /** Requests that arrived whole, in order. */
  readonly asked: readonly Asked[];
}

export interface ApplicationOptions {
  /** What it answers to GET_VALUES; undefined: nothing, as uWSGI. */
  readonly multiplexes?: 0 | 1;
  /** Closes connections after the first request, whatever it was asked. */
  readonly closes?: boolean;
  /** Serves one connection at a time. */
  readonly oneByOne?: boolean;
}

/** Answers what arrives with `serve`, until the test ends. */
export async function application(
  context: TestContext,
  serve: (asked: Asked) => void,
  { multiplexes, closes = false, oneByOne: single = false }: ApplicationOptions = {},
): Promise<Application> {
  const asked: Asked[] = [];
  const serveConnection = (connection: Accepted): void => {
    const decoder = new RequestDecoder({ maxParams: 2 ** 24, maxRequests: 65_535 }, decodePairs);
    const open = new Map<number, Asked>();
    connection.socket.on("data", (chunk) => {
      decoder.receive(chunk);
      for (let event = decoder.next(); event !== undefined; event = decoder.next()) {
        if (event.type === "values" && multiplexes !== undefined) {
          send(
            connection,
            encodeValues(event.names, { FCGI_MAX_CONNS: 10, FCGI_MAX_REQS: 5000, FCGI_MPXS_CONNS: multiplexes }),
          );
        } else if (event.type === "request") {
          const { id, keepConnection } = event;
          const release = () => {
            decoder.release(id);
            open.delete(id);
            if (!keepConnection || closes) setImmediate(() => connection.socket.end());
          };
          open.set(id, new Asked(connection, event, release));
        } else if (event.type === "body") {
          const request = open.get(event.id);
          if (request !== undefined) request.body += Buffer.from(event.octets).toString("latin1");
        } else if (event.type === "end") {
          const request = open.get(event.id);
          if (request === undefined) continue;
          asked.push(request);
          serve(request);
        } else if (event.type === "abort") {
          const request = open.get(event.id);
          if (request !== undefined) request.aborted = true;
        }
      }
    });
    connection.socket.on("end", () => connection.socket.end());
  };
  const server = await fakeServer(context, single ? oneByOne(serveConnection) : serveConnection);
  return { ...server, asked };
}
