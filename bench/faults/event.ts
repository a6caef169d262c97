// What an event is.
import type { Need } from "./contestants.js";
import type { Finding } from "./course.js";
import type { Subject } from "./subject.js";

export interface FaultEvent {
  readonly name: string;
  readonly title: string;
  /** What is done, and what the columns of its own are. */
  readonly text: string;
  readonly need: Need;
  /** Whether it is drawn. */
  readonly drawn: boolean;
  /** Makes it happen; `scale` is 1 for a whole run, and less for a shorter one. */
  readonly happen: (subject: Subject, scale: number) => Promise<Finding>;
}
