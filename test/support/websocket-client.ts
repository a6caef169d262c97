// A WebSocket client that sends exactly the frames a test says, and notes each that comes (RFC 6455 §5.2).
import { once } from "node:events";
import { createConnection, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { acceptOf } from "../../src/protocol/websocket/handshake.js";

export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export interface Frame {
  readonly opcode: number;
  readonly fin: boolean;
  /** RSV1: compressed. */
  readonly rsv1: boolean;
  readonly payload: Buffer;
}

export interface FrameOptions {
  readonly fin?: boolean;
  readonly masked?: boolean;
  /** RSV bits, 4, 2 and 1. */
  readonly rsv?: number;
  /** What the header says, where that is not the truth. */
  readonly length?: number;
}

/** Milliseconds for what another process is to bring about. */
const patience = 30_000;

const key = "dGhlIHNhbXBsZSBub25jZQ==";

/** The head of a request for a WebSocket; `fields` are further lines, or others in place of those of the same name. */
export function handshake(target = "/", fields: Readonly<Record<string, string>> = {}): string {
  const all = {
    Host: "example.org",
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Key": key,
    "Sec-WebSocket-Version": "13",
    ...fields,
  };
  const lines = Object.entries(all).map(([name, value]) => (value === "" ? "" : `${name}: ${value}\r\n`));
  return `GET ${target} HTTP/1.1\r\n${lines.join("")}\r\n`;
}

/** A client's frame. */
export function frame(opcode: number, payload: Uint8Array | string = "", options: FrameOptions = {}): Buffer {
  const octets = Buffer.from(payload);
  const { fin = true, masked = true, rsv = 0, length = octets.length } = options;
  const first = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  const mask = masked ? 0x80 : 0;
  let head: Buffer;
  if (length < 126) head = Buffer.from([first, mask | length]);
  else if (length < 65536) {
    head = Buffer.from([first, mask | 126, 0, 0]);
    head.writeUInt16BE(length, 2);
  } else {
    head = Buffer.from([first, mask | 127, 0, 0, 0, 0, 0, 0, 0, 0]);
    head.writeBigUInt64BE(BigInt(length), 2);
  }
  if (!masked) return Buffer.concat([head, octets]);
  const masking = Buffer.from([0x12, 0x34, 0x56, 0x78]);
  return Buffer.concat([head, masking, octets.map((octet, at) => octet ^ (masking[at % 4] ?? 0))]);
}

export function closePayload(code: number, reason = ""): Buffer {
  const text = Buffer.from(reason);
  return Buffer.concat([Buffer.from([code >> 8, code & 255]), text]);
}

/** On a connection, or on what is one as far as octets go. */
export class WebSocketClient<Carrier extends Duplex = Socket> {
  readonly socket: Carrier;
  /** The head of the response, "" before it is whole. */
  head = "";
  readonly frames: Frame[] = [];
  /** Octets of the body of an answer that is no 101. */
  body = "";
  ended = false;
  #pending: Buffer = Buffer.alloc(0);
  #accepted: boolean;
  readonly #waiting = new Set<() => void>();

  /** `head`: of the response that was had already. */
  constructor(socket: Carrier, head = "") {
    this.socket = socket;
    this.head = head;
    this.#accepted = head !== "";
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("error", () => {});
    for (const event of ["end", "close"]) {
      socket.on(event, () => {
        this.ended = true;
        this.#notify();
      });
    }
  }

  static async connect(port: number): Promise<WebSocketClient> {
    const socket = createConnection({ port, host: "127.0.0.1", allowHalfOpen: true });
    await once(socket, "connect");
    return new WebSocketClient(socket);
  }

  /** Connects and becomes a WebSocket. */
  static async open(
    port: number,
    target = "/",
    fields: Readonly<Record<string, string>> = {},
  ): Promise<WebSocketClient> {
    const client = await WebSocketClient.connect(port);
    client.socket.write(handshake(target, fields));
    await client.until(() => client.head !== "");
    if (!client.head.includes(`Sec-WebSocket-Accept: ${acceptOf(key)}\r\n`)) throw new Error(client.head);
    return client;
  }

  get status(): number {
    return Number(this.head.slice(9, 12));
  }

  send(...frames: readonly Uint8Array[]): void {
    this.socket.write(Buffer.concat(frames));
  }

  text(message: string): void {
    this.send(frame(opcodes.text, message));
  }

  binary(message: Uint8Array): void {
    this.send(frame(opcodes.binary, message));
  }

  /** Sends a Close; without a code an empty one. */
  close(code?: number, reason?: string): void {
    this.send(frame(opcodes.close, code === undefined ? "" : closePayload(code, reason)));
  }

  /** The next frame that was not taken. */
  async next(): Promise<Frame> {
    await this.until(() => this.frames.length > 0);
    const first = this.frames.shift();
    if (first === undefined) throw new Error("no frame");
    return first;
  }

  /** The next frame, as "text hello", "close 1000 bye" or "pong ab". */
  async nextText(): Promise<string> {
    const { opcode, payload } = await this.next();
    const name = Object.entries(opcodes).find(([, value]) => value === opcode)?.[0] ?? String(opcode);
    if (opcode !== opcodes.close) return `${name} ${payload.toString()}`.trim();
    return payload.length === 0 ? name : `${name} ${payload.readUInt16BE(0)} ${payload.subarray(2).toString()}`.trim();
  }

  /** Resolves when it holds; rejects where the connection ended before. */
  until(holds: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const overdue = setTimeout(() => {
        this.#waiting.delete(look);
        reject(new Error(`Waited in vain for ${holds}: ${JSON.stringify(this.head + this.body)}`));
      }, patience);
      const look = (): void => {
        if (!holds()) {
          if (!this.ended) return;
          reject(new Error(`The connection ended: ${JSON.stringify(this.head + this.body)}`));
        }
        this.#waiting.delete(look);
        clearTimeout(overdue);
        resolve();
      };
      this.#waiting.add(look);
      look();
    });
  }

  untilEnd(): Promise<void> {
    return this.until(() => this.ended);
  }

  destroy(): void {
    this.socket.destroy();
  }

  #notify(): void {
    for (const look of this.#waiting) look();
  }

  #receive(chunk: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    if (this.head === "") {
      const end = this.#pending.indexOf("\r\n\r\n");
      if (end < 0) return;
      this.head = this.#pending.toString("latin1", 0, end + 4);
      this.#pending = this.#pending.subarray(end + 4);
      this.#accepted = this.status === 101;
    }
    if (this.#accepted) while (this.#maybeFrame());
    else {
      this.body += this.#pending.toString("latin1");
      this.#pending = Buffer.alloc(0);
    }
    this.#notify();
  }

  #maybeFrame(): boolean {
    const octets = this.#pending;
    if (octets.length < 2) return false;
    const [first = 0, second = 0] = octets;
    let at = 2;
    let length = second & 127;
    if (length === 126) {
      if (octets.length < 4) return false;
      length = octets.readUInt16BE(2);
      at = 4;
    } else if (length === 127) {
      if (octets.length < 10) return false;
      length = Number(octets.readBigUInt64BE(2));
      at = 10;
    }
    if (octets.length < at + length) return false;
    const payload = Buffer.from(octets.subarray(at, at + length));
    this.frames.push({ opcode: first & 15, fin: (first & 128) !== 0, rsv1: (first & 64) !== 0, payload });
    this.#pending = octets.subarray(at + length);
    return true;
  }
}
