// Other processes, as /proc tells of them.
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

/**
 * A process's identity: its start time (clock ticks since boot), which no later owner of the same number shares.
 * Undefined where there is no such process, or it has ended and only waits to be reaped.
 */
export function processIdentity(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    // proc_pid_stat(5): the name, in parentheses, may hold anything; fields 3 (state) and 22 (starttime) come after.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** Waits until a process has ended. False where it has not within `seconds`. */
export async function processEnded(pid: number, identity: string | undefined, seconds: number): Promise<boolean> {
  const last = performance.now() + seconds * 1000;
  // There is no event for the end of a process that is not a child.
  while (identity !== undefined && processIdentity(pid) === identity) {
    const left = last - performance.now();
    if (left <= 0) return false;
    await delay(Math.min(50, left));
  }
  return true;
}
