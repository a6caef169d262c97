// What an application in an embedded interpreter brings about beside its answers.
import assert from "node:assert/strict";
import { createServer } from "node:net";
import { after, before, describe, test } from "node:test";
import { Connection } from "../../conformance/wsgi/connection.js";
import { alive, waitUntilGone } from "../../support/processes.js";
import { python, pythons } from "../../support/tools.js";
import { Probed } from "../probed.js";

function started(args: readonly string[] = []): Promise<Probed> {
  return Probed.start({ mode: "embedded", python: python(), args });
}

async function number(server: Probed, name: string, query = ""): Promise<number> {
  const answer = await server.ask(name, query);
  assert.ok(typeof answer === "number");
  return answer;
}

describe("an embedded application's threads", () => {
  let server: Probed;
  before(async () => {
    server = await started();
  });
  after(() => server.stop());

  test("run while the server waits for clients", async () => {
    const first = await number(server, "turns");
    let latest = first;
    while (latest < first + 20) latest = await number(server, "turns");
    assert.ok(latest >= first + 20);
  });

  test("run while a request waits for them", async () => assert.equal(await server.ask("background"), true));
});

describe("what an embedded application prints", () => {
  test("is in the server's log, by whichever way it was printed", async () => {
    const server = await started();
    try {
      await server.ask("prints");
      for (const line of [
        /worker 1: printed$/mu,
        /worker 1: printed without a line's end$/mu,
        /worker 1: written to standard error$/mu,
        /worker 1: INFO logged café$/mu,
        /worker 1: by the descriptor$/mu,
        /worker 1: by a program$/mu,
      ]) {
        await server.vivarium.process.line(line);
      }
    } finally {
      await server.stop();
    }
  });
});

describe("the end of an embedded interpreter", () => {
  for (const { version, path } of pythons()) {
    test(`runs what the application registered with atexit (Python ${version})`, async () => {
      const server = await Probed.start({ mode: "embedded", python: path });
      await server.ask("at_exit", `path=${server.path("ends")}`);
      const { code } = await server.vivarium.stop();
      assert.equal(code, 0);
      assert.equal(server.written("ends"), "atexit\n");
      await server.stop();
    });
  }

  test("is not put off by a thread that never ends", async () => {
    const server = await started();
    await server.ask("turns");
    await server.ask("at_exit", `path=${server.path("ends")}`);
    const { code } = await server.vivarium.stop();
    assert.equal(code, 0);
    assert.equal(server.written("ends"), "atexit\n");
    await server.stop();
  });
});

describe("signal.signal in an embedded application", () => {
  for (const name of ["SIGTERM", "SIGINT", "SIGHUP"]) {
    test(`does not take ${name} from the server`, async () => {
      const server = await started();
      await server.ask("takes_signals", `name=${name}`);
      await server.vivarium.process.line(new RegExp(`handler of ${name} is not set`, "u"));
      // Ctrl-C and service managers signal the whole group, so the front gets it, too.
      const { code } = await server.vivarium.stop(name === "SIGINT" ? "SIGINT" : "SIGTERM");
      assert.equal(code, 0);
      await server.stop();
    });
  }
});

describe("a process that an embedded application forked", () => {
  test("has none of the server's connections", async () => {
    const server = await started();
    try {
      const connection = new Connection(server.vivarium.port);
      const kept = new Connection(server.vivarium.port);
      kept.send("GET /first_on_path HTTP/1.1\r\nHost: test\r\n\r\n");
      assert.equal((await kept.response()).status, 200);
      connection.send(
        `GET /child_that_stays?path=${server.path("go")} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n`,
      );
      const child = Number((await connection.response()).text);
      assert.equal(await connection.ended(), true);
      kept.send("GET /first_on_path HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
      assert.equal((await kept.response()).status, 200);
      assert.equal(await kept.ended(), true);
      assert.equal(alive(child), true);
      server.release("go");
      assert.deepEqual(await waitUntilGone([child]), []);
    } finally {
      server.release("go");
      await server.stop();
    }
  });

  test("does not keep the port when the server has ended", async () => {
    const server = await started();
    const child = await number(server, "child_that_stays", `path=${server.path("go")}`);
    try {
      await server.vivarium.process.stop();
      assert.equal(alive(child), true);
      await new Promise<void>((done, fail) => {
        const next = createServer().once("error", fail);
        next.listen(server.vivarium.port, "127.0.0.1", () => next.close(() => done()));
      });
    } finally {
      server.release("go");
      assert.deepEqual(await waitUntilGone([child]), []);
      await server.stop();
    }
  });

  test("ends by SIGTERM, and the server does not notice", async () => {
    const server = await started();
    try {
      const child = await number(server, "child_that_stays", `path=${server.path("go")}`);
      process.kill(child, "SIGTERM");
      assert.deepEqual(await waitUntilGone([child]), []);
      assert.equal(await server.ask("background"), true);
    } finally {
      server.release("go");
      await server.stop();
    }
  });

  for (const name of ["child_that_returns", "child_that_raises", "child_that_writes", "child_that_streams"]) {
    test(`ends with the request: ${name.replaceAll("_", " ")}`, async () => {
      const server = await started();
      try {
        const children: number[] = [];
        for (let times = 0; times < 3; times += 1) children.push(await number(server, name));
        assert.deepEqual(await waitUntilGone(children), []);
        assert.equal(await server.ask("background"), true);
      } finally {
        await server.stop();
      }
    });
  }
});

test("a hundred thousand requests leave an embedded interpreter's memory as it was", async () => {
  const server = await started();
  try {
    const request = Buffer.from("GET /first_on_path HTTP/1.1\r\nHost: test\r\n\r\n");
    const exchange = async (count: number): Promise<void> => {
      const connection = new Connection(server.vivarium.port);
      for (let left = count; left > 0; left -= 100) {
        connection.send(Buffer.concat(Array.from({ length: 100 }, () => request)));
        for (let answers = 0; answers < 100; answers += 1) assert.equal((await connection.response()).status, 200);
      }
      connection.close();
    };
    await exchange(30_000);
    const before = await number(server, "memory");
    await exchange(100_000);
    const grown = (await number(server, "memory")) - before;
    // An object of 56 octets, the smallest dictionary's, for each request would be more than this.
    assert.ok(grown < 5_000_000, `it grew by ${grown} octets`);
  } finally {
    await server.stop();
  }
});
