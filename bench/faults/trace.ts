// What clients saw around an event, in figures. Times are milliseconds as `performance.now()` has them.
import { type Counts, type Failure, type Load, outcomes } from "../../test/support/load.js";

/** No right answer for longer than this, milliseconds, and the server counts as down for it. */
const longestGap = 200;
/** So long, milliseconds, goodput has to be what it was for the server to count as recovered. */
const steady = 500;
/** Of the undisturbed goodput, what counts as recovered, and what as still disturbed. */
const recovered = 0.9;
const disturbed = 0.5;
/** Milliseconds of an interval in the pictures. */
export const interval = 100;

/** How many of the sorted times are before `at`. */
function before(ends: readonly number[], at: number): number {
  let low = 0;
  let high = ends.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ends[middle] ?? at) < at) low = middle + 1;
    else high = middle;
  }
  return low;
}

function between(ends: readonly number[], from: number, to: number): number {
  return before(ends, to) - before(ends, from);
}

/** Right answers a second. */
export function rate(ends: readonly number[], from: number, to: number): number {
  return (between(ends, from, to) / (to - from)) * 1000;
}

/** Seconds without any right answer, of gaps that are longer than one that clients would not notice. */
export function down(ends: readonly number[], from: number, to: number): number {
  const marks = [from, ...ends.slice(before(ends, from), before(ends, to)), to];
  let sum = 0;
  for (let index = 1; index < marks.length; index += 1) {
    const gap = (marks[index] ?? 0) - (marks[index - 1] ?? 0);
    if (gap > longestGap) sum += gap;
  }
  return sum / 1000;
}

/**
 * Seconds from `since` until goodput is what it was undisturbed, and stays so for half a second; 0 where it never fell by
 * half, undefined where it did not come back before `to`.
 */
export function recovery(ends: readonly number[], since: number, to: number, undisturbed: number): number | undefined {
  let fallen = since;
  while (fallen + interval <= to && rate(ends, fallen, fallen + interval) >= undisturbed * disturbed) {
    fallen += interval;
  }
  if (fallen + interval > to) return 0;
  for (let at = fallen; at + steady <= to; at += 10) {
    if (rate(ends, at, at + steady) >= undisturbed * recovered) return (at - since) / 1000;
  }
  return undefined;
}

/** How many came in each interval from `from` to `to`. */
export function perInterval(ends: readonly number[], from: number, to: number): readonly number[] {
  return Array.from({ length: Math.max(0, Math.ceil((to - from) / interval)) }, (_, index) =>
    between(ends, from + index * interval, from + (index + 1) * interval),
  );
}

/** Each request that ended since, as exactly one outcome. */
export function countsSince(load: Load, since: number): Counts {
  const counts = noCounts();
  counts.right = load.ends.length - before(load.ends, since);
  for (const { outcome } of failuresSince(load, since)) counts[outcome] += 1;
  return counts;
}

export function failuresSince(load: Load, since: number): readonly Failure[] {
  return load.failures.filter(({ at }) => at >= since);
}

export function noCounts(): Counts {
  return { right: 0, "wrong content": 0, "4xx": 0, "5xx": 0, refused: 0, reset: 0, truncated: 0, "timed out": 0 };
}

export function sumCounts(several: readonly Counts[]): Counts {
  const sum = noCounts();
  for (const counts of several) for (const outcome of outcomes) sum[outcome] += counts[outcome];
  return sum;
}

/** All that were not answered rightly. */
export function failed(counts: Counts): number {
  return outcomes.reduce((sum, outcome) => (outcome === "right" ? sum : sum + counts[outcome]), 0);
}

/** A request of each name is executed once at most; gives how many were more often. */
export function executedTwice(record: readonly string[]): number {
  const times = new Map<string, number>();
  for (const name of record) times.set(name, (times.get(name) ?? 0) + 1);
  return [...times.values()].filter((count) => count > 1).length;
}
