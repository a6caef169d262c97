// The servers to which things are made to happen, each in the best settings that its documentation has against that very thing.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { descendants, type RunningProcess, waitUntilGone } from "../../test/support/processes.js";
import { nginxVersion, peers, startGunicorn, startNginx, startUvicorn, startUwsgi, uwsgiVersion } from "../peers.js";
import type { Place, Server } from "../server.js";
import { listenUrl, reloadOrder, startVivarium, vivariumServers } from "../vivarium.js";

/** What a server has to be prepared for. */
export type Need = "reload" | "deaths" | "stopped" | "deadline" | "slow" | "leak" | "crowd" | "end";

export interface Contestant extends Pick<Server, "name" | "unavailable" | "version"> {
  /** Its settings in a line. */
  readonly settings: string;
  /** What it is told besides, where it has something for this need. */
  readonly options: Readonly<Partial<Record<Need, readonly string[]>>>;
  /** Where it has no counterpart, or what must be known to read its row. */
  readonly remarks: Readonly<Partial<Record<Need, string>>>;
  readonly start: (place: Place, options: readonly string[]) => readonly RunningProcess[];
  /** The processes that run the application. */
  readonly workers: (roots: readonly number[]) => readonly number[];
  /** Has it load newer code, as its documentation says; resolves when it was told, or when it is done where it says so. */
  readonly reload: (place: Place, processes: readonly RunningProcess[]) => Promise<unknown>;
  /** Ends it so that what runs is finished, as its documentation says; resolves when all has ended. */
  readonly end: (place: Place, processes: readonly RunningProcess[]) => Promise<void>;
}

function parentOf(pid: number): number {
  try {
    return Number(/^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]);
  } catch {
    return 0;
  }
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ");
  } catch {
    return "";
  }
}

function childrenOf(pid: number): readonly number[] {
  return descendants(pid).filter((member) => parentOf(member) === pid);
}

/** Of the last process that was started, the master. */
function childrenOfLast(roots: readonly number[]): readonly number[] {
  const master = roots.at(-1);
  return master === undefined ? [] : childrenOf(master);
}

/** Milliseconds that a server is waited for. */
const patience = 15_000;

/** Until these have ended, whoever may still hold what they print. */
async function gone(...processes: readonly (RunningProcess | undefined)[]): Promise<void> {
  await waitUntilGone(
    processes.flatMap((process) => (process === undefined ? [] : [process.pid])),
    patience,
  );
}

async function terminate(_: Place, processes: readonly RunningProcess[]): Promise<void> {
  for (const process of processes) process.kill("SIGTERM");
  await gone(...processes);
}

async function hangUp(_: Place, processes: readonly RunningProcess[]): Promise<void> {
  processes.at(-1)?.kill("SIGHUP");
}

function fifo(place: Place): string {
  return join(place.folder, "uwsgi.fifo");
}

/** A command for uWSGI's master (its documentation, "The Master FIFO"). */
function commandUwsgi(place: Place, command: string): void {
  if (existsSync(fifo(place))) writeFileSync(fifo(place), command, { flag: "r+" });
}

function known(name: string, list: readonly Server[]): Server {
  const found = list.find((server) => server.name === name);
  if (found === undefined) throw new Error(`There is no server ${name}.`);
  return found;
}

const vivarium = known("vivarium", vivariumServers);
const uvicorn = known("uvicorn", peers);

/** How often uWSGI said so. */
function chainsDone(uwsgi: RunningProcess | undefined): number {
  return uwsgi?.output.match(/chain reloading complete/g)?.length ?? 0;
}

/** A chain reload; until it is over uWSGI would not hear of the next. */
async function reloadUwsgi(place: Place, processes: readonly RunningProcess[]): Promise<void> {
  const uwsgi = processes.at(-1);
  const before = chainsDone(uwsgi);
  commandUwsgi(place, "c");
  for (let waited = 0; waited < patience && chainsDone(uwsgi) === before; waited += 50) {
    if (uwsgi?.exit !== undefined) return;
    await delay(50);
  }
}

export const contestants: readonly Contestant[] = [
  {
    name: "vivarium",
    unavailable: vivarium.unavailable,
    version: vivarium.version,
    settings: "`vivarium run --workers 2 --threads 8 --access-log off`",
    options: {
      stopped: ["--hang-timeout", "2"],
      deadline: ["--request-timeout", "2"],
      leak: ["--max-worker-memory", "256"],
      crowd: ["--queue", "4096"],
    },
    remarks: {},
    start: (place, options) => [
      startVivarium(place, listenUrl(place), ["--threads", String(place.threads), ...options]),
    ],
    // The supervisor has fronts and spawners; what a spawner has are workers.
    workers: (roots) => roots.flatMap(childrenOf).flatMap(childrenOf),
    reload: reloadOrder,
    end: terminate,
  },
  {
    name: "nginx+uwsgi",
    unavailable: known("nginx+uwsgi", peers).unavailable,
    version: async () => `${await nginxVersion()}, ${await uwsgiVersion()}`,
    settings:
      "nginx with 2 workers over a unix socket to uWSGI: `master processes=2 threads=8 thunder-lock need-app listen=4096 master-fifo`",
    options: {
      reload: ["--lazy-apps"],
      stopped: ["--harakiri", "2"],
      deadline: ["--harakiri", "2", "--harakiri-verbose"],
      leak: ["--reload-on-rss", "256"],
    },
    remarks: {
      reload: "A chain reload is ordered: `c` to the master FIFO.",
      stopped: "There is no look at workers as such; harakiri, the limit for a request, ends one that is stopped, too.",
      deadline: "harakiri ends the whole worker with all its requests, and tells no Python stack.",
      end: "nginx is sent QUIT, then uWSGI `q` over its FIFO: TERM would have it cut what runs.",
    },
    start: (place, options) => {
      const more = ["--listen", "4096", "--master-fifo", fifo(place), ...options];
      return [startNginx(place, "uwsgi"), startUwsgi(place, more)];
    },
    workers: childrenOfLast,
    reload: reloadUwsgi,
    end: async (place, [nginx, uwsgi]) => {
      nginx?.kill("SIGQUIT");
      await gone(nginx);
      commandUwsgi(place, "q");
      await gone(uwsgi);
    },
  },
  {
    name: "gunicorn-gthread",
    unavailable: known("gunicorn-gthread", peers).unavailable,
    version: known("gunicorn-gthread", peers).version,
    settings: "`worker_class=gthread workers=2 threads=8 keepalive=75 preload_app`, heartbeat files in memory",
    options: {
      stopped: ["--timeout", "2"],
      deadline: ["--timeout", "2"],
      leak: ["--max-requests", "20", "--max-requests-jitter", "4"],
    },
    remarks: {
      reload: "Without `preload_app`: what is preloaded cannot be loaded anew.",
      deadline: "It has no limit for a request: `--timeout` is for the worker's main thread, which does not hang.",
      leak: "It has no limit for memory: `--max-requests 20` with 10 MB each.",
    },
    start: (place, options) => [startGunicorn(place, "gthread", options)],
    workers: childrenOfLast,
    reload: hangUp,
    end: terminate,
  },
  {
    name: "uvicorn",
    unavailable: uvicorn.unavailable,
    version: uvicorn.version,
    settings:
      "`--workers 2 --loop uvloop --http httptools --timeout-keep-alive 75 --backlog 4096`; 8 threads each run the application",
    options: {
      stopped: ["--timeout-worker-healthcheck", "2"],
      deadline: ["--timeout-worker-healthcheck", "2"],
      leak: ["--limit-max-requests", "20", "--limit-max-requests-jitter", "4"],
    },
    remarks: {
      deadline: "It has no limit for a request: the health check is of the event loop, which does not hang.",
      leak: "It has no limit for memory: `--limit-max-requests 20` with 10 MB each.",
    },
    start: (place, options) => [startUvicorn(place, "asgi_faulty", ["--backlog", "4096", ...options])],
    // multiprocessing has a process of its own for its resources.
    workers: (roots) => childrenOfLast(roots).filter((pid) => !commandOf(pid).includes("resource_tracker")),
    reload: hangUp,
    end: terminate,
  },
];
