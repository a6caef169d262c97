// Requests that come again: a client that asks for the same page says the same of itself, and what was read from that once
// is not read again.
import { VivariumError } from "../errors.js";
import type { ReceivedRequest } from "../protocol/cgi/received-variables.js";
import { RecurringParams } from "../protocol/fastcgi/params.js";
import type { Malformed } from "../protocol/fastcgi/records.js";
import type { IngressOptions } from "./options.js";
import { readReceived } from "./received-request.js";

/** A request as its parameters describe it, or why it is refused. */
export type ReadRequest = ReceivedRequest | VivariumError;

/** Reads the parameters of all FastCGI connections of a front. */
export class RecurringRequests {
  readonly #params = new RecurringParams<ReadRequest>();
  readonly #readPairs: (pairs: readonly string[]) => ReadRequest;

  constructor(options: IngressOptions) {
    this.#readPairs = (pairs) => {
      try {
        return readReceived(pairs, options);
      } catch (error) {
        if (error instanceof VivariumError) return error;
        throw error;
      }
    };
  }

  read(octets: Buffer, malformed: Malformed): ReadRequest {
    return this.#params.meaning(octets, malformed, this.#readPairs);
  }
}
