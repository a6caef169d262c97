// Newer code, that loads and that does not.
import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { type Counts, Load } from "../../test/support/load.js";
import { atLeast, atMost, type Finding, gets, neverDown, noFailure, observationOf, underLoad } from "./course.js";
import type { FaultEvent } from "./event.js";
import type { Subject } from "./subject.js";
import { sumCounts } from "./trace.js";

/** Milliseconds for which nothing but a version has to be answered for it to be everywhere. */
const settled = 300;
/** Milliseconds that a version is waited for. */
const patience = 10_000;

interface Seen {
  readonly version: number;
  readonly at: number;
}

/** Asks which version answers, over and over, on a connection each. */
class Prober {
  readonly #seen: Seen[] = [];
  readonly load: Load;

  constructor(port: number) {
    const right = (body: string): boolean => {
      this.#seen.push({ version: Number(body), at: performance.now() });
      return /^\d+$/.test(body);
    };
    this.load = new Load({ port, clients: 1, connectionEach: true, ask: () => ({ path: "/version", right }) });
  }

  /** Waits until nothing else answers; gives when it first and another last did, or undefined when that does not come. */
  async everywhere(version: number, since: number): Promise<{ first: number; lastOther: number } | undefined> {
    for (;;) {
      await delay(20);
      const seen = this.#seen.filter(({ at }) => at >= since);
      const first = seen.find((one) => one.version === version)?.at;
      const lastOther = seen.findLast((one) => one.version !== version)?.at ?? since;
      const last = seen.at(-1)?.at ?? since;
      if (first !== undefined && last - Math.max(first, lastOther) >= settled) return { first, lastOther };
      if (performance.now() - since > patience) return undefined;
    }
  }
}

/** Has a prober ask while this is done; its requests are counted, too. */
async function probed<T>(port: number, act: (prober: Prober) => Promise<T>): Promise<{ result: T; counts: Counts }> {
  const prober = new Prober(port);
  try {
    return { result: await act(prober), counts: prober.load.counts };
  } finally {
    await prober.load.stop();
  }
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(2)} s`;
}

async function reloadTimes(subject: Subject, connectionEach: boolean, scale: number): Promise<Finding> {
  const times = Math.max(2, Math.round(10 * scale));
  const took: number[] = [];
  const mixed: number[] = [];
  let second: number | "never" = "never";
  const options = { port: subject.port, connectionEach, ask: gets(), quiet: 3 * Math.max(scale, 0.4), watch: 5 };
  const reloading =
    (prober: Prober): (() => Promise<void>) =>
    async () => {
      for (let version = 2; version <= times + 1; version += 1) {
        const found = await reloadOnce(subject, prober, version);
        if (found === undefined) return;
        took.push(found.took);
        mixed.push(found.mixed);
      }
      subject.deploy(times + 2);
      const first = subject.reload();
      await delay(100);
      const at = performance.now();
      const found = await reloadOnce(subject, prober, times + 3);
      await first;
      if (found !== undefined) second = (found.lastOther - at) / 1000;
    };
  const { result: course, counts } = await probed(subject.port, (prober) => underLoad(options, reloading(prober)));
  const observation = observationOf(course);
  const all = { ...observation, counts: sumCounts([observation.counts, counts]) };
  return {
    observation: all,
    figures: {
      reloads: `${took.length} of ${times}`,
      "each, at most": took.length === 0 ? "–" : seconds(Math.max(...took)),
      "old and new together, at most": mixed.length === 0 ? "–" : seconds(Math.max(...mixed)),
      "a second during one": second === "never" ? "never everywhere" : `everywhere after ${seconds(second * 1000)}`,
    },
    checks: [
      noFailure(all),
      neverDown(all.down),
      { target: "all reloads", found: `${took.length} of ${times} reloads`, reached: took.length === times },
      atMost("old and new together", mixed.length === 0 ? "never" : Math.max(...mixed) / 1000, 0.5, "s"),
      { ...atMost("the second during one", second, patience / 1000, "s"), target: "a second during one wins" },
    ],
  };
}

async function reloadOnce(
  subject: Subject,
  prober: Prober,
  version: number,
): Promise<{ took: number; mixed: number; lastOther: number } | undefined> {
  subject.deploy(version);
  const ordered = performance.now();
  const order = subject.reload();
  const found = await prober.everywhere(version, ordered);
  await order;
  if (found === undefined) return undefined;
  const { first, lastOther } = found;
  return { took: Math.max(first, lastOther) - ordered, mixed: Math.max(0, lastOther - first), lastOther };
}

async function brokenDeploy(subject: Subject, scale: number): Promise<Finding> {
  const options = { port: subject.port, ask: gets(), quiet: 3 * Math.max(scale, 0.4), watch: 1 };
  const course = await underLoad(options, async () => {
    subject.deploy(2, "x(");
    const order = subject.reload();
    await delay(Math.max(2, 5 * scale) * 1000);
    await order;
  });
  const all = observationOf(course);
  const ended = subject.gone;
  const mended = ended
    ? undefined
    : await probed(subject.port, (prober) => reloadOnce(subject, prober, 3)).then(({ result }) => result);
  const back = mended === undefined ? "never" : mended.took / 1000;
  return {
    observation: all,
    figures: {
      "mended code serves":
        back === "never" ? `never${ended ? ": it has ended" : ""}` : `after ${seconds(back * 1000)}`,
    },
    checks: [
      noFailure(all),
      atLeast("goodput", all.goodput ?? 0, 0.95),
      neverDown(all.down),
      { ...atMost("mended code", back, patience / 1000, "s"), target: "mended code serves" },
    ],
  };
}

const reloadText = `The application's file is replaced and a reload ordered, ten times, each when the version before is everywhere;
then two versions within 0.1 s, the second while the first is being loaded. Importing the application takes 0.3 s. "Each" is from the order to the
last answer of older code, "old and new together" from the first of the new to that.`;

export const reloadEvents: readonly FaultEvent[] = [
  {
    name: "reload",
    title: "Ten reloads under load, connections kept",
    text: reloadText,
    need: "reload",
    drawn: true,
    happen: (subject, scale) => reloadTimes(subject, false, scale),
  },
  {
    name: "reload-close",
    title: "Ten reloads under load, a connection for each request",
    text: "As before.",
    need: "reload",
    drawn: false,
    happen: (subject, scale) => reloadTimes(subject, true, scale),
  },
  {
    name: "syntax-error",
    title: "A reload to code with a syntax error",
    text: "The new file cannot be compiled. Goodput is that of the 5 s after the order; then the file is mended and a reload ordered again.",
    need: "reload",
    drawn: true,
    happen: brokenDeploy,
  },
];
