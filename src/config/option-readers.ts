// Readers of single options: those that look at the machine, and those that nobody else has a use for.
import { existsSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { vivariumError } from "../errors.js";
import type { Config, TlsConfig } from "./config.js";
import { SOCKET_PATH_MOST } from "./control-path.js";
import { activatedListeners, listenUrl } from "./listen-url.js";
import { count, Expected, list, path, prefix, type ReadContext } from "./read.js";

/** `--static PREFIX=DIR`. */
export interface StaticMount {
  /** "" or "/prefix". */
  readonly path: string;
  /** Absolute. */
  readonly root: string;
}

export function directory(value: unknown, context: ReadContext): string | Expected {
  const found = path(value, context);
  return found instanceof Expected || !statSync(found, { throwIfNoEntry: false })?.isDirectory()
    ? new Expected("an existing directory")
    : found;
}

/** A file's path, or "" for none. */
export function maybeFile(value: unknown, context: ReadContext): string | Expected {
  return value === "" ? value : path(value, context);
}

export function socketPath(value: unknown, context: ReadContext): string | Expected {
  const found = path(value, context);
  if (found instanceof Expected || Buffer.byteLength(found) > SOCKET_PATH_MOST) {
    return new Expected(`a path of at most ${SOCKET_PATH_MOST} octets`);
  }
  return found;
}

/** `/static=public` */
export function staticMount(value: unknown, context: ReadContext): StaticMount | Expected {
  const expected = new Expected("PREFIX=DIR, a URL prefix and an existing directory, such as /static=public");
  const [, before = "", behind = ""] = typeof value === "string" ? (/^([^=]*)=(.+)$/su.exec(value) ?? []) : [];
  const at = prefix(before);
  const root = directory(behind, context);
  return at instanceof Expected || root instanceof Expected || before === "" ? expected : { path: at, root };
}

/** What systemd opened for this process, else the machine itself. */
export function listenByDefault(context: ReadContext): Config["listen"] {
  const found = activatedListeners(context, process.pid) ?? listenUrls("http://127.0.0.1:8000", context);
  if (!(found instanceof Expected)) return found;
  throw vivariumError(
    "ERR_CONFIG_VALUE",
    `The default of listen must be ${found.what}, not ${JSON.stringify(found.wrong[0])}.`,
  );
}

/**
 * Methods of HTTP, which are case-sensitive (RFC 9110 §9.1). Nobody can know what a POST or PATCH did before its worker died
 * (§9.2.2), so neither can be one of them.
 */
export function methods(value: unknown, context: ReadContext): readonly string[] | Expected {
  if (value === "none") return [];
  const expected = new Expected('methods that may be run twice, such as "GET,HEAD" (not POST, nor PATCH), or "none"');
  const method = (each: unknown): string | Expected =>
    typeof each === "string" && /^[A-Z][A-Z-]*$/u.test(each) && !["POST", "PATCH", "CONNECT"].includes(each)
      ? each
      : expected;
  const found = list(method, /\s*,\s*/u)(value, context);
  return found instanceof Expected ? expected : found;
}

/** Text only: the number 660 in a TOML file would be 01224. */
export function mode(value: unknown): number | Expected {
  return typeof value === "string" && /^0?[0-7]{3}$/u.test(value)
    ? Number.parseInt(value, 8)
    : new Expected('permissions as text in octal, as in "0660" or "0600"');
}

export function overlap(value: unknown, context: ReadContext): number | "all" | Expected {
  if (value === "all") return "all";
  const read = count(1, 1024)(value, context);
  return read instanceof Expected ? new Expected(`${read.what}, or "all"`) : read;
}

/** Also as the number that TOML makes of 1.2. */
export function tlsVersion(value: unknown): TlsConfig["minVersion"] | Expected {
  const text = String(value);
  return text === "1.2" || text === "1.3" ? text : new Expected('"1.2" or "1.3"');
}

export function owner(value: unknown): string | Expected {
  return typeof value === "string" && (value === "" || /^(?=.)[^\s:\0]{0,256}(:[^\s:\0]{1,256})?$/u.test(value))
    ? value
    : new Expected('a user, a user and a group or a group, as in "www-data", "www-data:www-data" or ":www-data"');
}

export function listenUrls(value: unknown, context: ReadContext): Config["listen"] | Expected {
  const found = list(listenUrl)(value, context);
  if (found instanceof Expected) return found;
  if (found.length === 0) return new Expected("at least one address");
  // Port 0 is another port each time.
  const urls = found.map((address) => address.url).filter((url) => !url.endsWith(":0"));
  return new Set(urls).size < urls.length ? new Expected("addresses that differ from each other") : found;
}

/**
 * A target: `package.module:callable`, or a path, which begins at `chdir` as a module's name does. Python finds out
 * whether the application is there; a path that leads nowhere is said here, before anything is started.
 */
export function target(value: unknown, context: ReadContext): string | Expected {
  if (typeof value !== "string") return new Expected(TARGET);
  const [, file] = /^([^\0]*\.(?:py|wsgi)|[^\0:]*\/[^\0:]*)(?::[\w.]+(?:\(\))?)?$/su.exec(value) ?? [];
  if (file !== undefined) {
    if (existsSync(resolve(context.chdir, file))) return value;
    // "mysite.wsgi" is Django's module more often than mod_wsgi's file.
    const maybeModule = file.endsWith(".wsgi") && !file.includes("/");
    if (!maybeModule) return new Expected(`an existing file (looked for in ${context.chdir})`);
  }
  return /^[\p{ID_Start}_][\p{ID_Continue}.]*(:[\w.]+(\(\))?)?$/u.test(value) ? value : new Expected(TARGET);
}

const TARGET = "package.module:callable, path/to/file.py[:callable] or path/to/site.wsgi";
