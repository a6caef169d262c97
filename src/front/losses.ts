// What the log says of what a worker had when it died: an ASGI worker may have thousands, and a line for each would bury all others.
import { log } from "../channels.js";
import type { Exchange, Request } from "../exchange.js";

/** Requests that have a line each. */
const linesMost = 20;

/** What becomes of a request: how it is told of one, and of many. */
const outcomes = {
  again: { one: "it is run once more", many: "run once more" },
  cut: { one: "its response is cut", many: "whose responses are cut" },
  failed: { one: "it is answered 502", many: "answered 502" },
} as const;

type Outcome = keyof typeof outcomes;

interface Lost extends Pick<Exchange, "id"> {
  readonly request: Pick<Request, "method" | "target">;
}

export class Losses {
  readonly #who: string;
  #webSockets = 0;
  #requests = 0;
  /** Those that have no line. */
  readonly #more: Record<Outcome, number> = { again: 0, cut: 0, failed: 0 };

  /** `who` is the worker, as the log calls it. */
  constructor(who: string) {
    this.#who = who;
  }

  /** It had accepted one. */
  webSocket(): void {
    this.#webSockets += 1;
  }

  /** It had begun this. */
  request({ request, id }: Lost, outcome: Outcome): void {
    this.#requests += 1;
    if (this.#requests > linesMost) {
      this.#more[outcome] += 1;
      return;
    }
    const what = `${request.method} ${request.target} (request id ${id})`;
    const level = outcome === "again" ? "warning" : "error";
    log(level, "pool", `${this.#who} died while it executed ${what}; ${outcomes[outcome].one}.`);
  }

  /** There are no others: tells of those that have no line. */
  end(): void {
    const { again, cut, failed } = this.#more;
    const more = again + cut + failed;
    if (more > 0) {
      const parts = [
        { count: again, text: outcomes.again.many },
        { count: cut, text: outcomes.cut.many },
        { count: failed, text: outcomes.failed.many },
      ].flatMap(({ count, text }) => (count === 0 ? [] : [`${count} ${text}`]));
      const requests = more === 1 ? "1 more request" : `${more} more requests`;
      const level = more === again ? "warning" : "error";
      log(level, "pool", `${this.#who} died while it executed ${requests}: ${parts.join(", ")}.`);
    }
    if (this.#webSockets > 0) {
      const sockets = this.#webSockets === 1 ? "1 WebSocket, which is" : `${this.#webSockets} WebSockets, which are`;
      log("error", "pool", `${this.#who} died and had ${sockets} closed with 1011.`);
    }
  }
}
