// The servers that Vivarium is compared with: each as it is published now, in the fastest settings that its documentation
// names, with as many workers, and no access log.
import { utimesSync } from "node:fs";
import { join } from "node:path";
import { type RunningProcess, start } from "../test/support/processes.js";
import { apache2, modWsgiPython, nginx, peersPython, uwsgi } from "../test/support/tools.js";
import {
  applicationFolder,
  configure,
  needs,
  type Place,
  packageVersion,
  plainEnvironment,
  printed,
  type Server,
} from "./server.js";

/** uWSGI with so many processes, listening for the uwsgi protocol on `applicationSocket`. */
export function startUwsgi(place: Place, more: readonly string[] = []): RunningProcess {
  const args = ["--ini", configure(place, "uwsgi.ini"), ...more];
  return start(uwsgi(), args, { cwd: place.folder, env: plainEnvironment });
}

export const uwsgiVersion = async (): Promise<string> => `uWSGI ${await printed(uwsgi(), ["--version"], /([\d.]+)/)}`;

/** What nginx does with requests: passes them on in a protocol, or answers a constant. */
type NginxPass = "http" | "fastcgi" | "scgi" | "uwsgi" | "constant";

/** nginx in front of what listens on `applicationSocket`; connections to it are kept where the protocol can. */
export function startNginx(place: Place, how: NginxPass): RunningProcess {
  const kept = how === "http" || how === "fastcgi";
  const pass = configure(place, `nginx-${how}.conf`);
  const config = configure(place, "nginx.conf", { PASS: pass, KEPT: kept ? "yes" : "no" });
  const options = { cwd: place.folder, env: plainEnvironment };
  return start(nginx(), ["-p", place.folder, "-c", config, "-e", "stderr"], options);
}

export const nginxVersion = async (): Promise<string> => `nginx ${await printed(nginx(), ["-v"], /nginx\/([\d.]+)/)}`;

/** The way of most servers: the last of the processes started, the master, takes SIGHUP for it. */
function hangUp(_: Place, processes: readonly RunningProcess[]): void {
  processes.at(-1)?.kill("SIGHUP");
}

type WorkerClass = "sync" | "gthread" | "gevent" | "asgi";

export function startGunicorn(place: Place, workerClass: WorkerClass, more: readonly string[] = []): RunningProcess {
  const values = { CLASS: workerClass, PRELOAD: place.reloadable ? "False" : "True" };
  const config = configure(place, "gunicorn.conf.py", values);
  const args = ["-m", "gunicorn", "--config", config, ...more, `${place.module}:app`];
  return start(peersPython(), args, { cwd: place.folder, env: plainEnvironment });
}

function gunicorn(workerClass: WorkerClass, settings: string, lacks: string): Server {
  return {
    name: `gunicorn-${workerClass}`,
    settings,
    lacks,
    unavailable: () => needs(peersPython),
    version: async () => {
      const own = `gunicorn ${await packageVersion(peersPython(), "gunicorn")}`;
      return workerClass === "gevent" ? `${own}, gevent ${await packageVersion(peersPython(), "gevent")}` : own;
    },
    start: (place) => {
      // sync has one thread by definition; gunicorn would turn it into gthread if told of more.
      const threads = workerClass === "gthread" ? place.threads : 1;
      return [startGunicorn({ ...place, threads }, workerClass)];
    },
    reload: hangUp,
  };
}

/** Where mod_wsgi's package keeps the module for Apache: it is named by no metadata, its own command prints it. */
async function modWsgiVersion(): Promise<string> {
  const apache = await printed(apache2(), ["-v"], /Apache\/([\d.]+)/);
  return `mod_wsgi ${await packageVersion(modWsgiPython(), "mod_wsgi")} in Apache ${apache}`;
}

function startApache(place: Place, template: string, mpm: string): readonly RunningProcess[] {
  const home = join(modWsgiPython(), "..", "..");
  const config = configure(place, template, { MPM: mpm, PYTHON_HOME: home });
  // Apache reads the two lines that load the module from what mod_wsgi-express says, as its documentation shows.
  const script = '"$0" module-config > "$1/wsgi.conf" && exec "$2" -d "$1" -f "$3" -DFOREGROUND';
  const args = ["-c", script, join(home, "bin", "mod_wsgi-express"), place.folder, apache2(), config];
  return [start("/bin/sh", args, { cwd: place.folder, env: plainEnvironment, detached: true })];
}

interface Granian {
  readonly interface: "wsgi" | "asginl";
  readonly args: (place: Place) => readonly string[];
  readonly settings: string;
  readonly lacks: string;
}

function granian({ interface: kind, args, settings, lacks }: Granian): Server {
  return {
    name: `granian-${kind === "wsgi" ? "wsgi" : "asgi"}`,
    settings,
    lacks,
    unavailable: () => needs(peersPython),
    version: async () => {
      const own = `Granian ${await packageVersion(peersPython(), "granian")}`;
      return kind === "wsgi" ? own : `${own}, uvloop ${await packageVersion(peersPython(), "uvloop")}`;
    },
    start: (place) => {
      const target = kind === "wsgi" ? place.module : "asgi_app";
      const where = ["--host", "127.0.0.1", "--port", String(place.port), "--working-dir", applicationFolder(place)];
      const how = [
        "--http",
        "1",
        place.webSockets ? "--ws" : "--no-ws",
        "--workers",
        String(place.workers),
        "--log-level",
        "warning",
      ];
      // Granian counts idle connections among those it lets in at once.
      const most = ["--backpressure", String(place.connections)];
      const command = [
        "-m",
        "granian",
        "--interface",
        kind,
        ...where,
        ...how,
        ...most,
        ...args(place),
        `${target}:app`,
      ];
      return [start(peersPython(), command, { cwd: applicationFolder(place), env: plainEnvironment })];
    },
    reload: hangUp,
  };
}

/** uvicorn with an ASGI application: a file of bench/apps/, without `.py`. */
export function startUvicorn(place: Place, module: string, more: readonly string[] = []): RunningProcess {
  const where = ["--host", "127.0.0.1", "--port", String(place.port), "--app-dir", applicationFolder(place)];
  const how = ["--workers", String(place.workers), "--loop", "uvloop", "--http", "httptools"];
  const sockets = ["--ws", place.webSockets ? "auto" : "none"];
  const without = ["--lifespan", "off", "--no-access-log", "--no-proxy-headers", "--no-server-header"];
  const args = [
    ...where,
    ...how,
    ...sockets,
    ...without,
    "--timeout-keep-alive",
    "75",
    "--log-level",
    "warning",
    ...more,
  ];
  const options = { cwd: applicationFolder(place), env: plainEnvironment };
  return start(peersPython(), ["-m", "uvicorn", ...args, `${module}:app`], options);
}

export const peers: readonly Server[] = [
  {
    name: "nginx+uwsgi",
    settings: "nginx with 2 workers over a unix socket to uWSGI with master, 2 processes, N threads, thunder-lock",
    lacks: "no ASGI; no deadline for a request; nginx buffers requests and responses",
    unavailable: () => needs(nginx, uwsgi),
    version: async () => `${await nginxVersion()}, ${await uwsgiVersion()}`,
    start: (place) => [startNginx(place, "uwsgi"), startUwsgi(place)],
    reload: hangUp,
  },
  gunicorn(
    "sync",
    "2 workers, preloaded, heartbeat files in memory; no keep-alive and always 1 thread: sync has neither",
    "no buffering: a slow client occupies a worker; no keep-alive, no files; to be put behind a web server",
  ),
  gunicorn(
    "gthread",
    "2 workers × N threads, preloaded, heartbeat files in memory, keep-alive 75 s",
    "no buffering: a slow client occupies a thread; no files; no deadline for a request",
  ),
  gunicorn(
    "gevent",
    "2 workers with up to 1,024 greenlets each, preloaded, heartbeat files in memory, keep-alive 75 s",
    "no buffering; no files; the application must bear gevent's patches, and what computes holds up its worker",
  ),
  {
    name: "mod_wsgi-embedded",
    settings: "2 Apache processes: prefork where N is 1 (100 requests per connection), else the event MPM × N threads",
    lacks:
      "no buffering: with prefork a connection, even an idle one, occupies a process; no process of the application's own",
    unavailable: () => needs(apache2, modWsgiPython),
    version: modWsgiVersion,
    start: (place) => startApache(place, "apache-embedded.conf", place.threads > 1 ? "event" : "prefork"),
    reload: (_, [apache]) => apache?.kill("SIGUSR1"),
  },
  {
    name: "mod_wsgi-daemon",
    settings: "2 daemon processes × N threads behind Apache's event MPM of 2 processes × 32 threads",
    lacks: "no buffering of request bodies: a slow upload occupies a thread",
    unavailable: () => needs(apache2, modWsgiPython),
    version: modWsgiVersion,
    start: (place) => startApache(place, "apache-daemon.conf", "event"),
    // Its documentation: touch the script file. The processes are replaced when the next request comes.
    reload: (place) => utimesSync(join(applicationFolder(place), `${place.module}.py`), new Date(), new Date()),
  },
  granian({
    interface: "wsgi",
    args: ({ threads }) => ["--runtime-mode", "mt", "--runtime-threads", "1", "--blocking-threads", String(threads)],
    settings:
      "`--interface wsgi --http 1 --no-ws --workers 2 --runtime-mode mt --runtime-threads 1 --blocking-threads N --backpressure 1024`",
    lacks:
      "no buffering of request bodies, nothing imported before a fork, no deadline for a request; files without ranges or ETags",
  }),
  granian({
    interface: "asginl",
    args: () => ["--runtime-mode", "st", "--runtime-threads", "1", "--loop", "uvloop"],
    settings:
      "`--interface asginl --http 1 --no-ws --workers 2 --runtime-mode st --runtime-threads 1 --loop uvloop --backpressure 1024`",
    lacks:
      "runs an ASGI application, no WSGI: what computes or waits without await holds up its worker; otherwise as granian-wsgi",
  }),
  {
    name: "uvicorn",
    settings: "2 workers, uvloop, httptools, no WebSocket, lifespan, proxy headers and Server field, keep-alive 75 s",
    lacks:
      "runs an ASGI application, no WSGI: what computes or waits without await holds up its worker; no buffering, no files",
    unavailable: () => needs(peersPython),
    version: async () => {
      const of = (name: string): Promise<string> => packageVersion(peersPython(), name);
      return `uvicorn ${await of("uvicorn")}, uvloop ${await of("uvloop")}, httptools ${await of("httptools")}`;
    },
    start: (place) => [startUvicorn(place, "asgi_app")],
    reload: hangUp,
  },
];
