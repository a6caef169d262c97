// Decides which worker executes which request, and when. It has no socket, process, timer or clock: events and `now`
// (milliseconds) go in, assignments come out of `next`. Whoever drives it carries them out.
//
// Safety:   a request is queued, or assigned to one worker, or neither (answered, withdrawn); never two of these.
//           a worker is given no more than `limit` requests at once, beside those it has had for longer than the pace's
//           patience, of which each occupies a thread; and none once it drains or is gone.
//           no more requests wait than `most`, beside those that were at their turn already and came back.
//           a request is executed a second time only after `retry`, and `retry` is true once for each.
// Progress: while a request is queued and a worker has room, `next` gives an assignment. While a worker has a thread free,
//           it has room within `patience` milliseconds, whatever the others execute. For a suspect (below) it has none for
//           `suspicion` milliseconds after it was given another.
//
// A request that was executed when its worker died may be what killed it: a suspect. Those that were executed beside it are
// suspects, too, and nobody knows which is to blame. They are run again before all others, but no two on the same worker at the
// same time, so that the one does not take the others with it once more.
import { type Place, Sequence } from "../sequence.js";
import { gathered, Pace, type Pacing } from "./pace.js";
import { Queue, type Queueable } from "./queue.js";
import { WaitTimes } from "./wait-times.js";

/** Milliseconds for which a worker that was given a suspect is given no other. */
const suspicion = 1000;

/** Where requests are gathered: a worker that has had one for so many milliseconds is given no more while others have nothing to do. */
const gatheringMost = 2;

/** What a pool is given. All fields belong to the pool. */
export interface Poolable<R> extends Queueable {
  /** Among what its worker was given and has not answered. */
  place: Place<R> | undefined;
  /** When it was given to a worker last. */
  givenAt: number;
  /** It was executed when a worker died, and is run again. */
  suspect: boolean;
  /** Its response goes on, and counts no longer against what its worker is given. */
  streaming: boolean;
}

/** A worker as the pool sees it. The fields are the pool's; drivers read. */
export interface Member<R, W> {
  /** Whatever the driver needs to reach it. */
  readonly worker: W;
  /** `ready` takes requests, `resting` takes none for the moment, `draining` finishes what it has. */
  admission: "ready" | "resting" | "draining";
  /** Requests it was given and has not answered. */
  outstanding: number;
  /** Of these, those whose response goes on without counting (`streams`). */
  streaming: number;
  /** It gave requests back and has answered none since: it executes something slow and cannot take more. */
  stalled: boolean;
  /** Requests it has answered. */
  answered: number;
  /** When it was given the last suspect that it has not ended. */
  suspectAt: number;
  /** Since when it has something to do; meaningful while outstanding > 0. */
  busySince: number;
  /** In the order given. */
  readonly requests: Sequence<R>;
}

export interface Assignment<R, W> {
  readonly member: Member<R, W>;
  readonly request: R;
  /** Others will be sent while this one executes: the worker's thread hands the lead on first. */
  readonly handOver: boolean;
}

export class Pool<R extends Poolable<R>, W> {
  readonly #queue = new Queue<R>();
  readonly #suspects = new Queue<R>();
  readonly #most: number;
  readonly #gathers: boolean;
  readonly #members: Member<R, W>[] = [];
  /** Whoever drives it puts another in its place where the workers are of another kind. */
  pace: Pacing;
  /** How long those waited that were given to a worker. */
  readonly waits: WaitTimes = new WaitTimes();
  /** Where the search for the least busy worker starts, so that equals take turns. */
  #turn = 0;
  #answered = 0;

  /**
   * `most`: how many requests may wait. `gathers`: requests that take microseconds are given to as few workers as are done with them as
   * soon; otherwise to the least busy, whatever they take.
   */
  constructor(threads: number, most: number = Number.POSITIVE_INFINITY, gathers = false) {
    this.pace = new Pace(threads);
    this.#most = most;
    this.#gathers = gathers;
  }

  get queueLength(): number {
    return this.#queue.length + this.#suspects.length;
  }
  /** Requests that workers have answered. */
  get answeredCount(): number {
    return this.#answered;
  }
  /** How long the one that has waited longest waits, milliseconds; 0 where none does. */
  longestWait(now: number): number {
    const since = [this.#queue.first, this.#suspects.first].map((request) => request?.waitingSince ?? now);
    return Math.max(0, now - Math.min(...since));
  }
  get members(): readonly Member<R, W>[] {
    return this.#members;
  }

  /** A worker connected. */
  ready(worker: W): Member<R, W> {
    const member: Member<R, W> = {
      worker,
      admission: "ready",
      outstanding: 0,
      streaming: 0,
      stalled: false,
      answered: 0,
      suspectAt: Number.NEGATIVE_INFINITY,
      busySince: 0,
      requests: new Sequence(),
    };
    this.#members.push(member);
    return member;
  }

  /** A worker is given nothing more for the moment, or is again. One that drains drains on. */
  rest(member: Member<R, W>, rests: boolean): void {
    if (member.admission !== "draining") member.admission = rests ? "resting" : "ready";
  }

  /** A worker will be ended: it is given nothing more. */
  drain(member: Member<R, W>): void {
    member.admission = "draining";
  }

  /** A worker is gone. Returns what it had not answered, in the order given: `requeue` what it had not begun, perhaps `retry` the rest. */
  gone(member: Member<R, W>): R[] {
    const place = this.#members.indexOf(member);
    if (place >= 0) this.#members.splice(place, 1);
    const lost = [...member.requests];
    for (const request of lost) member.requests.remove(request.place);
    member.outstanding = 0;
    member.streaming = 0;
    return lost;
  }

  /** Takes a request. False where it would have to wait, and as many as may wait already. */
  submit(request: R, now: number): boolean {
    const waiting = this.queueLength;
    if (waiting >= this.#most && (waiting > 0 || this.#leastBusy(now, false) === undefined)) return false;
    request.waitingSince = now;
    this.#queue.push(request);
    return true;
  }

  /** Puts requests that were assigned and never begun before all others, in their order. */
  requeue(requests: readonly R[]): void {
    for (let i = requests.length - 1; i >= 0; i--) {
      const request = requests[i];
      if (request !== undefined) this.#place(request).unshift(request);
    }
  }

  /** Has a request run once more that was executed when its worker died. False where that happened to it before. */
  retry(request: R, now: number): boolean {
    if (request.suspect) return false;
    request.suspect = true;
    request.waitingSince = now;
    this.#suspects.push(request);
    return true;
  }

  /** A client left. False: the request is not queued (a worker has it, or it ended). */
  withdraw(request: R): boolean {
    return this.#place(request).remove(request);
  }

  /** Takes out, and gives, the requests that have waited since `before` or longer. */
  overdue(before: number): readonly R[] {
    return [...this.#suspects.overdue(before), ...this.#queue.overdue(before)];
  }

  #place({ suspect }: R): Queue<R> {
    return suspect ? this.#suspects : this.#queue;
  }

  /** The next request to give, and to whom; undefined while none waits or none has room. */
  next(now: number): Assignment<R, W> | undefined {
    if (this.#suspects.length > 0) {
      const member = this.#leastBusy(now, true);
      if (member !== undefined) return this.#assign(this.#suspects, member, now);
    }
    if (this.#queue.length === 0) return undefined;
    const member = (this.#gathers ? this.#gathering(now) : undefined) ?? this.#leastBusy(now, false);
    if (member !== undefined) return this.#assign(this.#queue, member, now);
    this.pace.demand();
    return undefined;
  }

  #assign(queue: Queue<R>, member: Member<R, W>, now: number): Assignment<R, W> | undefined {
    const request = queue.shift();
    if (request === undefined) return undefined;
    const { pace } = this;
    const beside = member.outstanding - member.streaming >= pace.limit;
    if (member.outstanding++ === 0) member.busySince = now;
    request.givenAt = now;
    this.waits.add(now - request.waitingSince, now);
    if (request.suspect) member.suspectAt = now;
    request.place = member.requests.add(request);
    return { member, request, handOver: beside || (pace.slow && pace.threads > 1) };
  }

  /** A worker answered a request whole (or failed to) after `wall` µs, `cpu` of them computing. */
  answered(member: Member<R, W>, request: R, wall: number, cpu: number, now: number): void {
    member.answered++;
    this.#answered++;
    this.#release(member, request, now);
    this.pace.ended(wall, cpu);
    this.pace.decide(now);
  }

  /** The response of a request has begun, and may go on for hours: it occupies nobody who waits for its turn. */
  streams(member: Member<R, W>, request: R): void {
    if (request.streaming || !member.requests.has(request.place)) return;
    request.streaming = true;
    member.streaming++;
  }

  /** A worker did not begin a request because it was cancelled. */
  dropped(member: Member<R, W>, request: R, now: number): void {
    this.#release(member, request, now);
  }

  /** A worker gave a request back that it cannot get to soon; it is queued again, at the front. */
  returned(member: Member<R, W>, request: R, now: number): void {
    this.#release(member, request, now);
    // One that has nothing left executes nothing, and would never answer.
    member.stalled = member.outstanding > 0;
    this.#place(request).unshift(request);
  }

  #release(member: Member<R, W>, request: R, now: number): void {
    if (!member.requests.remove(request.place)) return;
    request.place = undefined;
    member.outstanding--;
    if (request.streaming) member.streaming--;
    request.streaming = false;
    member.stalled = false;
    if (request.suspect) member.suspectAt = Number.NEGATIVE_INFINITY;
    this.pace.busy(now - member.busySince);
    member.busySince = now;
  }

  /** Requests a worker has had for longer than the pace's patience: it executes them, each on a thread. */
  #stuck(member: Member<R, W>, now: number): number {
    const since = now - this.pace.patience;
    let stuck = 0;
    let { first: place } = member.requests;
    for (; place !== undefined && place.member.givenAt <= since; place = place.behind) stuck++;
    return stuck;
  }

  /** The first worker that is soon done with what it has; undefined where the least busy is the better choice. */
  #gathering(now: number): Member<R, W> | undefined {
    const most = Math.min(this.pace.limit, gathered(this.pace.wall));
    if (most < 1) return undefined;
    for (const member of this.#members) {
      if (member.stalled || member.admission !== "ready" || member.outstanding >= most) continue;
      const { first } = member.requests;
      if (first === undefined || now - first.member.givenAt < gatheringMost) return member;
    }
    return undefined;
  }

  #leastBusy(now: number, suspect: boolean): Member<R, W> | undefined {
    const members = this.#members;
    const count = members.length;
    const limit = this.pace.limit;
    let best: Member<R, W> | undefined;
    let room = limit;
    this.#turn = (this.#turn + 1) % Math.max(count, 1);
    for (let i = 0; i < count; i++) {
      const member = members[(this.#turn + i) % count];
      if (member === undefined || member.stalled || member.admission !== "ready") continue;
      if (suspect && member.suspectAt > now - suspicion) continue;
      let busy = member.outstanding - member.streaming;
      if (busy >= limit) {
        const stuck = this.#stuck(member, now);
        if (stuck >= this.pace.most) continue;
        busy -= stuck;
      }
      if (busy >= room) continue;
      best = member;
      room = busy;
      if (room === 0) break;
    }
    return best;
  }
}
