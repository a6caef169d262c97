import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { describe as describeStatus, duration } from "../../src/cli/status.js";
import { exampleStatus, startControlServer } from "../support/control-server.js";
import type { RunningProcess } from "../support/processes.js";
import { removeFolder, temporaryFolder } from "../support/tools.js";
import { vivarium } from "../support/vivarium.js";

const SCREEN = `guestbook:application
address     http://127.0.0.1:8000
            FastCGI on unix:/run/guestbook.sock, for a web server in front
uptime      2 h 3 min (Vivarium 0.1.0, Python 3.11.7)
directory   /srv/guestbook
supervisor  process 1
front       process 12, ready; 1 connection open, 34,512 requests, 48.0 MiB, CPU 1.3 s
spawner     process 13, application imported once
queue       0 requests
pool        4 of 8 threads a worker in use, up to 16 requests written ahead
request     5.21 ms on average, of it 0.18 ms computing

worker  pid  state          age  requests  busy  CPU %    memory
     1   14  ready    2 h 3 min    17,234     1     10  24.1 MiB
     2   15  booting        4 s         0     0    5.0   1.0 MiB
`;

test("the screen shows what the server is doing", () => {
  const screen = describeStatus(exampleStatus, Date.parse("2030-01-01T02:03:04.000Z"));
  assert.equal(screen, SCREEN);
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

pool  application  Python  generation  spawner  queue  threads  request  computing
shop  shop:app     3.11.7           1       13      0   4 of 8  5.21 ms    0.18 ms
blog  blog:app     3.12.1           1       16      2   1 of 1        -          -

upstream  server                           state                       busy  requests  failures  latency  connections
old       uwsgi://10.0.0.5:3031            up                             3    12,001         1  4.50 ms  3 busy, 0 idle
old       http://app.internal 10.0.0.9:80  left out for 20 s (backup)     0         3         3        -  0 busy, 0 idle

pool  worker  pid  state          age  requests  busy  CPU %    memory
shop       1   14  ready    2 h 3 min    17,234     1     10  24.1 MiB
blog       2   15  booting        4 s         0     0    5.0   1.0 MiB
`;

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
        { ...pool, ...blog, threads: 1, threadsMost: 1, queue: 2, wall: 0, cpu: 0 },
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

const FRONTS = `gateway
address     http://127.0.0.1:8000
uptime      2 h 3 min (Vivarium 0.1.0)
directory   /srv/guestbook
supervisor  process 1
fronts      2 processes, 1 ready; 3 connections open, 34,522 requests, 49.0 MiB, CPU 1.3 s

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

test("durations are told by their two largest units", () => {
  assert.deepEqual([0, 59.9, 60, 3599, 3600, 86_399, 90_000].map(duration), [
    "0 s",
    "59 s",
    "1 min",
    "59 min",
    "1 h 0 min",
    "23 h 59 min",
    "1 d 1 h",
  ]);
});

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

  test("without a server is one sentence and status 1", async () => {
    const { code, stdout, stderr } = await vivarium(["status"], { cwd: folder, env: { XDG_RUNTIME_DIR: folder } });
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(stderr, /^vivarium: No server of this user is running[^\n]*\.\n$/u);
  });
});
