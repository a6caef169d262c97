// How processes share the processors (sched(7)).
import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { Agent, type IncomingMessage, type RequestOptions, request } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import { statusAt } from "../faults/server.js";
import { descendants } from "../support/processes.js";
import { removeFolder, root, temporaryFolder } from "../support/tools.js";
import { startVivarium, type VivariumOptions } from "../support/vivarium.js";

const names: Readonly<Record<string, string>> = { 0: "normal", 3: "batch", 5: "idle" };

/** The scheduling policies of a process's threads, each once: proc_pid_stat(5), field 41. */
function policies(pid: number): string[] {
  const threads = readdirSync(`/proc/${pid}/task`).map((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, "latin1");
    const policy = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[41 - 3] ?? "";
    return names[policy] ?? policy;
  });
  return [...new Set(threads)];
}

/** Those of a server's processes by what they are: a spawner has workers for children. */
async function schedule(target: string, options: VivariumOptions): Promise<Readonly<Record<string, string[]>>> {
  const server = await startVivarium(join(root, target), {
    ...options,
    args: [...(options.args ?? []), "--workers", "2"],
  });
  try {
    const found: Record<string, string[]> = { supervisor: policies(server.pid) };
    for (const pid of descendants(server.pid)) {
      const isFront = readFileSync(`/proc/${pid}/cmdline`, "latin1").includes("front.js");
      const kind = isFront ? "front" : descendants(pid).length > 0 ? "spawner" : "worker";
      found[kind] = [...new Set([...(found[kind] ?? []), ...policies(pid)])];
    }
    return found;
  } finally {
    await server.stop();
  }
}

for (const [convention, target] of [
  ["WSGI", "test/support/promises_app.py:app"],
  ["ASGI", "bench/apps/asgi_app.py:app"],
] as const) {
  test(`workers that wake up interrupt nobody, and nobody else is told so (${convention})`, async () => {
    const found = await schedule(target, {});
    assert.deepEqual(found, { supervisor: ["normal"], front: ["normal"], spawner: ["normal"], worker: ["batch"] });
  });
}

for (const [what, listen, front] of [
  ["only web servers on this machine come to", ["fastcgi://127.0.0.1:0", "http://unix:site.sock"], ["batch", "normal"]],
  ["others come to, too,", ["scgi://127.0.0.1:0", "http://127.0.0.1:0"], ["normal"]],
] as const) {
  test(`a front that ${what} ${front.length > 1 ? "interrupts nobody" : "is as always"}`, async () => {
    const cwd = temporaryFolder("scheduling");
    try {
      const args = listen.flatMap((url) => ["--listen", url]);
      const options = { cwd, args, ready: /is serving after/ };
      assert.deepEqual((await schedule("test/support/promises_app.py:app", options))["front"], front);
    } finally {
      removeFolder(cwd);
    }
  });
}

/** So many requests, one after the other on one connection. */
async function ask(where: RequestOptions, count: number): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  try {
    for (let each = 0; each < count; each += 1) {
      const asked = request({ ...where, path: "/hello", agent }).end();
      const [response]: IncomingMessage[] = await once(asked, "response");
      assert.equal(response?.statusCode, 200);
      for await (const _ of response);
    }
  } finally {
    agent.destroy();
  }
}

for (const [what, listen, gathers] of [
  ["behind a web server, one worker does alone what takes microseconds", "http://unix:site.sock", true],
  ["for clients that come directly, workers take turns", "http://127.0.0.1:0", false],
] as const) {
  test(what, async () => {
    const cwd = temporaryFolder("gathering");
    const args = ["--workers", "2", "--listen", listen];
    const server = await startVivarium(join(root, "bench/apps/app.py:app"), { cwd, args, ready: /is serving after/ });
    const answered = async (): Promise<number[]> =>
      (await statusAt(server.control)).workers.map(({ requests }) => requests);
    const where = gathers
      ? { socketPath: join(cwd, "site.sock") }
      : { host: "127.0.0.1", port: Number(/http:\/\/127\.0\.0\.1:(\d+)/.exec(server.output)?.[1]) };
    try {
      // What requests take is measured, and a machine that is busy with other things may need several looks.
      for (let looks = 0; looks < (gathers ? 200 : 3); looks += 1) {
        const before = await answered();
        await ask(where, 50);
        const given = (await answered()).map((after, index) => after - (before[index] ?? 0));
        if (gathers && given.includes(50)) return;
        if (!gathers) assert.deepEqual(given, [25, 25]);
      }
      assert.ok(!gathers, "requests that take microseconds went to both workers");
    } finally {
      await server.stop();
      removeFolder(cwd);
    }
  });
}

test("who starts a server under another policy has it in all processes", async () => {
  const found = await schedule("test/support/promises_app.py:app", { through: ["chrt", "--idle", "0"] });
  assert.deepEqual(found, { supervisor: ["idle"], front: ["idle"], spawner: ["idle"], worker: ["idle"] });
});
