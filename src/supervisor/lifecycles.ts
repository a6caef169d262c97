// The lives of what the supervisor looks after. Each is a table that the code executes; docs/lifecycles.md has them drawn.
import type { StateTable } from "./state-table.js";

export type ServiceState = "starting" | "serving" | "stopping" | "ended";
export type ServiceEvent = "serving" | "stop" | "gone";

export const serviceLife: StateTable<ServiceState, ServiceEvent> = {
  title: "The server",
  about: "All pools and fronts of a server.",
  first: "starting",
  states: {
    starting: {
      means: "Applications are loaded, sockets opened, fronts started. What cannot be done now ends the server.",
      on: { serving: "serving", stop: "stopping" },
    },
    serving: { means: "Whatever dies is replaced.", on: { stop: "stopping" } },
    stopping: {
      means: "Running requests finish, until the graceful timeout at most; nothing is replaced.",
      on: { gone: "ended" },
    },
    ended: { means: "The command exits.", on: {} },
  },
  events: {
    serving: "Every front accepts clients, and every pool serves.",
    stop: "A signal, `vivarium stop`, or an application that cannot be loaded at the start.",
    gone: "No process is left.",
  },
};

export type PoolState = "starting" | "serving" | "stopping";
export type PoolEvent = "first serves" | "stop";

export const poolLife: StateTable<PoolState, PoolEvent> = {
  title: "A pool",
  about: "All workers of one application, through all generations of its code.",
  first: "starting",
  states: {
    starting: {
      means: "The first generation is being made. There is none to go on with, so if it fails, the server ends.",
      on: { "first serves": "serving", stop: "stopping" },
    },
    serving: { means: "A generation serves, whatever becomes of newer ones.", on: { stop: "stopping" } },
    stopping: { means: "Nothing of it is replaced. It has ended when its last generation has.", on: {} },
  },
  events: {
    "first serves": "All workers of the first generation were ready.",
    stop: "The server stops, or the first generation failed.",
  },
};

export type GenerationState = "loading" | "booting" | "checking" | "serving" | "draining" | "kept" | "ending" | "ended";
export type GenerationEvent =
  | "loaded"
  | "booted"
  | "lost"
  | "passed"
  | "superseded"
  | "drained"
  | "recalled"
  | "dismissed"
  | "given up"
  | "stopped"
  | "gone";

export const generationLife: StateTable<GenerationState, GenerationEvent> = {
  title: "A generation",
  about: "A pool as of one load of its code. A reload makes the next beside the one that serves.",
  first: "loading",
  states: {
    loading: {
      means: "Its spawner imports the application.",
      on: { loaded: "booting", "given up": "ending", stopped: "ending" },
    },
    booting: {
      means: "Its workers are being forked, as many as there is room for beside those that serve.",
      on: { booted: "checking", "given up": "ending", stopped: "ending" },
    },
    checking: {
      means: "Its workers are asked for the health path.",
      on: { passed: "serving", lost: "booting", "given up": "ending", stopped: "ending" },
    },
    serving: {
      means: "New requests go to its workers. Those that die are replaced.",
      on: { superseded: "draining", stopped: "ending" },
    },
    draining: {
      means: "Its workers get nothing new, and end when they have finished what they have.",
      on: { drained: "kept", recalled: "booting", dismissed: "ending", stopped: "ending" },
    },
    kept: {
      means: "Only its spawner is there, so that going back to it costs no import.",
      on: { recalled: "booting", dismissed: "ending", stopped: "ending" },
    },
    ending: { means: "Nothing of it is replaced.", on: { gone: "ended" } },
    ended: { means: "Nothing of it is left.", on: {} },
  },
  events: {
    loaded: "The application is imported; with `--no-preload`, each worker will do that.",
    booted: "As many of its workers as there may be are ready.",
    lost: "No front was there to ask its workers.",
    passed: "The health check was answered, or there is none.",
    superseded: "A newer generation serves.",
    drained: "No worker is left, and the newer one is on probation.",
    recalled: "The newer one proved bad: this one is to serve again.",
    dismissed: "It is not needed any more.",
    "given up": "It could not be made, or a newer one is wanted before it was.",
    stopped: "The pool stops, or it cannot be made again as it was.",
    gone: "The last of its processes has ended.",
  },
};

export type SlotState = "empty" | "booting" | "ready" | "lost";
export type SlotEvent = "spawned" | "connected" | "front gone" | "gone" | "left" | "returned";

export const slotLife: StateTable<SlotState, SlotEvent> = {
  title: "A worker's slot",
  about:
    "A generation has one for each worker it is to have. It outlives them: when one dies, the next takes its number.",
  first: "empty",
  states: {
    empty: {
      means: "Another worker is spawned as soon as there is room and its delay is over.",
      on: { spawned: "booting", returned: "ready" },
    },
    booting: {
      means: "The spawner was told to fork a worker, which has not connected to the front yet.",
      on: { connected: "ready", gone: "empty", left: "empty" },
    },
    ready: {
      means: "Its worker is given requests once its generation serves.",
      on: { "front gone": "lost", gone: "empty", left: "empty" },
    },
    lost: {
      means: "Its worker has no front. It finishes what it executes, then it connects to the next one.",
      on: { connected: "ready", gone: "empty", left: "empty" },
    },
  },
  events: {
    spawned: "A worker is asked for.",
    connected: "It connected to the front.",
    "front gone": "The front died, and its connections with it.",
    returned:
      "A worker that had left it has it again, as there is no other yet: it came to the next front after all, or newer code is being loaded.",
    gone: "It ended, or could not be forked.",
    left: "It leaves its slot to another, finishes what it has and ends: it has served its time, hangs, did not come to the next front soon, or newer code serves.",
  },
};

export type FrontSlotState = "empty" | "booting" | "listening" | "condemned";
export type FrontSlotEvent = "started" | "listening" | "condemned" | "gone" | "succeeded";

export const frontSlotLife: StateTable<FrontSlotState, FrontSlotEvent> = {
  title: "A front's slot",
  about: "There is one for each front the server is to have. It outlives them.",
  first: "empty",
  states: {
    empty: {
      means: "Another front is started when its delay is over.",
      on: { started: "booting", succeeded: "listening" },
    },
    booting: {
      means: "Its process starts; in embedded mode it imports the application.",
      on: { listening: "listening", condemned: "condemned", gone: "empty", succeeded: "listening" },
    },
    listening: {
      means: "It accepts clients.",
      on: { condemned: "condemned", gone: "empty", succeeded: "listening" },
    },
    condemned: { means: "It is killed, and not gone yet.", on: { gone: "empty", succeeded: "listening" } },
  },
  events: {
    started: "A process is started in it.",
    listening: "The front says that it accepts clients.",
    condemned: "Its sockets were removed under it, so that another has to make them anew.",
    gone: "The process ended, or could not be started.",
    succeeded: "In embedded mode: a front with newer code has taken the place of the one before, which drains.",
  },
};

export type SuccessorState = "loading" | "loaded" | "listening" | "failed";
export type SuccessorEvent = "loaded" | "listening" | "failed";

export const successorLife: StateTable<SuccessorState, SuccessorEvent> = {
  title: "A front that is to take another's place",
  about:
    "In embedded mode a reload makes one for each front; none accepts clients before all have loaded the newer code.",
  first: "loading",
  states: {
    loading: {
      means: "It imports the application, and answers the health path.",
      on: { loaded: "loaded", failed: "failed" },
    },
    loaded: { means: "It waits until all others have.", on: { listening: "listening", failed: "failed" } },
    listening: { means: "It accepts clients, and gets its slot.", on: { failed: "failed" } },
    failed: {
      means:
        "It is killed. Where none accepts clients yet so are the others, and the old ones serve on; otherwise it has its slot, and another takes its place.",
      on: {},
    },
  },
  events: {
    loaded: "The application was imported, and the health check answered.",
    listening: "It was told to accept clients, and does.",
    failed: "It could not, ended, or took longer than the boot timeout.",
  },
};

/** All of them, as docs/lifecycles.md shows them. */
export const lifecycles: readonly StateTable<string, string>[] = [
  serviceLife,
  poolLife,
  generationLife,
  slotLife,
  frontSlotLife,
  successorLife,
];
