// More than a server can do, or clients that do less than they should.
import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { Load } from "../../test/support/load.js";
import { usual } from "../server.js";
import {
  atLeast,
  atMost,
  type Course,
  clients,
  type Finding,
  gets,
  noFailure,
  type Observation,
  observationOf,
  underLoad,
} from "./course.js";
import type { FaultEvent } from "./event.js";
import { SlowClients } from "./slow-clients.js";
import { type Subject, slots } from "./subject.js";
import { countsSince, down, failed, rate } from "./trace.js";

const crowd = 2000;
const manySlow = 500;
/** Milliseconds. */
const connecting = 2000;
/** Milliseconds in which slow readers have the beginning of their answers, where a server gets that far. */
const beginning = 5000;
/** What 16 threads can answer when a request takes 20 ms, a second. */
const capacity: number = slots / 0.02;

async function slowly(subject: Subject, scale: number): Promise<Finding> {
  const share = { senders: Number.NaN, readers: Number.NaN };
  const ended = { senders: 0, readers: 0 };
  const seconds = Math.max(2, 3 * scale);
  const options = { port: subject.port, ask: gets(), quiet: 3 * Math.max(scale, 0.4), watch: 5 };
  const shares: (readonly ["senders" | "readers", number, number])[] = [];
  const course = await underLoad(options, async () => {
    for (const who of ["senders", "readers"] as const) {
      const slow = new SlowClients(subject.port, manySlow, (client) =>
        who === "readers" ? "reads" : client % 2 === 0 ? "sends a head" : "sends a body",
      );
      // What it takes to make the connections, and the answers of readers, is not what they cost afterwards.
      await delay(1000);
      const begun = performance.now();
      while (who === "readers" && slow.answered < manySlow && performance.now() - begun < beginning) await delay(50);
      await delay(500);
      const from = performance.now();
      await delay(seconds * 1000);
      shares.push([who, from, performance.now()]);
      ended[who] = slow.ended;
      slow.close();
      await delay(500);
    }
  });
  for (const [who, from, to] of shares) share[who] = rate(course.load.ends, from, to) / course.undisturbed;
  const observation = observationOf(course);
  const written = (who: "senders" | "readers"): string => `${(share[who] * 100).toFixed(0)} %`;
  return {
    observation: { ...observation, goodput: Math.min(share.senders, share.readers) },
    figures: {
      "beside slow senders": written("senders"),
      "beside slow readers": written("readers"),
      "of the slow, ended by the server": String(ended.senders + ended.readers),
    },
    checks: [
      atLeast("beside slow senders", share.senders, 0.95),
      atLeast("beside slow readers", share.readers, 0.95),
      noFailure(observation),
    ],
  };
}

async function leaking(subject: Subject, scale: number): Promise<Finding> {
  let largest = 0;
  const from = performance.now();
  const load = new Load({ port: subject.port, clients: 8, patience: 10_000, ask: gets("leak=10240") });
  while (performance.now() - from < Math.max(4, 10 * scale) * 1000) {
    largest = Math.max(largest, subject.largest());
    await delay(25);
  }
  const to = performance.now();
  await load.stop();
  const observation: Observation = {
    counts: countsSince(load, from),
    goodput: undefined,
    down: down(load.ends, from, to),
    recovery: undefined,
    p99: load.quantile(0.99),
  };
  const mebi = largest / 2 ** 20;
  return {
    observation,
    figures: {
      "largest process": `${mebi.toFixed(0)} MiB`,
      p99: `${observation.p99.toFixed(0)} ms`,
      "requests/s": rate(load.ends, from, to).toFixed(0),
    },
    checks: [
      noFailure(observation),
      atMost("largest process", mebi, 400, "MiB"),
      atMost("p99", observation.p99, 250, "ms"),
    ],
  };
}

async function crowding(subject: Subject, scale: number): Promise<Finding> {
  const ask = gets();
  const few = new Load({ port: subject.port, clients: slots, ask });
  await delay(1000);
  const calm = performance.now();
  await delay(2000);
  const undisturbed = rate(few.ends, calm, performance.now());
  await few.stop();
  const from = performance.now();
  const load = new Load({ port: subject.port, clients: crowd, patience: 10_000, ask });
  // So many connections, made at once, keep this process busy: what is answered then says nothing.
  await delay(connecting);
  const connected = performance.now();
  await delay(Math.max(4, 8 * scale) * 1000 - connecting);
  const to = performance.now();
  await load.stop();
  const after = await underLoad(
    { port: subject.port, ask, clients: slots, quiet: 1.5, watch: 0 },
    async () => undefined,
  );
  return crowdFinding(load, { from, connected, to }, undisturbed, after);
}

interface Times {
  readonly from: number;
  readonly connected: number;
  readonly to: number;
}

function crowdFinding(load: Load, { from, connected, to }: Times, undisturbed: number, after: Course): Finding {
  const observation: Observation = {
    counts: countsSince(load, from),
    goodput: rate(load.ends, connected, to) / undisturbed,
    down: down(load.ends, connected, to),
    recovery: undefined,
    p99: load.quantile(0.99),
  };
  const share = rate(load.ends, connected, to) / capacity;
  const back = after.undisturbed / undisturbed;
  const unanswered = failed({ ...observation.counts, "5xx": 0 });
  return {
    observation,
    figures: {
      "of capacity": share.toFixed(2),
      p99: `${(observation.p99 / 1000).toFixed(2)} s`,
      "right after, of before": back.toFixed(2),
    },
    checks: [
      atLeast("of capacity", share, 0.95),
      atMost("p99", observation.p99, 3000, "ms"),
      { target: "an answer for each", found: `${unanswered} without`, reached: unanswered === 0 },
      atLeast("right after", back, 0.9),
    ],
  };
}

export const pressureEvents: readonly FaultEvent[] = [
  {
    name: "slow",
    title: `${manySlow} slow senders, then ${manySlow} slow readers`,
    text: `Half of the senders send a head, half a body, an octet a second; readers ask for 1 MiB and read a block a second; whom the server closes comes again. Beside
them ${clients} clients ask as ever. Goodput is the lesser of the two, from when all of the slow are there and have the
beginning of their answers, or 5 s have gone by.`,
    need: "slow",
    drawn: false,
    happen: slowly,
  },
  {
    name: "leak",
    title: "A leak of 10 MiB a request, with a limit of 256 MiB",
    text: "8 clients; the largest process is that of its worker processes which had most memory at any moment.",
    need: "leak",
    drawn: false,
    happen: leaking,
  },
  {
    name: "crowd",
    title: `${crowd} clients on ${usual.workers} × ${slots / usual.workers} threads, 20 ms a request`,
    text: `All of them come at once and ask again when answered. The first 2 s, in which the connections are made, count for failures
and p99 only. Capacity is ${capacity} requests a second; goodput is against what ${slots} clients got.`,
    need: "crowd",
    drawn: false,
    happen: crowding,
  },
];
