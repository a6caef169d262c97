// Runs of the benchmark as tests need them.
import type { Result } from "../../bench/measure.js";
import type { BenchRun } from "../../bench/run.js";

export function result(server: string, scenario: string, change: Partial<Result> = {}): Result {
  const usual = { requestsPerSecond: 1000, p50: 10, p99: 20, cpuPerRequest: 50, memory: 30 };
  return { server, scenario, ...usual, others: 0, noise: 0, badStatus: 0, socketErrors: 0, ...change };
}

export function runOf(...results: readonly Result[]): BenchRun {
  return {
    date: "2026-01-02T03:04:05.678Z",
    machine: "2 cores of <something>",
    python: "3.11.2",
    node: "20.0.0",
    seconds: 5,
    rounds: 3,
    iterations: 20_000,
    servers: [],
    results,
    bare: [],
    startUps: [],
    transfers: [],
    scale: { connections: [], webSockets: [], workers: [], memory: [], starts: [] },
  };
}
