// A front that does what a test says: it listens where a worker connects, and every frame goes and comes by hand. The
// worker is a real one, forked by a real spawner.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import type { Config, PoolConfig } from "../../src/config/config.js";
import { NetLink } from "../../src/net/link-socket.js";
import { lateFlag, requestFlag } from "../../src/python/wire/frames.js";
import { RequestWriter } from "../../src/python/wire/request-writer.js";
import { type ResponseListener, ResponseReader } from "../../src/python/wire/response-reader.js";
import { SharedBodies } from "../../src/python/wire/shared-bodies.js";
import { type Loaded, Spawner, type SpawnerListener } from "../../src/spawn/spawner.js";
import { removeFolder, root, temporaryFolder } from "../support/tools.js";

export interface Answer {
  readonly id: number;
  status: number;
  body: string;
  state: "open" | "whole" | "failed" | "returned" | "dropped" | "over";
  /** LATE frames: "late", or the name of their flag. */
  readonly late: string[];
  stack: string;
  wall: number;
  cpu: number;
}

export interface Ended {
  readonly status: number;
  readonly signal: number;
}

export interface FrontOptions {
  readonly python: string;
  readonly threads?: number;
  readonly responseMemory?: number;
  readonly preload?: boolean;
  /** Seconds. */
  readonly requestTimeout?: number;
  readonly logSlow?: number;
  readonly maxWorkerMemory?: number;
  readonly ownLimits?: boolean;
  /** Seconds. */
  readonly hangTimeout?: number;
  /** The application; what it needs beside the tests' own. */
  readonly target?: string;
  readonly chdir?: string;
}

/** The pool of a worker under test. */
function poolOf(options: FrontOptions, folder: string): PoolConfig {
  return {
    name: "main",
    target: options.target ?? `${join(root, "test/python/worker_app.py")}:app`,
    workers: 2,
    threads: options.threads ?? 4,
    interface: "auto",
    concurrency: 1000,
    eventLoop: "asyncio",
    python: options.python,
    chdir: options.chdir ?? folder,
    preload: options.preload ?? true,
    bootTimeout: 60,
    queue: 1024,
    queueTimeout: 30,
    retry: [],
    requestTimeout: options.requestTimeout ?? 0,
    interruptGrace: 5,
    logSlow: options.logSlow ?? 0,
    maxRequests: 0,
    maxWorkerAge: 0,
    maxWorkerMemory: options.maxWorkerMemory ?? 0,
    maxWorkerMemoryHard: 0,
    healthPath: "",
    probation: 0,
    reloadOverlap: "all",
  };
}

/** A server's configuration, with nothing in it to serve. */
export function configuration(folder: string): Config {
  return {
    listen: [],
    chdir: folder,
    trustedProxies: [],
    accessLog: "off",
    control: join(folder, "control"),
    maxBody: 2 ** 30,
    bodyMemory: 2 ** 18,
    requestMemoryTotal: 2 ** 26,
    responseMemory: 2 ** 20,
    responseMemoryTotal: 2 ** 29,
    responseDisk: 2 ** 30,
    tempDir: folder,
    maxTarget: 8192,
    maxHead: 65_536,
    maxFields: 128,
    http2: "tls",
    keepAlive: 75,
    headTimeout: 30,
    stallTimeout: 30,
    minRate: 500,
    wsMaxSize: 2 ** 24,
    wsPingInterval: 20,
    wsPingTimeout: 20,
    wsCompression: false,
    touchReload: [],
    gracefulTimeout: 30,
    socketMode: 0o660,
    socketOwner: "",
    fronts: 1,
    hangTimeout: 60,
    embedded: false,
    pools: [],
    upstreams: [],
    mounts: [],
    limits: [],
  };
}

/** Waits for what only another process can bring about, for so long. */
const patience = 20_000;

function summary(answers: ReadonlyMap<number, Answer>): string {
  return JSON.stringify([...answers.values()].map((each) => ({ ...each, body: each.body.slice(0, 80) })));
}

export class FakeFront implements ResponseListener, SpawnerListener {
  readonly folder: string = temporaryFolder("worker");
  /** Where the application runs. */
  readonly chdir: string;
  readonly answers: Map<number, Answer> = new Map<number, Answer>();
  /** Ids in the order in which their last frame came. */
  readonly finished: number[] = [];
  /** KiB, each time the worker asked to be replaced. */
  readonly oversized: number[] = [];
  printed = "";
  greeting: unknown;
  /** How often a worker has said hello. */
  greetings = 0;
  facts: Loaded | undefined;
  failure: { readonly problem: string; readonly traceback: string } | undefined;
  workerPid = 0;
  workerEnded: Ended | undefined;
  /** Why a worker could not be forked. */
  unforked: string | undefined;
  /** Its connection has ended. */
  workerGone = false;
  spawnerEnded = false;
  /** How often the spawner was told to be stuck. */
  stuckTold = 0;
  /** What a worker said whenever it was offered memory for bodies: whether it has it. */
  readonly shares: boolean[] = [];
  readonly #listening: Server;
  #spawner: Spawner | undefined;
  #socket: Socket | undefined;
  #writer: RequestWriter | undefined;
  #reader: ResponseReader | undefined;
  readonly #waiting = new Set<() => void>();

  /** A worker that has said hello. */
  static async withWorker(options: FrontOptions): Promise<FakeFront> {
    const front = new FakeFront(options);
    await front.until(() => front.facts !== undefined, "the application loads");
    front.fork(1);
    await front.until(() => front.greeting !== undefined, "the worker says hello");
    return front;
  }

  constructor(options: FrontOptions) {
    this.chdir = options.chdir ?? this.folder;
    const wire = join(this.folder, "wire");
    writeFileSync(join(this.folder, "1-1"), Buffer.alloc(64));
    this.#listening = createServer({ allowHalfOpen: true }, (socket) => this.#connected(socket));
    this.#listening.listen(wire, () => {
      const { threads = 4, responseMemory = 2 ** 20, ownLimits = false, hangTimeout = 60 } = options;
      const pool = poolOf(options, this.folder);
      const scoreboards = this.folder;
      const runtime = this.folder;
      this.#spawner = new Spawner(
        { pool, threads, wire, scoreboards, runtime, responseMemory, ownLimits, generation: 1, hangTimeout },
        this,
      );
    });
  }

  #connected(socket: Socket): void {
    this.#socket = socket;
    this.#writer = new RequestWriter(new NetLink(socket));
    const reader = new ResponseReader(this);
    this.#reader = reader;
    socket.on("data", (chunk: Buffer) => {
      reader.receive(chunk);
      this.#changed();
    });
    socket.on("error", () => {});
    socket.on("end", () => {
      this.workerGone = true;
      this.#changed();
    });
  }

  get spawnerPid(): number {
    return this.#spawner?.pid ?? 0;
  }
  get spawnerStuck(): boolean {
    return this.#spawner?.stuck === true;
  }

  /** Waits until something is so. Throws, with what came so far, when it does not become so. */
  async until(condition: () => boolean, what: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const done = (): void => {
        clearTimeout(overdue);
        clearInterval(looking);
        this.#waiting.delete(look);
      };
      const overdue = setTimeout(() => {
        done();
        reject(new Error(`not: ${what}; answers ${summary(this.answers)}; it printed: ${this.printed}`));
      }, patience);
      const look = (): void => {
        if (!condition()) return;
        done();
        resolve();
      };
      // What the application does to files comes with no event.
      const looking = setInterval(look, 5);
      this.#waiting.add(look);
      look();
    });
  }

  #changed(): void {
    for (const look of [...this.#waiting]) look();
  }

  // ---- to the worker

  fork(number: number): void {
    this.#spawner?.spawn(number);
  }

  /** Requests written to the worker at once. */
  send(
    ...requests: readonly {
      id: number;
      path: string;
      handOver?: boolean;
      body?: Uint8Array;
      inFile?: boolean;
      littleMemory?: boolean;
      limit?: number;
    }[]
  ): void {
    for (const { id, path, handOver = false, body, inFile = false, littleMemory = false, limit } of requests) {
      if (limit !== undefined) this.#wire.limit(id, limit);
      this.answers.set(id, { id, status: 0, body: "", state: "open", late: [], stack: "", wall: 0, cpu: 0 });
      const variables = `REQUEST_METHOD\0GET\0SERVER_NAME\0test\0PATH_INFO\0${path}`;
      const flags =
        (handOver ? requestFlag.handOver : 0) |
        (inFile ? requestFlag.bodyInFile : 0) |
        (littleMemory ? requestFlag.littleMemory : 0);
      this.#wire.request(id, flags, variables, variables.indexOf("\0PATH_INFO"), body);
    }
  }

  cancel(id: number): void {
    this.#wire.cancel(id);
  }

  credit(id: number, octets: number): void {
    this.#wire.credit(id, octets);
  }

  /** Sends what `send`, `cancel` and `credit` gathered, with one write. */
  flush(): void {
    this.#wire.flush();
  }

  get #wire(): RequestWriter {
    if (this.#writer === undefined) throw new Error("no worker has connected");
    return this.#writer;
  }

  /** Offers the worker memory for bodies, which it finds there. */
  share(memory: Uint8Array, path: string): void {
    if (this.#reader !== undefined) this.#reader.bodies = new SharedBodies(memory);
    this.#wire.share(path);
    this.#wire.flush();
  }

  /** Octets that have come and gone through the socket. */
  get carried(): [read: number, written: number] {
    return [this.#socket?.bytesRead ?? 0, this.#socket?.bytesWritten ?? 0];
  }

  /** No further request will come. */
  end(): void {
    this.#wire.end();
    this.#wire.flush();
  }

  /** As when the front dies. The worker finds the next at the same place. */
  disconnect(): void {
    this.#socket?.destroy();
    this.answers.clear();
    this.finished.length = 0;
  }

  /** As when the server has ended, or another worker has the place of this one. */
  removeScoreboard(): void {
    rmSync(join(this.folder, "1-1"), { force: true });
  }

  /** Lets what waits for this name go on. */
  release(name: string): void {
    writeFileSync(join(this.folder, name), "");
  }

  // ---- what came of it

  answer(id: number): Answer {
    const answer = this.answers.get(id);
    if (answer === undefined) throw new Error(`there is no request ${id}`);
    return answer;
  }

  /** Waits until these are over, however. */
  async over(...ids: readonly number[]): Promise<Answer[]> {
    await this.until(() => ids.every((id) => this.answer(id).state !== "open"), `requests ${ids.join(", ")} are over`);
    return ids.map((id) => this.answer(id));
  }

  /** What the application did so far. */
  record(): string[] {
    try {
      return readFileSync(join(this.folder, "record"), "utf8").trimEnd().split("\n");
    } catch {
      return [];
    }
  }

  /** Waits until the application did this. */
  async recorded(event: string): Promise<void> {
    await this.until(() => this.record().includes(event), `the application records ${event}`);
  }

  /** The id in the scoreboard. */
  get begun(): number {
    return readFileSync(join(this.folder, "1-1")).readUInt32LE(0);
  }
  /** What counts up there while it executes. */
  get beat(): number {
    return readFileSync(join(this.folder, "1-1")).readUInt32LE(4);
  }

  /** Ends everything. */
  async close(): Promise<void> {
    this.removeScoreboard();
    this.#socket?.destroy();
    this.#spawner?.end();
    if (this.#spawner !== undefined) await this.until(() => this.spawnerEnded, "the spawner ends");
    await new Promise((resolve) => this.#listening.close(resolve));
    removeFolder(this.folder);
  }

  // ---- ResponseListener

  hello(json: string): void {
    this.greeting = JSON.parse(json);
    this.greetings += 1;
  }
  response(id: number, status: number, _flags: number, _head: Buffer, body: Buffer | undefined, last: boolean): void {
    this.answer(id).status = status;
    this.data(id, body ?? Buffer.alloc(0), last);
  }
  data(id: number, octets: Buffer, last: boolean): void {
    const answer = this.answer(id);
    answer.body += octets.toString("latin1");
    if (last) this.#finish(id, "whole");
  }
  fail(id: number): void {
    this.#finish(id, "failed");
  }
  returned(id: number): void {
    this.#finish(id, "returned");
  }
  dropped(id: number): void {
    this.#finish(id, "dropped");
  }
  late(id: number, flags: number, stack: string): void {
    const answer = this.answer(id);
    const [told = "late"] = Object.entries(lateFlag).flatMap(([name, flag]) => ((flags & flag) === 0 ? [] : [name]));
    answer.late.push(told);
    if (stack !== "") answer.stack = stack;
    if (told === "over") this.#finish(id, "over");
  }
  shared(has: boolean): void {
    if (has && this.#reader !== undefined) this.#wire.bodies = this.#reader.bodies;
    this.shares.push(has);
  }
  retire(kib: number): void {
    this.oversized.push(kib);
  }
  // Of these a WSGI application has none.
  bodyCredit(): void {}
  inform(): void {}
  trailers(): void {}
  path(): void {}
  socketMessage(): void {}
  socketClose(): void {}
  ended(id: number, wall: number, cpu: number): void {
    Object.assign(this.answer(id), { wall, cpu });
  }

  #finish(id: number, state: Answer["state"]): void {
    this.answer(id).state = state;
    this.finished.push(id);
  }

  // ---- SpawnerListener

  stuck(): void {
    this.stuckTold += 1;
    this.#changed();
  }
  loaded(facts: Loaded): void {
    this.facts = facts;
    this.#changed();
  }
  loadFailed(problem: string, traceback: string): void {
    this.failure = { problem, traceback };
    this.#changed();
  }
  workerForked(_worker: number, pid: number): void {
    this.workerPid = pid;
  }
  workerUnforked(_worker: number, problem: string): void {
    this.unforked = problem;
    this.#changed();
  }
  workerExited(_worker: number, _pid: number, status: number, signal: number): void {
    this.workerEnded = { status, signal };
    this.#changed();
  }
  output(worker: number, lines: string): void {
    for (const line of lines.trimEnd().split("\n")) this.printed += `${worker}: ${line}\n`;
    this.#changed();
  }
  exited(): void {
    this.spawnerEnded = true;
    this.#changed();
  }
}

/** What makes a test with a worker of its own: with these options, and those of the test. */
export function workerTests(
  common: FrontOptions,
): (name: string, options: Partial<FrontOptions>, act: (front: FakeFront) => Promise<void>) => void {
  return (name, options, act) => {
    test(name, async () => {
      const front = await FakeFront.withWorker({ ...common, ...options });
      try {
        await act(front);
      } finally {
        await front.close();
      }
    });
  };
}
