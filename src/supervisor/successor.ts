// A front of embedded mode that is to take another's place: it loads the newer code and holds back until it is told to accept
// clients, so that where one of several cannot load it, none of them ever has.
import type { EmbeddedFacts } from "../front/messages.js";
import { type SuccessorEvent, type SuccessorState, successorLife } from "./lifecycles.js";
import type { FrontHandle } from "./machine.js";
import { after, possible } from "./state-table.js";

/** Why newer code cannot serve. `traceback` may be "". */
export interface Failure {
  readonly problem: string;
  readonly traceback: string;
}

export class Successor {
  readonly process: FrontHandle;
  /** How its process ended, if it has. */
  end: { readonly status: number | null; readonly signal: NodeJS.Signals | null } | undefined;
  /** What was loaded, once it is. */
  facts: EmbeddedFacts | undefined;
  #state: SuccessorState = successorLife.first;
  #failure: Failure | undefined;
  #tell: (() => void) | undefined;

  constructor(process: FrontHandle) {
    this.process = process;
  }

  /** What went wrong, if anything has. */
  get failure(): Failure | undefined {
    return this.#failure;
  }

  /** Whether it accepts clients. */
  get accepts(): boolean {
    return this.#state === "listening";
  }

  loaded(facts: EmbeddedFacts): void {
    this.facts = facts;
    this.#happen("loaded");
  }

  listening(): void {
    this.#happen("listening");
  }

  failed(problem: string, traceback: string): void {
    this.#failure ??= { problem, traceback };
    this.#happen("failed");
  }

  /** The process ended. */
  ended(status: number | null, signal: NodeJS.Signals | null): void {
    this.end = { status, signal };
    this.failed(`Its process ended (${signal ?? `status ${status}`}).`, "");
  }

  /** Its time is over, unless it accepts clients. */
  late(problem: string): void {
    if (!this.accepts) this.failed(problem, "");
  }

  /** It is not wanted any more, unless it has what it is to serve: then it finishes what it is given. */
  giveUp(why: string): void {
    if (this.#state === "loading") this.failed(why, "");
  }

  /** Resolves when it has loaded the code; with what went wrong, if anything has. */
  async whenLoaded(): Promise<Failure | undefined> {
    return await this.#when("loaded");
  }

  /** Has it accept clients, and resolves when it does, or has failed. */
  async listen(): Promise<void> {
    this.process.listen();
    await this.#when("listening");
  }

  #happen(event: SuccessorEvent): void {
    if (!possible(successorLife, this.#state, event)) return;
    this.#state = after(successorLife, this.#state, event);
    this.#tell?.();
  }

  #when(state: SuccessorState): Promise<Failure | undefined> {
    return new Promise((resolve) => {
      this.#tell = () => {
        if (this.#state === state || this.#state === "failed") resolve(this.#failure);
      };
      this.#tell();
    });
  }
}
