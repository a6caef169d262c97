// Workers that die under load, and what each client saw of it.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { type Ask, Load } from "../support/load.js";
import { promised } from "../support/promises.js";
import { application, request, type Server, until } from "./server.js";

const killed =
  /^error supervisor: Worker \d+ \(pid \d+\) was killed by SIGKILL; another takes its place(?: in [\d.]+ s)?\.$/;
const exited =
  /^error supervisor: Worker \d+ \(pid \d+\) exited with status 7; another takes its place(?: in [\d.]+ s)?\.$/;
const again =
  /^warning pool: Worker \d+ \(pid \d+\) died while it executed \S+ \S+ \(request id \w+\); it is run once more\.$/;
const lost =
  /^error pool: Worker \d+ \(pid \d+\) died while it executed \S+ \S+ \(request id \w+\); it is answered 502\.$/;

/** Kills a worker that is ready, again and again. */
async function killWorkers(server: Server, times: number): Promise<void> {
  for (let n = 0; n < times; n += 1) {
    const ready = (await server.status()).workers.filter(({ state }) => state === "ready");
    const victim = ready[n % Math.max(ready.length, 1)];
    try {
      if (victim !== undefined) process.kill(victim.pid, "SIGKILL");
    } catch {
      // It has died since the status was asked.
    }
    await delay(200);
  }
}

/** Whether two workers died while they executed this: whoever is so unlucky is not run a third time. */
function diedTwice(server: Server, path: string): boolean {
  return server.output.split(`died while it executed GET ${path} (`).length === 3;
}

describe("workers are killed under load", () => {
  for (const [what, query] of [
    ["that waits", "?note&sleep=10"],
    ["that computes", "?note&compute=2"],
    ["that is fast", "?note"],
  ] as const) {
    test(`of an application ${what}: a POST that was executed fails and is not run again, a GET is run once more`, () =>
      promised({ args: ["--workers", "2", "--threads", "4"], expected: [killed, again, lost] }, async (server) => {
        const ask = (client: number, number: number): Ask => {
          const right = `${client}-${number}`;
          return client % 4 === 0
            ? { method: "POST", path: `/${right}${query}`, body: "!", right: `${right}!` }
            : { path: `/${right}${query}`, right };
        };
        const load = new Load({ port: server.vivarium.port, clients: 16, ask });
        await until(() => load.counts.right > 100, "the application is known");
        await killWorkers(server, 10);
        await load.stop();
        assert.deepEqual(
          load.failures.filter(({ status }) => status !== 502),
          [],
        );
        const gets = load.failures.filter(({ ask: { method, path } }) => method !== "POST" && !diedTwice(server, path));
        assert.deepEqual(gets, []);
        const executed = new Map<string, number>();
        for (const name of server.record()) executed.set(name, (executed.get(name) ?? 0) + 1);
        for (const [name, times] of executed) {
          const isPost = Number(name.split("-")[0]) % 4 === 0;
          assert.ok(times <= (isPost ? 1 : 2), `${name} was executed ${times} times`);
        }
      }));
  }

  test("the body of a request that is run once more comes along, in memory or in a file", () =>
    promised(
      {
        target: application,
        args: ["--workers", "1", "--body-memory", "1k"],
        expected: [killed, again, /^info worker 1: /],
      },
      async (server) => {
        for (const size of [100, 3_000_000]) {
          const body = Buffer.alloc(size, "0123456789");
          const connection = server.connection();
          connection.send(request(`/held/${size}`, `Content-Length: ${size}\r\n`, "PUT"));
          connection.send(body);
          await server.recorded(`begin held ${size}`);
          process.kill((await server.status()).workers[0]?.pid ?? 0, "SIGKILL");
          await until(
            () => server.record().filter((line) => line === `begin held ${size}`).length === 2,
            "a second begin",
          );
          server.release(String(size));
          const { text } = await connection.response();
          assert.equal(text, `${size} ${createHash("sha256").update(body).digest("hex")}`);
        }
      },
    ));
});

describe("requests that end their worker", () => {
  test("one of many: it fails when it has ended two, and no other does", () =>
    promised({ args: ["--workers", "2", "--threads", "4"], expected: [exited, again, lost] }, async (server) => {
      const load = new Load({
        port: server.vivarium.port,
        clients: 16,
        ask: (client, number) => {
          const right = `${client}-${number}`;
          return { path: `/${right}?${client === 0 && number % 20 === 19 ? "die" : "sleep=2"}`, right };
        },
      });
      await until(() => load.counts["5xx"] >= 5, "some workers died");
      await load.stop();
      assert.deepEqual(Object.keys(load.wrong), ["5xx"]);
      const innocent = load.failures.filter(({ ask: { path } }) => !path.endsWith("?die") && !diedTwice(server, path));
      assert.deepEqual(innocent, []);
    }));

  test("each ends its worker: 503 while none is there, and all is well when they do no longer", () =>
    promised(
      {
        args: ["--workers", "2", "--threads", "1"],
        expected: [
          exited,
          again,
          lost,
          /^error supervisor: No worker is there, and they die again and again: requests are answered 503\.$/,
        ],
      },
      async (server) => {
        const load = new Load({
          port: server.vivarium.port,
          clients: 4,
          ask: (client, number) => ({ path: `/${client}-${number}?die`, right: "" }),
        });
        await until(() => load.failures.some(({ status }) => status === 503), "requests are answered 503 at once");
        await load.stop();
        assert.deepEqual(
          load.failures.filter(({ status }) => status !== 502 && status !== 503),
          [],
        );
        const refused = load.failures.find(({ status }) => status === 503);
        assert.match(refused?.received ?? "", /\r\nRetry-After: \d+\r\n/);
        // A server that nothing happens to is well again: each next try is later than the one before.
        await until(async () => (await server.get("/well")).status === 200, "it is well");
      },
    ));
});
