// The [[mount]] tables of vivarium.toml → mounts. Loaded only where there are any.

import type { FilesConfig } from "../static/config.js";
import type { MountConfig, TryConfig } from "./config.js";
import { fileKeys, filesOptions, placeOptions, redirectOptions } from "./mount-options.js";
import { directory } from "./option-readers.js";
import type { Option } from "./options.js";
import type { ReadContext } from "./read.js";
import { nearestHint, readSource, refuseUnknownKeys, show, sourceIn, type Table, tableAt, wrong } from "./table.js";

/** A mount and the beginning of what is said about it. */
export interface PlacedMount {
  readonly mount: MountConfig;
  readonly where: string;
}

/** The names a mount can refer to. */
export interface Names {
  readonly pool: readonly string[];
  readonly upstream: readonly string[];
}

const answers = ["pool", "upstream", "files"] as const;

/** One for each host of each table. Throws ERR_CONFIG_…. */
export function readMounts(file: Table, names: Names, context: ReadContext): readonly PlacedMount[] {
  const { mount: given } = file.values;
  if (!Array.isArray(given)) return [];
  return given.flatMap((value: unknown, index) => {
    const where = `${file.where}[[mount]] ${index + 1}: `;
    return readMount(tableAt(value, where, file.base), names, context);
  });
}

function readMount(table: Table, names: Names, context: ReadContext): readonly PlacedMount[] {
  const redirectKeys = Object.values(redirectOptions).map(({ key }) => key);
  refuseUnknownKeys(table, ["host", "path", ...answers, "try", ...fileKeys, ...redirectKeys]);
  const host = sourceIn(table, "host");
  const hosts = host === undefined ? [""] : readSource(placeOptions.host.read, host, context);
  if (hosts.length === 0) throw wrong(table, "host must be at least one host; without the key it is every host.");
  const at = sourceIn(table, "path");
  const path = at === undefined ? "" : readSource(placeOptions.path.read, at, context);
  const tries = readTries(table, names, context);
  const redirects = readRedirects(table, context);
  if (redirects !== undefined && tries.every(({ kind }) => kind === "files")) {
    throw wrong(table, "accel-redirect and sendfile are for a pool or an upstream, whose responses name the files.");
  }
  const { where } = table;
  return hosts.map((name) => ({
    mount: { host: name, path, tries, ...(redirects === undefined ? {} : { redirects }) },
    where,
  }));
}

/** What answers: the table's own pool, upstream or files, or the entries of its `try`. */
function readTries(table: Table, names: Names, context: ReadContext): readonly TryConfig[] {
  if (!Object.hasOwn(table.values, "try")) return [readTry(table, names, context)];
  const beside = Object.keys(table.values).find((key) => [...answers, ...fileKeys].includes(key));
  if (beside !== undefined) throw wrong(table, `${beside} stands beside try; write it into an entry of try.`);
  const given = table.values["try"];
  if (!Array.isArray(given) || given.length === 0) {
    throw wrong(table, `try must be a list such as [{ files = "public" }, { pool = "shop" }], not ${show(given)}.`);
  }
  const tries = given.map((value: unknown, index) => {
    const entry = tableAt(value, `${table.where}try ${index + 1}: `, table.base);
    refuseUnknownKeys(entry, [...answers, ...fileKeys]);
    return readTry(entry, names, context);
  });
  const early = tries.slice(0, -1).findIndex(({ kind }) => kind !== "files");
  if (early >= 0) {
    throw wrong(
      table,
      `try ${early + 1} answers every request, so that nothing can come after it; only files fall through.`,
    );
  }
  return tries;
}

function readTry(table: Table, names: Names, context: ReadContext): TryConfig {
  const given = answers.filter((key) => Object.hasOwn(table.values, key));
  const [kind, another] = given;
  if (kind === undefined)
    throw wrong(table, "names nothing that answers: pool, upstream or files (or a list of them, try).");
  if (another !== undefined) {
    throw wrong(
      table,
      `${kind} and ${another} cannot both answer; for one after the other write try = [{ … }, { … }].`,
    );
  }
  if (kind === "files") return { kind, files: readFiles(table, context) };
  const beside = Object.keys(table.values).find((key) => fileKeys.includes(key));
  if (beside !== undefined) throw wrong(table, `${beside} says how files are served, and there is no files.`);
  const name = table.values[kind];
  if (typeof name !== "string") throw wrong(table, `${kind} must be a name, not ${show(name)}.`);
  if (!names[kind].includes(name)) throw wrong(table, `there is no ${kind} "${name}"${nearestHint(name, names[kind])}`);
  return { kind, name };
}

/** `files` and what stands beside it. */
function readFiles(table: Table, context: ReadContext): FilesConfig {
  const pick = <Value>({ key, read, initial }: Pick<Option<Value>, "key" | "read" | "initial">): Value => {
    const source = sourceIn(table, key);
    if (source !== undefined) return readSource(read, source, context);
    if (typeof initial === "function") return initial(context);
    return readSource(read, { value: initial, where: `the default of ${key}`, base: table.base }, context);
  };
  const root = sourceIn(table, "files") ?? { value: undefined, where: `${table.where}files`, base: table.base };
  return {
    root: readSource(directory, root, context),
    index: pick(filesOptions.index),
    cacheControl: pick(filesOptions.cacheControl),
    precompressed: pick(filesOptions.precompressed),
    hidden: pick(filesOptions.hidden),
    charset: pick(filesOptions.charset),
    types: pick(filesOptions.types),
    memory: pick(filesOptions.memory),
  };
}

/** The files of `--static PREFIX=DIR`: with everything at its default. */
export function plainFiles(root: string, context: ReadContext): FilesConfig {
  return readFiles({ values: { files: root }, where: "", base: context.base }, context);
}

function readRedirects(table: Table, context: ReadContext): MountConfig["redirects"] {
  const accel = sourceIn(table, redirectOptions.accel.key);
  const sendfile = sourceIn(table, redirectOptions.sendfile.key);
  if (accel === undefined && sendfile === undefined) return undefined;
  return {
    accel: accel === undefined ? [] : readSource(redirectOptions.accel.read, accel, context),
    sendfile: sendfile === undefined ? [] : readSource(redirectOptions.sendfile.read, sendfile, context),
  };
}
