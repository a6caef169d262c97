// Requests as a web server in front sends them, one on a connection of its own, and what it makes of the answer: whole or cut,
// which is what keeps half a page from being taken for all of it.
import { connect, type Socket } from "node:net";
import type { ListenProtocol } from "../../src/config/config.js";
import { VivariumError } from "../../src/errors.js";
import { encodeRequest as encodeFastCgi } from "../../src/protocol/fastcgi/request-encoder.js";
import { ResponseDecoder } from "../../src/protocol/fastcgi/response-decoder.js";
import { encodeRequest as encodeScgi } from "../../src/protocol/scgi/request-encoder.js";
import { encodeRequest as encodeUwsgi } from "../../src/protocol/uwsgi/request-encoder.js";

export type DoorProtocol = Exclude<ListenProtocol, "http" | "https">;

/** What came of a request. */
export interface Answered {
  /** 0 where there was no head. */
  readonly status: number;
  /** Latin-1. */
  readonly fields: string;
  readonly body: string;
  readonly whole: boolean;
}

const requestId = 1;

function encoded(protocol: DoorProtocol, method: string, target: string, body: Buffer): readonly Uint8Array[] {
  const [path = "", query = ""] = target.split("?");
  const variables = {
    ...{ REQUEST_METHOD: method, REQUEST_URI: target, SCRIPT_NAME: "", PATH_INFO: path, QUERY_STRING: query },
    ...{ SERVER_PROTOCOL: "HTTP/1.1", SERVER_NAME: "test", SERVER_PORT: "80", REMOTE_ADDR: "192.0.2.7" },
    ...(body.length === 0 ? {} : { CONTENT_LENGTH: String(body.length) }),
  };
  const joined = Object.entries(variables)
    .map(([name, value]) => `${name}\0${value}`)
    .join("\0");
  switch (protocol) {
    case "fastcgi":
      return [encodeFastCgi(requestId, false, joined, body.length === 0 ? undefined : body, true)].flat();
    case "scgi":
      return [encodeScgi(joined, body.length), body];
    case "uwsgi":
      return [encodeUwsgi(joined), body];
  }
}

export class DoorRequest {
  readonly #protocol: DoorProtocol;
  readonly #socket: Socket;
  readonly #chunks: Buffer[] = [];
  readonly #closed: Promise<void>;
  #connected = false;
  /** The connection did not end as one that was closed. */
  #broken = false;
  #look: () => void = () => {};

  /** Sent at once. */
  constructor(protocol: DoorProtocol, port: number, target: string, method = "GET", body = "") {
    this.#protocol = protocol;
    this.#socket = connect({ port, host: "127.0.0.1" }, () => {
      this.#connected = true;
    });
    for (const octets of encoded(protocol, method, target, Buffer.from(body))) this.#socket.write(octets);
    this.#socket.on("data", (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#look();
    });
    this.#socket.on("error", () => {
      this.#broken = true;
    });
    this.#closed = new Promise((resolve) => {
      this.#socket.on("close", () => {
        resolve();
        this.#look();
      });
    });
  }

  /** Whether there was a server to connect to. */
  get connected(): boolean {
    return this.#connected;
  }

  /** Resolves when something of an answer has come, or will not come any more. */
  begun(): Promise<void> {
    return new Promise((resolve) => {
      this.#look = () => {
        if (this.#chunks.length > 0 || this.#socket.closed) resolve();
      };
      this.#look();
    });
  }

  /** When the connection has ended. */
  async answer(): Promise<Answered> {
    await this.#closed;
    const received = Buffer.concat(this.#chunks);
    const { octets, whole } =
      this.#protocol === "fastcgi" ? standardOutput(received) : { octets: received, whole: !this.#broken };
    const text = octets.toString("latin1");
    const end = text.indexOf("\r\n\r\n");
    if (end < 0) return { status: 0, fields: "", body: "", whole: false };
    const fields = text.slice(0, end + 2);
    const body = text.slice(end + 4);
    const status = Number(/^(?:HTTP\/1\.[01]|Status:) (\d{3}) /.exec(fields)?.[1] ?? 0);
    const length = /\r\ncontent-length: *(\d+)\r\n/i.exec(fields)?.[1];
    return { status, fields, body, whole: whole && (length === undefined || body.length === Number(length)) };
  }
}

/** What a FastCGI application wrote, and whether it said that this was all. */
function standardOutput(received: Buffer): { readonly octets: Buffer; readonly whole: boolean } {
  const decoder = new ResponseDecoder();
  decoder.begin(requestId);
  decoder.receive(received);
  const parts: Buffer[] = [];
  let whole = false;
  try {
    for (let event = decoder.next(); event !== undefined; event = decoder.next()) {
      if (event.type === "stdout") parts.push(event.octets);
      else if (event.type === "end") whole = event.protocolStatus === 0;
    }
  } catch (error) {
    if (!(error instanceof VivariumError)) throw error;
    whole = false;
  }
  return { octets: Buffer.concat(parts), whole };
}
