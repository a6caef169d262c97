// What becomes of requests when real servers behind the gateway die, stop, come back and are drained.
import assert from "node:assert/strict";
import { cpSync, existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import type { GroupStatus, UpstreamStatus } from "../../../src/egress/group.js";
import { statusAt, until } from "../../faults/server.js";
import { descendants, type RunningProcess, start, waitUntilGone } from "../../support/processes.js";
import { removeFolder, temporaryFolder, unavailable, uwsgi } from "../../support/tools.js";
import { startGateway, type Vivarium, vivarium } from "../../support/vivarium.js";
import { interopFolder, Site, startApplication } from "../front/support.js";
import { textOf } from "../suite/cases.js";
import { Client } from "../suite/client.js";

/** A uWSGI with the suite's application, which a test may kill, stop and start again. */
class Uwsgi {
  readonly #site = new Site();
  #process: RunningProcess | undefined;

  static async start(context: TestContext): Promise<Uwsgi> {
    const server = new Uwsgi();
    context.after(async () => {
      server.signal("SIGCONT");
      await server.kill();
      await server.#site.close();
    });
    await server.#site.configure("uwsgi", "behind");
    cpSync(join(interopFolder, "app.py"), join(server.#site.folder, "app.py"));
    await server.start();
    return server;
  }

  get url(): string {
    return `uwsgi://unix:${join(this.#site.folder, "uwsgi.sock")}`;
  }

  async start(): Promise<void> {
    this.#process = start(uwsgi(), ["--ini", "uwsgi.ini"], { cwd: this.#site.folder });
    await this.#process.accepting(join(this.#site.folder, "uwsgi.sock"));
  }

  signal(signal: NodeJS.Signals): void {
    const server = this.#process;
    if (server === undefined || server.exit !== undefined) return;
    for (const pid of [server.pid, ...descendants(server.pid)]) process.kill(pid, signal);
  }

  /** All its processes at once: its workers would serve on without the master. */
  async kill(): Promise<void> {
    const server = this.#process;
    if (server === undefined || server.exit !== undefined) return;
    const family = descendants(server.pid);
    this.signal("SIGKILL");
    await server.exited;
    await waitUntilGone(family);
  }
}

async function gatewayBefore(context: TestContext, urls: readonly string[], ...args: string[]): Promise<Vivarium> {
  const upstreams = urls.flatMap((url) => ["--upstream", url]);
  const gateway = await startGateway({ args: [...upstreams, "--access-log", "off", ...args] });
  context.after(() => gateway.stop());
  return gateway;
}

async function group(gateway: Vivarium): Promise<GroupStatus> {
  const [found] = (await statusAt(gateway.control)).upstreams;
  assert.ok(found !== undefined);
  return found;
}

async function serverAt(gateway: Vivarium, url: string): Promise<UpstreamStatus> {
  const found = (await group(gateway)).servers.find((server) => server.url === url);
  assert.ok(found !== undefined);
  return found;
}

/** Ten clients that ask for a page over and over, until they are told to stop. */
class Load {
  readonly statuses = new Map<number, number>();
  readonly #clients: readonly Promise<void>[];
  answers = 0;
  #stopped = false;

  constructor(port: number) {
    const client = new Client(port);
    const ask = async (): Promise<void> => {
      while (!this.#stopped) {
        const { status, whole } = await client.ask({ target: "/make?size=2000&length=1" });
        const seen = whole ? status : -status;
        this.statuses.set(seen, (this.statuses.get(seen) ?? 0) + 1);
        this.answers += 1;
      }
    };
    this.#clients = Array.from({ length: 10 }, ask);
  }

  /** Waits until so many more were answered. */
  async more(count: number): Promise<void> {
    const wanted = this.answers + count;
    await until(() => this.answers >= wanted, `${count} more answers`);
  }

  /** Statuses seen, each with how often; negative where the response was cut. */
  async stop(): Promise<Readonly<Record<string, number>>> {
    this.#stopped = true;
    await Promise.all(this.#clients);
    return Object.fromEntries(this.statuses);
  }
}

describe("uWSGI behind the gateway", { skip: unavailable("uwsgi", "uwsgi-python") }, () => {
  test("killed under load: others take over, and nothing is lost that may be repeated; it is used again", async (context) => {
    const servers = [await Uwsgi.start(context), await Uwsgi.start(context), await Uwsgi.start(context)];
    const [dying] = servers;
    assert.ok(dying !== undefined);
    const urls = servers.map(({ url }) => url);
    const gateway = await gatewayBefore(context, urls, "--upstream-fail-timeout", "0.5");
    const load = new Load(gateway.port);
    await load.more(200);
    await dying.kill();
    await load.more(200);
    const before = (await serverAt(gateway, dying.url)).requests;
    assert.ok(before > 0);
    await dying.start();
    await until(async () => {
      const { state, requests } = await serverAt(gateway, dying.url);
      return state === "up" && requests > before + 10;
    }, "the server that came back gets requests");
    const { answers } = load;
    assert.deepEqual(await load.stop(), { 200: load.answers });
    assert.ok(load.answers >= answers);
  });

  test("killed and started again, the only one: 502 in between, and then answers", async (context) => {
    const server = await Uwsgi.start(context);
    const gateway = await gatewayBefore(context, [server.url]);
    const client = new Client(gateway.port);
    const status = async (): Promise<number> => (await client.ask({ target: "/make?size=1" })).status;
    assert.equal(await status(), 200);
    await server.kill();
    for (let at = 0; at < 5; at += 1) assert.ok([502, 503].includes(await status()));
    await server.start();
    await until(async () => (await status()) === 200, "it is asked again");
  });

  test("stopped: 504 after the time limit, and answers again once it goes on", async (context) => {
    const server = await Uwsgi.start(context);
    const gateway = await gatewayBefore(context, [server.url], "--upstream-first-byte-timeout", "1");
    const client = new Client(gateway.port);
    assert.equal((await client.ask({ target: "/make?size=1" })).status, 200);
    server.signal("SIGSTOP");
    const answer = await client.ask({ method: "POST", target: "/echo", body: "once" });
    assert.deepEqual([answer.status, answer.whole], [504, true]);
    server.signal("SIGCONT");
    await until(async () => (await client.ask({ target: "/make?size=1" })).status === 200, "it is asked again");
  });

  test("stopped, one of two: it is left out, and the other answers everything", async (context) => {
    const [stopped, other] = [await Uwsgi.start(context), await Uwsgi.start(context)];
    const limits = ["--upstream-first-byte-timeout", "1", "--upstream-fail-timeout", "600"];
    const gateway = await gatewayBefore(context, [stopped.url, other.url], ...limits);
    const load = new Load(gateway.port);
    const { fronts } = await statusAt(gateway.control);
    await load.more(100);
    stopped.signal("SIGSTOP");
    await until(async () => {
      const { state, outstanding } = await serverAt(gateway, stopped.url);
      return state === "ejected" && outstanding === 0;
    }, "it is left out");
    const first = await load.stop();
    // Those that waited for it, and no more: they are not asked again, as what is slow would be slow again. A client whose
    // request was the first or second to fail (of three that leave a server out) may have come upon it once more.
    assert.ok((first["504"] ?? 0) <= 10 + 2 * fronts.length, JSON.stringify(first));
    assert.deepEqual(Object.keys(first).sort(), ["200", "504"]);
    const second = new Load(gateway.port);
    await second.more(150);
    assert.deepEqual(Object.keys(await second.stop()), ["200"]);
  });

  test("drained by command under load: nothing is lost when it is ended, and the way back", async (context) => {
    const [leaving, staying] = [await Uwsgi.start(context), await Uwsgi.start(context)];
    const gateway = await gatewayBefore(context, [leaving.url, staying.url], "--upstream-retry-budget", "0");
    const load = new Load(gateway.port);
    await load.more(200);
    const drained = await vivarium(["drain", leaving.url, "--control", gateway.control]);
    assert.equal(drained.code, 0, drained.stderr);
    await until(async () => (await serverAt(gateway, leaving.url)).outstanding === 0, "its requests are finished");
    const { requests, state } = await serverAt(gateway, leaving.url);
    assert.equal(state, "draining");
    await leaving.kill();
    await load.more(200);
    assert.equal((await serverAt(gateway, leaving.url)).requests, requests, "it gets no more");
    await leaving.start();
    const undone = await vivarium(["drain", leaving.url, "--undo", "--control", gateway.control]);
    assert.equal(undone.code, 0, undone.stderr);
    await until(async () => (await serverAt(gateway, leaving.url)).requests > requests + 10, "it gets requests again");
    assert.deepEqual(Object.keys(await load.stop()), ["200"]);
    assert.equal((await group(gateway)).retries, 0);
  });
});

test("1,000 requests at once over one FastCGI connection are all answered", async (context) => {
  const folder = temporaryFolder("multiplexed");
  context.after(() => removeFolder(folder));
  const application = await startApplication(folder, ["fastcgi"]);
  context.after(() => application.stop());
  const url = `fastcgi://unix:${folder}/fastcgi.sock`;
  const multiplexed = ["--fronts", "1", "--upstream-multiplex", "1000", "--upstream-keep-alive", "1"];
  const gateway = await gatewayBefore(context, [url], ...multiplexed);
  const client = new Client(gateway.port);
  const mark = join(folder, "mark");
  const target = `/stream?mark=${encodeURIComponent(mark)}`;
  const answers = Array.from({ length: 1000 }, () => client.ask({ target }));
  await until(async () => {
    const { outstanding, connections } = await serverAt(gateway, url);
    // None counts as busy while the server is asked whether it can have many.
    return outstanding === 1000 && connections.busy > 0;
  }, "all are on their way");
  assert.deepEqual((await serverAt(gateway, url)).connections, { busy: 1, idle: 0 });
  assert.equal(existsSync(mark), false);
  // The application ends none of them before this.
  writeFileSync(mark, "");
  for (const answer of await Promise.all(answers)) assert.equal(textOf(answer), "first last");
  // Each with a body of its own, both ways.
  const bodies = Array.from({ length: 1000 }, (_, at) => `body ${at} `.repeat(1 + (at % 50) * 20));
  const echoed = await Promise.all(bodies.map((body) => client.ask({ method: "POST", target: "/echo", body })));
  assert.deepEqual(echoed.map(textOf), bodies);
  assert.equal((await serverAt(gateway, url)).connections.idle, 1);
});
