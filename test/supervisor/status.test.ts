import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { describe, test } from "node:test";
import * as v from "valibot";
import { statusSchema } from "../../src/cli/status-schema.js";
import { frontOf, Server, until } from "../faults/server.js";
import { fieldsOf } from "../support/full-status.js";
import { alive, run } from "../support/processes.js";
import { documentedFields } from "../support/status-fields.js";
import { vivarium } from "../support/vivarium.js";

describe("the status of a running server", () => {
  test("vivarium status --json tells all of Status, and what is true", async () => {
    const server = await Server.start({ args: ["--workers", "2", "--threads", "3"] });
    try {
      const { control, pid, url } = server.vivarium;
      for (let i = 0; i < 20; i += 1) assert.equal(await server.text("/hello"), "hello");
      server.begin("/wait/slow");
      await server.recorded("begin slow");
      const { code, stdout, stderr } = await vivarium(["status", "--json", "--control", control]);
      assert.equal(code, 0, stderr);
      const status: Awaited<ReturnType<Server["status"]>> = JSON.parse(stdout);
      const undocumented = fieldsOf(status).filter((field) => !documentedFields().includes(field));
      assert.deepEqual(undocumented, []);
      assert.deepEqual(v.safeParse(statusSchema, status).issues, undefined);
      assert.equal(status.pid, pid);
      assert.deepEqual(status.listen, [url]);
      assert.equal(status.chdir, server.folder);
      const front = frontOf(status);
      assert.deepEqual([front.state, front.requests], ["ready", 21]);
      assert.equal(status.pools[0]?.threadsMost, 3);
      assert.deepEqual(
        status.workers.map(({ id, state }) => [id, state]),
        [
          [1, "ready"],
          [2, "ready"],
        ],
      );
      const sum = (pick: (worker: (typeof status.workers)[number]) => number): number =>
        status.workers.reduce((total, worker) => total + pick(worker), 0);
      assert.deepEqual([sum((worker) => worker.requests), sum((worker) => worker.busy)], [20, 1]);
      const [slow, ...others] = status.workers.flatMap(({ executing }) => executing);
      assert.deepEqual(others, []);
      assert.deepEqual([slow?.method, slow?.target, slow?.client], ["GET", "/wait/slow", "waiting"]);
      assert.match(slow?.id ?? "", /^[0-9a-f]{16}$/u);
      const processes = [front, status.pools[0]?.spawner ?? { pid: 0 }, ...status.workers].map((each) => each.pid);
      assert.ok(processes.every(alive) && new Set(processes).size === 4, processes.join());
      assert.ok([front, ...status.workers].every(({ memory }) => memory > 2 ** 20));
      assert.ok(Math.abs(Date.parse(status.startedAt) + status.uptime * 1000 - Date.now()) < 60_000);
      server.release("slow");
    } finally {
      await server.stop();
    }
  });

  test("says what waits while all workers are taken, and that they drain at a stop", async () => {
    const server = await Server.start({ args: ["--workers", "1", "--threads", "1"] });
    try {
      server.begin("/wait/slow");
      await server.recorded("begin slow");
      const waiting = [server.begin("/a"), server.begin("/b")];
      await until(async () => (await server.pool()).queue === 2, "two requests wait");
      server.vivarium.process.kill("SIGTERM");
      await server.logged(/Stopping/);
      const status = await server.status();
      assert.deepEqual([frontOf(status).state, status.workers[0]?.state], ["draining", "draining"]);
      server.release("slow");
      for (const connection of waiting) assert.equal((await connection.response()).status, 200);
    } finally {
      await server.stop();
    }
  });

  test("only the user may ask", async () => {
    const server = await Server.start();
    try {
      assert.equal(statSync(server.vivarium.control).mode & 0o777, 0o600);
      const asked = await run("python3", [
        "-c",
        "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b'nonsense\\n'); print(s.recv(999))",
        server.vivarium.control,
      ]);
      assert.match(asked.stdout, /\{"error":"This server knows the commands status, reload, stop and drain\."\}/);
      assert.equal(await server.text("/still"), "still");
    } finally {
      await server.stop();
    }
  });
});
