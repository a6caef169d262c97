// A server to be measured: how it is started in a place of its own, from its configuration in bench/peers/.
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type CertificateFiles, makeCertificate } from "../test/support/certificates.js";
import { freePort } from "../test/support/ports.js";
import { type RunningProcess, run } from "../test/support/processes.js";
import { python, removeFolder, root, temporaryFolder } from "../test/support/tools.js";

/** What a server is started for. */
export interface Demand {
  /** Threads per worker, wherever a server has that setting. */
  readonly threads: number;
  readonly workers: number;
  /** Connections at once that it must take. */
  readonly connections: number;
  /** Whether it is to speak WebSocket, too. */
  readonly webSockets: boolean;
  /** Whether it is to speak TLS and, over that, HTTP/2. */
  readonly tls: boolean;
  /** The application: a file of bench/apps/, without `.py`. */
  readonly module: string;
  /** Whether the application is to be loaded in the workers, so that a reload takes a new one. */
  readonly reloadable: boolean;
}

export const usual: Demand = {
  threads: 1,
  workers: 2,
  connections: 1024,
  webSockets: false,
  tls: false,
  module: "app",
  reloadable: false,
};

export interface Place extends Demand {
  /** A folder of this server's own, readable for all. */
  readonly folder: string;
  readonly port: number;
  /** A certificate and its key, where it is to speak TLS. */
  readonly certificate?: CertificateFiles;
}

export interface Server {
  readonly name: string;
  /** Its settings in a line, for the report. */
  readonly settings: string;
  /** What it leaves out that others do: no comparison is fair without. */
  readonly lacks: string;
  /** Why it cannot run here, or undefined. */
  readonly unavailable: () => string | undefined;
  readonly version: () => Promise<string>;
  readonly start: (place: Place) => readonly RunningProcess[];
  /** Has it load the application anew, as its documentation says; absent where it has no way. */
  readonly reload?: (place: Place, processes: readonly RunningProcess[]) => Promise<void> | void;
}

const bench = join(root, "bench");

/** Servers with a Python of their own must not be led astray by another one on PATH. */
export const plainEnvironment: Readonly<Record<string, string | undefined>> = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  PYTHONDONTWRITEBYTECODE: "1",
  VIRTUAL_ENV: undefined,
};

/** Where an application server listens for the front before it. */
export function applicationSocket(place: Place): string {
  return join(place.folder, "application.sock");
}

export function applicationFolder(place: Place): string {
  return join(place.folder, "apps");
}

/** Writes a template of bench/peers/ with its {{NAMES}} filled in; lines that begin with a false {{IF_…}} go. */
export function configure(place: Place, template: string, values: Readonly<Record<string, string>> = {}): string {
  const asRoot = process.getuid?.() === 0;
  const all: Record<string, string> = {
    FOLDER: place.folder,
    APPS: applicationFolder(place),
    MODULE: place.module,
    PORT: String(place.port),
    THREADS: String(place.threads),
    WORKERS: String(place.workers),
    ALL_THREADS: String(place.threads * place.workers),
    CONNECTIONS: String(place.connections),
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

/** The version of a Python package as it was installed. */
export function packageVersion(interpreter: string, name: string): Promise<string> {
  const script = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))";
  return printed(interpreter, ["-c", script, name], /^([\w.+-]+)$/m);
}

export function needs(...find: readonly (() => string)[]): string | undefined {
  try {
    for (const look of find) look();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** The Python all of them run, as the interpreter's own version. */
export function pythonVersion(): Promise<string> {
  return printed(python(), ["--version"], /Python ([\w.]+)/);
}

/** A place for one server: applications copied in, readable for whatever user a server's workers run as. */
export async function preparePlace(demand: Demand): Promise<Place> {
  const folder = temporaryFolder("bench");
  chmodSync(folder, 0o755);
  const certificate = demand.tls ? { certificate: makeCertificate(folder, "bench") } : {};
  const place = { ...demand, ...certificate, folder, port: await freePort() };
  mkdirSync(applicationFolder(place));
  for (const name of new Set(["app", "asgi_app", "calibrate", demand.module])) {
    copyFileSync(join(bench, "apps", `${name}.py`), join(applicationFolder(place), `${name}.py`));
  }
  return place;
}

export function clearPlace(place: Place): void {
  removeFolder(place.folder);
}
