// When a request may be sent a second time. No I/O and no clock.
import type { UpstreamFailure } from "./driver.js";

/** The most servers that one request is tried on. */
export const triesMost = 5;

/** Methods of which a second request does no harm (RFC 9110 §9.2.2). */
const idempotentMethods: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"]);

export function isIdempotent(method: string): boolean {
  return idempotentMethods.has(method);
}

/**
 * Whether a request that failed before anything of a response was passed on may go to another server. One that was waited for
 * in vain may not, although it could do no harm: whatever makes it slow would only be met again, and the client has waited
 * long enough. Not over when nobody got it: then no time was spent.
 */
export function mayRetry(failure: UpstreamFailure, idempotent: boolean): boolean {
  // Another server's connection would want a descriptor, too.
  if (failure.kind === "exhausted") return false;
  if (failure.unprocessed) return true;
  return idempotent && (failure.kind === "closed" || failure.kind === "malformed" || failure.kind === "stale");
}

/** Retries that a group can make at once after it was quiet, and the most it can save up. */
const reserve = 100;
const most = 1000;

/**
 * Bounds the requests that are sent again to a share of all: when servers fail because they have too much to do, retries
 * must not multiply it. What is not used is saved up for the moment when a server dies with many requests on it.
 */
export class RetryBudget {
  readonly #share: number;
  #left: number;

  constructor(share: number) {
    this.#share = share;
    this.#left = share > 0 ? reserve : 0;
  }

  /** A request came. */
  earn(): void {
    if (this.#left < most) this.#left += this.#share;
  }

  /** Whether a retry may be made; it counts then. */
  spend(): boolean {
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }
}
