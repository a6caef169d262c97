// What a request is called where somebody may have to find it again: on the page of an error and in the log's line about it.
// Most requests need no name, so one is made when it is asked for first (`Exchange.id`).
import { randomBytes } from "node:crypto";
import type { Request } from "./exchange.js";

/** Of what others call a request, what can stand in a line of a log and on a page as it is. */
const sane = /^[A-Za-z0-9._:+/=@~-]{1,128}$/;

/** What a trusted proxy calls it by X-Request-Id, as nginx's `$request_id`; else 16 hexadecimal digits of its own. */
export function requestId(request: Request): string {
  const given = request.trustedPeer === undefined ? "" : variable(request.variables, "HTTP_X_REQUEST_ID");
  return sane.test(given) ? given : randomId();
}

/** Chance for many ids at once: asked of the system for each, it were a tenth of what a refusal costs. */
let chance = randomBytes(0);
let used = 0;

function randomId(): string {
  if (used === chance.length) {
    chance = randomBytes(4096);
    used = 0;
  }
  used += 8;
  return chance.toString("hex", used - 8, used);
}

/** The value of a variable, "" where it is not there. */
function variable(variables: string, name: string): string {
  const parts = variables.split("\0");
  for (let at = 0; at < parts.length; at += 2) if (parts[at] === name) return parts[at + 1] ?? "";
  return "";
}
