// What a front tells of its pools for `vivarium status`. Nothing is noted for it while requests are served: it is put together
// when somebody asks, from what the pool knows and what workers note in their scoreboards.
import { performance } from "node:perf_hooks";
import { abridged } from "../abridged.js";
import { type PoolConfig, threadsMost } from "../config/config.js";
import type { Exchange } from "../exchange.js";
import type { Executing, PoolReport, WorkerReport } from "./messages.js";
import { hasBegun } from "./scoreboard.js";
import type { Ticket, WorkerLink } from "./worker-link.js";
import type { WorkerPool } from "./worker-pool.js";

/** Requests of an ASGI worker that are told, the oldest: it may have thousands. */
const tasksMost = 20;
/** Characters of a request's target that are told: many threads may have a long one each. */
const targetMost = 1000;

export function poolReport(config: PoolConfig, workers: WorkerPool): PoolReport {
  const { pool, tallies, refused, downBecause } = workers;
  const { pace } = pool;
  const now = performance.now();
  const { count, median, most } = pool.waits.recent(now);
  return {
    name: config.name,
    threads: pace.threads,
    threadsMost: workers.interface === "asgi" ? pace.most : threadsMost(config),
    interface: workers.interface ?? "",
    eventLoop: workers.eventLoop,
    queue: pool.queueLength,
    wait: { longest: pool.longestWait(now) / 1000, count, median: median / 1000, most: most / 1000 },
    refused,
    down: downBecause,
    writeAhead: pace.slow ? 0 : pace.ahead,
    wall: Math.round(pace.wall),
    cpu: Math.round(pace.cpu),
    answers: tallies,
  };
}

export function workerReports(workers: WorkerPool): readonly WorkerReport[] {
  const now = performance.now();
  return workers.links.map((link) => {
    const executing = executedBy(link, workers, now);
    const { blocked, blockedMost } = workers.noted(link);
    return {
      pid: link.pid,
      requests: link.member?.answered ?? 0,
      busy: link.interface === "asgi" ? (link.member?.outstanding ?? 0) - socketsOf(link) : executing.length,
      blocked: blocked / 1000,
      blockedMost: blockedMost / 1000,
      executing: executing.map((ticket) => ({
        ...executingOf(ticket.exchange, now - ticket.givenAt),
        ...(workers.isLate(ticket) ? { client: "timed out" } : {}),
      })),
    };
  });
}

/** WebSockets that are accepted: no requests any more. */
function socketsOf(link: WorkerLink): number {
  let count = 0;
  for (const { socket } of link.tickets) if (socket !== undefined) count += 1;
  return count;
}

/** A request that has been executed for so many milliseconds. */
export function executingOf(exchange: Exchange, milliseconds: number): Executing {
  const { request, id, ended } = exchange;
  return {
    method: request.method,
    target: abridged(request.target, targetMost),
    id,
    seconds: Math.max(0, milliseconds) / 1000,
    client: ended ? "gone" : "waiting",
  };
}

/**
 * What a worker executes, the oldest first. It was given more than that, written ahead; and of what it has begun, one thread that
 * answers request after request holds the answers of the last few.
 */
function executedBy(link: WorkerLink, workers: WorkerPool, now: number): readonly Ticket[] {
  const { pace } = workers.pool;
  const { begun } = workers.noted(link);
  const begunBy = link.tickets.filter((ticket) => ticket.socket === undefined && hasBegun(ticket.id, begun));
  const late = begunBy.filter((ticket) => workers.isLate(ticket));
  const others = begunBy.filter((ticket) => !late.includes(ticket));
  const lasting = others.filter(({ givenAt }) => givenAt <= now - pace.patience);
  const latest = others.slice(lasting.length);
  const executing = [...lasting, ...(pace.slow ? latest : latest.slice(-1))];
  return [...late, ...executing.slice(0, link.interface === "asgi" ? tasksMost : link.threads)].sort(
    (one, other) => one.givenAt - other.givenAt,
  );
}
