// What a group of upstreams asks of the client side of a protocol. A driver holds the connections to one server and runs
// requests over them; which server gets a request, what a failure means for its health, and whether another server may be
// asked is the group's affair (group.ts). FastCGI, which can carry several requests at once over a connection, implements
// `UpstreamDriver` itself; protocols with one request at a time are a codec on serial.ts.
import type { Body, ResponseHead, TunnelEnd, TunnelOwner } from "../exchange.js";
import type { Deadlines } from "../net/deadline.js";
import type { ResponseMemory } from "../net/response-memory.js";
import type { Encoded } from "./forwarded.js";

/** A request as a driver sends it. */
export interface UpstreamRequest {
  readonly method: string;
  /**
   * As `Request.variables` (exchange.ts), ready to be sent: forwarding fields are as the server is to see them, and
   * REQUEST_SCHEME says what wsgi.url_scheme said, so that there is no name that is not CGI's. CONTENT_LENGTH is there where
   * the client sent a body, even an empty one, and is the body's length. In two parts, either of which may be empty: those that
   * other requests are likely to have too, then the same string, and those that come behind.
   */
  readonly common: string;
  readonly own: string;
  /** Where the same variables are likely to be sent once more. */
  readonly encoded?: Encoded | undefined;
  /** Whole. A file stays open until the call ended or was cancelled; body-file.ts, which reads it, holds it for longer. */
  readonly body: Body;
  /** Whether sending it twice does no harm (RFC 9110 §9.2.2). */
  readonly idempotent: boolean;
  /** The client's key, where it asks for a WebSocket. A driver that cannot ask for one sends an ordinary request. */
  readonly upgrade?: string | undefined;
}

/** What went wrong with a request. */
export type FailureKind =
  /** There is no connection: refused, unreachable, no such socket. */
  | "refused"
  /** This process has no descriptor left for a connection. Says nothing about the server. */
  | "exhausted"
  | "connect-timeout"
  /** The server stopped taking the request. */
  | "send-timeout"
  /** The request was sent, and no whole head of a response came. */
  | "first-byte-timeout"
  /** The response stopped coming. */
  | "idle-timeout"
  /**
   * A connection kept from an earlier request turned out to be closed, before any octet of the response. Says nothing
   * about the server: servers close idle connections when they like.
   */
  | "stale"
  /** The connection ended, or was reset, before the response was whole. */
  | "closed"
  /**
   * The response was given up because its client took it too slowly for a connection that carries others' too. Says nothing
   * about the server. Only after `head`.
   */
  | "slow-client"
  /** The server's octets are no response. */
  | "malformed"
  /** The server said in its protocol that it cannot take the request now (FastCGI's FCGI_OVERLOADED). */
  | "overloaded";

export interface UpstreamFailure {
  readonly kind: FailureKind;
  /** For the log; a whole sentence that names neither server nor request: "The connection was reset." */
  readonly sentence: string;
  /**
   * The request provably did not reach the application: there was no connection, nothing was sent, or the server said so.
   * Then any request may be sent to another server.
   */
  readonly unprocessed: boolean;
}

/**
 * What becomes of a request: `head` once, then `body` until `last` was true; or `failed`, once, at any point, and nothing
 * after it. Nothing is told before `start` has returned, nor after `cancel`.
 */
export interface UpstreamEvents {
  /**
   * The response begins, with the first octets of its body, if they are there. A driver tells as much as it has at once: a
   * whole small response is one call, and so one write to the client. `head` is as ResponseHead says: informational
   * responses were skipped, hop-by-hop fields removed (both ways that is the driver's duty).
   */
  head(head: ResponseHead, body: Uint8Array | undefined, last: boolean): void;
  /** Further octets, which do not change afterwards; may be empty with `last`. */
  body(octets: Uint8Array, last: boolean): void;
  failed(failure: UpstreamFailure): void;
  /**
   * In place of `head`, where the request has an `upgrade`: the server has switched. `fields` are what it said, without what is about
   * the connection or proves the key; `server` is its end from now on, whose owner this gives. Octets that came behind are told to that.
   */
  switched?(fields: Uint8Array, server: TunnelEnd): TunnelOwner;
}

/** A request under way. Nobody calls these once it ended, so that a connection can be the call of each of its requests. */
export interface UpstreamCall {
  /** Takes no more of the response from the server than what was received already, as far as the protocol lets. */
  pause(): void;
  resume(): void;
  /** The client left: the server is told in its protocol's way, or the connection is closed. Nothing is told any more. */
  cancel(): void;
}

/** Where a server is. `host` is a literal address: names were resolved before. */
export type ServerAddress =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

export interface DriverOptions {
  readonly address: ServerAddress;
  /** The server's URL, for log lines: `fastcgi://10.0.0.5:9000`. */
  readonly name: string;
  readonly deadlines: Deadlines;
  /** In ticks (net/deadline.ts): until there is a connection. */
  readonly connectTimeout: number;
  /** Ticks without the server taking any more of the request. */
  readonly sendTimeout: number;
  /** Ticks from the request being sent to the response's head being whole. */
  readonly firstByteTimeout: number;
  /** Ticks between two arrivals of a response's octets, while they are wanted. */
  readonly idleTimeout: number;
  /** Ticks without an octet either way, where the server has switched. */
  readonly tunnelTimeout: number;
  /** The most idle connections kept. 0: a connection for each request. */
  readonly keepAlive: number;
  /** The most requests at once on a connection, where the protocol can; 1: one at a time. */
  readonly multiplex: number;
  /** Of a response's head: octets, and fields. Beyond them it is malformed. */
  readonly maxHead: number;
  readonly maxFields: number;
  /** How much of a response is kept in memory for a client that reads slowly. */
  readonly responses: Pick<ResponseMemory, "most">;
  /** A new connection waits for the server to have room (scarcity.ts). Default: there is no other process to be told. */
  readonly tellScarce?: (() => void) | undefined;
}

/** The connections to one server. */
export interface UpstreamDriver {
  /** Connections with and without a request on them; for status. */
  readonly busy: number;
  readonly idle: number;
  /**
   * Sends a request. With `fresh` not over a connection that was used before.
   * @throws VivariumError with a `status` where the request cannot be expressed in the protocol; nothing was sent then.
   */
  start(request: UpstreamRequest, events: UpstreamEvents, fresh: boolean): UpstreamCall;
  /** Another process has said `tellScarce` of this server: idle connections are closed, and for a moment none is kept. */
  makeRoom(): void;
  /** Closes idle connections now, and the others when their requests end. Nothing is started afterwards. */
  close(): void;
}

export type CreateDriver = (options: DriverOptions) => UpstreamDriver;
