// What the supervisor does about processes that died.

/** One that died is replaced after so long, ms, and twice as long each time it did not get to work. */
const replaceAfter = 100;
const replaceAfterMost = 30_000;

/** Milliseconds before a front or a spawner is replaced that failed so often in a row. */
export function replacementDelay(failures: number): number {
  return Math.min(replaceAfterMost, replaceAfter * 2 ** failures);
}

/** Ends a process at once, where there is one: 0 is none. */
export function killProcess(pid: number): void {
  signalProcess(pid, "SIGKILL");
}

export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  if (pid === 0) return;
  try {
    process.kill(pid, signal);
  } catch {
    // It is gone already.
  }
}
