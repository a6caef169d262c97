// A life as a table of states: the code executes it, and docs/lifecycles.md is drawn from it (scripts/diagrams.mjs).

export interface StateTable<State extends string, Event extends string> {
  /** What lives so, as a heading. */
  readonly title: string;
  /** What it is, for who reads the diagram. */
  readonly about: string;
  readonly first: State;
  readonly states: Readonly<Record<State, StateRow<State, Event>>>;
  /** What happens, in a sentence each. */
  readonly events: Readonly<Record<Event, string>>;
}

export interface StateRow<State extends string, Event extends string> {
  /** What holds in it, in a sentence. */
  readonly means: string;
  /** Where an event leads. What is not here cannot happen. */
  readonly on: Readonly<Partial<Record<Event, State>>>;
}

/** The state after `event`. Throws where the table has none: that is a mistake of ours. */
export function after<State extends string, Event extends string>(
  table: StateTable<State, Event>,
  state: State,
  event: Event,
): State {
  const next = table.states[state].on[event];
  if (next === undefined) throw new Error(`${table.title}: there is no "${event}" while it is ${state}`);
  return next;
}

/** Whether `event` may happen now. */
export function possible<State extends string, Event extends string>(
  table: StateTable<State, Event>,
  state: State,
  event: Event,
): boolean {
  return table.states[state].on[event] !== undefined;
}
