// The Node side of a checkout: its packages and its build.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

function lockedPackages(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8")).packages ?? {};
  } catch {
    return {};
  }
}

/**
 * Whether node_modules holds what package-lock.json asks for, by npm's own record of what it installed
 * (node_modules/.package-lock.json). Packages for other platforms are optional there and may be absent.
 */
export function packagesInstalled(root) {
  const wanted = lockedPackages(join(root, "package-lock.json"));
  const installed = lockedPackages(join(root, "node_modules", ".package-lock.json"));
  return Object.entries(wanted).every(([path, { version, optional }]) => {
    return path === "" || (installed[path] === undefined ? optional === true : installed[path].version === version);
  });
}

/** Installs the npm packages if missing. Returns whether they are there. */
export function ensurePackages(root, say) {
  if (packagesInstalled(root)) return true;
  say("installing npm packages");
  const result = spawnSync("npm", ["ci", "--loglevel=error"], { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
  return result.status === 0;
}

/** Runs a program of node_modules (its JavaScript entry), output passed on. Returns whether it succeeded. */
function runPackage(root, name, binary, args) {
  const folder = join(root, "node_modules", name);
  const { bin } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const entry = typeof bin === "string" ? bin : bin[binary];
  const result = spawnSync(process.execPath, [join(folder, entry), ...args], {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
  });
  return result.status === 0;
}

/** Compiles everything, or what another project file names. Returns whether there were no errors. */
export function build(root, project = ".") {
  return runPackage(root, "typescript", "tsc", ["-p", project]);
}

export function lint(root) {
  return runPackage(root, "@biomejs/biome", "biome", ["check", "--error-on-warnings", "."]);
}
