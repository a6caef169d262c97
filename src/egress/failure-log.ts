// Failures of servers for the log: when one is down under load, every request fails, and a line for each would hide the rest.
import { log } from "../channels.js";

/** Milliseconds in which one line is written for each subject. */
const period = 10_000;

export class FailureLog {
  readonly #area: string;
  /** By subject: when its line was written, and how many were left out since. */
  readonly #subjects = new Map<string, { at: number; left: number }>();

  /** `area`: see LogLine. */
  constructor(area: string) {
    this.#area = area;
  }

  /** Writes a line about a subject, unless it had one a short while ago. */
  report(now: number, subject: string, sentence: string): void {
    const known = this.#subjects.get(subject);
    if (known !== undefined && now - known.at < period) {
      known.left += 1;
      return;
    }
    const more = known === undefined || known.left === 0 ? "" : ` (And ${known.left} more since the last such line.)`;
    this.#subjects.set(subject, { at: now, left: 0 });
    log("warning", this.#area, `${subject}: ${sentence}${more}`);
  }

  /** A subject that does not come again. */
  forget(subject: string): void {
    this.#subjects.delete(subject);
  }
}
