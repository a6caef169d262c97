import { log } from "../channels.js";
import type { Exchange } from "../exchange.js";
import { loadContentTypes } from "./content-type.js";
import type { Problem } from "./open.js";

/** Those of a file that is there. */
export type Unread = Extract<Problem, "forbidden" | "exhausted" | "failed">;

const refusals: Readonly<Record<Unread, { status: number; sentence: string; reason: string }>> = {
  forbidden: { status: 403, sentence: "This file may not be read.", reason: "this user may not read it" },
  exhausted: { status: 503, sentence: "The server is too busy to open a file.", reason: "no descriptor is left" },
  failed: {
    status: 500,
    sentence: "The file cannot be read.",
    reason: "the disk fails, or it is written all the time",
  },
};

/** Answers about a file that is there and cannot be read. */
export function refuseUnread(exchange: Exchange, problem: Unread): void {
  const { status, sentence, reason } = refusals[problem];
  const { method, target } = exchange.request;
  log("warning", "static", `The file for ${method} ${target} cannot be opened: ${reason}.`);
  exchange.refuse(status, sentence);
}

/** Goes on with an exchange once content types are known, unless it has ended meanwhile. */
export function whenTypesLoaded(exchange: Exchange, goOn: () => void): void {
  loadContentTypes()
    .then(() => {
      if (!exchange.ended) goOn();
    })
    .catch((error: unknown) => {
      log("error", "static", `${exchange.request.method} ${exchange.request.target} failed: ${String(error)}`);
      exchange.refuse(500, "The server failed to handle this request.");
    });
}
