// How fast a client must be that is waited for: in each `--stall-timeout` it sends or takes `--min-rate` octets for every second of it.
// What it moved before counts for nothing: a client that sent a gigabyte quickly has no right to be waited for all night.
//
// It costs nothing while all goes well: a look at what has moved, where a deadline passes.
import { log } from "../channels.js";
import { type VivariumError, vivariumError } from "../errors.js";
import type { ClientSocket } from "../net/client-socket.js";
import { type Deadlines, type Timed, ticks } from "../net/deadline.js";

/** Something whose deadline is that of a client's pace. */
export interface Paced extends Timed {
  /** Octets that had moved at the last look. */
  moved: number;
}

/** As the log calls it. */
export interface Client {
  /** "" on a unix socket. */
  readonly address: string;
  /** What it asks for. */
  readonly target: string;
  /** The connection carries others at the same time. */
  readonly ofMany?: boolean;
}

/** Lines about slow clients are as far apart at least, seconds: there may be thousands of them. */
const linesApart = 60;

type Direction = "sent" | "took";

export class Pace {
  readonly #deadlines: Deadlines;
  readonly #seconds: number;
  readonly #rate: number;
  /** Ticks between two looks. */
  readonly window: number;
  readonly #least: number;
  readonly #log: SlowClients;

  /** Seconds, and octets a second: 0 for any at all. */
  constructor(deadlines: Deadlines, stallTimeout: number, minRate: number) {
    this.#deadlines = deadlines;
    this.#seconds = stallTimeout;
    this.#rate = minRate;
    this.window = ticks(stallTimeout);
    this.#least = Math.max(1, stallTimeout * minRate);
    this.#log = new SlowClients(deadlines);
  }

  /** It is waited for from now on; `moved` is -Infinity where that is not known yet. */
  begin(paced: Paced, moved: number): void {
    paced.moved = moved;
    paced.deadline = this.#deadlines.tick + this.window;
  }

  /** Whether the client has sent enough of a body, of which this much is there; if so, it is waited for again. */
  sends(paced: Paced, received: number, client: Client): boolean {
    return this.#look(paced, received, "sent", client);
  }

  /** Whether it has taken enough of a response, of which this much was written; if so, it is waited for again. */
  takes(paced: Paced, socket: Pick<ClientSocket, "unsent" | "untaken">, written: number, client: Client): boolean {
    if (socket.unsent === 0) return false;
    const { untaken } = socket;
    return this.#look(paced, untaken === undefined ? undefined : written - untaken, "took", client);
  }

  /** How many looks there are while a client that is just fast enough takes so many octets; where any at all will do, one. */
  looksFor(octets: number): number {
    return this.#rate === 0 ? 1 : Math.ceil(octets / this.#least);
  }

  /** A client did not take its response fast enough. */
  tellTaken(client: Client): void {
    this.#tell("took", client);
  }

  /** Whether a client is fast enough that moved so much between two looks. */
  suffices(octets: number): boolean {
    return octets >= this.#least;
  }

  #look(paced: Paced, moved: number | undefined, direction: Direction, client: Client): boolean {
    const holds = moved === undefined || this.suffices(moved - paced.moved);
    if (holds) this.begin(paced, moved ?? paced.moved);
    else this.#tell(direction, client);
    return holds;
  }

  #tell(direction: Direction, { address, target, ofMany }: Client): void {
    const rate = this.#rate === 0 ? "nothing" : `less than ${this.#rate} octets a second`;
    const of = direction === "sent" ? "the body of its request to" : "the response to";
    const then = direction === "sent" ? "it is answered 408" : `its ${ofMany ? "stream" : "connection"} is closed`;
    const limits = this.#rate === 0 ? "--stall-timeout" : "--min-rate, --stall-timeout";
    this.#log.note(
      direction,
      `A client (${address || "on a unix socket"}) ${direction} ${rate} of ${of} ${target} for ${this.#seconds} s (${limits}): ${then}.`,
    );
  }
}

/** The answer to a request that does not come fast enough. */
export function tooLate(what: "head" | "body"): VivariumError {
  const sentence = what === "head" ? "head took too long to arrive" : "body arrives too slowly";
  return vivariumError("ERR_INGRESS_TIMEOUT", `The request's ${sentence}.`, { status: 408 });
}

/** Tells of the first, and then how many more there are. */
class SlowClients implements Timed {
  deadline = 0;
  readonly #deadlines: Deadlines;
  #counts: Record<Direction, number> | undefined;

  constructor(deadlines: Deadlines) {
    this.#deadlines = deadlines;
  }

  note(direction: Direction, sentence: string): void {
    if (this.#counts !== undefined) {
      this.#counts[direction] += 1;
      return;
    }
    log("info", "ingress", sentence);
    this.#deadlines.watch(this);
    this.#begin();
  }

  #begin(): void {
    this.#counts = { sent: 0, took: 0 };
    this.deadline = this.#deadlines.tick + ticks(linesApart);
  }

  expire(): void {
    const { sent = 0, took = 0 } = this.#counts ?? {};
    if (sent + took === 0) {
      this.#counts = undefined;
      this.#deadlines.unwatch(this);
      return;
    }
    const more = `${sent} more sent a request's body and ${took} more took a response too slowly`;
    log("info", "ingress", `Slow clients of the last ${linesApart} s: ${more} (--min-rate, --stall-timeout).`);
    this.#begin();
  }
}
