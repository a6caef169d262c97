// Flags, then vivarium.toml, then defaults → one frozen Config.
import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { vivariumError } from "../errors.js";
import type { Config, PoolConfig } from "./config.js";
import { readConfigFile } from "./file.js";
import { nearest } from "./nearest.js";
import { type OptionName, optionNames, options, target } from "./options.js";
import { Expected, type ReadContext, type Reader } from "./read.js";

export const CONFIG_FILE = "vivarium.toml";

/** The pool of the application that TARGET names. */
export const MAIN_POOL = "main";

/** What the command line says. */
export interface Given {
  readonly target?: string | undefined;
  /**
   * Path of the configuration file; false for none. By default vivarium.toml in the current directory, where there is
   * one, whether or not a target is given: a person who keeps settings there means them.
   */
  readonly config?: string | false | undefined;
  /** Values by the names of `Config`: text, a list of texts, or true/false for a switch. */
  readonly flags?: { readonly [Name in OptionName]?: unknown };
  /** The current directory. Default: the process's. */
  readonly cwd?: string;
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

export interface Loaded {
  readonly config: Config;
  /** The configuration file that was read, absolute. */
  readonly file: string | undefined;
}

/** A value with its source: `where` begins the sentence that refuses it, `base` is where its relative paths start. */
interface Source {
  readonly value: unknown;
  readonly where: string;
  readonly base: string;
}

/** Rejects with ERR_CONFIG_…, one sentence naming file or flag, key, and what was expected. */
export async function loadConfig(given: Given): Promise<Loaded> {
  const cwd = given.cwd ?? process.cwd();
  const environment = given.environment ?? process.env;
  const file = configFile(given, cwd);
  const values = file === undefined ? {} : await readConfigFile(file);
  if (file !== undefined) refuseUnknownKeys(file, values);

  const home = file === undefined ? cwd : dirname(file);
  const sourceOf = (key: string, flag: unknown, label: string): Source | undefined => {
    if (flag !== undefined) return { value: flag, where: label, base: cwd };
    return Object.hasOwn(values, key) ? { value: values[key], where: `${file}: ${key}`, base: home } : undefined;
  };
  const pick = <Name extends OptionName>(name: Name, context: ReadContext): Config[Name] => {
    const { key, read, initial } = options[name];
    const source = sourceOf(key, given.flags?.[name], `--${key}`);
    if (source !== undefined) return readSource(read, source, context);
    if (typeof initial === "function") return initial(context);
    return readSource(read, { value: initial, where: `the default of ${key}`, base: home }, context);
  };

  const outside: ReadContext = { base: home, chdir: home, target: "", environment };
  const chdir = pick("chdir", outside);
  const wanted = sourceOf("target", given.target, "TARGET");
  if (wanted === undefined) throw noTarget(file, cwd);
  const context: ReadContext = { ...outside, chdir, target: readSource(target, wanted, { ...outside, chdir }) };
  const pool: PoolConfig = {
    name: MAIN_POOL,
    target: context.target,
    workers: pick("workers", context),
    threads: pick("threads", context),
    python: pick("python", context),
    chdir,
    preload: pick("preload", context),
    bootTimeout: pick("bootTimeout", context),
  };
  const mount = pick("mount", context);
  const { name: _, ...application } = pool;
  const config: Config = {
    ...application,
    mount,
    pools: Object.freeze([Object.freeze(pool)]),
    upstreams: Object.freeze([]),
    mounts: Object.freeze([
      Object.freeze({ host: "", path: mount, tries: Object.freeze([{ kind: "pool", name: MAIN_POOL } as const]) }),
    ]),
    listen: pick("listen", context),
    trustedProxies: pick("trustedProxies", context),
    accessLog: pick("accessLog", context),
    control: pick("control", context),
    maxBody: pick("maxBody", context),
    bodyMemory: pick("bodyMemory", context),
    responseMemory: pick("responseMemory", context),
    tempDir: pick("tempDir", context),
    maxTarget: pick("maxTarget", context),
    maxHead: pick("maxHead", context),
    maxFields: pick("maxFields", context),
    keepAlive: pick("keepAlive", context),
    headTimeout: pick("headTimeout", context),
    gracefulTimeout: pick("gracefulTimeout", context),
  };
  return { config: Object.freeze(config), file };
}

function configFile(given: Given, cwd: string): string | undefined {
  if (given.config === false) return undefined;
  if (given.config !== undefined) return resolve(cwd, given.config);
  const path = resolve(cwd, CONFIG_FILE);
  return existsSync(path) ? path : undefined;
}

function readSource<Value>(read: Reader<Value>, source: Source, context: ReadContext): Value {
  const value = read(source.value, { ...context, base: source.base });
  if (!(value instanceof Expected)) return value;
  throw vivariumError(
    "ERR_CONFIG_VALUE",
    `${source.where} must be ${value.what}, not ${show(value.wrong.length === 0 ? source.value : value.wrong[0])}.`,
  );
}

function refuseUnknownKeys(file: string, values: Readonly<Record<string, unknown>>): void {
  const known = ["target", ...optionNames.map((name) => options[name].key)];
  for (const key of Object.keys(values)) {
    if (known.includes(key)) continue;
    // `max_body` and `maxBody` are near enough in spirit, though not in letters.
    const near = nearest(key.replace(/[A-Z]/gu, "-$&").replaceAll("_", "-").toLowerCase(), known);
    const hint = near === undefined ? "the keys are listed in docs/configuration.md" : `did you mean "${near}"?`;
    throw vivariumError("ERR_CONFIG_KEY", `${file}: there is no key "${key}"; ${hint}${hint.endsWith("?") ? "" : "."}`);
  }
}

function noTarget(file: string | undefined, cwd: string): Error {
  return file === undefined
    ? vivariumError(
        "ERR_CONFIG_VALUE",
        `There is nothing to run: name an application, as in "vivarium run package.module:callable", or write a ${CONFIG_FILE} in ${cwd}.`,
      )
    : vivariumError(
        "ERR_CONFIG_VALUE",
        `${file}: target is missing; it names the application, as in target = "package.module:callable".`,
      );
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= 80 ? text : `${text.slice(0, 77)}…`;
}
