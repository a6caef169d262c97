// Everything from outside that tests and benchmark need, installed if missing.
import { canInstall, installPackages } from "./debian.mjs";
import { ensureH2spec } from "./h2spec.mjs";
import { missingPrograms, onlyForBenchmark, programs } from "./programs.mjs";
import { findPythons } from "./pythons.mjs";
import { ensureVirtualenv, versionOf, virtualenvs } from "./virtualenvs.mjs";

/** Debian splits the venv module's pip off into a package of its own; without it no virtual environment is made. */
const pythonPackages = ["python3", "python3-venv"];

function progress(line) {
  process.stderr.write(`setup: ${line}\n`);
}

function installPrograms(missing, say) {
  const packages = [...new Set(missing.flatMap((name) => programs[name].packages))];
  const failures = installPackages([...packages, ...pythonPackages], say);
  for (const [name, why] of failures) say(`${name} could not be installed: ${why}`);
}

/**
 * Installs what is missing and returns what still is, as [{name, why, needed}]: programs by the names in programs.mjs,
 * virtual environments by theirs, h2spec, Python versions as "python3.X". Without `only`: all that tests need. The last are not needed: Debian has one Python per
 * release, and tests over several versions take those that are here. Quick when nothing is missing.
 */
export function ensureTools({ root, say = progress, only = undefined }) {
  const wanted = (name) => (only === undefined ? !onlyForBenchmark.includes(name) : only.includes(name));
  const lacking = missingPrograms().filter(wanted);
  const asRoot = canInstall();
  if (lacking.length > 0 && asRoot) installPrograms(lacking, say);
  const missing = missingPrograms()
    .filter(wanted)
    .map((name) => ({
      name,
      needed: true,
      why: `Debian package ${programs[name].packages.join(", ")}${asRoot ? "" : " (only root can install it)"}`,
    }));
  const withoutPython = findPythons().missing;
  for (const name of Object.keys(virtualenvs).filter(wanted)) {
    let failure = ensureVirtualenv(root, name, say);
    if (failure?.includes("ensurepip") && asRoot) {
      installPackages(pythonPackages, say);
      failure = ensureVirtualenv(root, name, say);
    }
    const needed = !withoutPython.includes(versionOf(name));
    if (failure !== undefined) missing.push({ name, needed, why: failure });
  }
  if (wanted("h2spec")) {
    const failure = ensureH2spec(root, say);
    if (failure !== undefined) missing.push({ name: "h2spec", needed: true, why: failure });
  }
  for (const version of withoutPython) {
    const name = `python${version}`;
    if (wanted(name)) missing.push({ name, needed: false, why: "not on PATH, nor built by pyenv" });
  }
  return missing;
}
