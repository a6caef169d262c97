// Workers that die, stop, and hang.
import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { Random } from "../../test/fuzz/random.js";
import { type Ask, Load, type LoadOptions } from "../../test/support/load.js";
import { alive } from "../../test/support/processes.js";
import {
  atLeast,
  atMost,
  type Check,
  type Course,
  type Finding,
  gets,
  isPost,
  mixed,
  neverDown,
  none,
  type Observation,
  observationOf,
  underLoad,
} from "./course.js";
import type { FaultEvent } from "./event.js";
import { type Subject, signal, slots } from "./subject.js";
import { countsSince, executedTwice, failed, failuresSince } from "./trace.js";

function quietSeconds(scale: number): number {
  return 3 * Math.max(scale, 0.4);
}

function lostGets({ load, from }: Course): number {
  return failuresSince(load, from).filter(({ ask }) => !isPost(ask)).length;
}

async function killing(subject: Subject, scale: number): Promise<Finding> {
  const chance = new Random(1);
  let kills = 0;
  const options = { port: subject.port, ask: mixed(), quiet: quietSeconds(scale), watch: 5 };
  const course = await underLoad(options, async () => {
    const rounds = Math.max(5, Math.round(50 * scale));
    for (let round = 0; round < rounds; round += 1) {
      const workers = subject.workers();
      const victim = workers[chance.below(Math.max(1, workers.length))];
      if (victim !== undefined) {
        signal(victim, "SIGKILL");
        kills += 1;
      }
      await delay(200);
    }
  });
  const observation = observationOf(course);
  const each = failed(observation.counts) / Math.max(1, kills);
  const gets = lostGets(course);
  const twice = executedTwice(subject.record());
  return {
    observation,
    figures: {
      kills: String(kills),
      "failures a kill": each.toFixed(1),
      "GETs lost": String(gets),
      "POSTs run twice": String(twice),
    },
    checks: [
      { target: "fewer than 5 failures a kill", found: `${each.toFixed(1)} a kill`, reached: each < 5 },
      none("GETs lost", gets),
      none("POSTs run twice", twice),
      atLeast("goodput", observation.goodput ?? 0, 0.8),
      neverDown(observation.down),
    ],
  };
}

/** One in so many requests ends its worker. */
const deadly = 200;

function isDeadly({ path }: Ask): boolean {
  return path.endsWith("?die");
}

async function crashing(subject: Subject, scale: number): Promise<Finding> {
  const usual = mixed();
  let begun = false;
  let asked = 0;
  const ask: LoadOptions["ask"] = (client, number) => {
    if (!begun) return usual(client, number);
    asked += 1;
    if (asked % deadly !== 0) return usual(client, number);
    // As many of those that may be run once more as of those that may not.
    const method = asked % (2 * deadly) === 0 ? "GET" : "POST";
    return { method, path: `/${client}-${number}?die`, right: "" };
  };
  const options = { port: subject.port, ask, quiet: quietSeconds(scale), watch: 5 };
  const course = await underLoad(options, async () => {
    begun = true;
    await delay(Math.max(2, 8 * scale) * 1000);
    begun = false;
  });
  const observation = innocent(course);
  const crashes = failuresSince(course.load, course.from).filter((failure) => isDeadly(failure.ask)).length;
  const each = failed(observation.counts) / Math.max(1, crashes);
  const gets = failuresSince(course.load, course.from).filter((f) => !isDeadly(f.ask) && !isPost(f.ask)).length;
  const twice = executedTwice(subject.record());
  return {
    observation,
    figures: {
      "deadly requests": String(crashes),
      "others failed for each": each.toFixed(1),
      "GETs lost": String(gets),
      "POSTs run twice": String(twice),
    },
    checks: [none("GETs lost", gets), none("POSTs run twice", twice), neverDown(observation.down)],
  };
}

/** As observed of all requests but those that end their worker. */
function innocent(course: Course): Observation {
  const counts = countsSince(course.load, course.from);
  for (const { ask, outcome } of failuresSince(course.load, course.from)) if (isDeadly(ask)) counts[outcome] -= 1;
  return { ...observationOf(course), counts };
}

/** Seconds, of a shorter run, too: what finds it takes its time. */
const stopped = 5;

async function stopping(subject: Subject, scale: number): Promise<Finding> {
  let found: number | undefined;
  const options = { port: subject.port, ask: mixed(), quiet: quietSeconds(scale), watch: 5 };
  const course = await underLoad(options, async () => {
    const victim = subject.busiest();
    if (victim === undefined) throw new Error("no worker is there to be stopped");
    const began = performance.now();
    signal(victim, "SIGSTOP");
    while (performance.now() - began < stopped * 1000) {
      await delay(20);
      if (found === undefined && !alive(victim)) found = (performance.now() - began) / 1000;
    }
    if (found === undefined) signal(victim, "SIGCONT");
  });
  const observation = observationOf(course);
  const gets = lostGets(course);
  const replaced: Check = {
    target: "found and replaced",
    found: found === undefined ? "not found" : `found after ${found.toFixed(1)} s`,
    reached: found !== undefined,
  };
  const twice = executedTwice(subject.record());
  return {
    observation,
    figures: {
      "found and killed": found === undefined ? "never" : `after ${found.toFixed(1)} s`,
      "GETs lost": String(gets),
      "POSTs run twice": String(twice),
      "slowest 1 %": `${(observation.p99 / 1000).toFixed(2)} s`,
    },
    checks: [replaced, none("GETs lost", gets), none("POSTs run twice", twice)],
  };
}

async function hanging(subject: Subject, scale: number): Promise<Finding> {
  const options = { port: subject.port, ask: gets(), quiet: quietSeconds(scale), watch: 5, patience: 5000 };
  let hung: Load | undefined;
  let ended: Promise<void> = Promise.resolve();
  let printed = 0;
  const course = await underLoad({ ...options, fromBeginning: true }, async () => {
    printed = subject.output.length;
    hung = new Load({
      port: subject.port,
      clients: slots,
      patience: 8000,
      ask: (client) => ({ path: `/hung-${client}?sleep=3600000`, right: "" }),
    });
    // Each asks once.
    ended = hung.stop();
    await delay(2000);
  });
  await ended;
  const statuses = hung?.failures.map(({ status, outcome }) => (status === 0 ? outcome : String(status))) ?? [];
  const answered = statuses.filter((status) => status === "504").length;
  const stacks = subject.output.slice(printed).match(/File ".*promises_app\.py", line \d+/g)?.length ?? 0;
  const observation = observationOf(course);
  const tally = [...new Set(statuses)].map((one) => `${statuses.filter((s) => s === one).length} × ${one}`).join(", ");
  return {
    observation,
    figures: { "the hung clients": tally, "stacks in the log": String(stacks) },
    checks: [
      atMost("back", observation.recovery ?? "never", 3, "s"),
      { target: `${slots} × 504`, found: `${answered} × 504`, reached: answered === slots },
      { target: `${slots} stacks`, found: `${stacks} stacks`, reached: stacks >= slots },
    ],
  };
}

export const deathEvents: readonly FaultEvent[] = [
  {
    name: "kill",
    title: "A random worker is killed every 200 ms, for 10 s",
    text: "SIGKILL to one of the processes that run the application. One client in four sends POSTs, of which the application notes each execution.",
    need: "deaths",
    drawn: true,
    happen: killing,
  },
  {
    name: "crash",
    title: `One in ${deadly} requests crashes its worker, for 8 s`,
    text: "The process ends itself with `os._exit`, by a GET and a POST in turn. Failures are those of all other requests. One client in four sends POSTs.",
    need: "deaths",
    drawn: true,
    happen: crashing,
  },
  {
    name: "stop",
    title: `A worker is stopped for ${stopped} s (SIGSTOP)`,
    text: "The one that has used most CPU time so far; it goes on after that, where it has not been replaced. What tells that a worker is stopped is set to 2 s, where there is such a setting. One client in four sends POSTs.",
    need: "stopped",
    drawn: true,
    happen: stopping,
  },
  {
    name: "hang",
    title: `All ${slots} threads hang, with a limit of 2 s for a request`,
    text: `${slots} clients ask for a page that sleeps for an hour, while the others go on; those give up after 5 s. Recovery and time down count from the beginning.`,
    need: "deadline",
    drawn: true,
    happen: hanging,
  },
];
