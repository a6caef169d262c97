// npm run bench -- micro [--against REF]: the micro-benchmarks of this checkout, and the same of another commit, in turn, so that
// the machine's drift meets both alike.
import { cpSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { run } from "../test/support/processes.js";
import { removeFolder, root, temporaryFolder } from "../test/support/tools.js";
import { type Case, type Comparison, casesOf, compare, comparisonTable } from "./micro-cases.js";

export const microUsage = `Usage: npm run bench -- micro [NAME… --against REF --seconds N --rounds N]

  NAME       a file of bench/micro/, without .ts (default: all that need no load from outside)
  --against  a commit, branch or tag of git, measured in turn with this checkout
  --seconds  how long each case is measured per round (default 0.3)
  --rounds   how often (default 3)
`;

/** The files of bench/micro/ that measure by themselves; front-constant waits for load from outside. */
function microNames(): readonly string[] {
  return readdirSync(join(root, "bench", "micro"))
    .filter((file) => file.endsWith(".ts") && !file.endsWith("-constant.ts"))
    .map((file) => file.slice(0, -".ts".length));
}

/** One micro-benchmark's cases, or undefined where it fails or reports none: another commit's code may differ too much. */
async function measure(folder: string, name: string, seconds: string): Promise<readonly Case[] | undefined> {
  const { code, stdout } = await run(process.execPath, [join(folder, `${name}.js`), seconds]);
  const cases = casesOf(stdout);
  return code === 0 && cases.length > 0 ? cases : undefined;
}

async function must(command: string, args: readonly string[], cwd: string): Promise<void> {
  const { code, stderr, stdout } = await run(command, args, { cwd });
  if (code !== 0) throw new Error(`${command} ${args.join(" ")} failed:\n${stderr || stdout}`);
}

/** Another commit in a folder of its own, with its own benchmarks and a copy of ours beside them, built. */
async function checkOut(ref: string, folder: string): Promise<void> {
  await must("git", ["worktree", "add", "--detach", "--force", folder, ref], root);
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  cpSync(join(root, "bench", "micro"), join(folder, "bench", "micro-of-here"), { recursive: true });
  const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
  // Type errors are for whoever works on that commit: what our cases cannot call there fails when it runs.
  await run(process.execPath, [compiler, "-p", "."], { cwd: folder });
}

/**
 * Where that commit's figures for one of our files come from: our own cases, which alone are the same work, else its cases
 * of the same name.
 */
async function folderFor(checkout: string, name: string): Promise<string | undefined> {
  for (const part of ["micro-of-here", "micro"]) {
    const folder = join(checkout, "build", "bench", part);
    if ((await measure(folder, name, "0.01")) !== undefined) return folder;
  }
  return undefined;
}

interface Choice {
  readonly names: readonly string[];
  readonly against: string | undefined;
  readonly seconds: string;
  readonly rounds: number;
}

async function rounds(choice: Choice, checkout: string | undefined): Promise<Comparison> {
  const here: Case[] = [];
  const there: Case[] = [];
  for (const name of choice.names) {
    const other = checkout === undefined ? undefined : await folderFor(checkout, name);
    if (checkout !== undefined && other === undefined) say(`${name} is not compared: it does not run there`);
    const before = here.length;
    for (let round = 0; round < choice.rounds; round += 1) {
      here.push(...((await measure(join(root, "build", "bench", "micro"), name, choice.seconds)) ?? []));
      if (other !== undefined) there.push(...((await measure(other, name, choice.seconds)) ?? []));
    }
    if (here.length === before) say(`${name} is left out: it reports no case`);
  }
  return compare(here, there);
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function choose(args: readonly string[]): Choice | undefined {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      against: { type: "string" },
      seconds: { type: "string", default: "0.3" },
      rounds: { type: "string", default: "3" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help === true) return undefined;
  const all = microNames();
  const stranger = positionals.find((name) => !all.includes(name));
  if (stranger !== undefined) throw new Error(`There is no micro-benchmark ${stranger}; there are ${all.join(", ")}.`);
  if (!(Number(values.seconds) > 0)) throw new Error(`--seconds must be more than 0, not ${values.seconds}.`);
  const count = Number(values.rounds);
  if (!Number.isInteger(count) || count < 1) throw new Error(`--rounds must be at least 1, not ${values.rounds}.`);
  return {
    names: positionals.length === 0 ? all : positionals,
    against: values.against,
    seconds: values.seconds,
    rounds: count,
  };
}

/** Runs the comparison; the exit status comes back. */
export async function compareMicros(args: readonly string[]): Promise<number> {
  let choice: Choice | undefined;
  try {
    choice = choose(args);
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    return 2;
  }
  if (choice === undefined) {
    process.stdout.write(microUsage);
    return 0;
  }
  const checkout = choice.against === undefined ? undefined : join(temporaryFolder("micro"), "checkout");
  try {
    if (checkout !== undefined && choice.against !== undefined) await checkOut(choice.against, checkout);
    process.stdout.write(comparisonTable(await rounds(choice, checkout), choice.against));
    return 0;
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    return 1;
  } finally {
    if (checkout !== undefined) {
      await run("git", ["worktree", "remove", "--force", checkout], { cwd: root });
      removeFolder(join(checkout, ".."));
    }
  }
}
