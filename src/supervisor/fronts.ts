// The fronts of a server: processes that do all the same, with the same listening sockets, each in a slot with a number. One
// that dies takes its own connections with it and nothing else: the others serve on, and another takes its slot.
import { log } from "../channels.js";
import type { Drained, EmbeddedFacts, FrontReport, PoolStart, WorkerNews, WorkerSpent } from "../front/messages.js";
import type { TlsMaterial } from "../net/tls-identity.js";
import type { FrontSettings } from "./front-process.js";
import { type FrontSlotEvent, type FrontSlotState, frontSlotLife } from "./lifecycles.js";
import { endedLoading, notReady } from "./load-problems.js";
import type { FrontHandle, Machine } from "./machine.js";
import { replacementDelay } from "./replacement.js";
import { type FrontCause, frontCauses, Restarts } from "./restarts.js";
import { after, possible } from "./state-table.js";
import { type Failure, Successor } from "./successor.js";

export interface FrontsOwner {
  /** One more front accepts clients; workers may connect to it. */
  frontListening(): void;
  workerReady(worker: number, pid: number): void;
  /** A worker answered its first request. */
  workerServed(worker: number, pid: number): void;
  workerNews(news: WorkerNews | WorkerSpent): void;
  /** A front cannot serve: why, in a sentence. */
  frontFailed(problem: string): void;
  /** In embedded mode: a front has loaded the application, or cannot, or it has printed lines. */
  applicationLoaded(facts: EmbeddedFacts): void;
  applicationFailed(front: number, problem: string, traceback: string): void;
  applicationPrinted(front: number, lines: string): void;
  /** A front is gone. It is replaced, unless all were told to stop. */
  frontGone(): void;
}

export interface FrontsSettings extends Omit<FrontSettings, "number" | "drained" | "pools" | "held" | "tls"> {
  readonly machine: Machine;
  pools(): readonly PoolStart[];
  /** What TLS connections are secured with now; undefined where none are. */
  tls?(): TlsMaterial | undefined;
}

export interface FrontSlot {
  /** 1, 2, 3 … */
  readonly number: number;
  process: FrontHandle | undefined;
  state: FrontSlotState;
  /** Milliseconds since the epoch. */
  startedAt: number;
  /** How often in a row one died before it could work. */
  failures: number;
}

const stopping: Failure = { problem: "The server is stopping.", traceback: "" };

/** What a front has to cut its requests and to write its access log, ms. */
export const endWithin = 1000;

export class Fronts {
  readonly #settings: FrontsSettings;
  readonly #machine: Machine;
  readonly #owner: FrontsOwner;
  readonly slots: readonly FrontSlot[];
  readonly restarts: Restarts<FrontCause>;
  /** Upstream servers that were told to be drained, so that the next front knows, too. */
  #drained: readonly string[] = [];
  #stopping = false;
  /** Those that finish what they have, and those that are to take others' places. */
  readonly #beside = new Set<FrontHandle>();
  #successors: readonly Successor[] = [];

  /** Starts them. */
  constructor(settings: FrontsSettings, owner: FrontsOwner) {
    this.#settings = settings;
    this.#machine = settings.machine;
    this.restarts = new Restarts(frontCauses, this.#machine.now);
    this.#owner = owner;
    this.slots = Array.from({ length: settings.config.fronts }, (_, index) => ({
      number: index + 1,
      process: undefined,
      state: frontSlotLife.first,
      startedAt: 0,
      failures: 0,
    }));
    for (const slot of this.slots) this.#start(slot);
  }

  /** Whether every one of them accepts clients. */
  get listening(): boolean {
    return this.slots.every(({ state }) => state === "listening");
  }
  /** Whether they were told to end, so that none is replaced any more. */
  get stopping(): boolean {
    return this.#stopping;
  }
  /** Whether there is a process. */
  get running(): boolean {
    return this.#processes.length > 0;
  }

  // ---- what the supervisor tells

  /** They finish what they have and end; none is replaced any more. */
  drain(): void {
    this.#stopping = true;
    for (const successor of this.#successors) successor.giveUp(stopping.problem);
    for (const front of this.#processes) front.drain();
  }

  /** After `drain`: what still runs is cut. */
  end(): void {
    for (const front of this.#processes) front.end();
  }

  /** Ends them at once; none is replaced any more. */
  kill(): void {
    this.#stopping = true;
    for (const front of this.#processes) front.kill();
  }

  /** Ends them at once, and others take their place. */
  replace(): void {
    for (const slot of this.slots) {
      if (!possible(frontSlotLife, slot.state, "condemned")) continue;
      happen(slot, "condemned");
      slot.process?.kill();
    }
  }

  /** Another worker has the place of this one: they give it nothing more. */
  retire(pid: number): void {
    for (const front of this.#processes) front.retire(pid);
  }

  /** This worker is ended in a moment. */
  endEvents(pid: number): void {
    for (const front of this.#processes) front.endEvents(pid);
  }

  renewTls(material: TlsMaterial): void {
    for (const front of this.#processes) front.renewTls(material);
  }

  reopenLogs(): void {
    for (const front of this.#processes) front.reopenLogs();
  }

  /** A pool has no worker, nor will have one for so many seconds: why, as clients may read it. */
  poolDown(pool: string, why: string, againIn: number): void {
    for (const front of this.#processes) front.poolDown(pool, why, againIn);
  }

  generationServes(pool: string, generation: number, leaving: readonly number[]): void {
    for (const front of this.#processes) front.generationServes(pool, generation, leaving);
  }

  /** What is wrong with a generation, or ""; undefined where there is no front at the moment. */
  async checkGeneration(pool: string, generation: number, path: string): Promise<string | undefined> {
    return await this.#processes[0]?.checkGeneration(pool, generation, path);
  }

  /** Undefined where there is no front at the moment. */
  async drainServer(server: string, undo: boolean): Promise<Drained | undefined> {
    const asked = new Set<FrontHandle>();
    const groups = new Set<string>();
    const servers = new Set<string>();
    let answered = false;
    // A front that started meanwhile was told what was drained before, so it is asked, too.
    for (;;) {
      const fronts = this.#processes.filter((front) => !asked.has(front));
      if (fronts.length === 0) break;
      for (const front of fronts) asked.add(front);
      for (const drained of await Promise.all(fronts.map((front) => front.drainServer(server, undo)))) {
        if (drained === undefined) continue;
        answered = true;
        for (const group of drained.groups) groups.add(group);
        for (const each of drained.servers) servers.add(each);
      }
      if (answered) this.#drained = [...servers];
    }
    // Names of servers are looked up by each front for itself: one may know an address that another will know soon.
    if (groups.size > 0 && !undo) for (const front of asked) void front.drainServer(server, undo, true);
    return answered ? { groups: [...groups], servers: this.#drained } : undefined;
  }

  /** By the number of the front; none of one that is gone. */
  async reports(): Promise<ReadonlyMap<number, FrontReport>> {
    const reports = await Promise.all(this.slots.map((slot) => slot.process?.report()));
    return new Map(
      this.slots.flatMap(({ number }, index) => {
        const report = reports[index];
        return report === undefined ? [] : [[number, report] as const];
      }),
    );
  }

  get #processes(): readonly FrontHandle[] {
    return [...this.slots.flatMap((slot) => slot.process ?? []), ...this.#beside];
  }

  // ---- newer code, in embedded mode

  /**
   * Fronts that have loaded the code anew take the place of these, as many at once as `overlap`. Where they cannot, those there are
   * go on; with what went wrong. `path` is what they answer before they serve, "" for nothing.
   */
  async renew(path: string, overlap: number | "all"): Promise<Failure | undefined> {
    const step = overlap === "all" ? this.slots.length : overlap;
    for (let from = 0; from < this.slots.length; from += step) {
      if (this.#stopping) return stopping;
      const batch = this.slots.slice(from, from + step);
      const failure = await this.#renew(batch, path);
      if (failure !== undefined) return failure;
    }
    return undefined;
  }

  async #renew(batch: readonly FrontSlot[], path: string): Promise<Failure | undefined> {
    const prepared = batch.map((slot) => ({ slot, successor: this.#prepare(slot, path) }));
    const successors = prepared.map(({ successor }) => successor);
    this.#successors = successors;
    await Promise.all(successors.map((successor) => successor.whenLoaded()));
    // One that loaded first may have died while it waited for the others.
    let failure = this.#stopping ? stopping : successors.find((each) => each.failure !== undefined)?.failure;
    if (failure === undefined) {
      await Promise.all(successors.map((successor) => successor.listen()));
      // From the first that accepts clients on, newer code serves: one that cannot is a front like any other that ends.
      if (!successors.some(({ accepts }) => accepts)) failure = successors[0]?.failure;
    }
    this.#successors = [];
    if (failure !== undefined) {
      for (const { process } of successors) process.kill();
      return failure;
    }
    await Promise.all(prepared.map(({ slot, successor }) => this.#succeed(slot, successor)));
    return undefined;
  }

  /** A front beside the slot's, which loads the code. */
  #prepare(slot: FrontSlot, path: string): Successor {
    const [pool] = this.#settings.config.pools;
    const successor: Successor = new Successor(
      this.#process(slot, { healthPath: path }, () => (slot.process === successor.process ? undefined : successor)),
    );
    this.#beside.add(successor.process);
    if (pool !== undefined) this.#machine.later(pool.bootTimeout * 1000, () => successor.late(notReady(pool)));
    return successor;
  }

  /** The successor has the slot; resolves when the front before it has finished what it had, and is gone. */
  #succeed(slot: FrontSlot, { process, facts, failure, end }: Successor): Promise<void> {
    const before = slot.process;
    this.#beside.delete(process);
    slot.process = process;
    happen(slot, "succeeded");
    slot.startedAt = this.#machine.now();
    if (facts !== undefined) this.#owner.applicationLoaded(facts);
    if (end !== undefined) this.#exited(slot, end.status, end.signal);
    else if (failure !== undefined) {
      this.#owner.frontFailed(failure.problem);
      process.kill();
    }
    return before === undefined ? Promise.resolve() : this.#seeOff(slot, before);
  }

  /** A front whose slot another has finishes what it has; resolves when it is gone. */
  #seeOff(slot: FrontSlot, before: FrontHandle): Promise<void> {
    this.#beside.add(before);
    before.drainGently();
    const { gracefulTimeout } = this.#settings.config;
    let cancel = this.#machine.later(gracefulTimeout * 1000, () => {
      const still = `Requests of ${this.#name(slot)} still run after ${gracefulTimeout} s (--graceful-timeout)`;
      log("warning", "supervisor", `${still}; they are ended.`);
      before.end();
      // One that still imports the application does not hear it.
      cancel = this.#machine.later(endWithin, () => before.kill());
    });
    return before.whenGone.then(() => cancel());
  }

  // ---- one of them

  #start(slot: FrontSlot): void {
    // A successor may have its place by now.
    if (this.#stopping || !possible(frontSlotLife, slot.state, "started")) return;
    happen(slot, "started");
    slot.startedAt = this.#machine.now();
    slot.process = this.#process(slot, undefined, () => undefined);
    this.#expectLoaded(slot);
  }

  /** `successor`: what this process is while it has no slot yet. */
  #process(slot: FrontSlot, held: FrontSettings["held"], successor: () => Successor | undefined): FrontHandle {
    const process: FrontHandle = this.#machine.startFront(
      {
        ...this.#settings,
        number: slot.number,
        drained: this.#drained,
        pools: this.#settings.pools(),
        tls: this.#settings.tls?.(),
        held,
      },
      {
        frontListening: () => {
          const next = successor();
          if (next !== undefined) {
            next.listening();
            return;
          }
          if (slot.process !== process || !possible(frontSlotLife, slot.state, "listening")) return;
          happen(slot, "listening");
          slot.failures = 0;
          this.#owner.frontListening();
        },
        workerReady: (worker, pid) => {
          // Of one that is gone its last words may come after the news of its end.
          if (slot.process === process) this.#owner.workerReady(worker, pid);
        },
        workerServed: (worker, pid) => this.#owner.workerServed(worker, pid),
        workerNews: (news) => this.#owner.workerNews(news),
        serverScarce: (address) => {
          for (const other of this.slots) if (other !== slot) other.process?.makeRoom(address);
        },
        frontStuck: () => {
          const { hangTimeout } = this.#settings.config;
          const sentence = `${this.#name(slot)} has not answered for ${hangTimeout} s (--hang-timeout); it is killed.`;
          log("error", "supervisor", sentence);
          this.restarts.expect(process.pid, "hang");
          process.killStuck();
        },
        frontFailed: (problem) => {
          const next = successor();
          if (next === undefined) this.#owner.frontFailed(problem);
          else next.failed(problem, "");
        },
        applicationLoaded: (facts) => {
          const next = successor();
          if (next === undefined) this.#owner.applicationLoaded(facts);
          else next.loaded(facts);
        },
        applicationFailed: (problem, traceback) => {
          const next = successor();
          if (next === undefined) this.#owner.applicationFailed(slot.number, problem, traceback);
          else next.failed(problem, traceback);
        },
        applicationPrinted: (lines) => this.#owner.applicationPrinted(slot.number, lines),
        frontExited: (status, signal) => {
          successor()?.ended(status, signal);
          if (slot.process === process) this.#exited(slot, status, signal);
          else if (this.#beside.delete(process)) this.#owner.frontGone();
        },
      },
    );
    return process;
  }

  /** In embedded mode a front listens when it has loaded the application. */
  #expectLoaded(slot: FrontSlot): void {
    const { python, config } = this.#settings;
    const [pool] = config.pools;
    if (python === undefined || pool === undefined) return;
    const { process } = slot;
    this.#machine.later(pool.bootTimeout * 1000, () => {
      if (slot.process !== process || slot.state === "listening" || this.#stopping) return;
      this.#owner.applicationFailed(slot.number, notReady(pool), "");
      process?.kill();
    });
  }

  #exited(slot: FrontSlot, status: number | null, signal: NodeJS.Signals | null): void {
    const pid = slot.process?.pid ?? 0;
    const cause = this.restarts.gone(pid) ?? (slot.state === "listening" ? "died" : "boot");
    slot.process = undefined;
    if (this.#settings.python !== undefined && slot.state !== "listening" && !this.#stopping) {
      this.#owner.applicationFailed(slot.number, endedLoading(status, signal), "");
    }
    happen(slot, "gone");
    if (!this.#stopping) {
      const why = signal === null ? `exited with status ${status}` : `was killed by ${signal}`;
      const started = status !== null || signal !== null;
      this.restarts.add(cause, slot.number, pid, started ? why : "could not be started");
      if (started) {
        const how = signal ?? `status ${status}`;
        log("error", "supervisor", `${this.#name(slot)} ended (${how}); another takes its place.`);
      }
      this.#machine.later(replacementDelay(slot.failures++), () => this.#start(slot));
    }
    this.#owner.frontGone();
  }

  #name({ number }: FrontSlot): string {
    return this.slots.length === 1 ? "The front" : `Front ${number}`;
  }
}

function happen(slot: FrontSlot, event: FrontSlotEvent): void {
  slot.state = after(frontSlotLife, slot.state, event);
}
