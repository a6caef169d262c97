// What the log says of a response that is not as long as its application announced.
import { log } from "../channels.js";
import type { Request } from "../exchange.js";

/** What an encoder of any protocol knows when it has had all of a response. */
export interface EncodedLength {
  /** Octets of the body that were sent. */
  readonly bodyOctets: number;
  /** Octets beyond Content-Length. */
  readonly dropped: number;
  /** There were fewer than that. */
  readonly short: boolean;
}

/** `cut` says what became of one that is too short: "the connection was cut". */
export function reportLength({ method, target }: Request, encoded: EncodedLength, cut: string): void {
  const { bodyOctets, dropped, short } = encoded;
  const response = `The application's response to ${method} ${target}`;
  log(
    "error",
    "ingress",
    short
      ? `${response} ended after ${bodyOctets} octets, before its Content-Length; ${cut}.`
      : `${response} was ${dropped} octets longer than its Content-Length; they were dropped.`,
  );
}
