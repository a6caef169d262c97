// A client of HTTP/2 that says exactly which frames go (RFC 9113 §4, §6) and sees exactly which come.
import type { Socket } from "node:net";

export const frameTypes = {
  data: 0,
  headers: 1,
  priority: 2,
  resetStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const flags = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 32 } as const;

export const errors = {
  none: 0,
  protocol: 1,
  internal: 2,
  flowControl: 3,
  settingsTimeout: 4,
  streamClosed: 5,
  frameSize: 6,
  refused: 7,
  cancel: 8,
  compression: 9,
  calm: 11,
} as const;

export type FrameName = keyof typeof frameTypes;

export interface Frame {
  readonly type: FrameName;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

export function frame(type: FrameName, flag: number, stream: number, payload: Uint8Array | string = ""): Buffer {
  const octets = typeof payload === "string" ? Buffer.from(payload, "latin1") : payload;
  const head = Buffer.alloc(9);
  head.writeUIntBE(octets.length, 0, 3);
  head[3] = frameTypes[type];
  head[4] = flag;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, octets]);
}

export function uint32(value: number): Buffer {
  const octets = Buffer.alloc(4);
  octets.writeUInt32BE(value);
  return octets;
}

/** SETTINGS by number (RFC 9113 §6.5.2). */
export function settings(values: Readonly<Record<number, number>> = {}): Buffer {
  const parts = Object.entries(values).map(([id, value]) => {
    const octets = Buffer.alloc(6);
    octets.writeUInt16BE(Number(id), 0);
    octets.writeUInt32BE(value, 2);
    return octets;
  });
  return frame("settings", 0, 0, Buffer.concat(parts));
}

function hpackString(text: string): Buffer {
  const octets = Buffer.from(text, "latin1");
  return Buffer.concat([hpackInteger(octets.length, 7, 0), octets]);
}

/** RFC 7541 §5.1. */
export function hpackInteger(value: number, bits: number, first: number): Buffer {
  const most = 2 ** bits - 1;
  if (value < most) return Buffer.from([first | value]);
  const octets = [first | most];
  let rest = value - most;
  for (; rest >= 128; rest = Math.floor(rest / 128)) octets.push((rest % 128) + 128);
  return Buffer.from([...octets, rest]);
}

export type Fields = readonly (readonly [name: string, value: string])[];

/** Literals without indexing and without Huffman (RFC 7541 §6.2.2). */
export function hpack(fields: Fields): Buffer {
  return Buffer.concat(
    fields.map(([name, value]) => Buffer.concat([Buffer.from([0]), hpackString(name), hpackString(value)])),
  );
}

export const get: Fields = [
  [":method", "GET"],
  [":scheme", "http"],
  [":path", "/"],
  [":authority", "a.example"],
];

export const post: Fields = [[":method", "POST"], ...get.slice(1)];

/** HEADERS with a whole header block. */
export function headers(stream: number, fields: Fields, endStream = true): Buffer {
  return frame("headers", flags.endHeaders | (endStream ? flags.endStream : 0), stream, hpack(fields));
}

/** Reads frames from a socket that has been connected. */
export class FrameClient {
  readonly socket: Socket;
  readonly frames: Frame[] = [];
  /** The connection is gone, or the server closed its side. */
  closed = false;
  #rest: Buffer = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    for (const event of ["end", "close", "error"]) {
      socket.on(event, () => {
        this.closed = true;
      });
    }
  }

  #read(chunk: Buffer): void {
    let rest = Buffer.concat([this.#rest, chunk]);
    while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
      const end = 9 + rest.readUIntBE(0, 3);
      const name = Object.entries(frameTypes).find(([, number]) => number === rest[3])?.[0];
      if (name === undefined || !isFrameName(name)) throw new Error(`a frame of type ${rest[3]} came`);
      const stream = rest.readUInt32BE(5);
      this.frames.push({ type: name, flags: rest[4] ?? 0, stream, payload: Buffer.from(rest.subarray(9, end)) });
      rest = rest.subarray(end);
    }
    this.#rest = rest;
  }

  /** The preface and settings, and then these frames. */
  begin(...frames: readonly Buffer[]): void {
    this.send(Buffer.from(preface, "latin1"), settings(), ...frames);
  }

  send(...frames: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(frames));
  }

  of(type: FrameName, stream?: number): Frame[] {
    return this.frames.filter((each) => each.type === type && (stream === undefined || each.stream === stream));
  }

  /** The error code that the connection was closed with; undefined where it was not. */
  get goaway(): number | undefined {
    return this.of("goaway").at(-1)?.payload.readUInt32BE(4);
  }

  /** The error code that a stream was reset with. */
  reset(stream: number): number | undefined {
    return this.of("resetStream", stream)[0]?.payload.readUInt32BE(0);
  }

  /** Whether the response on a stream is whole. */
  whole(stream: number): boolean {
    return this.frames.some(
      (each) =>
        each.stream === stream &&
        (each.type === "data" || each.type === "headers") &&
        (each.flags & flags.endStream) !== 0,
    );
  }

  /** The octets of a stream's body. */
  body(stream: number): Buffer {
    return Buffer.concat(this.of("data", stream).map(({ payload }) => payload));
  }
}

function isFrameName(name: string): name is FrameName {
  return Object.hasOwn(frameTypes, name);
}
