// Requests that take too long and workers that hang, under load, and what each client saw of it.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Load } from "../support/load.js";
import { promised } from "../support/promises.js";
import { application, request, type Server, until } from "./server.js";

const worker = String.raw`Worker \d+ \(pid \d+\)`;
const executed = String.raw`\S+ \S+ \(request id \w+\)`;
const executing = String.raw`pool: ${worker} has been executing ${executed} for [\d.]+ s`;
const answered = String.raw`^error ${executing} \(--request-timeout\): answered with 504\. `;
/** The application's lines and no others. */
const stack = String.raw`It is here:\n {2}File "[^\n]*promises_app\.py", line \d+, in app\n {4}[^\n]*(\n {2}(File "[^\n]*", line \d+, in \w+| {2}[^\n]*))*$`;
const late = new RegExp(`${answered}${stack}`);
const silent = new RegExp(`${answered}It does not say where it is: it has stopped, or is in a function`);
const slow = new RegExp(String.raw`^warning ${executing} \(--log-slow\)\. ${stack}`);
const stuck = new RegExp(`^warning pool: ${worker} was interrupted in ${executed} and has not come back`);
const gone = new RegExp(String.raw`^info supervisor: ${worker}, whose place another has, is gone\.$`);
const hung = new RegExp(
  String.raw`^error pool: ${worker} has executed requests and shown no sign of life for [\d.]+ s`,
);
const killed = new RegExp(`^error supervisor: ${worker} was killed by SIGKILL; another takes its place`);
const again = new RegExp(
  String.raw`^warning pool: ${worker} died while it executed ${executed}; it is run once more\.$`,
);
const cut = new RegExp(
  String.raw`^error ${executing} \(--request-timeout\): its response is cut\. It is here:\n {2}File [^]*, in spin\n`,
);
const told = /^info worker \d+:/;

/** Clients of requests that take a few milliseconds. */
function others(server: Server, clients = 8): Load {
  const ask = (client: number, number: number): { path: string; right: string } => ({
    path: `/${client}-${number}?sleep=2`,
    right: `${client}-${number}`,
  });
  return new Load({ port: server.vivarium.port, clients, ask });
}

/** Asks for these at once, and asserts that each is answered with 504 and an id that the log has. */
async function eachLate(server: Server, paths: readonly string[]): Promise<void> {
  const connections = paths.map((path) => server.begin(path));
  for (const connection of connections) {
    const { status, text } = await connection.response();
    assert.equal(status, 504);
    const id = /\n\nRequest id: (\w+)\n$/.exec(text)?.[1];
    assert.ok(id !== undefined, text);
    await server.logged(new RegExp(`\\(request id ${id}\\) for 0\\.3 s \\(--request-timeout\\): answered with 504\\.`));
  }
}

async function pids(server: Server): Promise<number[]> {
  const { workers } = await server.status();
  return workers.filter(({ state }) => state === "ready").map(({ pid }) => pid);
}

const limited = ["--workers", "2", "--threads", "4", "--request-timeout", "0.3"] as const;

describe("a deadline is an answer", () => {
  test("every thread hangs where it can be interrupted: each client gets 504, the log each stack, others wait and are served", () =>
    promised({ args: limited, expected: [late] }, async (server) => {
      const load = others(server);
      await until(() => load.counts.right > 100, "the application is known");
      const before = await pids(server);
      const paths = Array.from({ length: 12 }, (_, n) => `/hangs-${n}?wait=never`);
      await eachLate(server, paths);
      const right = load.counts.right;
      await until(() => load.counts.right > right + 100, "others are served");
      await load.stop();
      assert.deepEqual(load.wrong, {});
      assert.deepEqual(await pids(server), before);
    }));

  test("every thread hangs where it cannot be: others have their places at once, and workers are replaced", () =>
    promised({ args: [...limited, "--interrupt-grace", "0.5"], expected: [late, stuck, gone] }, async (server) => {
      const load = others(server);
      await until(() => load.counts.right > 100, "the application is known");
      const before = await pids(server);
      await eachLate(
        server,
        Array.from({ length: 8 }, (_, n) => `/hangs-${n}?stubborn=never`),
      );
      await until(async () => {
        const now = await pids(server);
        return now.length === 2 && now.every((pid) => !before.includes(pid));
      }, "both workers are replaced");
      await until(() => (server.output.match(/whose place another has, is gone/g) ?? []).length === 2, "they are gone");
      await load.stop();
      assert.deepEqual(load.wrong, {});
    }));

  test("a worker of one thread: it is woken from the system call it waits in, and serves on", () =>
    promised(
      { args: ["--workers", "1", "--threads", "1", "--request-timeout", "0.3"], expected: [late] },
      async (server) => {
        const before = await pids(server);
        for (let times = 0; times < 3; times += 1) await eachLate(server, [`/hangs-${times}?sleep=3600000`]);
        assert.equal(await server.text("/next"), "next");
        assert.deepEqual(await pids(server), before);
      },
    ));

  test("a worker of one thread that goes on whatever is raised: its successor is ready before it is killed", () =>
    promised(
      {
        args: ["--workers", "1", "--threads", "1", "--request-timeout", "0.3", "--interrupt-grace", "0.3"],
        expected: [late, stuck, gone],
      },
      async (server) => {
        const before = await pids(server);
        await eachLate(server, ["/hangs?stubborn=never"]);
        assert.equal(await server.text("/next"), "next");
        await server.logged(/whose place another has, is gone/);
        const now = await pids(server);
        assert.ok(now.length === 1 && now[0] !== before[0]);
        assert.deepEqual(server.record(), ["hangs caught"]);
      },
    ));

  test("a response that has begun is cut, and its close() is called", () =>
    promised(
      {
        target: application,
        args: ["--workers", "1", "--request-timeout", "0.3"],
        expected: [cut, told],
      },
      async (server) => {
        const connection = server.begin("/closing/a");
        await connection.received("one");
        const { status, whole } = await connection.response();
        assert.deepEqual([status, whole], [200, false]);
        await server.recorded("a closed");
      },
    ));

  test("nothing holds in which the GIL is not let go: 504 all the same, and the worker is killed", () =>
    promised(
      { args: [...limited, "--interrupt-grace", "1"], expected: [silent, hung, killed, again, told] },
      async (server) => {
        const load = others(server);
        await until(() => load.counts.right > 100, "the application is known");
        const { status } = await server.get("/hangs?gil");
        assert.equal(status, 504);
        await server.logged(/was killed by SIGKILL/);
        await load.stop();
        assert.deepEqual(
          load.failures.filter(({ status }) => status !== 504),
          [],
        );
        // Where it was, only a signal's handler could tell.
        await server.logged(/worker \d+: {3}File ".*promises_app\.py", line \d+ in app/);
      },
    ));

  test("--log-slow tells of a request once, and it is answered", () =>
    promised(
      {
        args: ["--workers", "1", "--log-slow", "0.2"],
        expected: [slow],
      },
      async (server) => {
        const connection = server.begin("/slow?wait=go");
        await server.logged(/\(--log-slow\)/);
        server.release("go");
        assert.equal((await connection.response()).text, "slow");
        assert.equal(server.output.split("--log-slow").length, 2);
      },
    ));
});

describe("a worker that hangs", () => {
  for (const [what, path, signal] of [
    ["was stopped", "/stopped?sleep=1", "SIGSTOP"],
    ["is in a function that holds the GIL", "/hangs?once=hung&gil", undefined],
  ] as const) {
    test(`because it ${what} is found, killed and replaced, and idempotent requests are answered by others`, () =>
      promised(
        {
          args: ["--workers", "2", "--threads", "4", "--hang-timeout", "2"],
          expected: [hung, killed, again, told],
        },
        async (server) => {
          const load = others(server);
          await until(() => load.counts.right > 100, "the application is known");
          const [victim = 0] = await pids(server);
          if (signal !== undefined) process.kill(victim, signal);
          const answer = server.begin(path);
          await server.logged(/shown no sign of life for 2 s \(--hang-timeout\)/);
          await server.logged(/was killed by SIGKILL/);
          assert.equal((await answer.response()).status, 200);
          await until(async () => (await pids(server)).length === 2, "there are two workers again");
          await load.stop();
          assert.deepEqual(load.wrong, {});
        },
      ));
  }

  test("one that is only busy is left alone", () =>
    promised({ args: ["--workers", "1", "--threads", "2", "--hang-timeout", "2"] }, async (server) => {
      const [computes, waits] = [server.begin("/computes?compute=3000"), server.begin("/waits?sleep=4000")];
      assert.equal((await computes.response()).text, "computes");
      assert.equal((await waits.response()).text, "waits");
    }));

  test("SIGUSR2 logs where the threads of all workers are, and harms nothing", () =>
    promised(
      {
        args: ["--workers", "2"],
        expected: [/^info supervisor: SIGUSR2: the stacks of all workers' threads follow\.$/, told],
      },
      async (server) => {
        const waits = server.begin("/waits?wait=go");
        await until(async () => (await server.status()).workers.some(({ busy }) => busy > 0), "it is executed");
        server.vivarium.process.kill("SIGUSR2");
        await server.logged(/worker \d+: {3}File ".*promises_app\.py", line \d+ in app/);
        for (const number of [1, 2]) await server.logged(new RegExp(`worker ${number}: .*thread`, "i"));
        server.release("go");
        assert.equal((await waits.response()).text, "waits");
        const connection = server.connection();
        connection.send(request("/still"));
        assert.equal((await connection.response()).text, "still");
      },
    ));
});
