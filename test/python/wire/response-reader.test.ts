import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { lateFlag, responseFlag } from "../../../src/python/wire/frames.js";
import { type ResponseListener, ResponseReader } from "../../../src/python/wire/response-reader.js";
import { SharedBodies } from "../../../src/python/wire/shared-bodies.js";
import { cuts, type Frame, memoryOf, text, vectors } from "./vectors.js";

/** What a reader tells, however many pieces the octets came in: neighbouring pieces of a body are one entry. */
class Log implements ResponseListener {
  readonly entries: unknown[][] = [];

  hello(json: string): void {
    this.entries.push(["hello", JSON.parse(json)]);
  }
  response(id: number, status: number, flags: number, head: Buffer, body: Buffer | undefined, last: boolean): void {
    const { hasLength, hasDate, closes } = responseFlag;
    const told = [hasLength, hasDate, closes].map((flag) => (flags & flag) !== 0);
    this.entries.push(["head", id, status, head.toString("latin1"), ...told]);
    this.#octets(id, body?.toString("latin1") ?? "", last);
  }
  data(id: number, octets: Buffer, last: boolean): void {
    this.#octets(id, octets.toString("latin1"), last);
  }
  fail(id: number): void {
    this.entries.push(["fail", id]);
  }
  returned(id: number): void {
    this.entries.push(["returned", id]);
  }
  dropped(id: number): void {
    this.entries.push(["dropped", id]);
  }
  late(id: number, flags: number, stack: string): void {
    this.entries.push(["late", id, flags, stack]);
  }
  retire(kib: number): void {
    this.entries.push(["retire", kib]);
  }
  shared(has: boolean): void {
    this.entries.push(["shared", has]);
  }
  bodyCredit(id: number, octets: number): void {
    this.entries.push(["bodyCredit", id, octets]);
  }
  inform(id: number, status: number, fields: Buffer): void {
    this.entries.push(["inform", id, status, fields.toString("latin1")]);
  }
  trailers(id: number, fields: Buffer): void {
    this.entries.push(["trailers", id, fields.toString("latin1")]);
  }
  path(id: number, status: number, flags: number, head: Buffer, path: string): void {
    this.entries.push(["path", id, status, flags, head.toString("latin1"), path]);
  }
  socketMessage(id: number, octets: Buffer, text: boolean): void {
    this.entries.push(["message", id, octets.toString("latin1"), text]);
  }
  socketClose(id: number, code: number, reason: string): void {
    this.entries.push(["close", id, code, reason]);
  }
  ended(id: number, wall: number, cpu: number): void {
    this.entries.push(["ended", id, wall, cpu]);
  }

  #octets(id: number, octets: string, last: boolean): void {
    const latest = this.entries.at(-1);
    if (octets !== "") {
      if (latest?.[0] === "body" && latest[1] === id) latest[2] = `${latest[2]}${octets}`;
      else this.entries.push(["body", id, octets]);
    }
    if (last) this.entries.push(["last", id]);
  }
}

function expected(frames: readonly Frame[]): unknown[][] {
  const log = new Log();
  for (const frame of frames) {
    const flags =
      "hasLength" in frame
        ? (frame.hasLength ? responseFlag.hasLength : 0) |
          (frame.hasDate ? responseFlag.hasDate : 0) |
          (frame.closes ? responseFlag.closes : 0)
        : 0;
    const head = "reason" in frame ? Buffer.from(`${frame.reason}\r\n${frame.fields}`, "latin1") : Buffer.alloc(0);
    if (frame.frame === "HELLO") {
      const { worker, pid, threads } = frame;
      log.hello(JSON.stringify({ worker, pid, threads }));
    } else if (frame.frame === "RESPONSE") {
      log.response(frame.id, frame.status, flags, head, Buffer.from(text(frame.body), "latin1"), frame.last);
    } else if (frame.frame === "DATA") log.data(frame.id, Buffer.from(text(frame.body), "latin1"), frame.last);
    else if (frame.frame === "SHARED") log.shared(frame.has === true);
    else if (frame.frame === "FAIL") log.fail(frame.id);
    else if (frame.frame === "RETURNED") log.returned(frame.id);
    else if (frame.frame === "DROPPED") log.dropped(frame.id);
    else if (frame.frame === "LATE") {
      log.late(
        frame.id,
        frame.flags.reduce((sum, flag) => sum | lateFlag[flag], 0),
        frame.stack,
      );
    } else if (frame.frame === "RETIRE") log.retire(frame.kib);
    else if (frame.frame === "BODY_CREDIT") log.bodyCredit(frame.id, frame.octets);
    else if (frame.frame === "INFORM") log.inform(frame.id, frame.status, Buffer.from(frame.fields, "latin1"));
    else if (frame.frame === "TRAILERS") log.trailers(frame.id, Buffer.from(frame.fields, "latin1"));
    else if (frame.frame === "PATH") log.path(frame.id, frame.status, flags, head, frame.path);
    else if (frame.frame === "MESSAGE")
      log.socketMessage(frame.id, Buffer.from(text(frame.body), "latin1"), frame.text);
    else if (frame.frame === "CLOSE") log.socketClose(frame.id, frame.code, frame.because);
    else assert.fail(`a worker does not write ${frame.frame}`);
    if ("last" in frame ? frame.last : "wall" in frame) {
      assert.ok("wall" in frame);
      log.ended(frame.id, frame.wall, frame.cpu);
    }
  }
  return log.entries;
}

function read(pieces: readonly Uint8Array[], memory: Uint8Array): unknown[][] {
  const log = new Log();
  const reader = new ResponseReader(log);
  reader.bodies = new SharedBodies(memory);
  for (const piece of pieces) reader.receive(Buffer.from(piece));
  return log.entries;
}

describe("the response reader", () => {
  for (const { name, octets, frames } of vectors("responses")) {
    const want = expected(frames);
    const memory = memoryOf(frames);

    test(`${name}: whole`, () => {
      assert.deepEqual(read([octets], memory), want);
    });

    test(`${name}: cut in two at every place`, () => {
      for (const at of cuts(octets.length)) {
        assert.deepEqual(read([octets.subarray(0, at), octets.subarray(at)], memory), want, `cut at ${at}`);
      }
    });

    test(`${name}: octet by octet`, () => {
      const pieces = [...octets].map((octet) => Uint8Array.of(octet));
      assert.deepEqual(read(pieces, memory), want);
    });

    test(`${name}: thrice, in pieces of 7`, () => {
      const all = Buffer.concat([octets, octets, octets]);
      const pieces = Array.from({ length: Math.ceil(all.length / 7) }, (_, n) => all.subarray(n * 7, n * 7 + 7));
      assert.deepEqual(read(pieces, memory), [...want, ...want, ...want]);
    });
  }

  test("a body is passed on before it is whole", () => {
    const log = new Log();
    const reader = new ResponseReader(log);
    const [vector] = vectors("responses").filter(({ name }) => name === "A whole response");
    assert.ok(vector !== undefined);
    reader.receive(vector.octets.subarray(0, -2));
    assert.deepEqual(log.entries.slice(1), [["body", 1, "hel"]]);
  });
});
