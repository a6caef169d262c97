// Installing Debian packages quietly, without letting any of the servers among them start.
import { spawnSync } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { which } from "./programs.mjs";

/**
 * invoke-rc.d and deb-systemd-invoke ask this program whether a package's service may start (Debian's
 * policy-rc.d interface); 101 forbids it. Without it, installing nginx or apache2 would take port 80.
 */
const policy = "/usr/sbin/policy-rc.d";

function aptGet(args) {
  return spawnSync("apt-get", ["-q", "-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=300", ...args], {
    encoding: "utf8",
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C.UTF-8" },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

function withServicesHeld(action) {
  const ours = !existsSync(policy);
  if (ours) writeFileSync(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    return action();
  } finally {
    if (ours) rmSync(policy, { force: true });
  }
}

function lastLines(text) {
  return text.trim().split("\n").slice(-3).join("\n");
}

export function canInstall() {
  return process.getuid?.() === 0 && which("apt-get") !== undefined;
}

/**
 * Installs these packages, all at once; when that fails, one by one, so that one package which cannot be had does
 * not keep the others away. Returns package → why it failed.
 */
export function installPackages(packages, say) {
  const failures = new Map();
  if (packages.length === 0) return failures;
  say(`installing Debian packages: ${packages.join(" ")}`);
  const update = aptGet(["update"]);
  if (update.status !== 0) say(`apt-get update: ${lastLines(update.stderr)}`);
  return withServicesHeld(() => {
    const install = (names) => aptGet(["install", "-y", "--no-install-recommends", ...names]);
    if (install(packages).status === 0) return failures;
    for (const name of packages) {
      const result = install([name]);
      if (result.status !== 0) failures.set(name, lastLines(result.stderr));
    }
    return failures;
  });
}
