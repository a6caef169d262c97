import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { requestFlag } from "../../../src/python/wire/frames.js";
import { RequestWriter, type Sink } from "../../../src/python/wire/request-writer.js";
import { SharedBodies, sharedSize } from "../../../src/python/wire/shared-bodies.js";
import { type Frame, joined, memoryOf, text, vectors } from "./vectors.js";

/** A socket that takes everything at once, or nothing until it is asked to. */
class TestSink implements Sink {
  readonly #taken: Uint8Array[] = [];
  readonly #lazy: boolean;
  #waiting: Uint8Array[] = [];
  writes = 0;
  unsent = 0;

  constructor(lazy: boolean) {
    this.#lazy = lazy;
  }

  write(octets: Uint8Array): void {
    this.writes += 1;
    if (this.#lazy) {
      // As a socket that is full: these octets are read when there is room, and must not have changed by then.
      this.#waiting.push(octets);
      this.unsent += octets.length;
    } else {
      this.#taken.push(Buffer.from(octets));
    }
  }

  received(): Buffer {
    this.#taken.push(...this.#waiting);
    this.#waiting = [];
    this.unsent = 0;
    return Buffer.concat(this.#taken);
  }
}

function tell(writer: RequestWriter, frame: Frame): void {
  if (frame.frame === "CANCEL") writer.cancel(frame.id);
  else if (frame.frame === "INPUT-ENDED") writer.inputEnded(frame.id);
  else if (frame.frame === "CREDIT") writer.credit(frame.id, frame.octets);
  else if (frame.frame === "LIMIT") writer.limit(frame.id, frame.milliseconds);
  else if (frame.frame === "MESSAGE") {
    writer.message(frame.id, Buffer.from(text(frame.body), "latin1"), frame.text);
  } else if (frame.frame === "CLOSE") writer.close(frame.id, frame.code, frame.because);
  else if (frame.frame === "END") writer.end();
  else if (frame.frame === "SHARED") writer.share(frame.path ?? "");
  else if (frame.frame === "REQUEST") {
    const shared = joined(frame.shared ?? {});
    const variables = joined({ ...frame.shared, ...frame.variables });
    const body = text(frame.body);
    const octets = body === "" ? undefined : Buffer.from(body, "latin1");
    const flags =
      (frame.handOver ? requestFlag.handOver : 0) |
      (frame.inFile ? requestFlag.bodyInFile : 0) |
      (frame.webSocket === true ? requestFlag.webSocket : 0) |
      (frame.follows === true ? requestFlag.bodyFollows : 0) |
      (frame.number === undefined ? 0 : requestFlag.numbered) |
      (frame.takes ?? []).reduce((sum, flag) => sum | requestFlag[flag], 0);
    if (frame.kept === true) writer.request(frame.id, flags, "", 0, octets, frame.number);
    else writer.request(frame.id, flags, variables, shared.length, octets, frame.number);
  } else if (frame.frame === "BODY") {
    writer.body(frame.id, Buffer.from(text(frame.body), "latin1"), frame.last);
  } else assert.fail(`a front does not write ${frame.frame}`);
}

/** Whether any of these bodies is to be in memory that both have. */
function placed(frames: readonly Frame[]): boolean {
  return frames.some((frame) => "at" in frame);
}

describe("the request writer", () => {
  for (const { name, octets, frames } of vectors("requests")) {
    for (const lazy of [false, true]) {
      test(`${name}${lazy ? ", to a socket that is full" : ""}`, () => {
        const sink = new TestSink(lazy);
        const writer = new RequestWriter(sink);
        const memory = new Uint8Array(sharedSize);
        if (placed(frames)) writer.bodies = new SharedBodies(memory);
        for (const frame of frames) tell(writer, frame);
        writer.flush();
        assert.equal(writer.pending, 0);
        assert.ok(sink.received().equals(octets), "the octets differ");
        assert.ok(memoryOf(frames).equals(memory), "the bodies differ");
      });

      test(`${name}${lazy ? ", to a socket that is full" : ""}, frame by frame, thrice`, () => {
        const sink = new TestSink(lazy);
        const writer = new RequestWriter(sink);
        for (let times = 0; times < 3; times += 1) {
          if (placed(frames)) writer.bodies = new SharedBodies(new Uint8Array(sharedSize));
          for (const frame of frames) {
            tell(writer, frame);
            writer.flush();
          }
        }
        assert.ok(sink.received().equals(Buffer.concat([octets, octets, octets])), "the octets differ");
      });
    }
  }

  test("more octets likely to come again than the frame can tell are told as none", () => {
    const sink = new TestSink(false);
    const writer = new RequestWriter(sink);
    writer.request(1, 0, `A\0${"v".repeat(70_000)}\0B\0w`, 70_002, undefined);
    writer.flush();
    const octets = sink.received();
    assert.deepEqual([octets.readUInt16LE(10), octets.readUInt32LE(12)], [0, 70_006]);
  });

  test("what is gathered goes with one write, and nothing goes where nothing was", () => {
    const sink = new TestSink(false);
    const writer = new RequestWriter(sink);
    writer.flush();
    assert.equal(sink.writes, 0);
    for (let id = 1; id <= 8; id += 1) writer.request(id, 0, "A\0b", 0, undefined);
    assert.equal(writer.pending, 8 * 19);
    writer.flush();
    writer.flush();
    assert.equal(sink.writes, 1);
  });

  test("sixteen requests go at once, so that the worker begins while others are read", () => {
    const sink = new TestSink(false);
    const writer = new RequestWriter(sink);
    const fill = (from: number, to: number): void => {
      for (let id = from; id <= to; id += 1)
        writer.request(id, 0, "A\0b", 0, id % 2 === 0 ? Buffer.from("c") : undefined);
    };
    fill(1, 15);
    assert.equal(sink.writes, 0);
    fill(16, 31);
    assert.deepEqual([sink.writes, writer.pending > 0], [1, true]);
    fill(32, 32);
    assert.deepEqual([sink.writes, writer.pending], [2, 0]);
    assert.equal(sink.received().length, 32 * 19 + 16);
  });
});
