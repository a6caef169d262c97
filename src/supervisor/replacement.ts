// What the supervisor does about processes that died.

/** One that died is replaced after so long, ms, and twice as long each time it did not get to work. */
const replaceAfter = 100;
const replaceAfterMost = 30_000;

/** Milliseconds before a front or a spawner is replaced that failed so often in a row. */
export function replacementDelay(failures: number): number {
  return Math.min(replaceAfterMost, replaceAfter * 2 ** failures);
}
