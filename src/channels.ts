// Names and payload types of all diagnostics channels (node:diagnostics_channel). The core publishes here and imports
// no logging or metrics library; telemetry/ subscribes.
import { type Channel, channel } from "node:diagnostics_channel";

/** A request that ended, for the access log and statistics. */
export interface RequestEnded {
  readonly remoteAddress: string;
  readonly method: string;
  readonly target: string;
  /** As in the request line: "HTTP/1.1". */
  readonly protocol: string;
  /** Status sent, or 0 where the client left before one was. */
  readonly status: number;
  /** Body octets of the response that were handed to the client's connection. */
  readonly octets: number;
  /** Milliseconds from the request being whole to the response being whole. */
  readonly milliseconds: number;
  readonly referer: string;
  readonly userAgent: string;
}

/** A line for the server's log. */
export interface LogLine {
  readonly level: "debug" | "info" | "warning" | "error";
  /** The folder it comes from: "supervisor", "ingress", "pool", "worker 2". */
  readonly area: string;
  readonly message: string;
}

/** Published only when `hasSubscribers`. */
export const requestEnded: Channel = channel("vivarium:request-ended");
export const logLine: Channel = channel("vivarium:log");

export function log(level: LogLine["level"], area: string, message: string): void {
  logLine.publish({ level, area, message } satisfies LogLine);
}
