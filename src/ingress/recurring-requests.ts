// Requests that come again: a client that asks for the same page says the same of itself, and what was read from that once
// is not read again.
import { VivariumError } from "../errors.js";
import type { ReceivedRequest } from "../protocol/cgi/received-variables.js";
import { decodePairs } from "../protocol/fastcgi/params.js";
import type { Malformed } from "../protocol/fastcgi/records.js";
import { Recurring } from "../protocol/recurring.js";
import type { ReadHead, RequestHead } from "../protocol/uwsgi/request-decoder.js";
import type { IngressOptions } from "./options.js";
import { readReceived } from "./received-request.js";

/** A request as its parameters describe it, or why it is refused. */
export type ReadRequest = ReceivedRequest | VivariumError;

/** The head of a request over SCGI or uwsgi, and what it says, once that was asked for. */
class ReadOnce implements RequestHead {
  readonly pairs: readonly string[];
  readonly framing: RequestHead["framing"];
  readonly contentLength: number;
  request: ReadRequest | undefined;

  constructor({ pairs, framing, contentLength }: RequestHead) {
    this.pairs = pairs;
    this.framing = framing;
    this.contentLength = contentLength;
  }
}

/** Reads what describes the requests of all connections of web servers in front. */
export class RecurringRequests {
  readonly #options: IngressOptions;
  readonly #params = new Recurring<ReadRequest>();
  /** By what reads heads of one protocol. */
  readonly #heads = new Map<ReadHead, ReadHead>();

  constructor(options: IngressOptions) {
    this.#options = options;
  }

  /** FastCGI's parameters. Throws what `malformed` makes where they are none. */
  read(octets: Buffer, malformed: Malformed): ReadRequest {
    return this.#params.meaning(octets, () => this.#read(decodePairs(octets, malformed)));
  }

  /** For the decoders of one protocol: gives the same head where the same octets come. Limits are those of all. */
  heads(readHead: ReadHead): ReadHead {
    const known = this.#heads.get(readHead);
    if (known !== undefined) return known;
    const heads = new Recurring<ReadOnce>();
    const { limits } = this.#options;
    const read = (octets: Buffer): ReadOnce => new ReadOnce(readHead(octets, limits));
    const recall: ReadHead = (octets) => heads.meaning(octets, read);
    this.#heads.set(readHead, recall);
    return recall;
  }

  /** What such a head says. */
  request(head: RequestHead): ReadRequest {
    if (!(head instanceof ReadOnce)) return this.#read(head.pairs);
    head.request ??= this.#read(head.pairs);
    return head.request;
  }

  #read(pairs: readonly string[]): ReadRequest {
    try {
      return readReceived(pairs, this.#options);
    } catch (error) {
      if (error instanceof VivariumError) return error;
      throw error;
    }
  }
}
