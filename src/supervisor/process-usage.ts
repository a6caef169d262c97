// What a process has used, by the kernel's account (proc(5)).
import { readFileSync } from "node:fs";

export interface ProcessUsage {
  /** Processor time since it started, seconds. */
  readonly cpu: number;
  /** Its proportional share of memory (PSS), or its resident set where that may not be read. Octets. */
  readonly memory: number;
}

/** Clock ticks a second in /proc/PID/stat: USER_HZ, which is 100 on every Linux architecture Node runs on. */
const ticksPerSecond = 100;

/** Zeros for a process that is gone. */
export function processUsage(pid: number): ProcessUsage {
  return { cpu: processorTime(pid), memory: memory(pid) };
}

function processorTime(pid: number): number {
  const stat = read(`/proc/${pid}/stat`);
  // The command in parentheses may hold anything; utime and stime are the 14th and 15th fields.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / ticksPerSecond;
}

/**
 * What is resident of a process and no file, octets: what it has allocated, and what it was forked with. 0 of one that is gone.
 * python/vivarium_host/memory.py has the same figure, and says why.
 */
export function ownMemory(pid: number): number {
  const own = /^RssAnon:\s+(\d+) kB/mu.exec(read(`/proc/${pid}/status`));
  return Number(own?.[1] ?? 0) * 1024;
}

function memory(pid: number): number {
  const share = /^Pss:\s+(\d+) kB/mu.exec(read(`/proc/${pid}/smaps_rollup`));
  const resident = share ?? /^VmRSS:\s+(\d+) kB/mu.exec(read(`/proc/${pid}/status`));
  return Number(resident?.[1] ?? 0) * 1024;
}

function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
