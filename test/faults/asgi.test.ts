// The promises, where the application is an ASGI one: what goes wrong under load, and what each client saw of it.
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Load } from "../support/load.js";
import { type PromiseOptions, promised } from "../support/promises.js";
import { asyncPython, removeFolder, root, temporaryFolder } from "../support/tools.js";
import { vivarium } from "../support/vivarium.js";
import { request, type Server, until } from "./server.js";

const target = `${join(root, "test/support/promises_asgi.py")}:app`;

const worker = String.raw`Worker \d+ \(pid \d+\)`;
const executed = String.raw`\S+ \S+ \(request id \w+\)`;
const late = new RegExp(
  String.raw`^error pool: ${worker} has been executing ${executed} for 0\.3 s \(--request-timeout\): (answered with 504|its response is cut)\. It is here:\n {2}File "[^\n]*promises_asgi\.py", line \d+, in app\n`,
);
const stuck = new RegExp(`^warning pool: ${worker} was interrupted in ${executed} and has not come back`);
const gone = new RegExp(String.raw`^info supervisor: ${worker}, whose place another has, is gone\.$`);
const blocked = /^error worker \d+: (the event loop (has been|was) blocked for| {2})/;
const hung = new RegExp(`^error pool: ${worker} has executed requests and shown no sign of life for`);
const killed = new RegExp(`^error supervisor: ${worker} was killed by SIGKILL; another takes its place`);
const exited = new RegExp(`^error supervisor: ${worker} exited with status 7; another takes its place`);
const again = new RegExp(`^warning pool: ${worker} died while it executed ${executed}; it is run once more\\.$`);
const lost = new RegExp(
  `^error pool: ${worker} died while it executed ${executed}; (its response is cut|it is answered 502)\\.$`,
);
const told = /^(info|error) worker \d+:/;
const recycled = new RegExp(
  String.raw`^info supervisor: ${worker} has answered \d+ requests \(--max-requests\); another takes its place\.$`,
);
const slow = new RegExp(
  String.raw`^warning pool: ${worker} has been executing ${executed} for [\d.]+ s \(--log-slow\)\. It is here:\n {2}File "[^\n]*promises_asgi\.py", line \d+, in app\n`,
);
const reloads = /^info supervisor: (Reloading: generation|Generation) \d+ /;

function asgi(options: PromiseOptions, act: (server: Server) => Promise<void>): Promise<void> {
  return promised({ target, ...options }, act);
}

function others(server: Server, clients = 8): Load {
  const ask = (client: number, number: number): { path: string; right: string } => ({
    path: `/${client}-${number}?sleep=2`,
    right: `${client}-${number}`,
  });
  return new Load({ port: server.vivarium.port, clients, ask });
}

/** A reload while a client has a stream of events, which is given whole what came of it; then `act`. */
function reloadAmidEvents(
  query: string,
  expected: readonly RegExp[],
  act: (server: Server) => Promise<void> = async () => {},
): Promise<void> {
  return asgi(
    {
      args: ["--workers", "1", "--probation", "0", "--graceful-timeout", "0.5"],
      expected: [reloads, /--graceful-timeout/, ...expected],
    },
    async (server) => {
      const events = server.begin(`/events?${query}`);
      await events.received("data: events");
      await vivarium(["reload", "--control", server.vivarium.control]);
      const { text, whole } = await events.response();
      assert.deepEqual([text, whole], ["data: events\n\n", true]);
      await act(server);
    },
  );
}

/** While others are served without a fault. */
async function amidst(server: Server, act: (load: Load) => Promise<void>): Promise<void> {
  const load = others(server);
  await until(() => load.counts.right > 50, "others are served");
  await act(load);
  const right = load.counts.right;
  await until(() => load.counts.right > right + 50, "others are served still");
  await load.stop();
  assert.deepEqual(load.wrong, {});
}

async function pids(server: Server): Promise<number[]> {
  const { workers } = await server.status();
  return workers.filter(({ state }) => state === "ready").map(({ pid }) => pid);
}

const limited = ["--workers", "2", "--request-timeout", "0.3"] as const;

describe("an ASGI application's requests that take too long", () => {
  test("are answered 504, their tasks cancelled, with the stack of what they await in the log; others do not notice", () =>
    asgi({ args: limited, expected: [late] }, async (server) => {
      const before = await pids(server);
      await amidst(server, async () => {
        const connections = Array.from({ length: 40 }, (_, each) => server.begin(`/late-${each}?wait=never`));
        for (const connection of connections) {
          const { status, text } = await connection.response();
          assert.deepEqual([status, /Request id: \w+\n$/.test(text)], [504, true]);
        }
        const cut = await server.begin("/stream?stream=never").response();
        assert.deepEqual([cut.status, cut.whole], [200, false]);
      });
      await server.logged(/in wait_for\n/);
      assert.deepEqual(await pids(server), before);
    }));

  test("and swallow their cancellation: their workers are replaced, and others do not notice", () =>
    asgi(
      {
        args: [...limited, "--interrupt-grace", "0.5", "--graceful-timeout", "1"],
        expected: [late, stuck, gone, told, /--graceful-timeout/],
      },
      async (server) => {
        const [before = 0] = await pids(server);
        await amidst(server, async () => {
          for (let each = 0; (await pids(server)).includes(before); each += 1) {
            assert.equal((await server.get(`/stubborn-${each}?swallow=never`)).status, 504);
          }
        });
      },
    ));

  test("are those of a [[limit]] where their path has one, and the others go on", async () => {
    const folder = temporaryFolder("limits");
    const file = join(folder, "vivarium.toml");
    writeFileSync(file, '[[limit]]\npath = "/short"\nrequest-timeout = 0.3\n');
    await asgi({ args: ["--workers", "1", "--config", file], expected: [late] }, async (server) => {
      const other = server.begin("/other?wait=go");
      assert.equal((await server.get("/short/late?wait=never")).status, 504);
      server.release("go");
      assert.equal((await other.response()).text, "other");
    });
    removeFolder(folder);
  });

  test("and longer than --log-slow are told of once, with what they await, and answered", () =>
    asgi({ args: ["--workers", "1", "--log-slow", "0.2"], expected: [slow] }, async (server) => {
      const connection = server.begin("/slow?wait=go");
      await server.logged(/\(--log-slow\)/);
      server.release("go");
      assert.equal((await connection.response()).text, "slow");
      assert.equal(server.output.split("--log-slow").length, 2);
    }));

  test("and block the event loop: they are interrupted in the call that does, and the worker lives on", () =>
    asgi({ args: ["--workers", "1", "--request-timeout", "0.3"], expected: [late, blocked, told] }, async (server) => {
      const [before] = await pids(server);
      assert.equal((await server.get("/blocks?block=never")).status, 504);
      assert.equal(await server.text("/next"), "next");
      assert.deepEqual(await pids(server), [before]);
    }));
});

describe("an event loop that a synchronous call blocks", () => {
  test("is told of in log and status, with where it is and for how long", () =>
    asgi({ args: ["--workers", "1"], expected: [blocked] }, async (server) => {
      const waits = server.begin("/blocks?block=enough");
      await server.logged(/the event loop has been blocked for \d+\.\d s, and nothing else .* It is here:/);
      await server.logged(/in block$/m);
      await until(async () => ((await server.status()).workers[0]?.blocked ?? 0) >= 1, "the status says so");
      server.release("enough");
      assert.equal((await waits.response()).text, "blocks");
      await server.logged(/the event loop was blocked for \d+\.\d s/);
      const [status] = (await server.status()).workers;
      assert.ok(status !== undefined && status.blocked === 0 && status.blockedMost >= 1);
    }));

  test("and does not come back, is killed: what can be is run once more by another worker, others are served", () =>
    asgi(
      { args: ["--workers", "2", "--hang-timeout", "2"], expected: [blocked, told, hung, killed, again] },
      async (server) => {
        const blocker = server.begin("/once?once=first&hold=never");
        assert.equal((await blocker.response()).text, "once");
      },
    ));
});

describe("a worker of an ASGI application", () => {
  for (const loop of ["asyncio", "uvloop"]) {
    test(`tells on SIGUSR2 what each task awaits, on ${loop}, and goes on`, () =>
      asgi(
        {
          args: ["--workers", "1", "--python", asyncPython(), "--event-loop", loop],
          expected: [/^info supervisor: SIGUSR2: the stacks of all workers' threads follow\.$/, told],
        },
        async (server) => {
          const waits = [1, 2].map((each) => server.begin(`/waits-${each}?wait=go`));
          await until(async () => (await server.status()).workers.some(({ busy }) => busy === 2), "they are executed");
          server.vivarium.process.kill("SIGUSR2");
          for (const each of [1, 2]) await server.logged(new RegExp(`worker 1: Task of GET /waits-${each} `));
          await server.logged(/worker 1: {3}File ".*promises_asgi\.py", line \d+, in wait_for/);
          server.release("go");
          for (const request of waits) assert.equal((await request.response()).status, 200);
        },
      ));
  }

  test("dies: what can be is run once more, the rest is answered 502, what had begun is cut, others do not notice", () =>
    asgi({ args: ["--workers", "2"], expected: [exited, again, lost] }, async (server) => {
      assert.equal(await server.text("/again?once=first&die"), "again");
      const post = server.connection();
      post.send(`${request("/post?die", "Content-Length: 1\r\n", "POST")}x`);
      assert.equal((await post.response()).status, 502);
      const streams = server.begin("/stream?stream=never");
      await streams.received("data: stream");
      await until(async () => {
        if ((await server.status()).workers.some(({ busy }) => busy > 0)) await server.get("/die?die");
        else return true;
        return false;
      }, "the worker of the stream has died");
      assert.equal((await streams.response()).whole, false);
      assert.equal(await server.text("/next"), "next");
    }));

  test("has as many requests at once as it may, and the others wait", () =>
    asgi({ args: ["--workers", "1", "--concurrency", "2", "--queue", "1"], expected: [/overload/] }, async (server) => {
      const executing = ["one", "two"].map((name) => server.begin(`/${name}?wait=go`));
      await until(async () => (await server.status()).workers[0]?.busy === 2, "two are executed");
      const queued = server.begin("/queued");
      await until(async () => (await server.pool()).queue === 1, "one waits");
      assert.equal((await server.get("/refused")).status, 503);
      server.release("go");
      for (const connection of [...executing, queued]) assert.equal((await connection.response()).status, 200);
    }));

  test("is replaced after --max-requests when its streams have ended, and no request fails", () =>
    asgi({ args: ["--workers", "2", "--max-requests", "100"], expected: [recycled, gone] }, async (server) => {
      const stream = server.begin("/stream?stream=end");
      await stream.received("data: stream");
      const before = await pids(server);
      const streaming = (await server.status()).workers.find(({ busy }) => busy > 0)?.pid ?? 0;
      await amidst(server, async () => {
        await until(async () => !(await pids(server)).includes(streaming), "the worker of the stream gets no more");
        server.release("end");
        assert.equal((await stream.response()).whole, true);
        await until(async () => !(await pids(server)).some((pid) => before.includes(pid)), "both are replaced");
      });
      await until(async () => (await server.status()).workers.length === 2, "those that were replaced are gone");
    }));

  test("has any number of streams beside them", () =>
    asgi({ args: ["--workers", "1", "--concurrency", "1"] }, async (server) => {
      const streams = Array.from({ length: 5 }, (_, each) => server.begin(`/stream-${each}?stream=end`));
      for (const stream of streams) await stream.received("data: stream");
      assert.equal(await server.text("/beside"), "beside");
      server.release("end");
      for (const stream of streams) assert.equal((await stream.response()).whole, true);
    }));
});

describe("newer code of an ASGI application", () => {
  test("takes over, while requests and streams of the old code finish", () =>
    asgi({ args: ["--workers", "2", "--probation", "0"], expected: [reloads] }, async (server) => {
      const stream = server.begin("/stream?stream=end");
      await stream.received("data: stream");
      await amidst(server, async () => {
        const { code } = await vivarium(["reload", "--control", server.vivarium.control]);
        assert.equal(code, 0);
      });
      server.release("end");
      const { text, whole } = await stream.response();
      assert.deepEqual([text, whole], ["data: stream\n\ndata: end\n\n", true]);
    }));

  test("whose start-up fails changes nothing, and the log says why", () =>
    asgi(
      {
        args: ["--workers", "2", "--probation", "0"],
        expected: [reloads, told, /cannot serve, so generation 1/, /exited with status 3/],
      },
      async (server) => {
        server.release("refuse");
        await amidst(server, async () => {
          const { code } = await vivarium(["reload", "--control", server.vivarium.control]);
          assert.equal(code, 1);
        });
        await server.logged(/The application did not start: it said RuntimeError: this code is refused\./);
        rmSync(join(server.folder, "refuse"));
      },
    ));

  test("has streams of events of the old code end after the graceful timeout, and not cut", () =>
    reloadAmidEvents("events=never", [gone, lost]));

  test("tells the application of such a stream that its client has left, and waits for it to end", () =>
    reloadAmidEvents("listened", [told], async (server) => {
      await server.logged(/events told: http\.disconnect/);
    }));
});

test("a stop lets requests finish, and ends streams of events after the graceful timeout", () =>
  asgi(
    { args: ["--workers", "1", "--graceful-timeout", "1"], expected: [told, /--graceful-timeout/] },
    async (server) => {
      const events = server.begin("/events?events=never");
      await events.received("data: events");
      const finishes = server.begin("/finishes?wait=go");
      await until(async () => (await server.status()).workers[0]?.busy === 2, "both are executed");
      process.kill(server.vivarium.pid, "SIGTERM");
      server.release("go");
      assert.equal((await finishes.response()).text, "finishes");
      assert.equal((await events.response()).whole, true);
      await until(() => server.vivarium.process.exit !== undefined, "it ends");
    },
  ));
