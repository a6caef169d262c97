import assert from "node:assert/strict";
import { availableParallelism } from "node:os";
import { describe, test } from "node:test";
import { cores, processorQuota } from "../../src/config/cores.js";

/** Quota as told by these files and no others. */
function quota(files: Readonly<Record<string, string>>): number | undefined {
  return processorQuota((path) => files[path]);
}

describe("cores this process may use", () => {
  test("a quota of cgroup version 2 is quota over period", () => {
    assert.equal(quota({ "/proc/self/cgroup": "0::/app", "/sys/fs/cgroup/app/cpu.max": "150000 100000" }), 1.5);
  });

  test("the tightest group above this process decides", () => {
    const files = {
      "/proc/self/cgroup": "0::/a/b",
      "/sys/fs/cgroup/a/b/cpu.max": "400000 100000",
      "/sys/fs/cgroup/a/cpu.max": "200000 100000",
      "/sys/fs/cgroup/cpu.max": "max 100000",
    };
    assert.equal(quota(files), 2);
  });

  test("inside a container the root of the mount is its own group", () => {
    const files = { "/proc/self/cgroup": "0::/outside/names", "/sys/fs/cgroup/cpu.max": "50000 100000" };
    assert.equal(quota(files), 0.5);
  });

  test("a quota of cgroup version 1 is read from the cpu hierarchy", () => {
    const files = {
      "/proc/self/cgroup": "5:memory:/x\n4:cpu,cpuacct:/x\n0::/",
      "/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "300000",
      "/sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000",
    };
    assert.equal(quota(files), 3);
  });

  test("no limit is no quota", () => {
    assert.equal(quota({}), undefined);
    assert.equal(quota({ "/proc/self/cgroup": "0::/", "/sys/fs/cgroup/cpu.max": "max 100000" }), undefined);
    const version1 = { "/proc/self/cgroup": "4:cpu:/", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1" };
    assert.equal(quota({ ...version1, "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000" }), undefined);
  });

  test("there is at least one core and never more than the processors", () => {
    const found = cores();
    assert.ok(Number.isInteger(found) && found >= 1 && found <= availableParallelism());
  });
});
