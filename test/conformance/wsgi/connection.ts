// A client that shows what is on the wire: one connection, responses read as RFC 9112 frames them, and whether each came
// whole. fetch would hide all of it. Kept apart from Vivarium's own codec, which it is to judge.
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

export interface Response {
  readonly status: number;
  readonly reason: string;
  /** As received, in order. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
  /** latin-1. */
  readonly text: string;
  /** False when the connection ended before the body did. */
  readonly whole: boolean;
}

/** The values of a field, in order. */
export function values(response: Response, name: string): string[] {
  return response.fields.filter(([each]) => each.toLowerCase() === name.toLowerCase()).map(([, value]) => value);
}

interface Head {
  readonly status: number;
  readonly reason: string;
  readonly fields: readonly (readonly [string, string])[];
}

function parseHead(block: string): Head {
  const [statusLine = "", ...lines] = block.split("\r\n");
  const match = /^HTTP\/1\.1 (\d{3}) ([^\r\n]*)$/.exec(statusLine);
  if (match === null) throw new Error(`not a status line: ${JSON.stringify(statusLine)}`);
  const fields = lines.map((line): readonly [string, string] => {
    const field = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*$/.exec(line);
    if (field === null) throw new Error(`not a field line: ${JSON.stringify(line)}`);
    return [field[1] ?? "", field[2] ?? ""];
  });
  return { status: Number(match[1]), reason: match[2] ?? "", fields };
}

export class Connection {
  readonly #socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #closed = false;
  readonly #waiting = new Set<() => void>();

  /** `secure`: over TLS, whatever the certificate is. */
  constructor(port: number, secure = false) {
    const to = { port, host: "127.0.0.1", noDelay: true };
    this.#socket = secure ? connectTls({ ...to, rejectUnauthorized: false }) : connect(to);
    const wake = (): void => {
      for (const each of [...this.#waiting]) each();
    };
    this.#socket.on("data", (chunk) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      wake();
    });
    this.#socket.on("close", () => {
      this.#closed = true;
      wake();
    });
    // A reset is how a server cuts a response; it shows as `whole: false`.
    this.#socket.on("error", () => undefined);
  }

  send(octets: string | Uint8Array): void {
    this.#socket.write(typeof octets === "string" ? Buffer.from(octets, "latin1") : octets);
  }

  /** What was received and not read, latin-1. */
  get pendingText(): string {
    return this.#received.toString("latin1");
  }

  /** Octets that the system has not taken yet. */
  get unsent(): number {
    return this.#socket.writableLength;
  }

  /** Leaves at once, in the midst of whatever is under way. */
  leave(): void {
    this.#socket.resetAndDestroy();
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Ends this side only, behind what was sent. */
  end(): void {
    this.#socket.end();
  }

  /** Stops taking what the server sends; `leave` still works. */
  stopReading(): void {
    this.#socket.pause();
  }

  /** Waits until `text` was received, without taking it. */
  async received(text: string): Promise<void> {
    await this.#until(() => this.#received.includes(text, 0, "latin1"));
    if (!this.#received.includes(text, 0, "latin1")) throw new Error(`the connection ended before ${text}`);
  }

  /** Whether the server has closed the connection, waiting for it; what it still sent counts as not closed. */
  async ended(): Promise<boolean> {
    await this.#until(() => this.#received.length > 0);
    return this.#closed && this.#received.length === 0;
  }

  #until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!condition() && !this.#closed) return;
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
      look();
    });
  }

  #take(octets: number): Buffer {
    const taken = this.#received.subarray(0, octets);
    this.#received = this.#received.subarray(octets);
    return taken;
  }

  async #line(): Promise<string | undefined> {
    await this.#until(() => this.#received.includes("\r\n"));
    const end = this.#received.indexOf("\r\n");
    return end < 0 ? undefined : this.#take(end + 2).toString("latin1", 0, end);
  }

  /** The octets, or fewer where the connection ended. */
  async #octets(count: number): Promise<Buffer> {
    await this.#until(() => this.#received.length >= count);
    return this.#take(count);
  }

  async #head(): Promise<Head> {
    await this.#until(() => this.#received.includes("\r\n\r\n"));
    const end = this.#received.indexOf("\r\n\r\n");
    if (end < 0) throw new Error(`the connection ended without a response: ${this.#received.toString("latin1")}`);
    return parseHead(this.#take(end + 4).toString("latin1", 0, end));
  }

  /** RFC 9112 §7.1. */
  async #chunked(): Promise<{ body: Buffer; whole: boolean }> {
    const chunks: Buffer[] = [];
    for (;;) {
      const line = await this.#line();
      const size = line !== undefined && /^[0-9A-Fa-f]+$/.test(line) ? Number.parseInt(line, 16) : undefined;
      if (line !== undefined && size === undefined) throw new Error(`not a chunk size: ${JSON.stringify(line)}`);
      if (size === undefined) return { body: Buffer.concat(chunks), whole: false };
      const chunk = await this.#octets(size);
      chunks.push(chunk);
      const end = await this.#line();
      if (end !== undefined && end !== "") throw new Error(`not the end of a chunk: ${JSON.stringify(end)}`);
      if (end === undefined || size === 0) return { body: Buffer.concat(chunks), whole: end !== undefined };
    }
  }

  /** Reads one response to a request of `method`; RFC 9112 §6.3 says where it ends. */
  async response(method = "GET"): Promise<Response> {
    let head = await this.#head();
    while (head.status < 200) head = await this.#head();
    const of = (name: string): string | undefined =>
      head.fields.find(([each]) => each.toLowerCase() === name.toLowerCase())?.[1];
    const length = of("content-length");
    let body: Buffer = Buffer.alloc(0);
    let whole = true;
    if (method !== "HEAD" && head.status !== 204 && head.status !== 304) {
      if (of("transfer-encoding") === "chunked") ({ body, whole } = await this.#chunked());
      else if (length !== undefined) {
        body = await this.#octets(Number(length));
        whole = body.length === Number(length);
      } else {
        await this.#until(() => false);
        body = this.#take(this.#received.length);
      }
    }
    return { ...head, body, text: body.toString("latin1"), whole };
  }
}
