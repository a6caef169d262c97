// Several fronts: a gateway of two, with a server elsewhere that says its name.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { FrontStatus } from "../../src/supervisor/status.js";
import { Connection } from "../conformance/wsgi/connection.js";
import { request, statusAt, until } from "../faults/server.js";
import { alive, descendants, start, waitUntilGone } from "../support/processes.js";
import { python, removeFolder, temporaryFolder } from "../support/tools.js";
import { startGateway, type Vivarium, vivarium } from "../support/vivarium.js";

describe("two fronts", () => {
  let folder = "";
  const servers: Server[] = [];
  const urls: string[] = [];
  /** Ends the responses of paths that begin with /wait. */
  let release = (): void => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  let gateway: Vivarium;
  const connections: Connection[] = [];

  before(async () => {
    folder = temporaryFolder("fronts");
    mkdirSync(join(folder, "public"));
    writeFileSync(join(folder, "public/a.txt"), "a file\n");
    for (const name of ["one", "two"]) {
      const server = createServer((asked, response) => {
        response.write(`${name} `);
        const end = (): void => void response.end(asked.url);
        if (asked.url?.startsWith("/wait") === true) released.then(end);
        else end();
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      servers.push(server);
      const { port } = server.address() as AddressInfo;
      urls.push(`http://127.0.0.1:${port}`);
    }
  });
  after(async () => {
    for (const server of servers) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
    removeFolder(folder);
  });
  beforeEach(async () => {
    const args = urls.flatMap((url) => ["--upstream", url]);
    const log = ["--access-log", join(folder, "access.log")];
    gateway = await startGateway({
      cwd: folder,
      args: ["--fronts", "2", ...args, "--static", "/files=public", ...log],
    });
  });
  afterEach(async () => {
    for (const connection of connections.splice(0)) connection.close();
    await gateway.stop();
  });

  const fronts = async (): Promise<readonly FrontStatus[]> => (await statusAt(gateway.control)).fronts;
  const ready = (count: number): Promise<void> =>
    until(
      async () => (await fronts()).filter(({ state }) => state === "ready").length === count,
      `${count} fronts are ready`,
    );
  const connect = (server = gateway): Connection => {
    const connection = new Connection(server.port);
    connections.push(connection);
    return connection;
  };
  const text = async (path: string, connection = connect()): Promise<string> => {
    connection.send(request(path));
    return (await connection.response()).text;
  };
  /** A connection that this front has taken. Which of them takes one is the system's choice. */
  const connectionOf = async (number: number, server = gateway): Promise<Connection> => {
    const count = async (): Promise<number> => (await statusAt(server.control)).fronts[number - 1]?.connections ?? 0;
    for (;;) {
      const before = await count();
      const connection = connect(server);
      await text("/files/a.txt", connection);
      if ((await count()) > before) return connection;
    }
  };

  test("both serve, each its own connections; their status is one", async () => {
    for (const number of [1, 2]) assert.match(await text("/x", await connectionOf(number)), /^(one|two) \/x$/u);
    const [one, two, ...others] = await fronts();
    assert.ok(one !== undefined && two !== undefined && one.pid !== two.pid && alive(one.pid) && alive(two.pid));
    assert.deepEqual([one.id, two.id, others], [1, 2, []]);
    assert.ok(one.requests >= 2 && two.requests >= 2);
    const { upstreams } = await statusAt(gateway.control);
    assert.deepEqual([upstreams.length, upstreams[0]?.requests, upstreams[0]?.servers.length], [1, 2, 2]);
    const requests = upstreams[0]?.servers.reduce((sum, server) => sum + server.requests, 0);
    assert.equal(requests, 2);
    const { stdout } = await vivarium(["status", "--control", gateway.control]);
    assert.match(stdout, /^fronts {6}2 processes, 2 ready; \d+ connections open, \d+ requests, /mu);
    assert.match(stdout, /^ {4}2 +\d+ +ready /mu);
    assert.match(gateway.output, /^ {2}fronts {7}2 processes$/mu);
  });

  test("one that dies takes its connections and no others; it is replaced under its number", async () => {
    const [lost, kept] = [await connectionOf(1), await connectionOf(2)];
    const [one, two] = await fronts();
    process.kill(one?.pid ?? 0, "SIGKILL");
    assert.equal(await lost.ended(), true);
    assert.equal(await text("/files/a.txt", kept), "a file\n");
    assert.equal(await text("/files/a.txt"), "a file\n");
    await gateway.process.line(/Front 1 ended \(SIGKILL\); another takes its place\./u);
    await ready(2);
    const [next, same] = await fronts();
    assert.deepEqual([next?.id, same?.pid], [1, two?.pid]);
    assert.notEqual(next?.pid, one?.pid);
    assert.equal(await text("/files/a.txt", kept), "a file\n");
    await connectionOf(1);
  });

  test("one that is stopped is silent, and holds up neither status nor drain nor the others", async () => {
    const kept = await connectionOf(2);
    const [one] = await fronts();
    process.kill(one?.pid ?? 0, "SIGSTOP");
    assert.deepEqual(
      (await fronts()).map(({ state }) => state),
      ["silent", "ready"],
    );
    const { code, stdout } = await vivarium(["drain", urls[0] ?? "", "--control", gateway.control]);
    assert.deepEqual([code, stdout], [0, `${urls[0]} gets no more requests of main.\n`]);
    for (let n = 0; n < 4; n += 1) assert.equal(await text("/", kept), "two /");
    process.kill(one?.pid ?? 0, "SIGCONT");
    await ready(2);
    const connection = await connectionOf(1);
    for (let n = 0; n < 4; n += 1) assert.equal(await text("/", connection), "two /");
  });

  test("a server is drained in both, and in the one that replaces either, until that is undone", async () => {
    const drain = async (...args: readonly string[]): Promise<number | null> =>
      (await vivarium(["drain", urls[0] ?? "", "--control", gateway.control, ...args])).code;
    assert.equal(await drain(), 0);
    process.kill((await fronts())[0]?.pid ?? 0, "SIGKILL");
    await gateway.process.line(/Front 1 ended/u);
    await ready(2);
    const pair = [await connectionOf(1), await connectionOf(2)];
    for (const connection of pair) for (let n = 0; n < 4; n += 1) assert.equal(await text("/", connection), "two /");
    const states = async (): Promise<unknown> =>
      (await statusAt(gateway.control)).upstreams[0]?.servers.map(({ state }) => state);
    assert.deepEqual(await states(), ["draining", "up"]);
    assert.equal(await drain("--undo"), 0);
    assert.deepEqual(await states(), ["up", "up"]);
    for (const connection of pair) {
      const names = new Set<string>();
      for (let n = 0; n < 4; n += 1) names.add(await text("/", connection));
      assert.deepEqual(names, new Set(["one /", "two /"]));
    }
  });

  test("what one has kept open does not keep the other's request from a server with one connection at a time", async () => {
    const script = `import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print("port", server.server_port, flush=True)
server.serve_forever()
`;
    const single = start(python(), ["-c", script]);
    const [, port = ""] = await single.line(/port (\d+)/u);
    const front = await startGateway({
      args: ["--fronts=2", "--upstream", `http://127.0.0.1:${port}`, "--access-log=off"],
    });
    try {
      const pair = [await connectionOf(1, front), await connectionOf(2, front)];
      for (let n = 0; n < 4; n += 1) for (const connection of pair) assert.equal(await text("/", connection), "ok");
    } finally {
      await front.stop();
      await single.stop();
    }
  });

  test("one that is stuck is killed and replaced, while the other serves every connection", async () => {
    const args = ["--fronts=2", "--static", "/files=public", "--access-log=off", "--hang-timeout=1"];
    const server = await startGateway({ cwd: folder, args });
    try {
      const kept = await connectionOf(2, server);
      const [one, two] = (await statusAt(server.control)).fronts;
      process.kill(one?.pid ?? 0, "SIGSTOP");
      const pids = async (): Promise<readonly number[]> =>
        (await statusAt(server.control)).fronts.flatMap(({ pid, state }) => (state === "ready" ? [pid] : []));
      await until(async () => {
        for (let n = 0; n < 20; n += 1) assert.equal(await text("/files/a.txt", connect(server)), "a file\n");
        const now = await pids();
        return now.length === 2 && !now.includes(one?.pid ?? 0);
      }, "it is replaced");
      assert.ok((await pids()).includes(two?.pid ?? 0));
      assert.equal(await text("/files/a.txt", kept), "a file\n");
      await server.process.line(/Front 1 has not answered for 1 s \(--hang-timeout\); it is killed\./u);
      await server.process.line(/Front 1 ended \(SIGKILL\); another takes its place\./u);
    } finally {
      await server.stop();
    }
  });

  test("none is killed because the whole system was suspended", async () => {
    const args = ["--fronts=2", "--static", "/files=public", "--access-log=off", "--hang-timeout=1"];
    const server = await startGateway({ cwd: folder, args });
    try {
      const pids = async (): Promise<readonly number[]> =>
        (await statusAt(server.control)).fronts.map(({ pid }) => pid);
      const before = await pids();
      const family = [server.pid, ...before];
      for (const pid of family) process.kill(pid, "SIGSTOP");
      await delay(2500);
      for (const pid of family) process.kill(pid, "SIGCONT");
      await delay(1500);
      assert.deepEqual(await pids(), before);
      assert.doesNotMatch(server.output, /has not answered/u);
    } finally {
      await server.stop();
    }
  });

  test("both write whole lines to one access log, and both open it anew", async () => {
    const log = join(folder, "access.log");
    const pair = [await connectionOf(1), await connectionOf(2)];
    const round = async (name: string): Promise<void> => {
      for (let n = 0; n < 50; n += 1)
        for (const [index, each] of pair.entries()) await text(`/files/${name}-${index}-${n}`, each);
    };
    await round("old");
    const lines = (path: string, name: string): readonly string[] =>
      readFileSync(path, "latin1")
        .split("\n")
        .filter((line) => line.includes(`/files/${name}`));
    await until(() => lines(log, "old").length === 100, "the first log is written");
    renameSync(log, `${log}.1`);
    gateway.process.kill("SIGUSR1");
    await until(async () => {
      for (const each of pair) await text("/files/turn", each);
      return readFileSync(log, { encoding: "latin1", flag: "a+" }).length > 0;
    }, "the log is opened anew");
    await round("new");
    await until(() => lines(log, "new").length === 100, "the second log is written");
    assert.equal(lines(`${log}.1`, "new").length, 0);
    for (const line of [...lines(`${log}.1`, "old"), ...lines(log, "new")])
      assert.match(
        line,
        /^127\.0\.0\.1 - - \[[^\]]+\] "GET \/files\/\w+-[01]-\d+ HTTP\/1\.1" 404 \d+ "-" "-" [\d.]+$/u,
      );
  });

  test("a stop lets requests of both finish", async () => {
    const pair = [await connectionOf(1), await connectionOf(2)];
    for (const [index, connection] of pair.entries()) {
      connection.send(request(`/wait/${index}`));
      await connection.received("\r\n\r\n");
    }
    gateway.process.kill("SIGTERM");
    await gateway.process.line(/Stopping: running requests finish first/u);
    release();
    for (const [index, connection] of pair.entries())
      assert.match((await connection.response()).text, new RegExp(`^(one|two) /wait/${index}$`, "u"));
    assert.deepEqual(await gateway.process.exited, { code: 0, signal: null });
  });

  test("end with a supervisor that is killed", async () => {
    const family = descendants(gateway.pid);
    assert.equal(family.length, 2);
    process.kill(gateway.pid, "SIGKILL");
    assert.deepEqual(await waitUntilGone(family), []);
  });
});
