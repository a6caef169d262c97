import { type VivariumError, vivariumError } from "../errors.js";
import type { Request } from "../exchange.js";

/** What is so small may always be in memory, or no request could be served when there is none: about what an idle connection takes. */
export const littleMemory = 4096;

/** The octets of requests that a process has in memory: heads and bodies, being received or to be executed, of all clients together. */
export class RequestMemory {
  readonly #most: number;
  #used = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get used(): number {
    return this.#used;
  }

  /** There is more than there should be: what can goes to the disk, or is not read yet. */
  get scarce(): boolean {
    return this.#used > this.#most;
  }

  take(octets: number): void {
    this.#used += octets;
  }

  free(octets: number): void {
    this.#used -= octets;
  }

  /** An exchange has ended: nobody needs its body any more. */
  release({ body, stream }: Pick<Request, "body" | "stream">): void {
    if (body.kind === "memory") this.free(body.bytes.length);
    else if (body.kind === "file") body.release();
    else stream?.release();
  }
}

/** What a request is answered whose head does not come to its end while memory is scarce: it cannot go to the disk. */
export const noMemory: VivariumError = vivariumError(
  "ERR_INGRESS_MEMORY",
  "The server has as many requests in memory as it may. Try again later.",
  { status: 503 },
);
