// One course of events: load that is let alone for a while, then disturbed, then watched until it is as before.
import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { type Ask, type Counts, Load, type LoadOptions } from "../../test/support/load.js";
import { countsSince, down, failed, interval, perInterval, rate, recovery } from "./trace.js";

export const clients = 32;

/** A page that waits 20 ms: what a server does then shows, where its speed does not. */
export const page = "sleep=20";

export function gets(query: string = page): LoadOptions["ask"] {
  return (client, number) => ({ path: `/${client}-${number}?${query}`, right: `${client}-${number}` });
}

/** One in four is a POST whose every execution the application notes. */
export function mixed(query: string = page): LoadOptions["ask"] {
  const get = gets(query);
  return (client, number) => {
    if (client % 4 !== 0) return get(client, number);
    const right = `${client}-${number}`;
    return { method: "POST", path: `/${right}?note&${query}`, body: "!", right: `${right}!` };
  };
}

export function isPost({ method }: Ask): boolean {
  return method === "POST";
}

export interface CourseOptions extends Omit<LoadOptions, "clients"> {
  readonly clients?: number;
  /** Seconds of warming up and of being let alone, together. */
  readonly quiet: number;
  /** Seconds it is watched at most after the event; until it has recovered where it does. */
  readonly watch: number;
  /** Where it is the beginning of the event from which it has to recover, and not its end. */
  readonly fromBeginning?: boolean;
}

/** Right answers, and others, of each tenth of a second, and in which of these the event began and ended. */
export interface Picture {
  readonly right: readonly number[];
  readonly failed: readonly number[];
  readonly begin: number;
  readonly end: number;
  /** Right answers in a tenth of a second when it was let alone. */
  readonly undisturbed: number;
}

export interface Course {
  readonly load: Load;
  /** When the event began and ended, and when watching ended. */
  readonly from: number;
  readonly to: number;
  readonly end: number;
  /** Right answers a second before it. */
  readonly undisturbed: number;
  /** Seconds; undefined where it did not recover. */
  readonly recovery: number | undefined;
}

/** Milliseconds of the picture before the event. */
const prelude = 1000;

export async function underLoad(options: CourseOptions, act: (load: Load) => Promise<void>): Promise<Course> {
  const load = new Load({ clients, patience: 10_000, ...options });
  try {
    return await disturb(load, options, act);
  } finally {
    await load.stop();
  }
}

async function disturb(load: Load, options: CourseOptions, act: (load: Load) => Promise<void>): Promise<Course> {
  await delay((options.quiet * 1000) / 3);
  const calm = performance.now();
  await delay((options.quiet * 2000) / 3);
  const from = performance.now();
  const undisturbed = rate(load.ends, calm, from);
  await act(load);
  const to = performance.now();
  const since = options.fromBeginning === true ? from : to;
  const back = (): number | undefined => recovery(load.ends, since, performance.now(), undisturbed);
  // A second in any case: that nothing went wrong has to be seen, too.
  await delay(1000);
  while (back() === undefined && performance.now() - to < options.watch * 1000) await delay(100);
  const end = performance.now();
  const found = recovery(load.ends, since, end, undisturbed);
  await load.stop();
  return { load, from, to, end, undisturbed, recovery: found };
}

/** What is found of every event. */
export interface Observation {
  readonly counts: Counts;
  /** Of what it was undisturbed; undefined where there is nothing to compare with. */
  readonly goodput: number | undefined;
  /** Seconds. */
  readonly down: number;
  /** Seconds; "never" where it was not seen, undefined where there is nothing to recover from. */
  readonly recovery: number | "never" | undefined;
  /** Milliseconds. */
  readonly p99: number;
  readonly picture?: Picture;
}

export function pictureOf({ load, from, to, end, undisturbed }: Course): Picture {
  const start = from - prelude;
  return {
    right: perInterval(load.ends, start, end),
    failed: perInterval(
      load.failures.map(({ at }) => at),
      start,
      end,
    ),
    begin: prelude / interval,
    end: (to - start) / interval,
    undisturbed: (undisturbed * interval) / 1000,
  };
}

export function observationOf(course: Course): Observation {
  const { load, from, to, end, undisturbed } = course;
  return {
    counts: countsSince(load, from),
    goodput: rate(load.ends, from, to) / undisturbed,
    down: down(load.ends, from, end),
    recovery: course.recovery ?? "never",
    p99: load.quantile(0.99),
    picture: pictureOf(course),
  };
}

/** A target, and what was found. */
export interface Check {
  readonly target: string;
  readonly found: string;
  readonly reached: boolean;
}

export function none(what: string, count: number): Check {
  return { target: `0 ${what}`, found: `${count} ${what}`, reached: count === 0 };
}

export function atLeast(what: string, value: number, bound: number): Check {
  return { target: `${what} ≥ ${bound}`, found: `${what} ${value.toFixed(3)}`, reached: value >= bound };
}

export function atMost(what: string, value: number | "never", bound: number, unit: string): Check {
  const found = value === "never" ? `${what} never` : `${what} ${value.toFixed(unit === "s" ? 1 : 0)} ${unit}`;
  return { target: `${what} ≤ ${bound} ${unit}`, found, reached: value !== "never" && value <= bound };
}

export function neverDown(seconds: number): Check {
  return { target: "never down", found: `down ${seconds.toFixed(1)} s`, reached: seconds === 0 };
}

export function noFailure({ counts }: Observation): Check {
  return none("failures", failed(counts));
}

/** What an event found of a server: its figures beside those of every event, by the names of their columns. */
export interface Finding {
  readonly observation: Observation;
  readonly figures: Readonly<Record<string, string>>;
  readonly checks: readonly Check[];
}
