// npm run bench: measures Vivarium and its peers in one go on one machine.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { run } from "../test/support/processes.js";
import { python, root } from "../test/support/tools.js";
import { measureBare } from "./bare.js";
import { compareMicros } from "./comparison.js";
import { measureFaults } from "./faults/command.js";
import { measure, type Result } from "./measure.js";
import { drawPlot } from "./plot.js";
import { describeMachine } from "./process-tree.js";
import { markdownReport, terminalReport } from "./report.js";
import type { BenchRun } from "./run.js";
import { measureScale, scaleParts } from "./scale/scale.js";
import { direct, scenarios } from "./scenarios.js";
import { pythonVersion, type Server } from "./server.js";
import { servers } from "./servers.js";
import { measureStartUp } from "./startup.js";
import { measureTransfers } from "./transfer.js";

const usage = `Usage: npm run bench [-- NAME… --seconds N --rounds N --only SERVER,… --output DIR]
       npm run bench -- micro [--against REF]  (see npm run bench -- micro --help)
       npm run bench -- faults                 (see npm run bench -- faults --help)

  NAME       ${scenarios.map(({ name }) => name).join(" ")} bare startup transfer
             ${[...scaleParts.keys()].join(" ")}
             (default: all; doors means doors-gateway and doors-multiplex, too, and scale all that begin so)
  --seconds  how long each server is measured per round (default 5)
  --rounds   how often (default 3)
  --only     ${servers.map(({ name }) => name).join(",")}
  --output   where RESULTS.md and results.svg go (default: bench/ for a whole run, .cache/bench/ for a part)
`;

interface Choice {
  readonly names: readonly string[];
  readonly servers: readonly Server[];
  readonly seconds: number;
  readonly rounds: number;
  readonly output: string;
}

const allNames = [...scenarios.map(({ name }) => name), "bare", "startup", "transfer", ...scaleParts.keys()];

/** The names that one on the command line stands for: itself, and those that go on from it with a hyphen. */
function meant(name: string): readonly string[] {
  const found = allNames.filter((other) => other === name || other.startsWith(`${name}-`));
  if (found.length === 0) throw new Error(`There is no scenario ${name}; there are ${allNames.join(", ")}.`);
  return found;
}

function positive(option: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new Error(`--${option} must be a whole number of at least 1, not ${text}.`);
  return value;
}

/** What the arguments ask for; throws a sentence where they are wrong, and gives undefined for --help. */
function choose(args: readonly string[]): Choice | undefined {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      seconds: { type: "string", default: "5" },
      rounds: { type: "string", default: "3" },
      only: { type: "string" },
      output: { type: "string" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help === true) return undefined;
  const names = positionals.length === 0 ? allNames : positionals.flatMap(meant);
  const only = values.only?.split(",");
  const stranger = only?.find((name) => !servers.some((server) => server.name === name));
  if (stranger !== undefined) throw new Error(`There is no server ${stranger}; see npm run bench -- --help.`);
  const whole = positionals.length === 0 && only === undefined;
  return {
    names,
    servers: servers.filter(({ name }) => only?.includes(name) ?? true),
    seconds: positive("seconds", values.seconds),
    rounds: positive("rounds", values.rounds),
    output: values.output ?? join(root, ...(whole ? ["bench"] : [".cache", "bench"])),
  };
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** How much of the application's work takes 2 ms, told to every server through its environment. */
async function calibrate(): Promise<number> {
  const { stdout, stderr } = await run(python(), [join(root, "bench", "apps", "calibrate.py")], {
    env: { PYTHONDONTWRITEBYTECODE: "1" },
  });
  const iterations = Number(stdout);
  if (!(iterations > 0)) throw new Error(`calibrate.py failed: ${stdout}${stderr}`);
  process.env["BENCH_ITERATIONS"] = String(iterations);
  return iterations;
}

function present(chosen: readonly Server[]): readonly Server[] {
  return chosen.filter((server) => {
    const reason = server.unavailable();
    if (reason !== undefined) say(`${server.name} is left out: ${reason}`);
    return reason === undefined;
  });
}

async function perform(choice: Choice): Promise<BenchRun> {
  const iterations = await calibrate();
  const chosen = scenarios.filter(({ name }) => choice.names.includes(name));
  const taking = new Set(chosen.flatMap((scenario) => scenario.servers));
  const more = [...scaleParts].flatMap(([part, names]) => (choice.names.includes(part) ? names : []));
  for (const name of [...more, ...(choice.names.includes("transfer") ? direct : [])]) taking.add(name);
  const here = present(choice.servers.filter(({ name }) => taking.has(name)));
  const results: Result[] = [];
  const options = { seconds: choice.seconds, rounds: choice.rounds, say };
  for (const scenario of chosen) {
    results.push(...(await measure(scenario, here, options)));
  }
  return {
    date: new Date().toISOString(),
    machine: describeMachine(),
    python: await pythonVersion(),
    node: process.versions.node,
    seconds: choice.seconds,
    rounds: choice.rounds,
    iterations,
    servers: await Promise.all(
      here.map(async ({ name, settings, lacks, version }) => ({ name, settings, lacks, version: await version() })),
    ),
    results,
    bare: choice.names.includes("bare") ? await measureBare(choice.rounds, say) : [],
    startUps: choice.names.includes("startup") ? await measureStartUp(7, say) : [],
    transfers: choice.names.includes("transfer") ? await measureTransfers(here, say) : [],
    scale: await measureScale(choice.names, here, options),
  };
}

/** Runs the benchmark; the exit status comes back. */
export async function main(args: readonly string[]): Promise<number> {
  if (args[0] === "micro") return compareMicros(args.slice(1));
  if (args[0] === "faults") return measureFaults(args.slice(1));
  let choice: Choice | undefined;
  try {
    choice = choose(args);
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    return 2;
  }
  if (choice === undefined) {
    process.stdout.write(usage);
    return 0;
  }
  const found = await perform(choice);
  mkdirSync(choice.output, { recursive: true });
  writeFileSync(join(choice.output, "RESULTS.md"), markdownReport(found));
  writeFileSync(join(choice.output, "results.svg"), drawPlot(found));
  writeFileSync(join(root, ".cache", "bench.json"), `${JSON.stringify(found, undefined, 2)}\n`);
  process.stdout.write(
    `\n${terminalReport(found)}\n${join(choice.output, "RESULTS.md")} and results.svg are written.\n`,
  );
  return 0;
}
