// The life of a generation as a table, which the code executes and from which the diagram below is drawn.
//
//   loading ──loaded──▶ booting ──booted──▶ checking ──passed──▶ serving ──superseded──▶ draining ──drained──▶ kept
//      │                 │  ▲  ◀──lost───────┤                                            │  │                  │ │
//      │                 │  └──────────────────────────────────recalled───────────────────┘ ─┼──────recalled────┘ │
//      └──given up───────┴──given up─────────┴────────────▶ ended ◀──────────dismissed───────┴──────dismissed──────┘

export type GenerationState = "loading" | "booting" | "checking" | "serving" | "draining" | "kept" | "ended";

export type GenerationEvent =
  /** The application is imported, or each worker will do that. */
  | "loaded"
  /** As many workers as may be are ready. */
  | "booted"
  /** Workers were lost while they were checked: there was no front for a moment. */
  | "lost"
  /** The health check was answered, or there is none. */
  | "passed"
  /** A newer one serves; workers get nothing more, and finish what they have. */
  | "superseded"
  /** No worker is left; the spawner is kept until the newer one has proved itself. */
  | "drained"
  /** The newer one proved bad: this one is to serve again. */
  | "recalled"
  /** It is not needed any more. */
  | "dismissed"
  /** It could not be made, or is not wanted any more before it was. */
  | "given up";

const table: Readonly<Record<GenerationState, Readonly<Partial<Record<GenerationEvent, GenerationState>>>>> = {
  loading: { loaded: "booting", "given up": "ended" },
  booting: { booted: "checking", "given up": "ended" },
  checking: { passed: "serving", lost: "booting", "given up": "ended" },
  serving: { superseded: "draining" },
  draining: { drained: "kept", recalled: "booting", dismissed: "ended" },
  kept: { recalled: "booting", dismissed: "ended" },
  ended: {},
};

/** The state after `event`. Throws where the table has none: that is a mistake of ours. */
export function after(state: GenerationState, event: GenerationEvent): GenerationState {
  const next = table[state][event];
  if (next === undefined) throw new Error(`a generation that is ${state} cannot be ${event}`);
  return next;
}

/** Whether `event` may happen now. */
export function possible(state: GenerationState, event: GenerationEvent): boolean {
  return table[state][event] !== undefined;
}
