// A front of embedded mode that is to take another's place: it loads the newer code and holds back until it is told to accept
// clients, so that where one of several cannot, none of them ever has.
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

  /** It is not wanted any more, unless it has what it is to serve: then it finishes what it is given. */
  giveUp(why: string): void {
    if (this.#state === "loading") this.failed(why, "");
  }

  /** Resolves when it has loaded the code; with what went wrong, if anything has. */
  async whenLoaded(): Promise<Failure | undefined> {
    return await this.#when("loaded");
  }

  /** Has it accept clients, and resolves when it does. */
  async listen(): Promise<Failure | undefined> {
    this.process.listen();
    return await this.#when("listening");
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
