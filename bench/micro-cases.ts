// What micro-benchmarks report, and how two checkouts' reports compare.
import { spread } from "./statistics.js";
import { format, percent, plainTable } from "./table.js";

/** One line of JSON that a file of bench/micro/ prints. */
export interface Case {
  readonly name: string;
  /** Nanoseconds of one operation. */
  readonly ns: number;
}

export interface Compared {
  readonly name: string;
  /** The least of the rounds, which other work on the machine disturbed least; undefined where that checkout has no such case. */
  readonly here: number | undefined;
  readonly there: number | undefined;
  /** How far the rounds differed, the more of the two checkouts. */
  readonly noise: number;
}

export type Comparison = readonly Compared[];

function isCase(value: unknown): value is Case {
  return (
    typeof value === "object" &&
    value !== null &&
    "name" in value &&
    typeof value.name === "string" &&
    "ns" in value &&
    typeof value.ns === "number" &&
    value.ns > 0
  );
}

/** The cases in what one run printed; other lines say nothing here. */
export function casesOf(output: string): readonly Case[] {
  return output.split("\n").flatMap((line) => {
    if (!line.startsWith("{")) return [];
    try {
      const value: unknown = JSON.parse(line);
      return isCase(value) ? [{ name: value.name, ns: value.ns }] : [];
    } catch {
      return [];
    }
  });
}

/** Cases of all rounds, by name, in the order of this checkout. */
export function compare(here: readonly Case[], there: readonly Case[]): Comparison {
  const of = (cases: readonly Case[], name: string): readonly number[] =>
    cases.filter((one) => one.name === name).map(({ ns }) => ns);
  const least = (values: readonly number[]): number | undefined =>
    values.length === 0 ? undefined : Math.min(...values);
  return [...new Set([...here, ...there].map(({ name }) => name))].map((name) => {
    const [ours, theirs] = [of(here, name), of(there, name)];
    const noise = Math.max(...[ours, theirs].filter((values) => values.length > 0).map(spread));
    return { name, here: least(ours), there: least(theirs), noise };
  });
}

export function comparisonTable(comparison: Comparison, against: string | undefined): string {
  const figure = (ns: number | undefined): string => (ns === undefined ? "" : format(ns, 0));
  if (against === undefined) {
    const rows = comparison.map(({ name, here, noise }) => [name, figure(here), percent(noise)]);
    return `${plainTable(["case", "ns", "±"], rows)}\n`;
  }
  const rows = comparison.map(({ name, here, there, noise }) => [
    name,
    figure(there),
    figure(here),
    here === undefined || there === undefined ? "" : `${(here / there).toFixed(2)} ×`,
    percent(noise),
  ]);
  return `${plainTable(["case", `${against} ns`, "here ns", "here vs that", "±"], rows)}\n`;
}
