import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { describe as describeStatus } from "../../src/cli/status-screen.js";
import type { PoolStatus } from "../../src/supervisor/status.js";
import { until } from "../faults/server.js";
import { exampleStatus, startControlServer } from "../support/control-server.js";
import { fullStatus } from "../support/full-status.js";
import { type RunningProcess, run, start } from "../support/processes.js";
import { removeFolder, root, temporaryFolder } from "../support/tools.js";
import { vivarium } from "../support/vivarium.js";

const SCREEN = `guestbook:application
address     http://127.0.0.1:8000
            FastCGI on unix:/run/guestbook.sock, for a web server in front
uptime      2 h 3 min (Vivarium 0.1.0, Python 3.11.7)
directory   /srv/guestbook
supervisor  process 1
front       process 12, ready; 1 connection open, 34,512 requests, 48.0 MiB, CPU 1.3 s
spawner     process 13, application imported once
queue       0 requests; none of the 1,200 requests of the last 10 s has waited
pool        4 of 8 threads a worker in use, up to 16 requests written ahead
request     5.21 ms on average, of it 0.18 ms computing

worker  pid  state          age  requests  busy  CPU %    memory
     1   14  ready    2 h 3 min    17,234     1     10  24.1 MiB
     2   15  booting        4 s         0     0    5.0   1.0 MiB

executing for  worker  request       request id
       250 ms       1  GET /entries  0123456789abcdef
`;

test("the screen shows what the server is doing", () => {
  const screen = describeStatus(exampleStatus, Date.parse("2030-01-01T02:03:04.000Z"));
  assert.equal(screen, SCREEN);
});

test("of an ASGI application the screen says what runs it", () => {
  const pools = exampleStatus.pools.map(
    (pool): PoolStatus => ({
      ...pool,
      interface: "asgi",
      eventLoop: "uvloop 0.22.1",
      threads: 1000,
      threadsMost: 1000,
    }),
  );
  const screen = describeStatus({ ...exampleStatus, pools }, Date.parse("2030-01-01T02:03:04.000Z"));
  assert.match(screen, /^pool {8}ASGI on uvloop 0\.22\.1, up to 1,000 requests at once in each worker$/m);
});

const SEVERAL = `shop:app, blog:app
address     http://127.0.0.1:8000
uptime      2 h 3 min (Vivarium 0.1.0)
directory   /srv/guestbook
supervisor  process 1
front       process 12, ready; 1 connection open, 34,512 requests, 48.0 MiB, CPU 1.3 s

mount              answered by
/                  files /srv/public, else pool shop
blog.example.com/  pool blog
/old               upstream old

pool  application  Python  generation  spawner  queue  waited  threads  request  computing
shop  shop:app     3.11.7           1       13      0    0 ms   4 of 8  5.21 ms    0.18 ms
blog  blog:app     3.12.1           1       16      2    0 ms   1 of 1        -          -
blog        restarts: 1 worker was replaced (spawner 1); the last 4 s ago (spawner): the spawner
            ended by SIGKILL

upstream  server                      state             busy  requests  failed  latency  conns  idle
old       uwsgi://10.0.0.5:3031       up                   3    12,001       1  4.50 ms      3     0
old       http://app.in… 10.0.0.9:80  out 20 s, backup     0         3       3        -      0     0

pool  worker  pid  state          age  requests  busy  CPU %    memory
shop       1   14  ready    2 h 3 min    17,234     1     10  24.1 MiB
blog       2   15  booting        4 s         0     0    5.0   1.0 MiB

executing for  worker  request       request id
       250 ms  shop 1  GET /entries  0123456789abcdef
`;

function spawnerEnded({ restarts: { causes } }: PoolStatus): PoolStatus["restarts"] {
  const at = "2030-01-01T02:03:00.000Z";
  const last = { at, cause: "spawner", id: 0, pid: 8, why: "the spawner ended by SIGKILL" } as const;
  return { total: 1, causes: { ...causes, spawner: 1 }, last };
}

test("the screen of a server of several things shows each", () => {
  const [pool] = exampleStatus.pools;
  const [one, two] = exampleStatus.workers;
  assert.ok(pool !== undefined && one !== undefined && two !== undefined);
  const blog = { name: "blog", application: "blog:app", python: "3.12.1", spawner: { pid: 16, preload: true } };
  const server = { weight: 1, backup: false, outstanding: 0, ejectedFor: 0, connections: { busy: 0, idle: 0 } };
  const screen = describeStatus(
    {
      ...exampleStatus,
      name: "shop:app, blog:app",
      listen: ["http://127.0.0.1:8000"],
      mounts: [
        { host: "", path: "", tries: ["files /srv/public", "pool shop"] },
        { host: "blog.example.com", path: "", tries: ["pool blog"] },
        { host: "", path: "/old", tries: ["upstream old"] },
      ],
      pools: [
        { ...pool, name: "shop", application: "shop:app" },
        { ...pool, ...blog, threads: 1, threadsMost: 1, queue: 2, wall: 0, cpu: 0, restarts: spawnerEnded(pool) },
      ],
      upstreams: [
        {
          name: "old",
          balance: "least-outstanding",
          requests: 12_004,
          retries: 3,
          servers: [
            {
              ...server,
              url: "uwsgi://10.0.0.5:3031",
              address: "10.0.0.5:3031",
              state: "up",
              outstanding: 3,
              requests: 12_001,
              failures: 1,
              latency: 4.5,
              connections: { busy: 3, idle: 0 },
            },
            {
              ...server,
              url: "http://app.internal",
              address: "10.0.0.9:80",
              state: "ejected",
              backup: true,
              requests: 3,
              failures: 3,
              latency: -1,
              ejectedFor: 20,
            },
          ],
        },
      ],
      workers: [
        { ...one, pool: "shop" },
        { ...two, pool: "blog" },
      ],
    },
    Date.parse("2030-01-01T02:03:04.000Z"),
  );
  assert.equal(screen, SEVERAL);
});

const TROUBLE = `            3 fronts were replaced (boot 1, hang 2); the last 3 min 4 s ago (hang): front 1 (pid 11)
            was killed by SIGKILL
spawner     process 13, application imported once
queue       3 requests, the longest for 1.3 s; 900 requests given to workers in the last 10 s had
            waited 12 ms (median), at most 1.9 s; since the start 17 requests were answered 503
pool        4 of 8 threads a worker in use, up to 16 requests written ahead
request     5.21 ms on average, of it 0.18 ms computing
reload      generation 3, loading, 0 workers there; asked for 4 s ago (SIGHUP)
generation  1; the reload 2 min 4 s ago (SIGHUP, generation 2) failed after 1.5 s: The application
            guestbook cannot be imported.
            SyntaxError: invalid syntax
restarts    55 workers were replaced (boot 1, hang 2, timeout 3, requests 4, age 5, memory 6,
            memoryHard 7, spawner 8, front 9, rollback 10); the last 12 s ago (died): worker 2 (pid
            9) was killed by SIGKILL
down        requests are answered 503 at once: The application's processes end as soon as they have
            started.
`;

const TROUBLED = `
worker  pid  state                                             age  requests  busy  CPU %    memory
     1   14  ready (requests)                            2 h 3 min    17,234     1     10  24.1 MiB
     2   15  booting                                           4 s         0     0    5.0   1.0 MiB
     3    -  empty, next in 800 ms, 4 failures in a row          -         -     -      -         -

executing for  worker  request              request id        client
   3 min 12 s       1  GET /entries?page=2  0123456789abcdef  waiting
   3 min 12 s       2  GET /entries?page=2  0123456789abcdef  timed out
`;

test("the screen shows what has happened, and what happens", () => {
  const screen = describeStatus(fullStatus, Date.parse("2030-01-01T02:03:04.000Z"));
  assert.ok(screen.includes(TROUBLE), screen);
  assert.ok(screen.endsWith(TROUBLED), screen);
});

test("the screen shows the oldest of many requests, and fits in 100 columns", () => {
  const [worker] = exampleStatus.workers;
  assert.ok(worker !== undefined);
  const executing = Array.from({ length: 20 }, (_, seconds) => ({
    method: "GET",
    target: `/${seconds}/\u001b[2J${"long/".repeat(50)}`,
    id: "i".repeat(128),
    seconds,
    client: "waiting" as const,
  }));
  const chdir = `/srv/${"long/".repeat(50)}`;
  const screen = describeStatus({ ...exampleStatus, chdir, workers: [{ ...worker, executing }] }, 0);
  const lines = screen.trimEnd().split("\n");
  assert.ok(
    lines.every((line) => line.length <= 100 && !line.includes("\u001b")),
    screen,
  );
  assert.equal(lines.at(-1), "and 12 more (--json has all)");
  const many = describeStatus({ ...exampleStatus, workers: [{ ...worker, busy: 5000, executing }] }, 0);
  assert.equal(many.trimEnd().split("\n").at(-1), "and 4,992 more (--json has the oldest of each worker)");
  assert.deepEqual(
    lines.slice(-9, -1).map((line) => / GET \/(\d+)\//u.exec(line)?.[1]),
    ["19", "18", "17", "16", "15", "14", "13", "12"],
  );
});

const FRONTS = `gateway
address     http://127.0.0.1:8000
uptime      2 h 3 min (Vivarium 0.1.0)
directory   /srv/guestbook
supervisor  process 1
fronts      2 processes, 1 ready; 3 connections open (2 WebSockets), 34,522 requests, 49.0 MiB, CPU
            1.3 s

mount  answered by
/      upstream old

front  pid  state         age  connections  requests  CPU %    memory
    1   12  ready   2 h 3 min            1    34,512    0.0  48.0 MiB
    2   13  silent        2 s            2        10    2.5   1.0 MiB
`;

test("the screen of several fronts shows each, and what they have together", () => {
  const [front] = exampleStatus.fronts;
  assert.ok(front !== undefined);
  const other = {
    id: 2,
    pid: 13,
    state: "silent",
    startedAt: "2030-01-01T02:03:02.000Z",
    connections: 2,
    webSockets: 2,
    executing: [],
  } as const;
  const screen = describeStatus(
    {
      ...exampleStatus,
      name: "gateway",
      listen: ["http://127.0.0.1:8000"],
      fronts: [front, { ...other, requests: 10, cpu: 0.05, memory: 2 ** 20 }],
      mounts: [{ host: "", path: "", tries: ["upstream old"] }],
      pools: [],
      workers: [],
    },
    Date.parse("2030-01-01T02:03:04.000Z"),
  );
  assert.equal(screen, FRONTS);
});

/** Runs a command on a terminal of twelve rows, until it has drawn three times. */
const ON_A_TERMINAL = `
import fcntl, os, pty, signal, struct, sys, termios
pid, terminal = pty.fork()
if pid == 0:
    os.environ.pop("NO_COLOR", None)
    os.execve(sys.argv[1], sys.argv[1:], dict(os.environ, TERM="xterm"))
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 12, 100, 0, 0))
seen = b""
while seen.count(b"\\x1b[H") < 4:
    seen += os.read(terminal, 65536)
os.kill(pid, signal.SIGINT)
os.waitpid(pid, 0)
sys.stdout.buffer.write(seen)
`;

describe("vivarium status", () => {
  let folder = "";
  let server: RunningProcess;
  before(async () => {
    folder = temporaryFolder("status");
    server = await startControlServer({ path: join(folder, "s.sock") });
  });
  after(async () => {
    await server.stop();
    removeFolder(folder);
  });

  test("prints the screen, without colour where nobody would see it", async () => {
    const { code, stdout, stderr } = await vivarium(["status", "--control", join(folder, "s.sock")]);
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(stdout, /^guestbook:application\naddress {5}http:\/\/127\.0\.0\.1:8000/u);
    assert.ok(!stdout.includes("\u001b"));
  });

  test("--json is one JSON object", async () => {
    const { code, stdout } = await vivarium(["status", "--json", "--control", join(folder, "s.sock")]);
    assert.equal(code, 0);
    assert.deepEqual(JSON.parse(stdout), { ...exampleStatus, pid: server.pid });
  });

  test("--watch prints again and again, until the server is gone: that is one sentence and status 1", async () => {
    const path = join(folder, "watched.sock");
    const watched = await startControlServer({ path });
    for (const json of [["--json"], []]) {
      const watch = start(process.execPath, [
        join(root, "bin/vivarium.js"),
        "status",
        "--watch",
        "0.05",
        "--control",
        path,
        ...json,
      ]);
      await until(
        () => watch.stdout.split(json.length > 0 ? '"version"' : "guestbook:application").length > 3,
        "three looks",
      );
      if (json.length > 0) {
        assert.deepEqual(JSON.parse(watch.stdout.split("\n")[1] ?? ""), { ...exampleStatus, pid: watched.pid });
        await watch.stop();
        continue;
      }
      await watched.stop();
      const { code } = await watch.exited;
      assert.equal(code, 1);
      assert.match(watch.stderr, /^vivarium: No server is running: nobody answers at [^\n]+\.\n$/u);
      assert.ok(!watch.stdout.includes("\u001b"));
    }
  });

  test("--watch ends when nobody reads any more", async () => {
    const { code } = await run("sh", [
      "-c",
      '"$0" "$1" status --watch 0.05 --control "$2" | head -1; exit 0',
      process.execPath,
      join(root, "bin/vivarium.js"),
      join(folder, "s.sock"),
    ]);
    assert.equal(code, 0);
  });

  test("--watch draws over what it drew, on a terminal", async () => {
    const { stdout } = await run("python3", [
      "-c",
      ON_A_TERMINAL,
      process.execPath,
      join(root, "bin/vivarium.js"),
      "status",
      "--watch",
      "0.05",
      "--control",
      join(folder, "s.sock"),
    ]);
    const [, first = "", second = ""] = stdout.split("\u001b[H");
    assert.ok(stdout.startsWith("\u001b[2J\u001b[H"), stdout);
    assert.ok(first.includes("guestbook:application") && second.includes("guestbook:application"), stdout);
    // Twelve rows, and the cursor is in the last: the rest is told to be there.
    assert.equal(second.split("\n").length, 12);
    assert.match(second, /… \d+ more lines: make this terminal larger\u001b\[K\r\n\u001b\[J$/u);
    assert.ok(second.includes("\u001b[1mguestbook:application\u001b[0m"), "colour");
  });

  test("--watch takes seconds", async () => {
    const { code, stderr } = await vivarium(["status", "--watch", "often", "--control", join(folder, "s.sock")]);
    assert.equal(code, 2);
    assert.match(stderr, /^vivarium: --watch must be [^\n]+, not "often"\.\n$/u);
  });

  test("without a server is one sentence and status 1", async () => {
    const { code, stdout, stderr } = await vivarium(["status"], { cwd: folder, env: { XDG_RUNTIME_DIR: folder } });
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(stderr, /^vivarium: No server of this user is running[^\n]*\.\n$/u);
  });
});
