// One load of a pool's code: the spawner that has imported it and the workers forked from there. Its life is a table
// (lifecycles.ts); when which step of it comes is the pool's to decide (succession.ts).
import { constants } from "node:os";
import { log } from "../channels.js";
import { workerArea, workerName } from "../config/config.js";
import type { WorkerNews, WorkerSpent } from "../front/messages.js";
import { type Loaded, loadFailedStatus, type SpawnerListener } from "../spawn/spawner.js";
import { Boots, type BootsOwner } from "./boots.js";
import { Departures, type DeparturesOwner } from "./departures.js";
import { type GenerationEvent, type GenerationState, generationLife } from "./lifecycles.js";
import { endedLoading } from "./load-problems.js";
import { logOutput } from "./output.js";
import type { PoolSettings } from "./pool-settings.js";
import type { WorkerCause } from "./restarts.js";
import { SpawnerKeeper } from "./spawner-keeper.js";
import { after, possible } from "./state-table.js";
import { type Leaving, WorkerSlots } from "./worker-slots.js";

/** A worker that executes nothing has found the next front within so many milliseconds after that listens. */
const comeWithin = 2000;

/** Requests wait for a worker that is started within so many milliseconds; otherwise they are answered 503 at once. */
const worthWaiting = 1000;

export interface GenerationOwner {
  /** Workers can be spawned, one is ready, or one has ended: there may be something to do. */
  generationChanged(generation: Generation): void;
  /** A worker was forked: what a front has told of it before can be heard now. */
  workerForked(worker: number, pid: number): void;
  /** This worker is ended in a moment: the front ends what has no end of its own. */
  endEvents(pid: number): void;
  /** A worker that was ready, and not leaving, died. */
  workerDied(generation: Generation): void;
  /** No worker is there, and the next comes after `delay` ms; they die again and again. */
  workersFailing(generation: Generation, why: string, delay: number): void;
  /** It cannot be made. `traceback` may be "". Told only of one that does not serve yet. */
  generationFailed(generation: Generation, problem: string, traceback: string): void;
  /** It serves, and no worker can be forked: its spawner does not answer. Told again and again while that is so. */
  spawnerStuck(generation: Generation): void;
  /** The socket where workers connect was removed. */
  wireRemoved(): void;
  /** It was ended, and nothing of it is left. */
  generationEnded(generation: Generation): void;
}

export class Generation implements SpawnerListener, BootsOwner, DeparturesOwner {
  readonly number: number;
  readonly slots: WorkerSlots;
  /** When it came to its present state; milliseconds since the epoch. */
  since: number;
  readonly #settings: PoolSettings;
  readonly #owner: GenerationOwner;
  readonly #boots: Boots;
  readonly #departures: Departures;
  readonly #spawner: SpawnerKeeper;
  #state: GenerationState = generationLife.first;

  /** Starts the spawner. */
  constructor(number: number, settings: PoolSettings, owner: GenerationOwner) {
    const { pool, firstWorker, machine } = settings;
    this.number = number;
    this.#settings = settings;
    this.#owner = owner;
    this.slots = new WorkerSlots(pool.workers, firstWorker, machine.random);
    this.#boots = new Boots(number, this.slots, settings, this);
    this.#departures = new Departures(this.slots, settings, this);
    this.since = machine.now();
    this.#spawner = new SpawnerKeeper(number, settings, this);
  }

  get state(): GenerationState {
    return this.#state;
  }
  /** Undefined until the application has been loaded. */
  get facts(): Loaded | undefined {
    return this.#spawner.facts;
  }
  /** The spawner's process id; 0 where there is none. */
  get spawnerPid(): number {
    return this.#spawner.pid;
  }

  /** Whether the spawner does not answer. */
  get spawnerStuck(): boolean {
    return this.#spawner.stuck;
  }

  /** Nothing of it is replaced any more, nor does it matter how it ends. */
  get ending(): boolean {
    return this.#state === "ending" || this.#state === "ended";
  }

  /** A step of its life. */
  happen(event: GenerationEvent): void {
    this.#state = after(generationLife, this.#state, event);
    this.since = this.#settings.machine.now();
  }

  // ---- workers

  /** Spawns workers where slots are empty, at most so many. */
  spawn(most: number): void {
    const spawner = this.#spawner.ready;
    if (spawner === undefined || this.ending) return;
    this.#boots.spawn(spawner, most, () => this.#owner.generationChanged(this));
  }

  /** The front is gone: workers say that they are ready to the next one. */
  frontGone(): void {
    this.slots.disconnected();
  }

  /** Workers can connect again. Those that do not soon still execute what the front before gave them: others take their places. */
  frontListening(): void {
    const lost = this.slots.all.filter(({ state }) => state === "lost").map(({ pid }) => pid);
    if (lost.length === 0) return;
    this.#settings.machine.later(comeWithin, () => {
      const busy = this.slots.all.filter(({ state, pid }) => state === "lost" && lost.includes(pid));
      if (this.ending || !this.#settings.connectable() || busy.length === 0) return;
      for (const slot of busy) this.#departures.absent(slot);
      this.#owner.generationChanged(this);
    });
  }

  /** Whether this is one of its workers. */
  has(pid: number): boolean {
    return this.#departures.has(pid);
  }

  /** Whether this worker was told to finish what it has. */
  toldToLeave(pid: number): boolean {
    return this.slots.leaving.some((each) => each.pid === pid && each.told);
  }

  /** False where that is old news, or another generation's worker. */
  workerReady(worker: number, pid: number): boolean {
    const slot = this.slots.get(worker);
    return slot !== undefined && this.slots.connected(slot, pid);
  }

  workerServed(worker: number, pid: number): void {
    const slot = this.slots.get(worker);
    if (slot !== undefined) this.slots.served(slot, pid);
  }

  /** The workers of so many slots make room for newer code's. Gives process ids, for the front to be told. */
  leave(count: number): readonly number[] {
    return this.#departures.leave(count);
  }

  /** The worker with this number is ready: who had it before is to leave. Gives their process ids, for the front to be told. */
  succeeded(worker: number): readonly number[] {
    return this.#departures.succeeded(worker);
  }

  /** Has the worker replaced whose turn it is, if there is one. */
  recycle(): void {
    this.#departures.recycle();
  }

  /** Newer code needs the room of workers that boot. */
  giveWay(): void {
    this.#departures.giveWay();
  }

  /** Kills those of its workers that have far too much memory. */
  killOversized(): void {
    this.#departures.killOversized();
  }

  /** What a front found of a worker. Nothing where it is another generation's. */
  workerNews(news: WorkerNews | WorkerSpent): void {
    if (this.ending || !this.has(news.pid)) return;
    if (this.#departures.heed(news)) this.#owner.generationChanged(this);
  }

  /** Its workers print where their threads are. */
  tellStacks(): void {
    this.#departures.tellStacks();
  }

  // ---- its end

  /** Nothing of it is left in the system. */
  #ended(): void {
    if (!possible(generationLife, this.#state, "gone")) return;
    this.happen("gone");
    this.#removeScoreboards();
    this.#owner.generationEnded(this);
  }

  #removeScoreboards(): void {
    for (const { number } of this.slots.all) this.#settings.runtime.removeScoreboard(this.number, number);
  }

  /** Nothing of it is replaced any more. */
  stop(): void {
    if (possible(generationLife, this.#state, "stopped")) this.happen("stopped");
    this.#boots.stop();
    this.#spawner.stop();
  }

  /** Ends it: workers when their connection does, the spawner after them. */
  end(): void {
    this.stop();
    // Those that lost their front look for the next while theirs is there.
    this.#removeScoreboards();
    if (this.#spawner.there) this.#spawner.end(() => this.kill());
    else this.#ended();
  }

  /** Ends all its processes at once. */
  kill(): void {
    this.stop();
    this.#departures.killAll();
    if (this.#spawner.there) this.#spawner.kill();
    else this.#ended();
  }

  // ---- what the spawner tells

  loaded(facts: Loaded): void {
    this.#spawner.loaded(facts);
    if (this.ending) return;
    if (this.#state === "loading") this.happen("loaded");
    this.#owner.generationChanged(this);
  }

  loadFailed(problem: string, traceback: string): void {
    if (this.#state === "loading") this.#fail(problem, traceback);
    else log("error", "supervisor", `${traceback}${problem}`);
  }

  #fail(problem: string, traceback: string): void {
    if (possible(generationLife, this.#state, "given up")) this.#owner.generationFailed(this, problem, traceback);
  }

  workerForked(worker: number, pid: number): void {
    this.#boots.forked(worker, pid);
    this.#owner.workerForked(worker, pid);
  }

  workerUnforked(worker: number, problem: string): void {
    this.#boots.unforked(worker, problem);
  }

  wireRemoved(): void {
    this.#owner.wireRemoved();
  }

  endEvents(pid: number): void {
    this.#owner.endEvents(pid);
  }

  killWorker(pid: number): void {
    this.#departures.kill(pid);
  }

  workerExited(worker: number, pid: number, status: number, signal: number): void {
    const { restarts, connectable } = this.#settings;
    const why = signal === 0 ? `exited with status ${status}` : `was killed by ${signalName(signal)}`;
    const expected = restarts.gone(pid);
    this.#departures.gone(pid);
    const leaver = this.slots.left(pid);
    if (leaver !== undefined) {
      if (this.#state === "serving") this.#leaverGone(leaver, why, expected);
      this.#owner.generationChanged(this);
      return;
    }
    const slot = this.slots.get(worker);
    if (slot === undefined || slot.pid !== pid) return;
    if (status === loadFailedStatus) {
      const { target } = this.#settings.pool;
      this.#fail(`The application ${target} could not be loaded; the lines above say why.`, "");
    }
    const ready = slot.state === "ready" || slot.state === "lost";
    const delay = this.slots.exited(slot, this.#settings.machine.now());
    if (this.ending) {
      this.#owner.generationChanged(this);
      return;
    }
    if (this.#state !== "draining") restarts.add(expected ?? (ready ? "died" : "boot"), worker, pid, why);
    if (connectable()) {
      const then = delay === 0 ? "another takes its place" : `another takes its place in ${delay / 1000} s`;
      log("error", "supervisor", `${this.#name(worker, pid)} ${why}; ${then}.`);
      if (!ready && this.number > 1) this.#fail(`Worker ${worker} ${why} before it was ready.`, "");
      if (ready) this.#owner.workerDied(this);
    }
    this.tryAgain(delay);
  }

  #leaverGone({ number, pid, told }: Leaving, why: string, expected: WorkerCause | undefined): void {
    const { restarts, connectable } = this.#settings;
    // Without a reason it left for another generation's, which serves no more: nobody has its place.
    if (expected !== undefined) restarts.add(expected, number, pid, why);
    else if (told) return;
    const who = this.#name(number, pid);
    if (told) log("info", "supervisor", `${who}, whose place another has, is gone.`);
    else if (connectable()) log("error", "supervisor", `${who} ${why}; another takes its place.`);
  }

  /** Has the next worker spawned after `delay` ms. */
  tryAgain(delay: number): void {
    if (this.ending) return;
    if (delay >= worthWaiting && this.slots.failing) {
      const why = "The application's processes end as soon as they have started. Others are started ever more slowly.";
      this.#owner.workersFailing(this, why, delay);
    }
    this.#settings.machine.later(delay, () => this.#owner.generationChanged(this));
  }

  output(worker: number, lines: string): void {
    const { label } = this.#settings;
    logOutput(worker === 0 ? `${label} spawner`.trimStart() : workerArea(label, worker), lines);
  }

  /** Its workers serve on, but none of them can be replaced. */
  stuck(): void {
    if (this.ending) return;
    const which = `The spawner${this.#which(" of ")} (pid ${this.spawnerPid})`;
    const how = `has not answered for ${this.#settings.hangTimeout} s (--hang-timeout)`;
    this.slots.unanswered();
    this.#departures.unheard();
    if (this.#state === "serving") {
      log("error", "supervisor", `${which} ${how}: the application is loaded anew, and its workers serve until then.`);
      this.#owner.spawnerStuck(this);
    } else if (this.#state === "kept") {
      log("error", "supervisor", `${which} ${how}: it is killed.`);
      this.kill();
    } else this.#fail(`${which} ${how}.`, "");
    this.#owner.generationChanged(this);
  }

  exited(status: number | null, signal: NodeJS.Signals | null): void {
    const { pid } = this.#spawner;
    this.#spawner.gone();
    const how = signal === null ? `with status ${status}` : `by ${signal}`;
    if (this.#state === "loading") this.#fail(endedLoading(status, signal, this.#which(" of ")), "");
    this.#orphaned();
    if (!this.ending) {
      if (status !== null || signal !== null) {
        const ended = `The spawner${this.#which(" of ")} ended (${signal ?? `status ${status}`})`;
        log("error", "supervisor", `${ended}; it and its workers are replaced.`);
      }
      this.#settings.restarts.add("spawner", 0, pid, `the spawner ended ${how}`);
      this.#fail(`The spawner ended ${how}.`, "");
      // Started again it might load newer code than its workers had.
      if (this.#state === "draining" || this.#state === "kept") this.stop();
    }
    if (this.ending) {
      this.#ended();
      return;
    }
    const delay = this.#spawner.replace();
    if (delay >= worthWaiting) {
      this.#owner.workersFailing(this, "The application cannot be loaded at the moment.", delay);
    }
    this.#owner.generationChanged(this);
  }

  /** Its workers have lost their parent: nobody would learn of their end. */
  #orphaned(): void {
    this.#departures.killAll();
    this.slots.abandoned(this.#settings.machine.now());
  }

  #name(worker: number, pid: number): string {
    return `${workerName(this.#settings.label, worker)} (pid ${pid})`;
  }

  /** The pool's name behind these words, where it needs to be told from others. */
  #which(words: string): string {
    const { label } = this.#settings;
    return label === "" ? "" : `${words}${label}`;
  }
}

function signalName(number: number): string {
  const found = Object.entries(constants.signals).find(([, value]) => value === number);
  return found?.[0] ?? `signal ${number}`;
}
