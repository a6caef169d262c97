// What happens to requests when things go wrong is the same behind each door: the web server in front gets the statuses that a client
// over HTTP gets, and nothing that was cut is taken for whole.
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { type Answered, type DoorProtocol, DoorRequest } from "../support/doors.js";
import { freePort } from "../support/ports.js";
import { alive, descendants, waitUntilGone } from "../support/processes.js";
import { promised, promisesApplication } from "../support/promises.js";
import { root } from "../support/tools.js";
import { vivarium } from "../support/vivarium.js";
import { type Server, until } from "./server.js";

const expected = [
  /^warning pool: The server is overloaded: .* \(--queue\)\. What is too much is answered 503\.$/,
  /^warning pool: The overload of the application is over: /,
  /^error supervisor: Worker 1 \(pid \d+\) was killed by SIGKILL; another takes its place(?: in [\d.]+ s)?\.$/,
  /^warning pool: Worker 1 \(pid \d+\) died while it executed GET \/again\?\S+ \(request id \w+\); it is run once more\.$/,
  /^error pool: Worker 1 \(pid \d+\) died while it executed POST \/post\?\S+ \(request id \w+\); it is answered 502\.$/,
  /^error pool: Worker 1 \(pid \d+\) died while it executed GET \/stream\?\S+ \(request id \w+\); its response is cut\.$/,
  /^info supervisor: (Reloading: generation 2 is being loaded|Generation 2 serves)\.$/,
  /^error supervisor: The front ended \(SIGKILL\); another takes its place\.$/,
  /^error pool: Worker 1 \(pid \d+\) has been executing GET \/late\?\S+ \(request id \w+\) for 1 s \(--request-timeout\): answered with 504\. /,
];

interface Door {
  readonly server: Server;
  /** Sends a request that the application names by its path. */
  send(target: string, method?: string, body?: string): DoorRequest;
}

type Event = (door: Door) => Promise<void>;

async function ready(server: Server): Promise<void> {
  await until(async () => {
    const { fronts, workers } = await server.status();
    return [...fronts, ...workers].every(({ state }) => state === "ready") && workers.length === 1;
  }, "all are ready");
}

async function executed(server: Server, name: string, times = 1): Promise<void> {
  await until(() => server.record().filter((each) => each === name).length === times, `${name} is executed`);
}

async function killWorker(server: Server): Promise<void> {
  const [worker] = (await server.status()).workers;
  assert.ok(worker !== undefined);
  process.kill(worker.pid, "SIGKILL");
  await until(() => !alive(worker.pid), "the worker is gone");
}

function assertRight({ status, body, whole }: Answered, name: string): void {
  assert.deepEqual([status, body, whole], [200, name, true]);
}

const events: Readonly<Record<string, Event>> = {
  "what is too much is answered 503, and a POST whose worker dies 502": async ({ server, send }) => {
    const post = send("/post?note&wait=never", "POST");
    await executed(server, "post");
    const refused = await send("/refused").answer();
    assert.deepEqual([refused.status, refused.whole], [503, true]);
    assert.match(refused.fields, /\r\nRetry-After: \d+\r\n/);
    assert.match(refused.body, /\n\nRequest id: [0-9a-f]{16}\n$/);
    await killWorker(server);
    const { status, whole } = await post.answer();
    assert.deepEqual([status, whole], [502, true]);
    await ready(server);
  },
  "a GET whose worker dies is run once more": async ({ server, send }) => {
    const again = send("/again?note&wait=again");
    await executed(server, "again");
    await killWorker(server);
    await executed(server, "again", 2);
    server.release("again");
    assertRight(await again.answer(), "again");
  },
  "a response whose worker dies is not taken for whole": async ({ server, send }) => {
    const stream = send("/stream?stream=never");
    await stream.begun();
    await killWorker(server);
    const { status, body, whole } = await stream.answer();
    assert.deepEqual([status, body, whole], [200, "stream", false]);
    await ready(server);
  },
  "a reload loses nothing, and what had begun is finished": async ({ server, send }) => {
    const before = send("/before?note&wait=reloaded");
    await executed(server, "before");
    assert.equal((await vivarium(["reload", "--control", server.vivarium.control])).code, 0);
    assertRight(await send("/newer").answer(), "newer");
    server.release("reloaded");
    assertRight(await before.answer(), "before");
    await ready(server);
  },
  "a front that dies costs the requests it had, and nobody is refused": async ({ server, send }) => {
    const lost = send("/lost?note&wait=lost");
    await executed(server, "lost");
    const { pid } = await server.front();
    process.kill(pid, "SIGKILL");
    await until(() => !alive(pid), "the front is gone");
    assert.deepEqual(await lost.answer(), { status: 0, fields: "", body: "", whole: false });
    const after = send("/after");
    server.release("lost");
    assertRight(await after.answer(), "after");
    await ready(server);
  },
  "a stop finishes what runs, and lets nobody else connect": async ({ server, send }) => {
    const family = descendants(server.vivarium.pid);
    const last = send("/last?note&wait=last");
    await executed(server, "last");
    server.vivarium.process.kill("SIGTERM");
    await server.logged(/Stopping: running requests finish first/);
    // Who had connected before the server got to it is answered.
    for (let connected = true; connected; ) {
      const late = send("/refused");
      const { status, whole } = await late.answer();
      connected = late.connected;
      if (connected) assert.deepEqual([status, whole], [503, true]);
    }
    server.release("last");
    assertRight(await last.answer(), "last");
    assert.deepEqual(await server.vivarium.process.exited, { code: 0, signal: null });
    assert.deepEqual(await waitUntilGone(family), []);
  },
};

for (const protocol of ["fastcgi", "scgi", "uwsgi"] satisfies readonly DoorProtocol[]) {
  const through = async (
    args: readonly string[],
    act: (door: Door) => Promise<void>,
    target = promisesApplication,
  ): Promise<void> => {
    const port = await freePort();
    const listen = ["--listen", "http://127.0.0.1:0", "--listen", `${protocol}://127.0.0.1:${port}`];
    const own = ["--workers", "1", "--threads", "1", "--queue", "0", "--probation", "0"];
    await promised({ target, args: [...own, ...listen, ...args], expected }, async (server) => {
      await act({ server, send: (...request) => new DoorRequest(protocol, port, ...request) });
    });
  };

  describe(`over ${protocol}`, () => {
    test(Object.keys(events).join("; "), () =>
      through([], async (door) => {
        for (const event of Object.values(events)) await event(door);
      }),
    );

    test("a request that takes too long is answered 504", () =>
      through(["--request-timeout", "1"], async ({ server, send }) => {
        const late = await send("/late?sleep=60000").answer();
        assert.deepEqual([late.status, late.whole], [504, true]);
        assert.match(late.body, /\n\nRequest id: [0-9a-f]{16}\n$/);
        // The client has its answer before the worker has ended the request, and nothing may wait here for that.
        await until(async () => {
          const { workers } = await server.status();
          return workers.every(({ executing }) => executing.length === 0);
        }, "the worker is free");
        assertRight(await send("/next").answer(), "next");
        await ready(server);
      }));

    test("an ASGI application is given bodies whole, and answers as any, or not for whole when it dies", () =>
      through(
        [],
        async ({ server, send }) => {
          assertRight(await send("/alone").answer(), "alone");
          for (const size of [1, 10_000, 300_000]) {
            const body = "b".repeat(size);
            assertRight(await send("/post?sleep=1", "POST", body).answer(), `post${body}`);
          }
          const stream = send("/stream?stream=end");
          await stream.begun();
          server.release("end");
          assertRight(await stream.answer(), "data: stream\n\ndata: end\n\n");
          const lost = send("/stream?stream=never");
          await lost.begun();
          await killWorker(server);
          const { status, whole } = await lost.answer();
          assert.deepEqual([status, whole], [200, false]);
          await ready(server);
          assertRight(await send("/next").answer(), "next");
        },
        `${join(root, "test/support/promises_asgi.py")}:app`,
      ));
  });
}
