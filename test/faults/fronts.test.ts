// Fronts that die under load: only what was on its way through them is lost, nobody is refused, and workers go on with the next.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Ask, Load } from "../support/load.js";
import { alive } from "../support/processes.js";
import { promised, promisesApplication } from "../support/promises.js";
import { startVivarium } from "../support/vivarium.js";
import { type Server, until } from "./server.js";

const expected = [/^error supervisor: (The front|Front \d) ended \(SIGKILL\); another takes its place\.$/];

const killed =
  /^error supervisor: Worker \d \(pid \d+\) was killed by SIGKILL; another takes its place(?: in [\d.]+ s)?\.$/;

const kills = 3;
const clients = 8;

function isReady({ state }: { readonly state: string }): boolean {
  return state === "ready";
}

async function workerPids(server: Server): Promise<readonly number[]> {
  return (await server.status()).workers.map(({ pid }) => pid).sort((one, other) => one - other);
}

/** Waits until each front and each worker is ready. */
async function settled(server: Server): Promise<void> {
  await until(async () => {
    const { fronts, workers } = await server.status();
    return fronts.every(isReady) && workers.every(isReady);
  }, "all are ready");
}

/** Kills one front after the other, each when clients are answered. */
async function killFronts(server: Server, load: Load): Promise<void> {
  for (let n = 0; n < kills; n += 1) {
    await settled(server);
    const { right } = load.counts;
    await until(() => load.counts.right > right + 2 * clients, "clients are answered");
    const { fronts } = await server.status();
    const pid = fronts[n % fronts.length]?.pid ?? 0;
    process.kill(pid, "SIGKILL");
    await until(() => !alive(pid), "the front is gone");
  }
  await settled(server);
  const { right } = load.counts;
  await until(() => load.counts.right > right + 2 * clients, "clients are answered");
}

/** Each kill costs a client the request it waits for at that moment, and no more; it is not refused, and no answer is wrong. */
function assertLost(load: Load): void {
  assert.deepEqual(
    Object.keys(load.wrong).filter((outcome) => outcome !== "reset" && outcome !== "truncated"),
    [],
    JSON.stringify(load.wrong),
  );
  assert.ok(load.failures.length <= kills * clients, `${load.failures.length} requests were lost`);
}

describe("the front is killed under load", () => {
  for (const connectionEach of [false, true]) {
    for (const [what, query] of [
      ["is fast", "?note"],
      ["waits", "?note&sleep=10"],
    ] as const) {
      const how = connectionEach ? "a connection each" : "kept connections";
      test(`of an application that ${what}, over ${how}: the requests of that moment are lost, workers stay`, () =>
        promised({ args: ["--workers", "2", "--threads", "4"], expected }, async (server) => {
          const before = await workerPids(server);
          const ask = (client: number, number: number): Ask => {
            const right = `${client}-${number}`;
            return { method: "POST", path: `/${right}${query}`, body: "!", right: `${right}!` };
          };
          const load = new Load({ port: server.vivarium.port, clients, connectionEach, ask });
          await killFronts(server, load);
          await load.stop();
          assertLost(load);
          assert.deepEqual(await workerPids(server), before);
          const record = server.record();
          assert.equal(new Set(record).size, record.length, "a request was executed twice");
        }));
    }
  }
});

describe("one of several fronts is killed under load", () => {
  const ask = (client: number, number: number): Ask => ({
    path: `/${client}-${number}`,
    right: `${client}-${number}`,
  });

  for (const connectionEach of [false, true]) {
    const how = connectionEach ? "a connection each" : "kept connections";
    test(`of a gateway, over ${how}: its connections are lost, the others serve on`, async () => {
      const upstream = await startVivarium(promisesApplication, { args: ["--access-log", "off"] });
      try {
        const args = ["--fronts", "2", "--upstream", upstream.url];
        await promised({ gateway: true, args, expected }, async (server) => {
          const load = new Load({ port: server.vivarium.port, clients, connectionEach, ask });
          await killFronts(server, load);
          await load.stop();
          assertLost(load);
          // It would keep connections there.
          await upstream.stop();
        });
      } finally {
        await upstream.stop();
      }
    });

    test(`of an embedded application, over ${how}: its connections are lost, the others serve on`, () =>
      promised({ args: ["--embedded", "--workers", "2"], expected }, async (server) => {
        const load = new Load({ port: server.vivarium.port, clients, connectionEach, ask });
        await killFronts(server, load);
        await load.stop();
        assertLost(load);
      }));
  }
});

describe("the front is killed", () => {
  test("while a worker executes what takes long: others are there meanwhile, and that one ends when it is done", () =>
    promised(
      {
        args: ["--workers", "2", "--threads", "1"],
        expected: [...expected, /^info supervisor: Worker \d \(pid \d+\), whose place another has, is gone\.$/],
      },
      async (server) => {
        const before = await workerPids(server);
        server.begin("/long?note&wait=go");
        await server.recorded("long");
        const { pid } = await server.front();
        process.kill(pid, "SIGKILL");
        // Until it is known to be gone, all that was ready is.
        await until(async () => ![0, pid].includes((await server.front()).pid), "another front is there");
        await until(async () => (await server.status()).workers.filter(isReady).length === 2, "two workers are ready");
        const [kept, ...others] = before.filter((pid) => alive(pid));
        assert.ok(kept !== undefined && others.length === 1, "both live");
        assert.equal(await server.text("/next"), "next");
        server.release("go");
        await until(async () => (await server.status()).workers.length === 2, "it has ended");
        assert.equal((await workerPids(server)).filter((pid) => before.includes(pid)).length, 1);
        assert.deepEqual(server.record(), ["long"]);
      },
    ));

  test("again and again, as soon as there is one: the server stays, and serves when that is over", () =>
    promised({ args: ["--workers", "2"], expected }, async (server) => {
      const before = await workerPids(server);
      let last = 0;
      for (let times = 0; times < 8; times += 1) {
        await until(async () => {
          const { pid } = await server.front();
          if (pid === 0 || pid === last) return false;
          last = pid;
          process.kill(pid, "SIGKILL");
          return true;
        }, "there is a front");
      }
      // It was never refused: it waits for a front that stays.
      assert.equal(await server.text("/again"), "again");
      await settled(server);
      assert.deepEqual(await workerPids(server), before);
    }));

  test("and a worker after it: the next front has its successor", () =>
    promised({ args: ["--workers", "1"], expected: [...expected, killed] }, async (server) => {
      const [worker] = await workerPids(server);
      process.kill((await server.front()).pid, "SIGKILL");
      process.kill(worker ?? 0, "SIGKILL");
      assert.equal(await server.text("/again"), "again");
      await settled(server);
    }));
});
