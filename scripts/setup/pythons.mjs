// Which Python interpreters this machine has: those on PATH, and those pyenv built.
import { readdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { isExecutable, which } from "./programs.mjs";

/** The versions Vivarium promises to host. */
export const supportedVersions = ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13"];

function pyenvVersions() {
  const root = process.env.PYENV_ROOT ?? join(homedir(), ".pyenv");
  try {
    return { root, names: readdirSync(join(root, "versions")) };
  } catch {
    return { root, names: [] };
  }
}

function patchLevel(name) {
  return Number.parseInt(name.split(".")[2] ?? "0", 10);
}

/**
 * The interpreters found, as [{version: "3.11", path}], oldest first, and the supported versions that are not here.
 * Nothing is run. pyenv's shims are passed by: a shim is there for every version, and works only for the chosen one.
 */
export function findPythons() {
  const pyenv = pyenvVersions();
  const found = [];
  const missing = [];
  for (const version of supportedVersions) {
    const built = pyenv.names
      .filter((name) => name.startsWith(`${version}.`) && /^[\d.]+$/.test(name))
      .sort((a, b) => patchLevel(b) - patchLevel(a))
      .map((name) => join(pyenv.root, "versions", name, "bin", "python"))
      .find(isExecutable);
    const path = built ?? withoutShims(() => which(`python${version}`), pyenv.root);
    if (path === undefined) missing.push(version);
    else found.push({ version, path });
  }
  return { found, missing };
}

function withoutShims(look, root) {
  const before = process.env.PATH ?? "";
  process.env.PATH = before
    .split(":")
    .filter((folder) => folder !== join(root, "shims"))
    .join(":");
  try {
    return look();
  } finally {
    process.env.PATH = before;
  }
}
