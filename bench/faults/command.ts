// npm run bench -- faults: has everything go wrong that docs/promises.md speaks of, with Vivarium and, beside it, with its peers.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { root } from "../../test/support/tools.js";
import { describeMachine } from "../process-tree.js";
import { pythonVersion } from "../server.js";
import { type Contestant, contestants } from "./contestants.js";
import type { Finding } from "./course.js";
import type { FaultEvent } from "./event.js";
import { drawFaults } from "./plot.js";
import { faultsReport, missed, summary } from "./report.js";
import { events, type FaultResult, type FaultRun } from "./run.js";
import { Subject } from "./subject.js";

const usage = `Usage: npm run bench -- faults [--only SERVER,… --events EVENT,… --seconds N --output DIR]

  --only     ${contestants.map(({ name }) => name).join(",")}
  --events   ${events.map(({ name }) => name).join(",")}
  --seconds  how long the longest event lasts (default 10); others are shorter in proportion
  --output   where FAULTS.md and faults.svg go (default: bench/ for a whole run, .cache/bench/ for a part)
`;

/** Seconds of a whole run's longest event. */
const whole = 10;

interface Choice {
  readonly contestants: readonly Contestant[];
  readonly events: readonly FaultEvent[];
  readonly seconds: number;
  readonly output: string;
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function named<T extends { readonly name: string }>(all: readonly T[], names: string | undefined): readonly T[] {
  if (names === undefined) return all;
  const wanted = names.split(",");
  const stranger = wanted.find((name) => !all.some((one) => one.name === name));
  if (stranger !== undefined) {
    throw new Error(`There is no ${stranger}; there are ${all.map(({ name }) => name).join(", ")}.`);
  }
  return all.filter(({ name }) => wanted.includes(name));
}

/** What the arguments ask for; throws a sentence where they are wrong, and gives undefined for --help. */
export function choose(args: readonly string[]): Choice | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string" },
      events: { type: "string" },
      seconds: { type: "string", default: String(whole) },
      output: { type: "string" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help === true) return undefined;
  const seconds = Number(values.seconds);
  if (!(seconds > 0)) throw new Error(`--seconds must be more than 0, not ${values.seconds}.`);
  const all = values.only === undefined && values.events === undefined && seconds >= whole;
  return {
    contestants: named(contestants, values.only),
    events: named(events, values.events),
    seconds,
    output: values.output ?? join(root, ...(all ? ["bench"] : [".cache", "bench"])),
  };
}

/** One event of one server, which is started for it alone and of which nothing is left. */
async function perform(event: FaultEvent, contestant: Contestant, scale: number): Promise<Finding | string> {
  let subject: Subject | undefined;
  try {
    subject = await Subject.start(contestant, event.need);
    return await event.happen(subject, scale);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    await subject?.clear();
  }
}

async function performAll(choice: Choice): Promise<readonly FaultResult[]> {
  const here = choice.contestants.filter((contestant) => {
    const reason = contestant.unavailable();
    if (reason !== undefined) say(`${contestant.name} is left out: ${reason}`);
    return reason === undefined;
  });
  const results: FaultResult[] = [];
  for (const event of choice.events) {
    for (const contestant of here) {
      const began = performance.now();
      const found = await perform(event, contestant, choice.seconds / whole);
      results.push({ event: event.name, server: contestant.name, found });
      const took = ((performance.now() - began) / 1000).toFixed(0);
      const words = typeof found === "string" ? `is left out: ${found}` : `${summary(found)}; ${missed(found)}`;
      say(
        `${results.length}/${choice.events.length * here.length} ${event.name} ${contestant.name} (${took} s): ${words}`,
      );
    }
  }
  return results;
}

/** Runs it; the exit status comes back. */
export async function measureFaults(args: readonly string[]): Promise<number> {
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
  const results = await performAll(choice);
  const taking = choice.contestants.filter(({ name }) => results.some(({ server }) => server === name));
  const run: FaultRun = {
    date: new Date().toISOString(),
    machine: describeMachine(),
    python: await pythonVersion(),
    node: process.versions.node,
    seconds: choice.seconds,
    versions: Object.fromEntries(
      await Promise.all(taking.map(async ({ name, version }) => [name, await version()] as const)),
    ),
    results,
  };
  mkdirSync(choice.output, { recursive: true });
  writeFileSync(join(choice.output, "FAULTS.md"), faultsReport(run));
  writeFileSync(join(choice.output, "faults.svg"), drawFaults(run));
  process.stdout.write(`${join(choice.output, "FAULTS.md")} and faults.svg are written.\n`);
  return 0;
}
