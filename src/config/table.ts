// A table of vivarium.toml, or the whole of it, and what is said when something in it is not as it should be.
import { type VivariumError, vivariumError } from "../errors.js";
import { nearest } from "./nearest.js";
import { Expected, type ReadContext, type Reader } from "./read.js";

export interface Table {
  readonly values: Readonly<Record<string, unknown>>;
  /** Begins every sentence about it: "/srv/site/vivarium.toml: [pool.shop] ". */
  readonly where: string;
  /** The directory relative paths start from. */
  readonly base: string;
}

/** A value with its source: `where` begins the sentence that refuses it, `base` is where its relative paths start. */
export interface Source {
  readonly value: unknown;
  readonly where: string;
  readonly base: string;
}

/** The value of a key; undefined where it is not there. */
export function sourceIn(table: Table | undefined, key: string): Source | undefined {
  if (table === undefined || !Object.hasOwn(table.values, key)) return undefined;
  return { value: table.values[key], where: `${table.where}${key}`, base: table.base };
}

/** Throws ERR_CONFIG_VALUE where the value is not what the reader expects. */
export function readSource<Value>(read: Reader<Value>, source: Source, context: ReadContext): Value {
  const value = read(source.value, { ...context, base: source.base });
  if (!(value instanceof Expected)) return value;
  throw vivariumError(
    "ERR_CONFIG_VALUE",
    `${source.where} must be ${value.what}, not ${show(value.wrong.length === 0 ? source.value : value.wrong[0])}.`,
  );
}

/** `mistake` completes the sentence that begins with the table. */
export function wrong({ where }: Pick<Table, "where">, mistake: string): VivariumError {
  return vivariumError("ERR_CONFIG_VALUE", `${where}${mistake}`);
}

/** A table within another, or among those of a list. Throws where the value is something else. */
export function tableAt(value: unknown, where: string, base: string): Table {
  if (typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date)) {
    return { values: { ...value }, where, base };
  }
  throw wrong({ where }, `must be a table, not ${show(value)}.`);
}

export function refuseUnknownKeys(table: Table, known: readonly string[]): void {
  for (const key of Object.keys(table.values)) {
    if (known.includes(key)) continue;
    // `max_body` and `maxBody` are near enough in spirit, though not in letters.
    const near = nearest(key.replace(/[A-Z]/gu, "-$&").replaceAll("_", "-").toLowerCase(), known);
    const hint = near === undefined ? "the keys are listed in docs/configuration.md." : `did you mean "${near}"?`;
    throw vivariumError("ERR_CONFIG_KEY", `${table.where}there is no key "${key}"; ${hint}`);
  }
}

/** '; did you mean "shop"?' or '; there is only "shop" and "blog".' or ".": the end of a sentence about an unknown name. */
export function nearestHint(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  if (near !== undefined) return `; did you mean "${near}"?`;
  return known.length === 0 ? "." : `; there is ${known.map((each) => `"${each}"`).join(", ")}.`;
}

export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= 80 ? text : `${text.slice(0, 77)}…`;
}
