// What an application prints, as lines of the server's log.
import { log } from "../channels.js";

/** What vivarium_host itself reports begins so (wsgi.py, ERROR_MARK); all else is the application's. */
const errorMark = "\x1f";

export function logOutput(area: string, lines: string): void {
  for (const line of lines.trimEnd().split("\n")) {
    if (line.startsWith(errorMark)) log("error", area, line.slice(errorMark.length));
    else log("info", area, line);
  }
}
