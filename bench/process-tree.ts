// What a server costs: CPU time and memory of its whole process tree, from /proc (proc(5)).
import { readFileSync, readlinkSync } from "node:fs";
import { availableParallelism } from "node:os";
import { descendants } from "../test/support/processes.js";

/** USER_HZ: the unit of times in /proc is 1/100 s on every Linux of today, whatever the kernel's own clock. */
const microsecondsPerTick = 10_000;

function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

/** The processes themselves and all that descend from them. */
export function tree(roots: readonly number[]): number[] {
  return [...new Set(roots.flatMap((pid) => [pid, ...descendants(pid)]))];
}

/** Fields 14 to 17: utime, stime, and cutime, cstime of children already waited for. */
function ticks(pid: number): number {
  const stat = read(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
}

/**
 * CPU time used so far by the tree, microseconds. A child that ended between two readings is in its parent's
 * account, so the difference of two readings is what the tree used in between.
 */
export function cpuMicroseconds(roots: readonly number[]): number {
  return tree(roots).reduce((sum, pid) => sum + ticks(pid), 0) * microsecondsPerTick;
}

/** Whether a process runs Python; what else a server has are its own processes. */
export function runsPython(pid: number): boolean {
  return /^[^\0]*\bpython[\d.]*\0/.test(read(`/proc/${pid}/cmdline`));
}

/** Memory of the tree, or of some of it, octets: proportional set size, where each shared page is counted once in all. */
export function memoryOctets(roots: readonly number[], which: (pid: number) => boolean = () => true): number {
  return tree(roots).reduce((sum, pid) => {
    if (!which(pid)) return sum;
    const match = /^Pss:\s+(\d+) kB/m.exec(read(`/proc/${pid}/smaps_rollup`));
    return sum + Number(match?.[1] ?? 0) * 1024;
  }, 0);
}

/**
 * Memory of the tree whatever else runs, octets: what each of its processes has for itself, and of what they share the most that one
 * of each program has. A proportional set size would be less where another server has the same libraries.
 */
export function ownOctets(roots: readonly number[]): number {
  const shared = new Map<string, number>();
  let total = 0;
  for (const pid of tree(roots)) {
    const rollup = read(`/proc/${pid}/smaps_rollup`);
    const sum = (kind: string): number =>
      [...rollup.matchAll(new RegExp(`^${kind}_(?:Clean|Dirty): +(\\d+) kB`, "gm"))].reduce(
        (octets, [, kib]) => octets + Number(kib) * 1024,
        0,
      );
    total += sum("Private");
    const program = programOf(pid);
    shared.set(program, Math.max(shared.get(program) ?? 0, sum("Shared")));
  }
  return [...shared.values()].reduce((sum, octets) => sum + octets, total);
}

function programOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    return ""; // it has ended
  }
}

/** The machine, for the report. */
export function describeMachine(): string {
  const model = /^model name\s*:\s*(.*)$/m.exec(read("/proc/cpuinfo"))?.[1] ?? "unknown processor";
  const memory = Number(/^MemTotal:\s+(\d+)/m.exec(read("/proc/meminfo"))?.[1] ?? 0) / 1024 / 1024;
  const system = /^PRETTY_NAME="(.*)"$/m.exec(read("/etc/os-release"))?.[1] ?? "Linux";
  const kernel = read("/proc/sys/kernel/osrelease").trim();
  return `${availableParallelism()} cores of ${model.trim()}, ${memory.toFixed(0)} GiB, ${system}, Linux ${kernel}`;
}

/**
 * CPU time everything on this machine used so far, microseconds: user, nice, system, irq, softirq and steal of
 * proc(5)'s /proc/stat; without idle and iowait, and without guest, which user holds already.
 */
export function machineMicroseconds(): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = (
    /^cpu +(.*)$/m.exec(read("/proc/stat"))?.[1] ?? ""
  )
    .split(" ")
    .map(Number);
  return (user + nice + system + irq + softirq + steal) * microsecondsPerTick;
}

/** CPU time of this process and of the children it has waited for (wrk), microseconds. */
export function ownMicroseconds(): number {
  return ticks(process.pid) * microsecondsPerTick;
}
