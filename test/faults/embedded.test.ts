// Faults of an application that is inside the fronts: one of them is lost, and nothing else.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { alive, waitUntilGone } from "../support/processes.js";
import { promisesApplication } from "../support/promises.js";
import { python } from "../support/tools.js";
import { request, Server, type ServerOptions, until } from "./server.js";

function started(workers: number, options: ServerOptions = {}): Promise<Server> {
  const args = ["--embedded", "--python", python(), "--workers", `${workers}`, ...(options.args ?? [])];
  return Server.start({ ...options, args });
}

/** The process that answers a request. */
async function pid(server: Server): Promise<number> {
  return Number(await server.text("/pid"));
}

/** Waits until so many processes answer, none of which is among these. */
async function replaced(server: Server, workers: number, gone: readonly number[]): Promise<void> {
  const answering = new Set<number>();
  await until(async () => {
    answering.add(await pid(server));
    return [...answering].filter((each) => !gone.includes(each)).length === workers;
  }, `${workers} processes answer`);
}

/** A request whose process dies has no answer. */
async function lost(server: Server, path: string): Promise<void> {
  const connection = server.begin(path);
  await assert.rejects(connection.response());
  connection.close();
}

describe("an embedded application that ends its process", () => {
  test("by os._exit: its last words and the status are in the log, and the next request is answered", async () => {
    const server = await started(1);
    try {
      const before = await pid(server);
      await lost(server, "/die");
      assert.notEqual(await pid(server), before);
      await server.logged(/worker 1: last words, without an end$/mu);
      await server.logged(/The front ended \(status 7\); another takes its place\.$/mu);
    } finally {
      await server.stop();
    }
  });

  test("by a crash: where it was is in the log, and the other process serves meanwhile", async () => {
    const server = await started(2);
    try {
      await replaced(server, 2, []);
      await lost(server, "/segfault");
      assert.equal(await server.text("/alive"), "alive");
      await server.logged(/Front [12] ended \(SIGSEGV\); another takes its place\.$/mu);
      await server.logged(/worker [12]: Fatal Python error: Segmentation fault$/mu);
      await server.logged(/worker [12]: +File ".*worker_app\.py", line \d+ in app$/mu);
      await replaced(server, 2, []);
    } finally {
      await server.stop();
    }
  });

  test("again and again: it is replaced each time", async () => {
    const server = await started(1);
    try {
      for (let times = 0; times < 3; times += 1) {
        const before = await pid(server);
        await lost(server, "/die");
        await replaced(server, 1, [before]);
      }
    } finally {
      await server.stop();
    }
  });
});

test("of a request that ends its process nothing is run again, and what others have asked of it is lost with it", async () => {
  const server = await started(1, { target: promisesApplication });
  try {
    const before = server.connection();
    before.send(request("/before"));
    assert.equal((await before.response()).text, "before");
    const deadly = server.begin("/deadly?note&wait=go&die");
    await until(() => server.record().includes("deadly"), "it is executed");
    before.send(request("/behind?note"));
    server.release("go");
    await assert.rejects(deadly.response());
    await assert.rejects(before.response());
    assert.equal(await server.text("/after?note"), "after");
    assert.deepEqual(server.record(), ["deadly", "after"]);
  } finally {
    assert.equal((await server.stop()).code, 0);
  }
});

test("more requests than an embedded application can execute wait, and --queue refuses none of them", async () => {
  const server = await started(1, { target: promisesApplication, args: ["--queue", "0", "--queue-timeout", "1"] });
  try {
    const waiting = Array.from({ length: 8 }, (_, n) => server.begin(`/${n}?note&wait=go`));
    await until(() => server.record().length === 1, "one is executed");
    server.release("go");
    const answers = await Promise.all(waiting.map((connection) => connection.response()));
    assert.deepEqual(
      answers.map(({ status, text }) => [status, text]),
      waiting.map((_, n) => [200, `${n}`]),
    );
  } finally {
    assert.equal((await server.stop()).code, 0);
  }
});

test("SystemExit ends no process of an embedded application: 500, and the traceback in the log", async () => {
  const server = await started(1);
  try {
    const before = await pid(server);
    assert.equal((await server.get("/exit")).status, 500);
    assert.equal(await pid(server), before);
    await server.logged(/worker 1: SystemExit: the application exits$/mu);
  } finally {
    await server.stop();
  }
});

describe("an embedded application that never ends", () => {
  test("loses its process after --hang-timeout, with a traceback in the log; the others serve meanwhile", async () => {
    const server = await started(2, { args: ["--hang-timeout", "1"] });
    try {
      const connection = server.begin("/loop");
      await server.recorded("begin loop");
      const serving = await pid(server);
      for (let times = 0; times < 20; times += 1) assert.equal(await pid(server), serving);
      await assert.rejects(connection.response());
      await server.logged(/Front [12] has not answered for 1 s \(--hang-timeout\); it is killed\.$/mu);
      await server.logged(/worker [12]: +File ".*worker_app\.py", line \d+ in app$/mu);
      await replaced(server, 2, []);
    } finally {
      await server.stop();
    }
  });

  test("is killed when the server stops, after --graceful-timeout", async () => {
    const server = await started(1, { args: ["--graceful-timeout", "1", "--hang-timeout", "0"] });
    const stuck = await pid(server);
    server.begin("/loop");
    await server.recorded("begin loop");
    await server.stop();
    assert.equal(alive(stuck), false);
  });
});

describe("a process of an embedded application that is killed", () => {
  test("takes its own requests with it and nothing else, and is replaced", async () => {
    const server = await started(2);
    try {
      const waiting = server.begin("/wait/first");
      await server.recorded("begin first");
      const other = await pid(server);
      const killed = (await server.status()).fronts.map((front) => front.pid).filter((each) => each !== other);
      for (const each of killed) process.kill(each, "SIGKILL");
      await assert.rejects(waiting.response());
      assert.equal(await pid(server), other);
      await server.logged(/Front [12] ended \(SIGKILL\); another takes its place\.$/mu);
      await replaced(server, 2, killed);
    } finally {
      await server.stop();
    }
  });

  test("with its supervisor: the others end", async () => {
    const server = await started(2);
    await replaced(server, 2, []);
    const fronts = (await server.status()).fronts.map((front) => front.pid);
    process.kill(server.vivarium.pid, "SIGKILL");
    assert.deepEqual(await waitUntilGone(fronts), []);
    await server.stop();
  });
});

describe("a client that leaves in the midst of a stream of an embedded application", () => {
  test("ends it: close() is called, and the process serves on", async () => {
    const server = await started(1, { files: { go: "" } });
    try {
      const before = await pid(server);
      const connection = server.begin("/ticks");
      await connection.received("tick");
      connection.leave();
      const stream = server.begin("/stream/go");
      await stream.received("nine");
      await server.recorded("go closed");
      const mebibytes = server.begin("/mebibytes/200");
      await mebibytes.received("0123456789abcdef");
      mebibytes.leave();
      await until(() => server.record().some((line) => /^closed 200 with [1-9]/u.test(line)), "it is closed");
      assert.equal(await pid(server), before);
    } finally {
      await server.stop();
    }
  });
});
