// One load of a pool's code: the spawner that has imported it and the workers forked from there. Its life is a table
// (lifecycles.ts); when which step of it comes is the pool's to decide (pool-process.ts).
import { constants } from "node:os";
import { log } from "../channels.js";
import { threadsMost, workerArea, workerName } from "../config/config.js";
import type { WorkerNews, WorkerSpent } from "../front/messages.js";
import { type Loaded, loadFailedStatus, type SpawnerListener } from "../spawn/spawner.js";
import { type GenerationEvent, type GenerationState, generationLife } from "./lifecycles.js";
import { endedLoading, notReady } from "./load-problems.js";
import type { Machine, SpawnerHandle } from "./machine.js";
import { logOutput } from "./output.js";
import type { PoolSettings } from "./pool-settings.js";
import { Recycler } from "./recycler.js";
import { replacementDelay } from "./replacement.js";
import type { WorkerCause } from "./restarts.js";
import { after, possible } from "./state-table.js";
import { type Leaving, type Slot, WorkerSlots } from "./worker-slots.js";

/** Makes a worker print the stacks of its threads (python/vivarium_host/worker.py). */
const stacksSignal = "SIGUSR2";
/** It has so long for that before it is killed, ms. */
const tellStacksWithin = 300;
/** A worker whose connection has ended has so long to exit, ms. */
const exitWithin = 1000;

/** A spawner that was told to end has so long, ms: more than it gives its workers (spawner.py, MERCY). */
const endWithin = 5000;

/** A worker that executes nothing has found the next front within so many milliseconds after that listens. */
const comeWithin = 2000;

/** Requests wait for a worker that is started within so many milliseconds; otherwise they are answered 503 at once. */
const worthWaiting = 1000;

export interface GenerationOwner {
  /** Workers can be spawned, one is ready, or one has ended: there may be something to do. */
  generationChanged(generation: Generation): void;
  /** What a front has told before is true now: a worker connected to it. */
  workerReady(worker: number, pid: number): void;
  /** A worker that was ready, and not leaving, died. */
  workerDied(generation: Generation): void;
  /** No worker is there, and the next comes after `delay` ms; they die again and again. */
  workersFailing(generation: Generation, why: string, delay: number): void;
  /** It cannot be made. `traceback` may be "". Told only of one that does not serve yet. */
  generationFailed(generation: Generation, problem: string, traceback: string): void;
  /** The socket where workers connect was removed. */
  wireRemoved(): void;
  /** It was ended, and nothing of it is left. */
  generationEnded(generation: Generation): void;
}

export class Generation implements SpawnerListener {
  readonly number: number;
  readonly slots: WorkerSlots;
  readonly #recycler: Recycler;
  /** When it came to its present state; milliseconds since the epoch. */
  since: number;
  /** Undefined until the application has been loaded. */
  facts: Loaded | undefined;
  readonly #settings: PoolSettings;
  readonly #machine: Machine;
  readonly #owner: GenerationOwner;
  #state: GenerationState = generationLife.first;
  #spawner: SpawnerHandle | undefined;
  /** How often in a row the spawner died before it could work. */
  #spawnerFailures = 0;
  /** Cancels the look at slots that are empty for a while. */
  #cancelLook: (() => void) | undefined;

  /** Starts the spawner. */
  constructor(number: number, settings: PoolSettings, owner: GenerationOwner) {
    this.number = number;
    this.#settings = settings;
    this.#machine = settings.machine;
    this.#owner = owner;
    this.slots = new WorkerSlots(settings.pool.workers, settings.firstWorker, this.#machine.random);
    this.#recycler = new Recycler(this.slots, settings);
    this.since = this.#machine.now();
    this.#startSpawner();
  }

  get state(): GenerationState {
    return this.#state;
  }
  /** The spawner's process id; 0 where there is none. */
  get spawnerPid(): number {
    return this.#spawner?.pid ?? 0;
  }

  /** Nothing of it is replaced any more, nor does it matter how it ends. */
  get #ending(): boolean {
    return this.#state === "ending" || this.#state === "ended";
  }

  /** A step of its life. */
  happen(event: GenerationEvent): void {
    this.#state = after(generationLife, this.#state, event);
    this.since = this.#machine.now();
  }

  // ---- workers

  /** Spawns workers where slots are empty, at most so many. Returns how many. */
  spawn(most: number): number {
    if (this.facts === undefined || this.#spawner === undefined || this.#ending) return 0;
    let spawned = 0;
    let soonest = Number.POSITIVE_INFINITY;
    for (const slot of this.slots.all) {
      const wait = slot.state === "empty" ? slot.notBefore - this.#machine.now() : 0;
      if (wait > 0) soonest = Math.min(soonest, wait);
      if (slot.state !== "empty" || wait > 0 || spawned >= most) continue;
      if (!this.#spawnWorker(slot)) break;
      spawned += 1;
    }
    this.#cancelLook?.();
    // Whoever else would tell that its time has come may have done so while there was no front for it, or a moment too early.
    this.#cancelLook = Number.isFinite(soonest)
      ? this.#machine.later(soonest + 1, () => this.#owner.generationChanged(this))
      : undefined;
    return spawned;
  }

  /** The front is gone: workers say that they are ready to the next one. */
  frontGone(): void {
    this.slots.disconnected();
  }

  /** Workers can connect again. Those that do not soon still execute what the front before gave them: others take their places. */
  frontListening(): void {
    const lost = this.slots.all.filter(({ state }) => state === "lost").map(({ pid }) => pid);
    if (lost.length === 0) return;
    this.#machine.later(comeWithin, () => {
      const busy = this.slots.all.filter(({ state, pid }) => state === "lost" && lost.includes(pid));
      if (this.#ending || !this.#settings.connectable() || busy.length === 0) return;
      for (const slot of busy) {
        this.#settings.restarts.expect(slot.pid, "front");
        this.#endLater(this.slots.leave(slot), "still executes what the front that ended gave it");
      }
      this.#owner.generationChanged(this);
    });
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

  /**
   * The workers of so many slots leave: they finish what they have. Returns their process ids, for the front to be told. Who
   * has not finished after the graceful timeout is ended.
   */
  leave(count: number): readonly number[] {
    // Those whose successor was not ready leave, too: there will be none.
    const pids = this.#see(this.slots.leaving, "still executes what it had when newer code took over");
    const all = pids.length + count;
    for (const slot of this.slots.all) {
      if (pids.length >= all) break;
      if (slot.state === "empty") continue;
      // One that has lost its front executes for nobody.
      const booting = slot.state !== "ready";
      const leaving = this.slots.leave(slot);
      if (booting) this.#kill(leaving.pid);
      else pids.push(...this.#see([leaving], "still executes what it had when newer code took over"));
    }
    return pids;
  }

  /** Ends a worker that is still leaving after the graceful timeout; `what` it does then, for the log. */
  #endLater(leaving: Leaving, what: string): void {
    const { gracefulTimeout } = this.#settings;
    const { number, pid } = leaving;
    this.#machine.later(gracefulTimeout * 1000, () => {
      // It may have had its slot again meanwhile, and leave it a second time.
      if (!this.slots.leaving.includes(leaving)) return;
      log("warning", "supervisor", `${this.#name(number)} (pid ${pid}) ${what}: it is ended (--graceful-timeout).`);
      this.#kill(pid);
    });
  }

  /** Has the worker replaced whose turn it is, if there is one: it serves on until its successor is ready. */
  recycle(): void {
    const due = this.#recycler.next();
    if (due === undefined) return;
    this.#settings.restarts.expect(due.slot.pid, due.spent.cause);
    this.slots.leave(due.slot);
  }

  /** Kills those of its workers that have far too much memory. */
  killOversized(): void {
    this.#recycler.killOversized((pid) => this.#settings.restarts.expect(pid, "memoryHard"));
  }

  /** The worker with this number is ready: who had it before is to leave. Gives their process ids, for the front to be told. */
  succeeded(worker: number): readonly number[] {
    const before = this.slots.leaving.filter(({ number }) => number === worker);
    return this.#see(before, "still executes what it had when another took its place");
  }

  /** Those that were not told yet to finish what they have; `what` they do when their time is over. */
  #see(leaving: readonly Leaving[], what: string): number[] {
    const untold = leaving.filter(({ told }) => !told);
    for (const worker of untold) {
      worker.told = true;
      this.#endLater(worker, what);
    }
    return untold.map(({ pid }) => pid);
  }

  /** What a front found of a worker. Nothing where it is another generation's. */
  workerNews(news: WorkerNews | WorkerSpent): void {
    const { worker, pid } = news;
    if (this.#ending || !this.has(pid)) return;
    if (news.type === "worker-spent") {
      this.#recycler.heed(news);
      this.#owner.generationChanged(this);
      return;
    }
    const { type } = news;
    const kill = (): void => {
      if (this.has(pid)) this.#kill(pid);
    };
    const slot = this.slots.get(worker);
    if (type === "worker-hung") {
      this.#settings.restarts.expect(pid, "hang");
      this.#machine.signal(pid, stacksSignal);
      this.#machine.later(tellStacksWithin, kill);
    } else if (type === "worker-retired") {
      this.#machine.later(exitWithin, kill);
    } else if (
      slot?.pid === pid &&
      slot.state === "ready" &&
      !this.slots.leaving.some(({ number }) => number === worker)
    ) {
      // Stuck: it stays until its successor is there.
      this.#settings.restarts.expect(pid, "timeout");
      this.slots.leave(slot);
      this.#machine.later(this.#settings.gracefulTimeout * 1000, kill);
      this.#owner.generationChanged(this);
    }
  }

  /** Its workers print where their threads are. */
  tellStacks(): void {
    // One that boots has no handler for it yet, and would be ended.
    for (const { state, pid } of this.slots.all) if (state === "ready") this.#machine.signal(pid, stacksSignal);
  }

  #kill(pid: number): void {
    this.#machine.signal(pid, "SIGKILL");
  }

  /** Whether this is one of its workers. */
  has(pid: number): boolean {
    return [...this.slots.all, ...this.slots.leaving].some((worker) => worker.pid === pid);
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
    this.#cancelLook?.();
  }

  /** Ends it: workers when their connection does, the spawner after them. */
  end(): void {
    this.stop();
    // Those that lost their front look for the next while theirs is there.
    this.#removeScoreboards();
    const spawner = this.#spawner;
    spawner?.end();
    if (spawner === undefined) this.#ended();
    // One that still imports the application does not hear it.
    this.#machine.later(endWithin, () => {
      if (this.#spawner === spawner) this.kill();
    });
  }

  /** Ends all its processes at once. */
  kill(): void {
    this.stop();
    for (const { pid } of [...this.slots.all, ...this.slots.leaving]) this.#kill(pid);
    this.#spawner?.kill();
    if (this.#spawner === undefined) this.#ended();
  }

  // ---- starting

  #startSpawner(): void {
    const { pool, wire, runtime, responseMemory, ownLimits } = this.#settings;
    this.facts = undefined;
    const { scoreboards } = runtime;
    const generation = this.number;
    const settings = { pool, threads: threadsMost(pool), wire, scoreboards, responseMemory, ownLimits, generation };
    const spawner = this.#machine.startSpawner(settings, this);
    this.#spawner = spawner;
    // Of the first one the pool decides what is to be done.
    if (this.#state === "loading") return;
    this.#machine.later(pool.bootTimeout * 1000, () => {
      if (this.#spawner !== spawner || this.facts !== undefined || this.#ending) return;
      log("error", "supervisor", `${notReady(pool)} Its spawner is killed, and another tries.`);
      spawner.kill();
    });
  }

  /** False where no further one could be spawned either. */
  #spawnWorker(slot: Slot): boolean {
    const { runtime, wire } = this.#settings;
    this.slots.booting(slot, this.#machine.now());
    try {
      if (runtime.restore(wire)) {
        this.slots.exited(slot, this.#machine.now());
        this.#owner.wireRemoved();
        return false;
      }
      runtime.newScoreboard(this.number, slot.number);
    } catch (error) {
      // A full disk, for example: what serves already is not to end for it.
      this.#unmade(slot, error instanceof Error ? error.message : String(error));
      return false;
    }
    this.#spawner?.spawn(slot.number);
    this.#expectReady(slot, slot.startedAt);
    return true;
  }

  /** The worker of a slot, made at that time, is to be ready within the boot timeout, unless there is nobody it could say so to. */
  #expectReady(slot: Slot, startedAt: number): void {
    const { pool, connectable } = this.#settings;
    this.#machine.later(pool.bootTimeout * 1000, () => {
      if (this.#ending || slot.state !== "booting" || slot.startedAt !== startedAt) return;
      if (!connectable() || slot.pid === 0) {
        this.#expectReady(slot, startedAt);
        return;
      }
      const who = `${this.#name(slot.number)} (pid ${slot.pid})`;
      log("error", "supervisor", `${who} was not ready within ${pool.bootTimeout} s (--boot-timeout); it is killed.`);
      this.#settings.restarts.expect(slot.pid, "boot");
      this.#kill(slot.pid);
    });
  }

  #fail(problem: string, traceback: string): void {
    if (possible(generationLife, this.#state, "given up")) this.#owner.generationFailed(this, problem, traceback);
  }

  #name(worker: number): string {
    return workerName(this.#settings.label, worker);
  }

  // ---- what the spawner tells

  loaded(facts: Loaded): void {
    this.facts = facts;
    this.#spawnerFailures = 0;
    if (this.#ending) return;
    if (this.#state === "loading") this.happen("loaded");
    this.#owner.generationChanged(this);
  }

  loadFailed(problem: string, traceback: string): void {
    if (this.#state === "loading") this.#fail(problem, traceback);
    else log("error", "supervisor", `${traceback}${problem}`);
  }

  workerForked(worker: number, pid: number): void {
    const slot = this.slots.get(worker);
    if (!this.slots.unwanted(worker) && slot?.state === "booting" && !this.#ending) {
      if (this.slots.forked(slot, pid)) this.#owner.workerReady(worker, pid);
      return;
    }
    // It was not wanted any more before it was there.
    this.slots.leaves({ number: worker, pid, startedAt: this.#machine.now(), told: true });
    this.#kill(pid);
  }

  workerUnforked(worker: number, problem: string): void {
    const slot = this.slots.get(worker);
    if (!this.slots.unwanted(worker) && slot?.state === "booting") this.#unmade(slot, problem);
  }

  #unmade(slot: Slot, problem: string): void {
    const delay = this.slots.exited(slot, this.#machine.now());
    if (this.#ending) return;
    this.#settings.restarts.add("boot", slot.number, 0, `cannot be made: ${problem}`);
    log(
      "error",
      "supervisor",
      `${this.#name(slot.number)} cannot be made: ${problem}; tried again in ${delay / 1000} s.`,
    );
    this.#againAfter(delay);
  }

  workerExited(worker: number, pid: number, status: number, signal: number): void {
    const why = signal === 0 ? `exited with status ${status}` : `was killed by ${signalName(signal)}`;
    const expected = this.#settings.restarts.gone(pid);
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
    const delay = this.slots.exited(slot, this.#machine.now());
    if (this.#ending) {
      this.#owner.generationChanged(this);
      return;
    }
    if (this.#state !== "draining") {
      this.#settings.restarts.add(expected ?? (ready ? "died" : "boot"), worker, pid, why);
    }
    if (this.#settings.connectable()) {
      const then = delay === 0 ? "another takes its place" : `another takes its place in ${delay / 1000} s`;
      log("error", "supervisor", `${this.#name(worker)} (pid ${pid}) ${why}; ${then}.`);
      if (!ready && this.number > 1) this.#fail(`Worker ${worker} ${why} before it was ready.`, "");
      if (ready) this.#owner.workerDied(this);
    }
    this.#againAfter(delay);
  }

  #leaverGone({ number, pid, told }: Leaving, why: string, expected: WorkerCause | undefined): void {
    // Without a reason it left for another generation's, which serves no more.
    if (expected !== undefined) this.#settings.restarts.add(expected, number, pid, why);
    const worker = `${this.#name(number)} (pid ${pid})`;
    if (told) log("info", "supervisor", `${worker}, whose place another has, is gone.`);
    else if (this.#settings.connectable()) log("error", "supervisor", `${worker} ${why}; another takes its place.`);
  }

  /** Has the next worker spawned after `delay` ms. */
  #againAfter(delay: number): void {
    if (this.#ending) return;
    if (delay >= worthWaiting && this.slots.failing) {
      const why = "The application's processes end as soon as they have started. Others are started ever more slowly.";
      this.#owner.workersFailing(this, why, delay);
    }
    this.#machine.later(delay, () => this.#owner.generationChanged(this));
  }

  output(worker: number, lines: string): void {
    const { label } = this.#settings;
    logOutput(worker === 0 ? `${label} spawner`.trimStart() : workerArea(label, worker), lines);
  }

  exited(status: number | null, signal: NodeJS.Signals | null): void {
    const pid = this.spawnerPid;
    this.#spawner = undefined;
    const how = signal === null ? `with status ${status}` : `by ${signal}`;
    if (this.#state === "loading") {
      this.#fail(endedLoading(status, signal, this.#which(" of ")), "");
    }
    // Its workers have lost their parent: nobody would learn of their end.
    this.slots.spawnerGone();
    for (const slot of this.slots.all) {
      this.#kill(slot.pid);
      if (slot.state !== "empty") this.slots.exited(slot, this.#machine.now());
      slot.notBefore = 0;
    }
    for (const { pid } of this.slots.leaving) {
      this.#kill(pid);
      this.slots.left(pid);
    }
    if (this.#ending) {
      this.#ended();
      return;
    }
    if (status !== null || signal !== null) {
      const ended = `The spawner${this.#which(" of ")} ended (${signal ?? `status ${status}`})`;
      log("error", "supervisor", `${ended}; it and its workers are replaced.`);
    }
    this.#settings.restarts.add("spawner", 0, pid, `the spawner ended ${how}`);
    this.#fail(`The spawner ended ${how}.`, "");
    // Started again it might load newer code than its workers had.
    if (this.#state === "draining" || this.#state === "kept") this.stop();
    if (this.#ending) {
      this.#ended();
      return;
    }
    const delay = replacementDelay(this.#spawnerFailures++);
    if (delay >= worthWaiting) {
      this.#owner.workersFailing(this, "The application cannot be loaded at the moment.", delay);
    }
    this.#machine.later(delay, () => {
      if (!this.#ending) this.#startSpawner();
    });
    this.#owner.generationChanged(this);
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
