// Where the programs are that tests run beside Vivarium. scripts/setup/ installs them; here they are only found.
import { accessSync, constants, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The checkout: the nearest folder above this file with Vivarium's package.json; else the current one. */
function findRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (folder !== dirname(folder)) {
    const manifest = join(folder, "package.json");
    if (existsSync(manifest) && readFileSync(manifest, "utf8").includes('"name": "vivarium"')) return folder;
    folder = dirname(folder);
  }
  return process.cwd();
}

export const root: string = findRoot();

export type Tool =
  | "curl"
  | "wrk"
  | "nginx"
  | "uwsgi"
  | "uwsgi-python"
  | "apache2"
  | "mod-wsgi"
  | "php-fpm"
  | "mod-fcgid"
  | "lighttpd"
  | "caddy"
  | "haproxy"
  | "cgi-fcgi"
  | "postgresql"
  | "chromium"
  | "redis"
  | "nghttp"
  | "h2spec"
  | "venv-frameworks"
  | "venv-async"
  | "venv-bench"
  | "venv-flup"
  | "venv-libraries"
  | "venv-libraries-3.8"
  | "venv-libraries-3.13";

const withoutTools = new Set((process.env["VIVARIUM_TESTS_WITHOUT"] ?? "").split(",").filter(Boolean));

/**
 * For the `skip` option of a test that needs these: false, or the reason why it cannot run here. Only what
 * scripts/test.mjs could not install (no root) is a reason; a tool that should be here and is not, fails the test.
 */
export function unavailable(...tools: readonly Tool[]): string | false {
  const lacking = tools.filter((tool) => withoutTools.has(tool));
  return lacking.length === 0 ? false : `needs ${lacking.join(" and ")}, which only root can install`;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** A program on PATH or in the folders of administrators' programs, absolute. Throws where there is none. */
export function program(...names: readonly string[]): string {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/local/sbin", "/usr/sbin", "/sbin"];
  for (const name of names) {
    const found = folders.map((folder) => join(folder, name)).find(isExecutable);
    if (found !== undefined) return found;
  }
  throw new Error(`${names.join(" or ")} is not installed; npm test installs it`);
}

export const nginx = (): string => program("nginx");
export const uwsgi = (): string => program("uwsgi", "uwsgi-core");
export const apache2 = (): string => program("apache2");
export const lighttpd = (): string => program("lighttpd");
export const caddy = (): string => program("caddy");
export const haproxy = (): string => program("haproxy");
export const cgiFcgi = (): string => program("cgi-fcgi");
export const wrk = (): string => program("wrk");
export const curl = (): string => program("curl");
export const redisServer = (): string => program("redis-server");
export const nghttp = (): string => program("nghttp");
export const chromium = (): string => program("chromium", "chromium-browser");

/** PHP's FastCGI server, which Debian names after the version; the newest. */
export function phpFpm(): string {
  const folder = "/usr/sbin";
  const versions = readdirSync(folder).filter((name) => /^php-fpm\d+\.\d+$/.test(name));
  const [newest] = versions.sort((a, b) => b.localeCompare(a, "en", { numeric: true }));
  return newest === undefined ? program("php-fpm") : join(folder, newest);
}

/** The conformance suite of HTTP/2. */
export function h2spec(): string {
  const path = join(root, ".cache", "h2spec", "h2spec");
  if (!isExecutable(path)) throw new Error(`${path} is missing; npm test makes it`);
  return path;
}

/** The interpreter of the virtual environment with Flask, Django, psycopg and psycopg2. */
export function frameworksPython(): string {
  return virtualenvPython("venv-frameworks");
}

/** The interpreter of the virtual environment with FastAPI, Starlette, Django and Channels, and the clients httpx and websockets. */
export function asyncPython(): string {
  return virtualenvPython("venv-async");
}

/** The interpreter of the virtual environment with gunicorn and Flask. */
export function benchPython(): string {
  return virtualenvPython("venv-bench");
}

/** The interpreter of a virtual environment with NumPy, psycopg, psycopg2 and SQLAlchemy. */
export function librariesPython(name: Extract<Tool, `venv-libraries${string}`>): string {
  return virtualenvPython(name);
}

/** The interpreter of the virtual environment with flup. */
export function flupPython(): string {
  return virtualenvPython("venv-flup");
}

/** The interpreter of the virtual environment with the benchmark's peers. */
export function peersPython(): string {
  return virtualenvPython("venv-peers", "npm run bench");
}

/** The interpreter of the virtual environment with mod_wsgi. */
export function modWsgiPython(): string {
  return virtualenvPython("venv-mod-wsgi", "npm run bench");
}

function virtualenvPython(name: string, maker = "npm test"): string {
  const path = join(root, ".cache", name, "bin", "python");
  if (!isExecutable(path)) throw new Error(`${path} is missing; ${maker} makes it`);
  return path;
}

/** The folder with PostgreSQL's initdb and postgres. Debian keeps one per version, off PATH; the newest is taken. */
export function postgresBin(): string {
  const base = "/usr/lib/postgresql";
  const versions = existsSync(base) ? readdirSync(base).sort((a, b) => Number(b) - Number(a)) : [];
  const found = versions.map((version) => join(base, version, "bin")).find((bin) => isExecutable(join(bin, "initdb")));
  return found ?? dirname(program("initdb"));
}

export interface Python {
  /** "3.11" */
  readonly version: string;
  readonly path: string;
}

/** The interpreters of this machine among those Vivarium promises to host, oldest first: pyenv's, then PATH's. */
export function pythons(): Python[] {
  const pyenv = process.env["PYENV_ROOT"] ?? join(homedir(), ".pyenv");
  const versions = join(pyenv, "versions");
  const built = existsSync(versions) ? readdirSync(versions) : [];
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== join(pyenv, "shims"));
  return ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13"].flatMap((version) => {
    const candidates = [
      ...built
        .filter((name) => name.startsWith(`${version}.`) && /^[\d.]+$/.test(name))
        .map((name) => join(versions, name, "bin", "python")),
      ...folders.map((folder) => join(folder, `python${version}`)),
    ];
    const path = candidates.find(isExecutable);
    return path === undefined ? [] : [{ version, path }];
  });
}

/** The interpreter for tests that need any: python3 as a real file (pyenv's shims would add a process and 50 ms). */
export function python(): string {
  if (isExecutable("/usr/bin/python3")) return "/usr/bin/python3";
  const newest = pythons().at(-1);
  return newest?.path ?? program("python3");
}

/** Removed with this process where nobody did before (an assertion that threw, Ctrl-C). */
const temporaryFolders = new Set<string>();
process.on("exit", () => {
  for (const path of temporaryFolders) rmSync(path, { recursive: true, force: true });
});

/** A fresh folder under the system's temporary one. The caller removes it, with `removeFolder`. */
export function temporaryFolder(purpose: string): string {
  const path = mkdtempSync(join(tmpdir(), `vivarium-${purpose}-`));
  temporaryFolders.add(path);
  return path;
}

export function removeFolder(path: string): void {
  rmSync(path, { recursive: true, force: true });
  temporaryFolders.delete(path);
}
