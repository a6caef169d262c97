// What one run of the benchmark found.
import type { BareLoop } from "./bare.js";
import type { Result } from "./measure.js";
import type { Scale } from "./scale/scale.js";
import { limitNames, scenarios } from "./scenarios.js";
import type { StartUp } from "./startup.js";
import type { Transfer } from "./transfer.js";

export interface ServerFacts {
  readonly name: string;
  readonly version: string;
  readonly settings: string;
  readonly lacks: string;
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
  readonly bare: readonly BareLoop[];
  readonly startUps: readonly StartUp[];
  readonly transfers: readonly Transfer[];
  readonly scale: Scale;
}

/** The server ratios refer to, unless the scenario names another. */
export const reference = "nginx+uwsgi";
export const subject = "vivarium";
/** Vivarium in its two modes. */
const modes: readonly string[] = [subject, "vivarium-embedded"];

/** Whether it is another server that runs an application: neither Vivarium nor a limit. */
export function isPeer(server: string): boolean {
  return !server.startsWith(subject) && !limitNames.includes(server);
}

export function find(run: BenchRun, scenario: string, server: string): Result | undefined {
  return run.results.find((result) => result.scenario === scenario && result.server === server);
}

export function referenceOf(scenario: string): string {
  return scenarios.find(({ name }) => name === scenario)?.reference ?? reference;
}

/** Vivarium's own results in a scenario: those of its modes, else those of all its variants. */
export function ours(run: BenchRun, scenario: string): readonly Result[] {
  const plain = run.results.filter((result) => result.scenario === scenario && modes.includes(result.server));
  if (plain.length > 0) return plain;
  return run.results.filter((result) => result.scenario === scenario && result.server.startsWith(subject));
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
