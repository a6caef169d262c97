// What is promised of reloads, stops and deaths, over TLS and HTTP/2: a connection is more there, and carries more, and clients lose no more.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { http2Lines } from "../support/http2-load.js";
import { type Ask, Load, type LoadOptions } from "../support/load.js";
import { promised } from "../support/promises.js";
import { vivarium } from "../support/vivarium.js";
import { httpsListener } from "./https.js";
import { type Server, until } from "./server.js";

const clients = 16;

type Transport = (port: number) => Partial<LoadOptions>;

const transports: Readonly<Record<string, Transport>> = {
  "HTTP/1.1 over TLS, kept connections": () => ({ secure: true }),
  "HTTP/1.1 over TLS, a connection each": () => ({ secure: true, connectionEach: true }),
  "HTTP/2 over TLS": (port) => ({ line: http2Lines({ port, share: 8 }) }),
};

const modes = {
  workers: ["--workers", "2", "--threads", "4", "--probation", "0"],
  embedded: ["--embedded", "--workers", "2"],
} as const;

const expected = [
  /^info supervisor: (Reloading: generation \d+ is being loaded|Generation \d+ serves)\.$/,
  /^error supervisor: (The front ended|Worker \d \(pid \d+\) was killed) (by |\()SIGKILL\)?; another takes its place/,
  /^warning pool: Worker \d \(pid \d+\) died while it executed GET \/\S+ \(request id \w+\); it is run once more\.$/,
];

const listener = httpsListener();

/** Has `act` happen to a server. */
function served(mode: readonly string[], act: (server: Server) => Promise<void>): Promise<void> {
  return promised({ args: [...mode, ...listener().args], expected }, act);
}

/** Has `act` happen while clients ask. What came of all requests is given back. */
async function amidst(server: Server, transport: Transport, act: (load: Load) => Promise<void>): Promise<Load> {
  const { port } = server.vivarium;
  const ask = (client: number, number: number): Ask => ({
    path: `/${client}-${number}?sleep=1`,
    right: `${client}-${number}`,
  });
  const load = new Load({ port, clients, ask, ...transport(port) });
  await more(load);
  await act(load);
  await load.stop();
  return load;
}

/** Clients are answered, from now on. */
async function more(load: Load): Promise<void> {
  const { right } = load.counts;
  await until(() => load.counts.right > right + 3 * clients, "clients are answered");
}

/** All are there and ready, and the process with this id is not. */
async function settled(server: Server, gone: number): Promise<void> {
  await until(async () => {
    const { fronts, workers } = await server.status();
    const all = [...fronts, ...workers];
    return workers.length === 2 && all.every(({ pid, state }) => pid !== gone && state === "ready");
  }, "all are ready");
}

async function reloads(server: Server, transport: Transport): Promise<void> {
  const load = await amidst(server, transport, async (running) => {
    assert.equal((await vivarium(["reload", "--control", server.vivarium.control])).code, 0);
    await more(running);
  });
  assert.deepEqual(load.wrong, {});
}

for (const [name, transport] of Object.entries(transports)) {
  describe(`over ${name}`, () => {
    test("a reload loses no request, nor does a worker that is killed; a front costs what was on its way through it", () =>
      served(modes.workers, async (server) => {
        await reloads(server, transport);
        const [worker] = (await server.status()).workers;
        const unharmed = await amidst(server, transport, async (running) => {
          process.kill(worker?.pid ?? 0, "SIGKILL");
          await settled(server, worker?.pid ?? 0);
          await more(running);
        });
        assert.deepEqual(unharmed.wrong, {});
        const { pid } = await server.front();
        const load = await amidst(server, transport, async (running) => {
          process.kill(pid, "SIGKILL");
          await settled(server, pid);
          await more(running);
        });
        const others = Object.keys(load.wrong).filter((outcome) => outcome !== "reset" && outcome !== "truncated");
        assert.deepEqual(others, [], JSON.stringify(load.wrong));
        assert.ok(load.failures.length <= clients, `${load.failures.length} requests were lost`);
      }));

    test("embedded: a reload loses no request", () => served(modes.embedded, (server) => reloads(server, transport)));

    for (const [mode, args] of Object.entries(modes)) {
      test(`${mode}: at a stop each request is answered, or its client was refused before it sent one`, () =>
        served(args, async (server) => {
          const load = await amidst(server, transport, async () => {
            server.vivarium.process.kill("SIGTERM");
            assert.deepEqual(await server.vivarium.process.exited, { code: 0, signal: null });
          });
          assert.deepEqual(Object.keys(load.wrong), ["refused"], JSON.stringify(load.wrong));
        }));
    }
  });
}
