// One server of a group, as long as it is a member: how it is reached, and what watches over it.
import type { UpstreamServer } from "../config/config.js";
import type { ServerAddress, UpstreamDriver } from "./driver.js";
import type { Forwarder } from "./forwarded.js";
import type { HealthChecks } from "./health.js";

export interface Server {
  readonly config: UpstreamServer;
  readonly address: ServerAddress;
  /** For messages: the URL, with the address where that is of a name. */
  readonly name: string;
  readonly driver: UpstreamDriver;
  readonly forwarder: Forwarder;
  health: HealthChecks | undefined;
}
