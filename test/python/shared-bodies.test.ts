// Bodies in memory that the front and a real worker both have.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { describe, test } from "node:test";
import { type SharedMemory, sharedMemory } from "../../src/net/shared-memory.js";
import { SharedBodies, sharedLeast, sharedSize } from "../../src/python/wire/shared-bodies.js";
import { pythons } from "../support/tools.js";
import { type FakeFront, workerTests } from "./fake-front.js";

function memory(): SharedMemory {
  const made = sharedMemory(sharedSize);
  assert.ok(made !== undefined);
  return made;
}

function hexOf(octets: string | Uint8Array): string {
  return createHash("sha256").update(octets).digest("hex");
}

describe("memory that another process can have, too", () => {
  test("is found by its path until it was, and is as large as asked for", () => {
    const { octets, path, found, release } = memory();
    assert.deepEqual([octets.length, octets.every((octet) => octet === 0)], [sharedSize, true]);
    assert.match(readlinkSync(path), /memfd/);
    found();
    assert.equal(existsSync(path), false);
    octets[sharedSize - 1] = 7;
    assert.equal(octets[sharedSize - 1], 7);
    release();
  });

  test("that the system does not give is none, and leaves nothing open", () => {
    const open = readdirSync("/proc/self/fd").length;
    // More than a file can have, and what cannot be mapped.
    for (const size of [2 ** 62, 0]) assert.equal(sharedMemory(size), undefined);
    assert.equal(readdirSync("/proc/self/fd").length, open);
  });
});

describe("the front's end of the memory for bodies", () => {
  const side = (sharedSize - 4096) / 2;

  test("begins at the beginning where the worker has taken all, and has room until then", () => {
    const octets = new Uint8Array(sharedSize);
    const taken = new Int32Array(octets.buffer, 0, 1);
    const bodies = new SharedBodies(octets);
    const body = new Uint8Array(side / 2 - 100).fill(1);
    assert.equal(bodies.put(body), 4096);
    const second = bodies.put(body);
    assert.ok(second >= 4096 + body.length && second % 64 === 0);
    assert.equal(bodies.put(body), 0);
    taken[0] = 1;
    assert.equal(bodies.put(body), 0);
    taken[0] = 2;
    assert.equal(bodies.put(body), 4096);
  });

  test("takes as much as there is, and not an octet of the worker's", () => {
    const octets = new Uint8Array(sharedSize);
    const bodies = new SharedBodies(octets);
    assert.equal(bodies.put(new Uint8Array(side + 1)), 0);
    assert.equal(bodies.put(new Uint8Array(side).fill(255)), 4096);
    assert.deepEqual([octets[4095], octets[4096 + side - 1], octets[4096 + side]], [0, 255, 0]);
    assert.equal(bodies.put(new Uint8Array(1)), 0);
  });

  test("what was taken is not changed by what comes after it, however large", () => {
    const octets = Buffer.alloc(sharedSize);
    const bodies = new SharedBodies(octets);
    const at = sharedSize - 200_000;
    const taken = [10, 8192, 65_536, 65_537, 200_000, 60_000, 60_000, 60_000].map((length, number) => {
      octets.fill(number + 1, at);
      return bodies.take(at, length);
    });
    octets.fill(0, at);
    for (const [number, body] of taken.entries())
      assert.ok(
        body.every((octet) => octet === number + 1),
        `${number}`,
      );
    assert.equal(octets.readInt32LE(64), taken.length);
  });
});

for (const { version, path: python } of pythons()) {
  describe(`bodies in memory that a front and its worker have, on Python ${version}`, () => {
    const withWorker = workerTests({ python });

    const share = async (front: FakeFront): Promise<SharedMemory> => {
      const made = memory();
      const before = front.shares.length;
      front.share(made.octets, made.path);
      await front.until(() => front.shares.length > before, "the worker says whether it has the memory");
      assert.equal(front.shares.at(-1), true);
      made.found();
      return made;
    };

    /** Octets that went through the socket in both directions for it. */
    const carriedBy = async (front: FakeFront, act: () => Promise<void>): Promise<[number, number]> => {
      const [readBefore, writtenBefore] = front.carried;
      await act();
      const [read, written] = front.carried;
      return [read - readBefore, written - writtenBefore];
    };

    const responseMemory = 2 ** 23;

    withWorker("they do not go through the socket, from some KiB on", { responseMemory }, async (front) => {
      await share(front);
      for (const [number, size] of [sharedLeast - 1, sharedLeast, 100_000, 2_000_000].entries()) {
        const body = Buffer.alloc(size, `body ${size} `);
        const id = 2 * number + 1;
        const [read, written] = await carriedBy(front, async () => {
          front.send({ id, path: "/body", body }, { id: id + 1, path: `/block/${size}` });
          front.flush();
          const [first, second] = await front.over(id, id + 1);
          assert.equal(first?.body, `${size} ${hexOf(body)}`);
          assert.ok(second?.body === "x".repeat(size));
        });
        if (size < sharedLeast) assert.ok(read > size && written > size, `${size}: ${read} and ${written}`);
        else assert.ok(read < 1000 && written < 1000, `${size}: ${read} and ${written}`);
      }
    });

    withWorker(
      "what there is no room for goes with its frame, and there is room again",
      { responseMemory, threads: 1 },
      async (front) => {
        await share(front);
        // While it executes one, it reads no other.
        front.send({ id: 1, path: "/wait/a" });
        front.flush();
        await front.recorded("begin a");
        const bodies = Array.from({ length: 40 }, (_, number) => Buffer.alloc(100_000, `${number} `));
        const [, written] = await carriedBy(front, async () => {
          front.send(...bodies.map((body, number) => ({ id: 2 + number, path: "/body", body })));
          front.flush();
          front.release("a");
          const answers = await front.over(...bodies.map((_, number) => 2 + number));
          // What waited behind the first for long was given back, and taken out of the memory all the same.
          for (const [number, { state, body }] of answers.entries()) {
            if (state !== "returned") assert.equal(body, `100000 ${hexOf(bodies[number] ?? "")}`);
          }
        });
        // Of 40, 20 found room.
        assert.ok(written > 2_000_000 && written < 2_010_000, `${written}`);
        // All were taken: the memory is empty.
        const [, after] = await carriedBy(front, async () => {
          front.send({ id: 42, path: "/body", body: Buffer.alloc(100_000) });
          front.flush();
          await front.over(42);
        });
        assert.ok(after < 1000, `${after}`);
        const [read] = await carriedBy(front, async () => {
          front.send({ id: 43, path: "/block/3000000" });
          front.flush();
          assert.ok((await front.over(43))[0]?.body === "x".repeat(3_000_000));
        });
        assert.ok(read > 3_000_000, `${read}`);
      },
    );

    withWorker("threads that answer at once do not write over each other's", { threads: 8 }, async (front) => {
      await share(front);
      const ids = Array.from({ length: 200 }, (_, number) => number + 1);
      front.send(...ids.map((id) => ({ id, path: `/digits/${id}/${1 + (id % 40) * 100}`, handOver: true })));
      front.flush();
      for (const { id, body } of await front.over(...ids)) {
        assert.ok(body === hexOf(`${id}`).repeat(1 + (id % 40) * 100), `${id}: ${body.length} octets`);
      }
    });

    withWorker("a response in pieces comes in order, as there is room", { responseMemory: 65_536 }, async (front) => {
      await share(front);
      const [read] = await carriedBy(front, async () => {
        front.send({ id: 1, path: "/blocks/16" });
        front.flush();
        await front.until(() => front.answer(1).body.length === 65_536, "as much as there is room for");
        front.credit(1, 2 ** 20);
        front.flush();
        assert.ok((await front.over(1))[0]?.body === "x".repeat(2 ** 20));
      });
      // The first octets come with the head.
      assert.ok(read < 70_000, `${read}`);
    });

    withWorker("the memory of a front that died is of no use to the next", { threads: 2 }, async (front) => {
      const first = await share(front);
      front.send({ id: 1, path: "/block/100000" });
      front.flush();
      await front.over(1);
      front.disconnect();
      await front.until(() => front.greetings === 2, "the worker says hello to the next front");
      first.octets.fill(255);
      const body = Buffer.alloc(100_000, "body ");
      const both = async (id: number): Promise<void> => {
        front.send({ id, path: "/body", body }, { id: id + 1, path: "/block/100000" });
        front.flush();
        const [uploaded, given] = await front.over(id, id + 1);
        assert.equal(uploaded?.body, `100000 ${hexOf(body)}`);
        assert.ok(given?.body === "x".repeat(100_000));
      };
      const [read, written] = await carriedBy(front, () => both(1));
      assert.ok(read > 100_000 && written > 100_000, `${read} and ${written}`);
      await share(front);
      const [readNow, writtenNow] = await carriedBy(front, () => both(3));
      assert.ok(readNow < 1000 && writtenNow < 1000, `${readNow} and ${writtenNow}`);
    });

    withWorker("where it cannot be had, bodies go with their frames", {}, async (front) => {
      const { octets } = memory();
      front.share(octets, "/proc/1/fd/none");
      const body = Buffer.alloc(100_000, "body ");
      const [read, written] = await carriedBy(front, async () => {
        front.send({ id: 1, path: "/body", body }, { id: 2, path: "/block/100000" });
        front.flush();
        const [uploaded, given] = await front.over(1, 2);
        assert.equal(uploaded?.body, `100000 ${hexOf(body)}`);
        assert.equal(given?.body.length, 100_000);
      });
      assert.ok(read > 100_000 && written > 100_000, `${read} and ${written}`);
      assert.deepEqual(front.shares, [false]);
    });
  });
}
