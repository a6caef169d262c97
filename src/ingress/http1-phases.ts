import { ticks } from "../net/deadline.js";

type PhaseName =
  | "idle"
  | "head"
  | "body"
  | "storing"
  | "streaming"
  | "answering"
  | "discarding"
  | "flushing"
  | "lingering"
  | "closed";

/** A phase is the rules that hold in it. */
export interface Phase {
  /** Whether the decoder is asked for events. Elsewhere what arrives waits in it. */
  readonly reads: boolean;
  /**
   * The deadline passed: close, or answer 408 first; or look whether the client sends ("sending") or takes ("taking") fast enough
   * (pace.ts), and only else do the one or the other.
   */
  readonly expiry: "close" | "timeout" | "sending" | "taking" | "nothing";
  /** The client closed its side: it is gone, or may still read. */
  readonly fin: "close" | "destroy" | "note" | "nothing";
}

/**
 * Where a connection stands, and what there the passing of the deadline and the client's FIN mean.
 *
 *     idle ─→ head ─→ body ─→ storing ─→ answering ─→ flushing ─→ idle …      any ─→ lingering ─→ closed
 *                       └─→ streaming ─┴→ discarding ─┘
 *
 * A request that arrives in one piece goes from idle to answering at once.
 */
export const phases: Readonly<Record<PhaseName, Phase>> = {
  /** Between requests, nothing received of a next one. */
  idle: { reads: true, expiry: "close", fin: "close" },
  /** Some of a head received. */
  head: { reads: true, expiry: "timeout", fin: "close" },
  /** The head is whole, the body is not. */
  body: { reads: true, expiry: "sending", fin: "close" },
  /** The body is whole, and some of it is not on the disk yet. */
  storing: { reads: false, expiry: "close", fin: "note" },
  /** An exchange is open, whose handler takes the body while it arrives. */
  streaming: { reads: true, expiry: "sending", fin: "destroy" },
  /** The response is whole, the body is not: what is left of it is dropped. */
  discarding: { reads: true, expiry: "close", fin: "close" },
  /** An exchange is open. It has a deadline only while the client does not take what was written. */
  answering: { reads: false, expiry: "taking", fin: "note" },
  /** The response is whole, the client has not taken it. The next request waits, or responses would pile up. */
  flushing: { reads: false, expiry: "taking", fin: "note" },
  /** Our side is closed behind what was written; what still comes is dropped until the client closes its own (RFC 9112 §9.6). */
  lingering: { reads: false, expiry: "taking", fin: "close" },
  closed: { reads: false, expiry: "nothing", fin: "nothing" },
};

/** Octets pipelined behind a request being answered, beyond which the socket is not read. */
export const pipelinedMost: number = 65536;
/** When it has all of the last response, a client gets this long to close its side; less when the server stops. */
export const lingerTicks: number = ticks(30);
export const lingerDrainingTicks: number = ticks(2);
/** Octets of a body that are read although its response is whole, so that the connection can be used again; with more it is closed. */
export const discardedMost: number = 256 * 1024;
/**
 * When the server stops, a connection on which nothing runs, and was not a moment ago, is closed at once. Of one that was just opened, or
 * just had an answer, the client's next request may be on its way: it stays for so long.
 */
export const idleDrainingTicks: number = ticks(0.25);
