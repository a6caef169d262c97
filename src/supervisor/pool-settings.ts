// What everything about a pool's processes needs to know.
import type { PoolConfig } from "../config/config.js";
import type { Machine } from "./machine.js";
import type { Restarts, WorkerCause } from "./restarts.js";
import type { RuntimeDirectory } from "./runtime-directory.js";

export interface PoolSettings {
  readonly pool: PoolConfig;
  /** How the pool is called in the log, where there are several; else "". */
  readonly label: string;
  /** The first worker's number: numbers are unique in a server. */
  readonly firstWorker: number;
  /** The unix socket on which the front expects this pool's workers. */
  readonly wire: string;
  readonly runtime: Pick<RuntimeDirectory, "path" | "scoreboards" | "restore" | "newScoreboard" | "removeScoreboard">;
  readonly machine: Machine;
  /** Octets of a response that a worker may send beyond what was credited. */
  readonly responseMemory: number;
  /** Whether there are requests with a time limit of their own. */
  readonly ownLimits: boolean;
  /** Seconds that workers get to end what they execute. */
  readonly gracefulTimeout: number;
  /** Seconds after which a spawner that does not answer is stuck; 0 is never. */
  readonly hangTimeout: number;
  readonly restarts: Restarts<WorkerCause>;
  /** Whether there is a front that workers can connect to. */
  connectable(): boolean;
}
