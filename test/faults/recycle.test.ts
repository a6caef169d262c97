// Workers that are replaced though they work: clients see nothing of it, and there is never more than one worker too many.
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Load } from "../support/load.js";
import { type PromiseOptions, promised } from "../support/promises.js";
import { vivarium } from "../support/vivarium.js";
import { request, type Server, until } from "./server.js";

const gone = /^info supervisor: Worker \d+ \(pid \d+\), whose place another has, is gone\.$/;
const causes = {
  requests:
    /^info supervisor: Worker \d+ \(pid \d+\) has answered \d+ requests \(--max-requests\); another takes its place\.$/,
  age: /^info supervisor: Worker \d+ \(pid \d+\) is \d+ s old \(--max-worker-age\); another takes its place\.$/,
  memory:
    /^info supervisor: Worker \d+ \(pid \d+\) has \d+ MiB of memory \(--max-worker-memory\); another takes its place\.$/,
};

/** Two workers, unless `args` says otherwise. */
function recycled(
  args: readonly string[],
  expected: readonly RegExp[],
  act: (server: Server) => Promise<void>,
  options: Partial<PromiseOptions> = {},
): Promise<void> {
  return promised({ ...options, args: ["--workers", "2", ...args], expected: [gone, ...expected] }, act);
}

function load(server: Server, query = "", connectionEach = false): Load {
  return new Load({
    port: server.vivarium.port,
    clients: 8,
    connectionEach,
    ask: (client, number) => ({ path: `/${client}-${number}${query}`, right: `${client}-${number}` }),
  });
}

/** How many workers have left because others had their places. */
function left(server: Server): number {
  return server.output.split("whose place another has, is gone.").length - 1;
}

/** Waits until so many have left, and gives the most workers that were seen at once meanwhile. */
async function mostUntil(server: Server, count: number): Promise<number> {
  let most = 0;
  await until(async () => {
    most = Math.max(most, (await server.status()).workers.length);
    return left(server) >= count;
  }, `${count} workers were replaced`);
  return most;
}

async function settled(server: Server, workers = 2): Promise<void> {
  await until(async () => {
    const there = (await server.status()).workers;
    return there.length === workers && there.every(({ state }) => state === "ready");
  }, "there are as many workers as are wanted");
}

describe("workers under load are replaced one at a time, and no request fails", () => {
  for (const connectionEach of [false, true]) {
    const how = connectionEach ? "a connection each" : "kept connections";
    test(`after so many requests, over ${how}`, async () => {
      await recycled(["--max-requests", "100"], [causes.requests], async (server) => {
        const clients = load(server, "", connectionEach);
        assert.ok((await mostUntil(server, 12)) <= 3);
        await clients.stop();
        assert.deepEqual(clients.wrong, {});
        await settled(server);
      });
    });
  }

  test("at their age", async () => {
    await recycled(["--max-worker-age", "0.5"], [causes.age], async (server) => {
      const clients = load(server, "?sleep=2");
      assert.ok((await mostUntil(server, 6)) <= 3);
      await clients.stop();
      assert.deepEqual(clients.wrong, {});
    });
  });

  test("when they have too much memory", async () => {
    await recycled(["--max-worker-memory", "64"], [causes.memory], async (server) => {
      const clients = load(server, "?leak=1024");
      assert.ok((await mostUntil(server, 8)) <= 3);
      await clients.stop();
      assert.deepEqual(clients.wrong, {});
    });
  });
});

describe("a worker that is replaced", () => {
  test("finishes what it executes, and another is not replaced before it is gone", async () => {
    await recycled(["--max-requests", "10", "--threads", "4"], [causes.requests], async (server) => {
      const long = server.begin("/long?note&wait=go");
      await server.recorded("long");
      const busy = (await server.status()).workers.find((worker) => worker.busy > 0)?.pid;
      const clients = load(server);
      const asked = async (requests: number): Promise<void> => {
        const before = clients.requests;
        await until(() => clients.requests > before + requests, "clients are answered");
      };
      await until(async () => {
        const { workers } = await server.status();
        return workers.some(({ pid, state }) => pid === busy && state === "draining");
      }, "it is draining");
      await asked(100);
      const replaced = left(server);
      await asked(300);
      assert.equal(left(server), replaced);
      assert.equal((await server.status()).workers.length, 3);
      server.release("go");
      assert.equal((await long.response()).text, "long");
      await until(() => left(server) > replaced + 2, "others are replaced then");
      await clients.stop();
      assert.deepEqual(clients.wrong, {});
      await settled(server);
    });
  });

  test("is ended after --graceful-timeout, with what it executes", async () => {
    const ended =
      /^warning supervisor: Worker 1 \(pid \d+\) still executes what it had when another took its place: it is ended \(--graceful-timeout\)\.$/;
    const cut =
      /^error pool: Worker 1 \(pid \d+\) died while it executed POST \/long\?\S+ \(request id \w+\); it is answered 502\.$/;
    await recycled(
      ["--workers", "1", "--max-requests", "3", "--threads", "4", "--graceful-timeout", "0.2"],
      [causes.requests, ended, cut],
      async (server) => {
        const long = server.connection();
        long.send(request("/long?note&wait=never", "", "POST"));
        await server.recorded("long");
        for (let i = 0; i < 8; i += 1) assert.equal(await server.text(`/${i}`), String(i));
        assert.equal((await long.response()).status, 502);
        await settled(server, 1);
      },
    );
  });
});

/** Each worker imports it, and waits with that while there is a file `block`. */
const slow = `
import os, time
while os.path.exists("block"):
    time.sleep(0.005)

def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
`;

describe("a worker whose successor takes its time", () => {
  const options = { target: "slow.py:app", files: { "slow.py": slow } };
  const args = ["--workers", "1", "--no-preload", "--max-requests", "5", "--probation", "0"];
  const spend = async (server: Server): Promise<void> => {
    writeFileSync(join(server.folder, "block"), "");
    for (let i = 0; i < 6; i += 1) assert.equal(await server.text("/"), "ok");
    await until(async () => (await server.status()).workers.length === 2, "its successor boots");
  };

  test("serves on until that is ready", async () => {
    await recycled(
      args,
      [causes.requests],
      async (server) => {
        const [{ pid = 0 } = {}] = (await server.status()).workers;
        await spend(server);
        for (let i = 0; i < 20; i += 1) assert.equal(await server.text("/"), "ok");
        rmSync(join(server.folder, "block"));
        await settled(server, 1);
        assert.notEqual((await server.status()).workers[0]?.pid, pid);
        assert.equal(await server.text("/"), "ok");
      },
      options,
    );
  });

  test("leaves at a reload with all the others", async () => {
    const reloading = /^info supervisor: (Reloading: generation 2 is being loaded|Generation 2 serves)\.$/;
    await recycled(
      args,
      [causes.requests, reloading],
      async (server) => {
        await spend(server);
        const reloaded = vivarium(["reload", "--control", server.vivarium.control]);
        await server.logged(/Reloading: generation 2 is being loaded/);
        for (let i = 0; i < 20; i += 1) assert.equal(await server.text("/"), "ok");
        rmSync(join(server.folder, "block"));
        assert.equal((await reloaded).code, 0);
        await settled(server, 1);
        assert.equal((await server.status()).workers[0]?.generation, 2);
        assert.equal(await server.text("/"), "ok");
      },
      options,
    );
  });

  test("and dies meanwhile is told of as every death is", async () => {
    const died = /^error supervisor: Worker 1 \(pid \d+\) was killed by SIGKILL; another takes its place\.$/;
    await recycled(
      args,
      [causes.requests, died],
      async (server) => {
        const [{ pid = 0 } = {}] = (await server.status()).workers;
        await spend(server);
        process.kill(pid, "SIGKILL");
        await server.logged(/was killed by SIGKILL; another takes its place/);
        rmSync(join(server.folder, "block"));
        assert.equal(await server.text("/"), "ok");
        await settled(server, 1);
      },
      options,
    );
  });
});

describe("a worker with far too much memory", () => {
  const killed =
    /^error supervisor: Worker \d \(pid \d+\) has \d+ MiB of memory \(--max-worker-memory-hard\): it is killed\.$/;
  const died = /^error supervisor: Worker \d \(pid \d+\) was killed by SIGKILL; another takes its place\.$/;
  const again =
    /^warning pool: Worker \d \(pid \d+\) died while it executed GET \S+ \(request id \w+\); it is run once more\.$/;
  const answered =
    /^error pool: Worker \d \(pid \d+\) died while it executed POST \/post\S+ \(request id \w+\); it is answered 502\.$/;

  test("is killed in the middle of a request; a GET is run once more, a POST is not, and others are answered", async () => {
    await recycled(
      ["--max-worker-memory-hard", "150", "--threads", "4"],
      [killed, died, again, answered],
      async (server) => {
        const clients = load(server, "?sleep=1");
        const get = server.begin("/get?once=first&leak=200000&wait=never");
        assert.equal((await get.response()).text, "get");
        // What was run once more with it has to be answered first: no request survives two workers.
        await settled(server);
        const { right } = clients.counts;
        await until(() => clients.counts.right > right + 100, "clients are answered");
        const post = server.connection();
        post.send(request("/post?note&leak=200000&wait=never", "", "POST"));
        assert.equal((await post.response()).status, 502);
        await clients.stop();
        assert.deepEqual(clients.wrong, {});
        assert.deepEqual(server.record(), ["post"]);
        await settled(server);
      },
    );
  });
});

describe("an application that is too large from the beginning", () => {
  test("is served by workers that stay, and the log says that the limit is too low", async () => {
    const low =
      /^warning supervisor: Worker \d \(pid \d+\) has \d+ MiB of memory before it has answered anything, and so would the next: --max-worker-memory \(1\) is too low, and counts for nothing until a reload\.$/;
    await recycled(["--max-worker-memory", "1"], [low], async (server) => {
      const pids = async (): Promise<number[]> => (await server.status()).workers.map(({ pid }) => pid);
      const before = await pids();
      const clients = load(server);
      await until(() => clients.requests > 200, "clients are answered");
      await clients.stop();
      assert.deepEqual(clients.wrong, {});
      assert.deepEqual(await pids(), before);
      assert.equal(server.output.match(/--max-worker-memory \(1\) is too low/g)?.length, 1);
    });
  });
});
