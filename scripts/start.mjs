// npm start: serves examples/guestbook. On a fresh clone it first installs and builds what is missing; when there is
// nothing to do it finds that out from file times, starting no process, and runs the command in this one.
//   npm start -- --listen http://0.0.0.0:8080 --workers 4
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build, ensurePackages } from "./setup/node.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const stamp = join(root, "build", ".sources");

function say(line) {
  process.stdout.write(`${line}\n`);
}

/** What the build was made from: every source with its time and size, a line each. */
function sources() {
  const files = readdirSync(join(root, "src"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
  return [...files, join(root, "tsconfig.json"), join(root, "package-lock.json")]
    .map((path) => {
      const { mtimeMs, size } = statSync(path);
      return `${relative(root, path)} ${mtimeMs} ${size}\n`;
    })
    .sort()
    .join("");
}

function isBuilt(wanted) {
  try {
    return readFileSync(stamp, "utf8") === wanted;
  } catch {
    return false;
  }
}

/** Gives whether the checkout is ready to run; what is in the way has been said. */
async function prepare() {
  const [major = 0] = process.versions.node.split(".").map(Number);
  if (major < 20) {
    say(`Vivarium needs Node 20 or newer; this is ${process.version}.`);
    return false;
  }
  if (!ensurePackages(root, say)) {
    say("The npm packages could not be installed; npm says why above.");
    return false;
  }
  const wanted = sources();
  if (isBuilt(wanted)) return true;
  say("building");
  if (!(await build(root, "tsconfig.src.json"))) {
    say("The build has errors; the compiler names them above.");
    return false;
  }
  writeFileSync(stamp, wanted);
  return true;
}

if (await prepare()) {
  const { main } = createRequire(import.meta.url)("../bin/load.js").load("vivarium");
  const config = join(root, "examples/guestbook/vivarium.toml");
  process.exitCode = await main(["run", "--config", config, ...process.argv.slice(2)]);
} else {
  process.exitCode = 1;
}
