// The servers measured, each from its configuration in bench/peers/.
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../test/support/ports.js";
import { type RunningProcess, run, start } from "../test/support/processes.js";
import {
  apache2,
  benchPython,
  nginx,
  program,
  python,
  removeFolder,
  root,
  temporaryFolder,
  uwsgi,
} from "../test/support/tools.js";

export interface Place {
  /** A folder of this server's own, readable for all. */
  readonly folder: string;
  readonly port: number;
  /** Threads per worker. */
  readonly threads: number;
}

export interface Server {
  readonly name: string;
  /** Its settings in a line, for the report. */
  readonly settings: string;
  /** Why it cannot run here, or undefined. */
  readonly unavailable: () => string | undefined;
  readonly version: () => Promise<string>;
  readonly start: (place: Place) => readonly RunningProcess[];
}

const bench = join(root, "bench");
const command = join(root, "bin", "vivarium.js");

/** Servers with a Python of their own must not be led astray by another one on PATH. */
const plainEnvironment = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  PYTHONDONTWRITEBYTECODE: "1",
  VIRTUAL_ENV: undefined,
};

/** Where an application server listens for the front before it. */
export function applicationSocket(place: Place): string {
  return join(place.folder, "application.sock");
}

/** Writes a template of bench/peers/ with its {{NAMES}} filled in; lines that begin with a false {{IF_…}} go. */
export function configure(place: Place, template: string, values: Readonly<Record<string, string>> = {}): string {
  const asRoot = process.getuid?.() === 0;
  const all: Record<string, string> = {
    FOLDER: place.folder,
    APPS: join(place.folder, "apps"),
    PORT: String(place.port),
    THREADS: String(place.threads),
    ALL_THREADS: String(place.threads * 2),
    USER: "www-data",
    GROUP: "www-data",
    MODULES: "/usr/lib/apache2/modules",
    ...values,
  };
  const text = readFileSync(join(bench, "peers", template), "utf8")
    .replaceAll(/^\{\{IF_ROOT\}\}(.*\n)/gm, asRoot ? "$1" : "")
    .replaceAll(/^\{\{IF_THREADS\}\}(.*\n)/gm, place.threads > 1 ? "$1" : "")
    .replaceAll(/^\{\{IF_KEPT\}\}(.*\n)/gm, values["KEPT"] === "yes" ? "$1" : "")
    .replaceAll(/\{\{([A-Z_]+)\}\}/g, (_, name: string) => all[name] ?? "");
  const path = join(place.folder, template);
  writeFileSync(path, text);
  return path;
}

export async function printed(file: string, args: readonly string[], pattern: RegExp): Promise<string> {
  const { stdout, stderr } = await run(file, args, { env: plainEnvironment });
  return pattern.exec(stdout + stderr)?.[1] ?? "unknown version";
}

export function needs(...find: readonly (() => string)[]): string | undefined {
  try {
    for (const look of find) look();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** `vivarium COMMAND ARGS…`, in the server's folder. */
export function startCommand(place: Place, args: readonly string[]): RunningProcess {
  return start(process.execPath, [command, ...args], { cwd: place.folder, env: plainEnvironment });
}

export function startVivarium(place: Place, listen: string, more: readonly string[]): RunningProcess {
  const options = ["--workers", "2", "--access-log", "off", "--python", benchPython()];
  const where = ["--listen", listen, "--chdir", join(place.folder, "apps"), "--control"];
  return startCommand(place, ["run", "app:app", ...where, join(place.folder, "control.sock"), ...options, ...more]);
}

function direct({ port }: Place): string {
  return `http://127.0.0.1:${port}`;
}

export function vivariumUnavailable(): string | undefined {
  return existsSync(join(root, "build", "src", "cli", "main.js")) ? needs(benchPython) : "it is not built";
}

export const vivariumVersion = (): Promise<string> => printed(process.execPath, [command, "--version"], /(\d[\w.-]*)/);

function startGunicorn(place: Place, workerClass: "sync" | "gthread"): readonly RunningProcess[] {
  // sync has one thread by definition; gunicorn would turn it into gthread if told of more.
  const threads = workerClass === "sync" ? 1 : place.threads;
  const config = configure({ ...place, threads }, "gunicorn.conf.py", { CLASS: workerClass });
  const args = ["-m", "gunicorn", "--config", config, "app:app"];
  return [start(benchPython(), args, { cwd: place.folder, env: plainEnvironment })];
}

const gunicornVersion = (): Promise<string> =>
  printed(benchPython(), ["-m", "gunicorn", "--version"], /version ([\w.]+)/);

function startApache(place: Place, template: string, mpm: string): readonly RunningProcess[] {
  const config = configure(place, template, { MPM: mpm });
  const args = ["-d", place.folder, "-f", config, "-DFOREGROUND"];
  return [start(apache2(), args, { cwd: place.folder, env: plainEnvironment, detached: true })];
}

function modWsgiUnavailable(): string | undefined {
  if (!existsSync("/usr/lib/apache2/modules/mod_wsgi.so")) return "libapache2-mod-wsgi-py3 is not installed";
  return needs(apache2);
}

async function modWsgiVersion(): Promise<string> {
  const apache = await printed(apache2(), ["-v"], /Apache\/([\d.]+)/);
  const modWsgi = await printed(program("dpkg-query"), ["-s", "libapache2-mod-wsgi-py3"], /^Version: ([\d.]+)/m);
  return `mod_wsgi ${modWsgi} in Apache ${apache}`;
}

/** uWSGI with two processes, listening for the uwsgi protocol on `applicationSocket`. */
export function startUwsgi(place: Place): RunningProcess {
  return start(uwsgi(), ["--ini", configure(place, "uwsgi.ini")], { cwd: place.folder, env: plainEnvironment });
}

export const uwsgiVersion = async (): Promise<string> => `uWSGI ${await printed(uwsgi(), ["--version"], /([\d.]+)/)}`;

/** nginx in front of what listens on `applicationSocket`; connections to it are kept where the protocol can. */
export function startNginx(place: Place, protocol: "http" | "fastcgi" | "scgi" | "uwsgi"): RunningProcess {
  const kept = protocol === "http" || protocol === "fastcgi";
  const pass = configure(place, `nginx-${protocol}.conf`);
  const config = configure(place, "nginx.conf", { PASS: pass, KEPT: kept ? "yes" : "no" });
  const options = { cwd: place.folder, env: plainEnvironment };
  return start(nginx(), ["-p", place.folder, "-c", config, "-e", "stderr"], options);
}

export const nginxVersion = async (): Promise<string> => `nginx ${await printed(nginx(), ["-v"], /nginx\/([\d.]+)/)}`;

export const servers: readonly Server[] = [
  {
    name: "vivarium",
    settings: "`--workers 2 --access-log off`, and `--threads N` in the scenarios with more than one thread",
    unavailable: vivariumUnavailable,
    version: vivariumVersion,
    start: (place) => [
      startVivarium(place, direct(place), place.threads > 1 ? ["--threads", String(place.threads)] : []),
    ],
  },
  {
    name: "vivarium-auto",
    settings: "the same with no `--threads`: Vivarium is to find out by itself",
    unavailable: vivariumUnavailable,
    version: vivariumVersion,
    start: (place) => [startVivarium(place, direct(place), [])],
  },
  {
    name: "nginx+uwsgi",
    settings: "nginx with 2 workers over a unix socket to uWSGI with master, 2 processes, N threads, thunder-lock",
    unavailable: () => needs(nginx, uwsgi),
    version: async () => `${await nginxVersion()}, ${await uwsgiVersion()}`,
    start: (place) => [startNginx(place, "uwsgi"), startUwsgi(place)],
  },
  {
    name: "gunicorn-sync",
    settings: "2 workers, preloaded, heartbeat files in memory; no keep-alive and always 1 thread: sync has neither",
    unavailable: () => needs(benchPython),
    version: gunicornVersion,
    start: (place) => startGunicorn(place, "sync"),
  },
  {
    name: "gunicorn-gthread",
    settings: "2 workers × N threads, preloaded, heartbeat files in memory, keep-alive 75 s",
    unavailable: () => needs(benchPython),
    version: gunicornVersion,
    start: (place) => startGunicorn(place, "gthread"),
  },
  {
    name: "mod_wsgi-embedded",
    settings: "2 Apache processes: prefork where N is 1 (100 requests per connection), else the event MPM × N threads",
    unavailable: modWsgiUnavailable,
    version: modWsgiVersion,
    start: (place) => startApache(place, "apache-embedded.conf", place.threads > 1 ? "event" : "prefork"),
  },
  {
    name: "mod_wsgi-daemon",
    settings: "2 daemon processes × N threads behind Apache's event MPM of 2 processes × 32 threads",
    unavailable: modWsgiUnavailable,
    version: modWsgiVersion,
    start: (place) => startApache(place, "apache-daemon.conf", "event"),
  },
];

/** The Python all of them run, as the interpreter's own version. */
export function pythonVersion(): Promise<string> {
  return printed(python(), ["--version"], /Python ([\w.]+)/);
}

/** A place for one server: applications copied in, readable for whatever user a server's workers run as. */
export async function preparePlace(threads: number): Promise<Place> {
  const folder = temporaryFolder("bench");
  chmodSync(folder, 0o755);
  const apps = join(folder, "apps");
  mkdirSync(apps);
  for (const file of ["app.py", "calibrate.py"]) copyFileSync(join(bench, "apps", file), join(apps, file));
  return { folder, port: await freePort(), threads };
}

export function clearPlace(place: Place): void {
  removeFolder(place.folder);
}
