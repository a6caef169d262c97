// A server with a process or a thread for each connection (php-fpm, flup, uWSGI's http-socket, Apache prefork) serves as many
// connections as it has of those, busy or idle, and lets the others wait for ever. So connections are kept only while no new
// one waits unanswered: closed, they make room for those that wait. Other processes may have connections to the server, too: each
// tells the others when one of its own waits.
import type { Deadlines, Timed } from "../net/deadline.js";
import { type Place, Sequence } from "../sequence.js";

/** A connection as far as this goes. */
interface Fresh<Connection> {
  /** Whether anything came over it. */
  readonly answered: boolean;
  /** Belongs to `Scarcity`. */
  opened?: Place<Opened<Connection>> | undefined;
}

export interface Opened<Connection> {
  readonly connection: Connection;
  /** The tick. */
  readonly since: number;
}

/** Ticks (net/deadline.ts) for which a new connection may wait before it is taken for one that nobody accepts. */
const patience = 1;
/** Ticks for which a server found so is not trusted to accept more: a minute. */
const remembered = 240;
/** Ticks for which connections make room for those of another process, which says so again each tick while they wait. */
const yielded = 3;

export interface ScarcityOwner {
  /** A new connection has waited for too long. */
  closeIdle(): void;
  /** The same, for other processes with connections to the server to be told: `makeRoom`. */
  tellOthers(): void;
}

export class Scarcity<Connection extends Fresh<Connection>> implements Timed {
  deadline = 0;
  readonly #deadlines: Deadlines;
  readonly #owner: ScarcityOwner;
  /** New connections that were not seen answered, the oldest first. */
  readonly #fresh = new Sequence<Opened<Connection>>();
  #scarceUntil = 0;
  #yieldUntil = 0;
  #toldAt = 0;

  constructor(deadlines: Deadlines, owner: ScarcityOwner) {
    this.#deadlines = deadlines;
    this.#owner = owner;
  }

  opened(connection: Connection): void {
    const { tick } = this.#deadlines;
    connection.opened = this.#fresh.add({ connection, since: tick });
    if (tick < this.#scarceUntil) this.#tellOthers();
    if (this.deadline > 0) return;
    this.deadline = tick + patience;
    this.#deadlines.watch(this);
  }

  closed(connection: Connection): void {
    this.#fresh.remove(connection.opened);
  }

  /** A connection of another process waits for the server to have room. */
  makeRoom(): void {
    const { tick } = this.#deadlines;
    this.#yieldUntil = tick + yielded;
    this.#scarceUntil = tick + remembered;
    this.#owner.closeIdle();
  }

  /** Whether a new connection waits for the server to have room, so that one that is done with should be closed. */
  get waits(): boolean {
    return this.#deadlines.tick < this.#yieldUntil || this.#ownWaits;
  }

  get #ownWaits(): boolean {
    const { tick } = this.#deadlines;
    for (let { first } = this.#fresh; first !== undefined; { first } = this.#fresh) {
      const { connection, since } = first.member;
      if (connection.answered) {
        this.#fresh.remove(first);
        continue;
      }
      if (tick - since > patience) this.#scarceUntil = tick + remembered;
      return tick < this.#scarceUntil;
    }
    return false;
  }

  expire(): void {
    // Those that were kept before it was known keep it waiting.
    if (this.#ownWaits) {
      this.#owner.closeIdle();
      this.#tellOthers();
    }
    if (this.#fresh.size > 0) this.deadline = this.#deadlines.tick + patience;
    else this.#deadlines.unwatch(this);
  }

  /** Once in a tick: they yield for longer than that. */
  #tellOthers(): void {
    const { tick } = this.#deadlines;
    if (this.#toldAt === tick) return;
    this.#toldAt = tick;
    this.#owner.tellOthers();
  }
}
