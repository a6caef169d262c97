// What one run of the benchmark found.
import type { Result } from "./measure.js";
import type { StartUp } from "./startup.js";
import type { Transfer } from "./transfer.js";

export interface ServerFacts {
  readonly name: string;
  readonly version: string;
  readonly settings: string;
}

export interface BenchRun {
  readonly date: string;
  readonly machine: string;
  readonly python: string;
  readonly node: string;
  readonly seconds: number;
  readonly rounds: number;
  /** Iterations of the application's work that took 2 ms of CPU. */
  readonly iterations: number;
  readonly servers: readonly ServerFacts[];
  readonly results: readonly Result[];
  readonly startUps: readonly StartUp[];
  readonly transfers: readonly Transfer[];
}

/** The server all ratios refer to. */
export const reference = "nginx+uwsgi";
export const subject = "vivarium";

export function find(run: BenchRun, scenario: string, server: string): Result | undefined {
  return run.results.find((result) => result.scenario === scenario && result.server === server);
}

export interface Metric {
  readonly name: string;
  readonly of: (result: Result) => number;
  readonly better: "more" | "less";
  readonly digits: number;
}

export const metrics: readonly Metric[] = [
  { name: "requests/s", of: (r) => r.requestsPerSecond, better: "more", digits: 0 },
  { name: "p50 ms", of: (r) => r.p50, better: "less", digits: 2 },
  { name: "p99 ms", of: (r) => r.p99, better: "less", digits: 2 },
  { name: "CPU µs/request", of: (r) => r.cpuPerRequest, better: "less", digits: 1 },
  { name: "memory MiB", of: (r) => r.memory, better: "less", digits: 1 },
];
