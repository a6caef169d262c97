// The programs that tests and benchmark run beside Vivarium: where each is looked for, and which Debian packages
// bring it. A program counts as present when its file is there; nothing is run to find out.
import { accessSync, constants, readdirSync } from "node:fs";
import { delimiter, join } from "node:path";

/** PATH, with the folders of administrators' programs, which an ordinary user's PATH may lack. */
function searchPath() {
  return [...(process.env.PATH ?? "").split(delimiter), "/usr/local/sbin", "/usr/sbin", "/sbin"].filter(Boolean);
}

export function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export function isReadable(path) {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

/** The first of these names on PATH, as an absolute path; otherwise undefined. */
export function which(...names) {
  for (const name of names) {
    for (const folder of searchPath()) {
      const path = join(folder, name);
      if (isExecutable(path)) return path;
    }
  }
  return undefined;
}

/** The folder with initdb and postgres of the newest PostgreSQL; Debian keeps these off PATH. */
export function findPostgresBin() {
  const base = "/usr/lib/postgresql";
  let versions = [];
  try {
    versions = readdirSync(base).sort((a, b) => Number.parseFloat(b) - Number.parseFloat(a));
  } catch {
    // not Debian's package; look on PATH
  }
  for (const version of versions) {
    const bin = join(base, version, "bin");
    if (isExecutable(join(bin, "initdb")) && isExecutable(join(bin, "postgres"))) return bin;
  }
  const initdb = which("initdb");
  return initdb === undefined ? undefined : join(initdb, "..");
}

/** Debian names it after PHP's version: php-fpm8.2. The newest. */
function findPhpFpm() {
  const folder = "/usr/sbin";
  const versions = readdirSync(folder).filter((name) => /^php-fpm\d+\.\d+$/.test(name));
  const [newest] = versions.sort((a, b) => b.localeCompare(a, "en", { numeric: true }));
  return newest === undefined ? which("php-fpm") : join(folder, newest);
}

function firstReadable(...paths) {
  return paths.find(isReadable);
}

/** Name → the Debian packages that bring it, and how it is found (an absolute path, or undefined). */
export const programs = {
  curl: { packages: ["curl"], find: () => which("curl") },
  wrk: { packages: ["wrk"], find: () => which("wrk") },
  nginx: { packages: ["nginx"], find: () => which("nginx") },
  uwsgi: { packages: ["uwsgi-core"], find: () => which("uwsgi", "uwsgi-core") },
  "uwsgi-python": {
    packages: ["uwsgi-plugin-python3"],
    find: () => firstReadable("/usr/lib/uwsgi/plugins/python3_plugin.so"),
  },
  apache2: { packages: ["apache2"], find: () => which("apache2") },
  "mod-wsgi": {
    packages: ["libapache2-mod-wsgi-py3"],
    find: () => firstReadable("/usr/lib/apache2/modules/mod_wsgi.so"),
  },
  // What mod_wsgi of the Python package registry is compiled with.
  apxs: { packages: ["apache2-dev", "python3-dev", "gcc", "libc6-dev"], find: () => which("apxs", "apxs2") },
  "php-fpm": { packages: ["php-fpm"], find: findPhpFpm },
  "mod-fcgid": {
    packages: ["libapache2-mod-fcgid"],
    find: () => firstReadable("/usr/lib/apache2/modules/mod_fcgid.so"),
  },
  lighttpd: { packages: ["lighttpd"], find: () => which("lighttpd") },
  caddy: { packages: ["caddy"], find: () => which("caddy") },
  haproxy: { packages: ["haproxy"], find: () => which("haproxy") },
  "cgi-fcgi": { packages: ["libfcgi-bin"], find: () => which("cgi-fcgi") },
  postgresql: { packages: ["postgresql"], find: findPostgresBin },
  redis: { packages: ["redis-server"], find: () => which("redis-server") },
  // nghttp and h2load, HTTP/2's own client and load.
  nghttp: { packages: ["nghttp2-client"], find: () => which("nghttp") },
  // What h2spec is compiled with.
  go: { packages: ["golang-go"], find: () => which("go") ?? firstReadable("/usr/local/go/bin/go") },
  chromium: { packages: ["chromium"], find: () => which("chromium", "chromium-browser", "google-chrome") },
};

/** What only the benchmark runs: nothing of a test waits for it to be installed. */
export const onlyForBenchmark = ["apxs", "venv-peers", "venv-mod-wsgi"];

/** Names of the programs that are not here. */
export function missingPrograms() {
  return Object.keys(programs).filter((name) => programs[name].find() === undefined);
}
