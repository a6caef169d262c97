// What one run of the faults found.
import type { Finding } from "./course.js";
import { deathEvents } from "./deaths.js";
import { endEvents } from "./end.js";
import type { FaultEvent } from "./event.js";
import { pressureEvents } from "./pressure.js";
import { reloadEvents } from "./reloads.js";

export const events: readonly FaultEvent[] = [...reloadEvents, ...deathEvents, ...pressureEvents, ...endEvents];

export interface FaultResult {
  readonly event: string;
  readonly server: string;
  /** Or why there is none. */
  readonly found: Finding | string;
}

export interface FaultRun {
  readonly date: string;
  readonly machine: string;
  readonly python: string;
  readonly node: string;
  /** Of the longest event; others are as much shorter as it is shorter than 10. */
  readonly seconds: number;
  readonly versions: Readonly<Record<string, string>>;
  readonly results: readonly FaultResult[];
}

export function resultOf(run: FaultRun, event: string, server: string): FaultResult | undefined {
  return run.results.find((result) => result.event === event && result.server === server);
}
