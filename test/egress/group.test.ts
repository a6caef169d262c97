import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { outflow } from "../../src/net/client-socket.js";
import { littleResponse } from "../../src/net/response-memory.js";
import {
  answering,
  eventually,
  type FakeServer,
  fakeServer,
  freePort,
  groupOf,
  logged,
  response,
  serverAt,
  settle,
} from "./support.js";

/** A server that answers with a name. */
function named(context: TestContext, name: string): Promise<FakeServer> {
  return fakeServer(
    context,
    answering(() => response(name)),
  );
}

/** A server that does something when a request came. */
function doing(context: TestContext, act: Parameters<typeof answering>[0]): Promise<FakeServer> {
  return fakeServer(context, answering(act));
}

describe("a server that cannot be reached", () => {
  test("costs nobody a request while there is another", async (context) => {
    const [gone, there] = [await freePort(), await named(context, "there")];
    const { send, group } = groupOf(context, [gone, there.port]);
    for (let request = 0; request < 10; request += 1)
      assert.equal(await send({ method: "POST" }).end(), "200 whole there");
    const [first] = group.status().servers;
    assert.deepEqual([first?.state, first?.failures, first?.ejectedFor], ["ejected", 3, 10]);
  });

  test("alone is tried each time: 502, with one line in the log for many", async (context) => {
    const lines = logged(context);
    const port = await freePort();
    const { send, group } = groupOf(context, [port]);
    for (let request = 0; request < 20; request += 1) assert.equal(await send().end(), "refused 502");
    assert.equal(group.status().servers[0]?.requests, 20);
    assert.deepEqual(lines, [
      `warning upstream shop: http://127.0.0.1:${port}: The connection was refused.`,
      `warning upstream shop: http://127.0.0.1:${port} failed too often and is left out for 10 s.`,
    ]);
  });

  test("that does not answer the connection's first packet is given up for the next", async (context) => {
    // a listener whose backlog is full answers no SYN
    const full = createServer();
    full.listen({ port: 0, host: "127.0.0.1", backlog: 1 });
    await once(full, "listening");
    context.after(() => full.close());
    const directory = mkdtempSync(join(tmpdir(), "vivarium-egress-"));
    context.after(() => rmSync(directory, { recursive: true }));
    const there = await named(context, "there");
    const { send, pass } = groupOf(
      context,
      [serverAt(9, { url: "http://192.0.2.1", endpoint: { kind: "tcp", host: "192.0.2.1", port: 9 } }), there.port],
      { balance: "round-robin" },
    );
    const exchange = send({ method: "POST" });
    await settle();
    if (!exchange.ended) pass(6);
    assert.equal(await exchange.end(), "200 whole there");
  });

  test("on a unix socket is as one on a port", async (context) => {
    const directory = mkdtempSync(join(tmpdir(), "vivarium-egress-"));
    context.after(() => rmSync(directory, { recursive: true }));
    const lines = logged(context);
    const path = join(directory, "socket");
    const { send } = groupOf(context, [serverAt(0, { url: `http://unix:${path}`, endpoint: { kind: "unix", path } })]);
    assert.equal(await send().end(), "refused 502");
    assert.match(lines[0] ?? "", /There is no such socket\.$/);
  });

  test("because a unix socket's backlog is full is asked again until there is room", async (context) => {
    const directory = mkdtempSync(join(tmpdir(), "vivarium-egress-"));
    context.after(() => rmSync(directory, { recursive: true }));
    const path = join(directory, "socket");
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.end(response("ok", "Connection: close\r\n")));
    });
    server.listen({ path, backlog: 1 });
    await once(server, "listening");
    context.after(() => server.close());
    const { send } = groupOf(context, [serverAt(0, { url: `http://unix:${path}`, endpoint: { kind: "unix", path } })]);
    const all = Array.from({ length: 200 }, () => send());
    for (const exchange of all) assert.equal(await exchange.end(), "200 whole ok");
  });
});

describe("a connection that ends", () => {
  test("before the response's head: a request that does no harm goes to another server", async (context) => {
    const [bad, good] = [
      await doing(context, (_, { socket }) => {
        socket.destroy();
        return "";
      }),
      await named(context, "good"),
    ];
    const { send, group } = groupOf(context, [bad.port, good.port], { balance: "round-robin" });
    for (let request = 0; request < 4; request += 1) assert.equal(await send().end(), "200 whole good");
    assert.equal(group.status().retries, 2);
  });

  test("before the response's head: one that may do harm is answered 502", async (context) => {
    const [bad, good] = [
      await doing(context, (_, { socket }) => {
        socket.resetAndDestroy();
        return "";
      }),
      await named(context, "good"),
    ];
    const { send } = groupOf(context, [bad.port, good.port], { balance: "round-robin" });
    const outcomes = [await send({ method: "POST" }).end(), await send({ method: "POST" }).end()];
    assert.deepEqual(outcomes.sort(), ["200 whole good", "refused 502"]);
    assert.equal(good.accepted.length, 1);
  });

  test("in the middle of the head counts as before it", async (context) => {
    const bad = await doing(context, (_, { socket }) => {
      socket.end("HTTP/1.1 200 OK\r\nContent-Le");
      return "";
    });
    assert.equal(await groupOf(context, [bad.port]).send().end(), "refused 502");
  });

  test("in the middle of the body cuts the response, and nothing is sent again", async (context) => {
    for (const how of ["end", "resetAndDestroy"] as const) {
      const [bad, good] = [
        await doing(context, (_, { socket }) => {
          socket.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
          setImmediate(() => setImmediate(() => socket[how]()));
          return "";
        }),
        await named(context, "good"),
      ];
      const { send, group } = groupOf(context, [bad.port, serverAt(good.port, { backup: true })]);
      assert.match(await send().end(), /^200 cut/);
      assert.deepEqual([group.status().servers[0]?.failures, good.accepted.length], [1, 0]);
    }
  });

  test("in a chunked body without its last chunk cuts the response", async (context) => {
    const octets = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    const bad = await doing(context, (_, { socket }) => {
      socket.end(octets);
      return "";
    });
    assert.equal(await groupOf(context, [bad.port]).send().end(), "200 cut half");
  });
});

describe("octets that are no response", () => {
  for (const [what, octets] of [
    ["garbage", "SSH-2.0-OpenSSH_9.6\r\n\r\n"],
    ["a huge head", `HTTP/1.1 200 OK\r\nX: ${"x".repeat(100_000)}\r\n\r\n`],
    ["two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"],
    ["a switch of protocols", "HTTP/1.1 101 Switching Protocols\r\n\r\n"],
  ] as const) {
    test(`are answered 502, and are the server's failure: ${what}`, async (context) => {
      const bad = await doing(context, () => octets);
      const { send, group } = groupOf(context, [bad.port]);
      assert.equal(await send().end(), "refused 502");
      assert.equal(group.status().servers[0]?.failures, 1);
      await eventually(() => bad.accepted[0]?.closed === true || bad.accepted[0]?.ended === true);
    });
  }

  test("in a body cut the response", async (context) => {
    const bad = await doing(
      context,
      () => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nnonsense\r\n",
    );
    assert.equal(await groupOf(context, [bad.port]).send().end(), "200 cut ok");
  });
});

describe("time limits", () => {
  test("a head that does not come: 504, and it is not asked elsewhere", async (context) => {
    const [slow, other] = [await fakeServer(context), await named(context, "other")];
    const { send, pass } = groupOf(context, [slow.port, serverAt(other.port, { backup: true })], {
      firstByteTimeout: 3,
    });
    const exchange = send();
    await (await slow.connection()).until("\r\n\r\n");
    await settle();
    pass(2);
    assert.equal(exchange.ended, false);
    pass(2);
    assert.equal(await exchange.end(), "refused 504");
    assert.equal(other.accepted.length, 0);
  });

  test("a head that comes octet by octet does not get more time", async (context) => {
    const slow = await fakeServer(context);
    const { send, pass } = groupOf(context, [slow.port], { firstByteTimeout: 3 });
    const exchange = send();
    const connection = await slow.connection();
    await connection.until("\r\n\r\n");
    for (const character of "HTTP/1.1") {
      connection.send(character);
      await settle();
      pass(1);
    }
    assert.equal(await exchange.end(), "refused 504");
  });

  test("a body that stops coming cuts the response, one that comes slowly does not", async (context) => {
    const slow = await fakeServer(context);
    const { send, pass } = groupOf(context, [slow.port], { idleTimeout: 3 });
    const exchange = send();
    const connection = await slow.connection();
    await connection.until("\r\n\r\n");
    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    for (const character of "slow") {
      connection.send(character);
      await settle();
      pass(2);
    }
    assert.equal(exchange.outcome, "200 begun slow");
    pass(4);
    assert.equal(await exchange.end(), "200 cut slow");
  });

  test("a server that stops taking the request: 504", async (context) => {
    const stuck = await fakeServer(context, ({ socket }) => socket.pause());
    const { send, pass } = groupOf(context, [stuck.port], { sendTimeout: 3 });
    const bytes = Buffer.alloc(30_000_000);
    const exchange = send({ method: "POST", body: { kind: "memory", bytes } });
    await stuck.connection();
    await settle();
    pass(4);
    assert.equal(await exchange.end(), "refused 504");
  });
});

describe("a client", () => {
  test("that leaves takes its request from the server", async (context) => {
    const slow = await fakeServer(context);
    const { send, group } = groupOf(context, [slow.port]);
    const exchange = send();
    const connection = await slow.connection();
    await connection.until("\r\n\r\n");
    exchange.leave();
    await eventually(() => connection.ended || connection.closed);
    const [server] = group.status().servers;
    assert.deepEqual([server?.outstanding, server?.failures, server?.connections.busy], [0, 0, 0]);
  });

  test("that leaves while the connection is made leaves nothing behind", async (context) => {
    const server = await named(context, "ok");
    const { send, group } = groupOf(context, [server.port]);
    send().leave();
    await settle();
    assert.deepEqual(group.status().servers[0]?.connections, { busy: 0, idle: 0 });
    assert.equal(server.accepted[0]?.received ?? "", "");
  });

  test("that reads slowly makes the server wait, at a bound", async (context) => {
    const most = 1024 * 1024;
    const size = 40 * most;
    const fast = await doing(context, (_, { socket }) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
      socket.write(Buffer.alloc(size, "x"));
      return "";
    });
    const { send, pass } = groupOf(context, [fast.port], { idleTimeout: 3 }, { responseMemory: most });
    const exchange = send();
    exchange.takes = false;
    await eventually(() => exchange.body.length > most);
    await settle();
    const held = exchange.body.length;
    assert.ok(held < 3 * most, `${held} octets`);
    // the server is not to blame
    pass(60);
    assert.equal(exchange.ended, false);
    exchange.takes = true;
    exchange.onFlushed?.(held);
    assert.equal((await exchange.end()).length, "200 whole ".length + size);
  });

  test("makes the server wait early, while slow clients have more memory than they may", async (context) => {
    const size = 4 * 1024 * 1024;
    const fast = await doing(context, (_, { socket }) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
      socket.write(Buffer.alloc(size, "x"));
      return "";
    });
    const { send } = groupOf(context, [fast.port], {}, { responseMemory: size, responseMemoryTotal: 1000 });
    outflow.unsent += 1001;
    context.after(() => {
      outflow.unsent -= 1001;
    });
    const exchange = send();
    exchange.takes = false;
    await eventually(() => exchange.body.length > littleResponse);
    await settle();
    const held = exchange.body.length;
    assert.ok(held <= 3 * littleResponse, `${held} octets`);
    exchange.takes = true;
    exchange.onFlushed?.(held);
    assert.equal((await exchange.end()).length, "200 whole ".length + size);
  });
});

describe("a group", () => {
  test("chooses the server with the fewest requests", async (context) => {
    const [slow, fast] = [await fakeServer(context), await named(context, "fast")];
    const { send } = groupOf(context, [slow.port, fast.port]);
    const all = Array.from({ length: 6 }, () => send());
    const waiting = all.filter(({ ended }) => !ended);
    await eventually(() => all.filter(({ ended }) => ended).length >= 3);
    for (let request = 0; request < 5; request += 1) assert.equal(await send().end(), "200 whole fast");
    assert.ok(waiting.length > 0);
  });

  test("by a header sends the same value to the same server, and by the client without it", async (context) => {
    const servers = [await named(context, "a"), await named(context, "b"), await named(context, "c")];
    const { send } = groupOf(
      context,
      servers.map(({ port }) => port),
      { balance: "hash", hashBy: "X-Session" },
    );
    const of = (variables: Record<string, string>): Promise<string> => send({ variables }).end();
    for (const variables of [{ HTTP_X_SESSION: "1" }, { HTTP_X_SESSION: "2" }, { REMOTE_ADDR: "192.0.2.9" }]) {
      assert.equal(await of(variables), await of(variables));
    }
    const found = new Set<string>();
    for (let session = 0; session < 30; session += 1) found.add(await of({ HTTP_X_SESSION: String(session) }));
    assert.equal(found.size, 3);
  });

  test("spends no more retries than its budget", async (context) => {
    const bad = await freePort();
    const other = await freePort();
    const { send, group } = groupOf(context, [bad, other], { maxFails: 0, retryBudget: 0.1 });
    for (let request = 0; request < 300; request += 1) assert.equal(await send().end(), "refused 502");
    const { retries } = group.status();
    assert.ok(retries >= 100 && retries <= 130, String(retries));
  });

  test("drains a server by command: what runs is finished, nothing new begins, until it is taken back", async (context) => {
    const [a, b] = [await fakeServer(context), await named(context, "b")];
    const { send, group } = groupOf(context, [a.port, b.port]);
    const running = [send(), send()];
    const connection = await a.connection();
    await connection.until("\r\n\r\n");
    const url = `http://127.0.0.1:${a.port}`;
    assert.deepEqual([group.drain("http://127.0.0.1:1"), group.drain(url)], [false, true]);
    for (let request = 0; request < 5; request += 1) assert.equal(await send().end(), "200 whole b");
    assert.equal(group.status().servers[0]?.state, "draining");
    connection.send(response("a"));
    assert.deepEqual((await Promise.all(running.map((each) => each.end()))).sort(), ["200 whole a", "200 whole b"]);
    assert.ok(group.drain(`127.0.0.1:${b.port}`));
    assert.equal(await send().end(), "refused 503");
    assert.ok(group.undrain(url));
    const last = send();
    await eventually(() => connection.received.split("\r\n\r\n").length === 3);
    connection.send(response("again"));
    assert.equal(await last.end(), "200 whole again");
  });

  test("brings back a server that answers again, and says so", async (context) => {
    const lines = logged(context);
    let well = false;
    const server = await doing(context, (_, { socket }) => {
      if (!well) socket.destroy();
      return well ? response("well") : "";
    });
    const other = await named(context, "other");
    const { send, group, pass } = groupOf(context, [server.port, other.port], { balance: "round-robin" });
    for (let request = 0; request < 6; request += 1) await send().end();
    assert.equal(group.status().servers[0]?.state, "ejected");
    well = true;
    pass(11);
    assert.equal(await send().end(), "200 whole well");
    assert.equal(group.status().servers[0]?.state, "up");
    assert.ok(lines.includes(`info upstream shop: http://127.0.0.1:${server.port} answers again.`));
  });

  test("shows of each server what it has, had, and how long it took", async (context) => {
    const server = await named(context, "ok");
    const { send, group } = groupOf(context, [serverAt(server.port, { weight: 3 })]);
    await send().end();
    assert.deepEqual(group.status(), {
      name: "shop",
      balance: "least-outstanding",
      requests: 1,
      retries: 0,
      servers: [
        {
          url: `http://127.0.0.1:${server.port}`,
          address: `127.0.0.1:${server.port}`,
          state: "up",
          backup: false,
          weight: 3,
          outstanding: 0,
          requests: 1,
          failures: 0,
          latency: 0,
          ejectedFor: 0,
          connections: { busy: 0, idle: 1 },
        },
      ],
    });
  });

  test("that is closed finishes what runs and keeps no connection", async (context) => {
    const server = await fakeServer(context);
    const { send, group } = groupOf(context, [server.port]);
    const exchange = send();
    const connection = await server.connection();
    await connection.until("\r\n\r\n");
    group.close();
    connection.send(response("last"));
    assert.equal(await exchange.end(), "200 whole last");
    await eventually(() => connection.ended || connection.closed);
  });
});

describe("health checks", () => {
  test("leave a server out that fails them, and take it back", async (context) => {
    const lines = logged(context);
    let status = "200 OK";
    const sick = await doing(context, (head) =>
      head.startsWith("GET /health?deep HTTP/1.1")
        ? `HTTP/1.1 ${status}\r\nContent-Length: 0\r\n\r\n`
        : response("sick"),
    );
    const well = await named(context, "well");
    const { send, group, pass } = groupOf(context, [sick.port, well.port], {
      balance: "round-robin",
      healthPath: "/health?deep",
      healthInterval: 2,
    });
    const state = (): string => group.status().servers[0]?.state ?? "";
    status = "500 Oh";
    pass(1);
    await eventually(() => state() === "unhealthy");
    for (let request = 0; request < 4; request += 1) assert.equal(await send().end(), "200 whole well");
    status = "302 Elsewhere";
    for (let check = 0; check < 2; check += 1) {
      await settle();
      pass(3);
      await settle();
    }
    await eventually(() => state() === "up");
    assert.match(sick.accepted[0]?.received ?? "", /^GET \/health\?deep HTTP\/1\.1\r\nHost: 127\.0\.0\.1:\d+\r\n/);
    assert.equal(lines.filter((line) => line.includes("health check")).length, 2);
  });

  test("are made in the protocol of the server", async (context) => {
    const uwsgi = await fakeServer(context, (connection) => {
      connection.socket.once("data", () => connection.socket.end("HTTP/1.1 500 Oh\r\n\r\nunwell"));
    });
    const server = serverAt(uwsgi.port, { protocol: "uwsgi" });
    const { group, pass } = groupOf(context, [server], { healthPath: "/h%C3%A4", params: { APP: "ä" } });
    pass(1);
    await eventually(() => group.status().servers[0]?.state === "unhealthy");
    assert.match(
      uwsgi.accepted[0]?.received ?? "",
      /PATH_INFO\x04\0\/h\xc3\xa4.*REQUEST_URI\x08\0\/h%C3%A4.*APP\x02\0\xc3\xa4/s,
    );
  });

  test("that get no answer within their interval have failed", async (context) => {
    const silent = await fakeServer(context);
    const { group, pass } = groupOf(context, [silent.port], { healthPath: "/", healthInterval: 2 });
    pass(1);
    await (await silent.connection()).until("\r\n\r\n");
    assert.equal(group.status().servers[0]?.state, "up");
    pass(3);
    assert.equal(group.status().servers[0]?.state, "unhealthy");
  });
});
