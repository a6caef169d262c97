// How many cores this process may use: what `--workers auto` means. Containers limit processor time by a cgroup quota,
// which the count of processors does not show: a container of one core on a machine of 64 would get 64 workers.
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";

/** Whole cores, at least 1. A quota of one and a half is two workers that share it. */
export function cores(): number {
  const quota = processorQuota(readText);
  return Math.max(1, Math.min(availableParallelism(), Math.ceil(quota ?? Number.POSITIVE_INFINITY)));
}

/** The least quota of the cgroup this process is in and of those around it, in cores; undefined where none is set. */
export function processorQuota(read: (path: string) => string | undefined): number | undefined {
  let least: number | undefined;
  const consider = (quota: number, period: number): void => {
    if (quota > 0 && period > 0) least = Math.min(least ?? Number.POSITIVE_INFINITY, quota / period);
  };
  for (const line of read("/proc/self/cgroup")?.split("\n") ?? []) {
    // cgroups(7): "0::/path" is version 2, "4:cpu,cpuacct:/path" a hierarchy of version 1.
    const [, controllers = "", path] = /^\d+:([^:]*):(\/.*)$/u.exec(line) ?? [];
    if (path === undefined) continue;
    if (controllers === "") {
      for (const group of ancestry(path)) {
        const [quota, period] = read(join("/sys/fs/cgroup", group, "cpu.max"))?.split(" ") ?? [];
        consider(Number(quota), Number(period)); // "max" is no number and so no limit
      }
    } else if (controllers.split(",").includes("cpu")) {
      for (const group of ancestry(path)) {
        const file = (name: string): number => Number(read(join("/sys/fs/cgroup/cpu", group, `cpu.cfs_${name}_us`)));
        consider(file("quota"), file("period")); // -1 is no limit
      }
    }
  }
  return least;
}

/** "/a/b" → "/a/b", "/a", "/". In a container the path may name groups outside it; the root is then ours. */
function ancestry(path: string): readonly string[] {
  const parent = dirname(path);
  return parent === path ? [path] : [path, ...ancestry(parent)];
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}
