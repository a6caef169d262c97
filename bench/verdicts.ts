// What the numbers say: where Vivarium is behind. Computed, never written by hand.
import type { Result } from "./measure.js";
import { type BenchRun, isPeer, metrics, ours } from "./run.js";

export interface Shortfall {
  readonly scenario: string;
  /** Which of Vivarium's servers. */
  readonly subject: string;
  readonly metric: string;
  readonly server: string;
  readonly ours: number;
  readonly theirs: number;
  readonly digits: number;
  /** How many times worse; more than 1. */
  readonly factor: number;
}

/** Differences under 3 % are within what two runs of the same server differ by. */
const noise = 1.03;

/** The metrics in which one result is worse than the best of its peers. */
function behind(mine: Result, peers: readonly Result[]): readonly Shortfall[] {
  return metrics.flatMap(({ name, of, better, digits }) => {
    const worse = (peer: Result): number => (better === "more" ? of(peer) / of(mine) : of(mine) / of(peer));
    const best = peers.reduce<Result | undefined>(
      (a, b) => (a !== undefined && worse(a) >= worse(b) ? a : b),
      undefined,
    );
    if (best === undefined || worse(best) < noise) return [];
    const { scenario, server } = mine;
    const figures = { ours: of(mine), theirs: of(best), digits, factor: worse(best) };
    return [{ scenario, subject: server, metric: name, server: best.server, ...figures }];
  });
}

/** In each scenario and metric where a peer is better than Vivarium: the best peer. The worst first. */
export function shortfalls(run: BenchRun): readonly Shortfall[] {
  const found: Shortfall[] = [];
  for (const scenario of new Set(run.results.map((result) => result.scenario))) {
    const peers = run.results.filter((r) => r.scenario === scenario && isPeer(r.server));
    for (const mine of ours(run, scenario)) found.push(...behind(mine, peers));
  }
  return found.sort((a, b) => b.factor - a.factor);
}
