// Octets from a worker in, calls out. Heads are put together when they arrive in pieces; bodies are passed on piece by
// piece, without a copy, so that a large response needs no more memory than its pieces.
import { messageFlag, placed, placeSize, responseFlag, sharedFlag, toFront, toFrontHeader } from "./frames.js";
import type { Bodies } from "./shared-bodies.js";

/** Who is told. Ids are those of the requests. Octets given are views of the chunk received: valid while unchanged. */
export interface ResponseListener {
  hello(json: string): void;
  /** `head` is reason phrase CR LF field lines. */
  response(id: number, status: number, flags: number, head: Buffer, body: Buffer | undefined, last: boolean): void;
  data(id: number, octets: Buffer, last: boolean): void;
  fail(id: number): void;
  returned(id: number): void;
  dropped(id: number): void;
  /** See `lateFlag`. `stack` may be "". */
  late(id: number, flags: number, stack: string): void;
  /** The worker asks to be replaced: it has so many KiB of memory. */
  retire(kib: number): void;
  /** The application took so many octets of the request's body; 0: it waits for some. */
  bodyCredit(id: number, octets: number): void;
  /** An interim response. */
  inform(id: number, status: number, fields: Buffer): void;
  /** The response ends with these field lines. */
  trailers(id: number, fields: Buffer): void;
  /** As `response`; the body is what the file with this path holds. */
  path(id: number, status: number, flags: number, head: Buffer, path: string): void;
  /** Whether the worker has the memory for bodies. */
  shared(has: boolean): void;
  /** A WebSocket's message; the octets are the listener's. */
  socketMessage(id: number, octets: Buffer, text: boolean): void;
  /** A WebSocket is to be closed; 0: where it was not. */
  socketClose(id: number, code: number, reason: string): void;
  /** After `last`, `fail`, `trailers` or `path`: the request's execution took so many µs. */
  ended(id: number, wall: number, cpu: number): void;
}

function headAndPath(chunk: Buffer, at: number, end: number): [head: Buffer, path: string] {
  const start = at + toFrontHeader;
  const headEnd = start + chunk.readUInt32LE(at + 12);
  return [chunk.subarray(start, headEnd), chunk.toString("utf8", headEnd, end)];
}

const empty = Buffer.alloc(0);

interface Message {
  readonly id: number;
  readonly text: boolean;
  readonly octets: Buffer;
  filled: number;
}

export class ResponseReader {
  readonly #listener: ResponseListener;
  /** Where the worker puts bodies. */
  bodies: Bodies | undefined;
  /** The beginning of a frame whose rest has not arrived. */
  #rest: Buffer = empty;
  // A body that is passed on while it arrives.
  #bodyLeft = 0;
  #bodyId = 0;
  #bodyLast = false;
  #bodyWall = 0;
  #bodyCpu = 0;
  /** A message that arrives in pieces. */
  #message: Message | undefined;

  constructor(listener: ResponseListener) {
    this.#listener = listener;
  }

  receive(received: Buffer): void {
    let chunk = received;
    let at = 0;
    if (this.#bodyLeft > 0) at = this.#continue(chunk, 0);
    else if (this.#message !== undefined) at = this.#gather(this.#message, chunk, 0);
    if (this.#rest.length > 0) {
      chunk = Buffer.concat([this.#rest, chunk]);
      this.#rest = empty;
    }
    while (chunk.length - at >= toFrontHeader) {
      const next = this.#frame(chunk, at);
      if (next < 0) break;
      at = next;
    }
    if (at < chunk.length) this.#rest = at === 0 ? chunk : chunk.subarray(at);
  }

  /** Reads the frame at `at`; returns where the next begins, or -1 when more octets are needed. */
  #frame(chunk: Buffer, at: number): number {
    const size = chunk.readUInt32LE(at);
    const id = chunk.readUInt32LE(at + 4);
    const type = chunk[at + 8] ?? 0;
    if (type >= placed) return this.#placed(chunk, at, size, id, type - placed);
    const flags = chunk[at + 9] ?? 0;
    const start = at + toFrontHeader;
    const end = start + size;
    const there = Math.min(end, chunk.length);
    const last = (flags & responseFlag.last) !== 0;
    const listener = this.#listener;
    switch (type) {
      case toFront.response: {
        const headEnd = start + chunk.readUInt32LE(at + 12);
        if (headEnd > there) return -1;
        const head = chunk.subarray(start, headEnd);
        const status = chunk.readUInt16LE(at + 10);
        const body = headEnd === there ? undefined : chunk.subarray(headEnd, there);
        listener.response(id, status, flags, head, body, last && there === end);
        break;
      }
      case toFront.data:
        if (there > start || last) listener.data(id, chunk.subarray(start, there), last && there === end);
        break;
      case toFront.fail:
        listener.fail(id);
        break;
      case toFront.returned:
        listener.returned(id);
        return end;
      case toFront.dropped:
        listener.dropped(id);
        return end;
      case toFront.late:
        if (end > chunk.length) return -1;
        listener.late(id, flags, chunk.toString("utf8", start, end));
        return end;
      case toFront.retire:
        listener.retire(chunk.readUInt32LE(at + 16));
        return end;
      case toFront.bodyCredit:
        listener.bodyCredit(id, chunk.readUInt32LE(at + 16));
        return end;
      case toFront.shared:
        listener.shared((flags & sharedFlag.has) !== 0);
        return end;
      case toFront.inform:
        if (end > chunk.length) return -1;
        listener.inform(id, chunk.readUInt16LE(at + 10), chunk.subarray(start, end));
        return end;
      case toFront.trailers:
        if (end > chunk.length) return -1;
        listener.trailers(id, chunk.subarray(start, end));
        break;
      case toFront.message: {
        const text = (flags & messageFlag.text) !== 0;
        if (end <= chunk.length) {
          listener.socketMessage(id, Buffer.from(chunk.subarray(start, end)), text);
          return end;
        }
        this.#message = { id, text, octets: Buffer.allocUnsafe(size), filled: 0 };
        return this.#gather(this.#message, chunk, start);
      }
      case toFront.close:
        if (end > chunk.length) return -1;
        listener.socketClose(id, chunk.readUInt16LE(at + 10), chunk.toString("utf8", start, end));
        if (!last) return end;
        break;
      case toFront.path:
        if (end > chunk.length) return -1;
        listener.path(id, chunk.readUInt16LE(at + 10), flags, ...headAndPath(chunk, at, end));
        break;
      default:
        if (end > chunk.length) return -1;
        listener.hello(chunk.toString("utf8", start, end));
        return end;
    }
    const wall = chunk.readUInt32LE(at + 16);
    const cpu = chunk.readUInt32LE(at + 20);
    if (there < end) {
      this.#bodyLeft = end - there;
      this.#bodyId = id;
      this.#bodyLast = last;
      this.#bodyWall = wall;
      this.#bodyCpu = cpu;
    } else if (last || type === toFront.fail || type === toFront.trailers || type === toFront.path) {
      listener.ended(id, wall, cpu);
    }
    return there;
  }

  /** A frame whose body is elsewhere; as `#frame`. */
  #placed(chunk: Buffer, at: number, size: number, id: number, type: number): number {
    const start = at + toFrontHeader;
    const end = start + size;
    if (end > chunk.length) return -1;
    const place = end - placeSize;
    const body = this.bodies?.take(chunk.readUInt32LE(place), chunk.readUInt32LE(place + 4));
    const flags = chunk[at + 9] ?? 0;
    const last = (flags & responseFlag.last) !== 0;
    const listener = this.#listener;
    if (type === toFront.response) {
      listener.response(id, chunk.readUInt16LE(at + 10), flags, chunk.subarray(start, place), body, last);
    } else if (body !== undefined) listener.data(id, body, last);
    if (last) listener.ended(id, chunk.readUInt32LE(at + 16), chunk.readUInt32LE(at + 20));
    return end;
  }

  /** Takes the next piece of a message; returns where it ends in the chunk. */
  #gather(message: Message, chunk: Buffer, at: number): number {
    const { id, text, octets } = message;
    const copied = chunk.copy(octets, message.filled, at);
    message.filled += copied;
    if (message.filled === octets.length) {
      this.#message = undefined;
      this.#listener.socketMessage(id, octets, text);
    }
    return at + copied;
  }

  /** Passes on the next piece of a body; returns where it ends in the chunk. */
  #continue(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.#bodyLeft);
    this.#bodyLeft -= end - at;
    const last = this.#bodyLast && this.#bodyLeft === 0;
    this.#listener.data(this.#bodyId, chunk.subarray(at, end), last);
    if (last) this.#listener.ended(this.#bodyId, this.#bodyWall, this.#bodyCpu);
    return end;
  }
}
