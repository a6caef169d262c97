// npm run bench: sets up what the benchmark needs, builds, and runs it (bench/main.ts).
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, ensurePackages } from "./setup/node.mjs";
import { ensureTools } from "./setup/tools.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const needed = [
  ...["wrk", "nginx", "uwsgi", "uwsgi-python", "apache2", "apxs", "nghttp"],
  ...["venv-bench", "venv-peers", "venv-mod-wsgi"],
];

function say(line) {
  process.stderr.write(`${line}\n`);
}

async function main(args) {
  if (!ensurePackages(root, say)) return 1;
  if (!(await build(root))) say("the build has type errors (above); measuring what it wrote all the same");
  const missing = args[0] === "micro" ? [] : ensureTools({ root, say, only: needed });
  for (const { name, why } of missing) say(`missing here: ${name}: ${why}`);
  const { main: bench } = await import(join(root, "build/bench/main.js"));
  return bench(args);
}

process.exitCode = await main(process.argv.slice(2));
