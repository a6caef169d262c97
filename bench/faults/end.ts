// The end of a server that has something to do.
import { connect, type Socket } from "node:net";
import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { Load } from "../../test/support/load.js";
import { atMost, type Finding, noFailure, none, type Observation } from "./course.js";
import type { FaultEvent } from "./event.js";
import { type Subject, slots } from "./subject.js";
import { countsSince, failed } from "./trace.js";

const idle = 8;
/** Milliseconds. */
const patience = 10_000;

/** Connections on which one request was answered. */
async function keepConnections(port: number): Promise<readonly Socket[]> {
  return Promise.all(
    Array.from(
      { length: idle },
      () =>
        new Promise<Socket>((resolve, reject) => {
          const socket = connect({ port, host: "127.0.0.1" }, () => {
            socket.write("GET /version HTTP/1.1\r\nHost: test\r\n\r\n");
          });
          socket.on("error", reject);
          socket.once("data", () => resolve(socket));
        }),
    ),
  );
}

async function ending(subject: Subject): Promise<Finding> {
  const from = performance.now();
  const kept = await keepConnections(subject.port);
  let closed = 0;
  for (const socket of kept)
    socket.resume().on("end", () => {
      closed += 1;
    });
  // As many as there are threads are executed, as many wait their turn.
  const load = new Load({
    port: subject.port,
    clients: 2 * slots,
    patience,
    ask: (client) => ({ path: `/${client}?sleep=1000`, right: String(client) }),
  });
  const answered = load.stop();
  await delay(500);
  const ordered = performance.now();
  const ended = subject.end().then(() => performance.now());
  const exit = await Promise.race([ended, delay(patience, undefined, { ref: false })]);
  await answered;
  for (const socket of kept) socket.destroy();
  return endFinding(load, from, ordered, exit, closed);
}

function endFinding(load: Load, from: number, ordered: number, exit: number | undefined, closed: number): Finding {
  const counts = countsSince(load, from);
  const lastAnswer = load.ends.at(-1) ?? ordered;
  const after: number | "never" = exit === undefined ? "never" : Math.max(0, (exit - lastAnswer) / 1000);
  const observation: Observation = {
    counts,
    goodput: undefined,
    down: 0,
    recovery: undefined,
    p99: load.quantile(0.99),
  };
  return {
    observation,
    figures: {
      "of 16 running and 16 waiting": `${counts.right} right, ${failed(counts)} lost`,
      "exit after the last answer": after === "never" ? `not in ${patience / 1000} s` : `${after.toFixed(2)} s`,
      "idle connections closed": `${closed} of ${idle}`,
    },
    checks: [
      noFailure(observation),
      { ...atMost("exit", after, 0.2, "s"), target: "exit ≤ 0.2 s after the last answer" },
      none("idle connections left", idle - closed),
    ],
  };
}

export const endEvents: readonly FaultEvent[] = [
  {
    name: "end",
    title: "TERM with 16 requests running and 16 waiting",
    text: "Each takes a second; 8 idle connections are open besides. Half a second after they were sent the server is told to end.",
    need: "end",
    drawn: false,
    happen: ending,
  },
];
