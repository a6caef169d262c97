// A server with a process or a thread for each connection (php-fpm, flup, uWSGI's http-socket, Apache prefork) serves as many
// connections as it has of those, busy or idle, and lets the others wait for ever. So a connection is kept only while no new
// one waits unanswered: closed in its place, it makes room for one that waits.

/** A connection as far as this goes. */
interface Fresh {
  /** Whether anything came over it. */
  readonly answered: boolean;
}

/** Ticks (net/deadline.ts) for which a new connection may wait before it is taken for one that nobody accepts. */
const patienceMost = 1;
/** Ticks for which a server found so is not trusted to accept more: a minute. */
const remembered = 240;

export class Scarcity<Connection extends Fresh> {
  /** New connections that were not seen answered, the oldest first, and the tick each was opened at. */
  readonly #fresh = new Map<Connection, number>();
  #scarceUntil = 0;

  opened(connection: Connection, tick: number): void {
    this.#fresh.set(connection, tick);
  }

  closed(connection: Connection): void {
    this.#fresh.delete(connection);
  }

  /** Whether a new connection waits for the server to have room, so that one that is done with should be closed. */
  waits(tick: number): boolean {
    for (const [connection, since] of this.#fresh) {
      if (connection.answered) {
        this.#fresh.delete(connection);
        continue;
      }
      if (tick - since > patienceMost) this.#scarceUntil = tick + remembered;
      return tick < this.#scarceUntil;
    }
    return false;
  }
}
