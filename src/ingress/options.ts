import type { Deadlines } from "../net/deadline.js";
import type { ReceivedFacts } from "../protocol/cgi/received-variables.js";
import type { RequestLimits } from "../protocol/http1/request-decoder.js";
import type { TrustedProxies } from "../routing/forwarded.js";
import type { Router } from "../routing/router.js";
import type { Place } from "../sequence.js";
import type { BodyStore } from "./body.js";
import type { Pace } from "./pace.js";
import type { RecurringRequests } from "./recurring-requests.js";

export interface WebSocketOptions {
  /** Octets of the largest message. */
  readonly maxSize: number;
  /** In ticks; 0: none. */
  readonly pingInterval: number;
  readonly pingTimeout: number;
  readonly compression: boolean;
}

/** What all connections of a front share, whatever is spoken on them. */
export interface IngressOptions extends BodyStore {
  readonly router: Router;
  readonly limits: RequestLimits;
  readonly trusted: TrustedProxies;
  /** For requests that a web server in front describes. */
  readonly receivedFacts: ReceivedFacts;
  readonly recurring: RecurringRequests;
  /** SERVER_SOFTWARE. */
  readonly software: string;
  readonly deadlines: Deadlines;
  /** In ticks (net/deadline.ts). */
  readonly keepAlive: number;
  readonly headTimeout: number;
  /** How fast bodies must come and responses be taken. */
  readonly pace: Pace;
  readonly webSockets: WebSocketOptions;
  /** Whether connections close after the response they are at. */
  readonly draining: boolean;
  /** How long idle connections are left open then, in ticks; 0: no longer than it takes to see that they are. */
  readonly drainIdle: number;
  /** A request is whole and goes to its handler. */
  requestBegan(): void;
  /** The socket of a connection is another's from now on. */
  connectionReplaced(connection: IngressConnection, by: IngressConnection): void;
  /** The connection is closed; nothing more comes from it. */
  connectionClosed(connection: IngressConnection): void;
}

export interface IngressConnection {
  /** `draining` has become true: closes now, or soon, if no request is under way, else after its response. */
  drain(): void;
  /** The tick since which nothing happens on it, and nothing is lost when it is closed; infinite where something is under way. */
  readonly restingSince: number;
  /** WebSockets on it: it is one, or has streams that are. */
  readonly webSockets?: number;
  /** Belongs to the ingress: among all connections. */
  place?: Place<IngressConnection> | undefined;
  /** Closes at once, whatever is under way. */
  destroy(): void;
}
