// A worker that does what a test says, connected to a real pool; and exchanges that note what became of them.
import { writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import type { Body, Exchange, ResponseHead } from "../../src/exchange.js";
import { scoreboardName } from "../../src/front/messages.js";
import { SpoolSpace } from "../../src/front/response-spool.js";
import { WorkerLink } from "../../src/front/worker-link.js";
import { WorkerPool, type WorkerPoolSettings } from "../../src/front/worker-pool.js";
import { Deadlines } from "../../src/net/deadline.js";
import { acceptLinks, type LinkSocket } from "../../src/net/link-socket.js";
import { listenPrivately } from "../../src/net/listen.js";
import { ResponseMemory } from "../../src/net/response-memory.js";
import type { Accepting } from "../../src/net/system-listener.js";
import {
  requestFlag,
  responseFlag,
  toFront,
  toFrontHeader,
  toWorker,
  toWorkerHeader,
} from "../../src/python/wire/frames.js";
import { removeFolder, temporaryFolder } from "../support/tools.js";

/** Lets every event that is under way arrive. */
export async function until(condition: () => boolean): Promise<void> {
  const overdue = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > overdue) throw new Error(`it did not become so: ${condition}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

export class TestExchange implements Exchange {
  readonly request: Exchange["request"];
  readonly id: string = "0123456789abcdef";
  ended = false;
  inputEnded = false;
  onInputEnd: (() => void) | undefined;
  onFlushed: ((octets: number) => void) | undefined;
  onGone: (() => void) | undefined;
  /** What was told, in order. */
  readonly told: string[] = [];

  /** The field lines of a refusal. */
  fields = "";

  constructor(path: string, method = "GET", body: Body = { kind: "empty" }) {
    const variables = `REQUEST_METHOD\0${method}\0PATH_INFO\0${path}`;
    this.request = { method, target: path, variables, shared: 0, body };
  }
  readonly takesHints: boolean = false;
  readonly takesTrailers = false;
  inform(): void {}
  end(): void {
    this.write(new Uint8Array(0), true);
  }
  respond(head: ResponseHead, body: Uint8Array | undefined, last: boolean): void {
    if (this.ended) return;
    const length = head.contentLength < 0 ? "" : ` (${head.contentLength})`;
    this.told.push(`${head.status} ${head.reason}${length} ${Buffer.from(body ?? []).toString()}`.trimEnd());
    this.ended = last;
  }
  write(octets: Uint8Array, last: boolean): void {
    if (this.ended) return;
    this.told.push(`+${Buffer.from(octets).toString()}`);
    this.ended = last;
  }
  cut(): void {
    if (this.ended) return;
    this.told.push("cut");
    this.ended = true;
  }
  refuse(status: number, _sentence: string, fields = ""): void {
    if (this.ended) return;
    this.fields = fields;
    this.told.push(`refused ${status}`);
    this.ended = true;
  }
  leave(): void {
    this.ended = true;
    this.onGone?.();
  }
  endInput(): void {
    this.inputEnded = true;
    this.onInputEnd?.();
  }
}

export class FakeWorker {
  readonly #socket: Socket;
  readonly #board: string;
  #received: Buffer = Buffer.alloc(0);
  /** Ids of requests of whose response little may be sent without credit. */
  readonly little: number[] = [];
  /** What the front wrote: paths of requests by their id, and `cancel ID`, `credit ID OCTETS`. */
  readonly requests: Map<number, string> = new Map();
  readonly orders: string[] = [];
  closed = false;

  constructor(socket: Socket, number: number, folder: string) {
    this.#socket = socket;
    this.#board = join(folder, scoreboardName(1, number));
    this.begin(0);
    this.#send(toFront.hello, 0, {
      payload: JSON.stringify({ worker: number, pid: 1000 + number, threads: 8, generation: 1 }),
    });
    socket.on("error", () => {});
    socket.on("end", () => {
      this.closed = true;
    });
    socket.on("data", (chunk) => this.#take(chunk));
  }

  #take(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    for (;;) {
      const octets = this.#received;
      const end = octets.length < toWorkerHeader ? 0 : toWorkerHeader + octets.readUInt32LE(0);
      if (end === 0 || octets.length < end) return;
      const [id, type, extra] = [octets.readUInt32LE(4), octets[8], octets.readUInt32LE(12)];
      if (type === toWorker.request) {
        if (((octets[9] ?? 0) & requestFlag.littleMemory) !== 0) this.little.push(id);
        const variables = octets.toString("latin1", toWorkerHeader, toWorkerHeader + extra);
        this.requests.set(id, variables.split("\0").at(-1) ?? "");
      } else if (type === toWorker.limit) this.orders.push(`limit ${id} ${extra}`);
      else if (type === toWorker.shared) this.#send(toFront.shared, 0);
      else this.orders.push(type === toWorker.cancel ? `cancel ${id}` : `credit ${id} ${extra}`);
      this.#received = octets.subarray(end);
    }
  }

  #send(
    type: number,
    id: number,
    {
      flags = 0,
      status = 0,
      head = 0,
      wall = 50,
      cpu = 50,
      payload = "",
    }: Partial<Record<"flags" | "status" | "head" | "wall" | "cpu", number>> & { payload?: string } = {},
  ): void {
    const octets = Buffer.alloc(toFrontHeader);
    octets.writeUInt32LE(payload.length, 0);
    octets.writeUInt32LE(id, 4);
    octets[8] = type;
    octets[9] = flags;
    octets.writeUInt16LE(status, 10);
    octets.writeUInt32LE(head, 12);
    octets.writeUInt32LE(wall, 16);
    octets.writeUInt32LE(cpu, 20);
    this.#socket.write(Buffer.concat([octets, Buffer.from(payload, "latin1")]));
  }

  /** Asks to be replaced: it has so many KiB of memory. */
  retire(kib: number): void {
    this.#send(toFront.retire, 0, { wall: kib });
  }

  /** Notes in the scoreboard that this request was begun. */
  begin(id: number): void {
    const octets = Buffer.alloc(64);
    octets.writeUInt32LE(id);
    writeFileSync(this.#board, octets, { flag: id === 0 ? "w" : "r+" });
  }

  answer(
    id: number,
    body: string,
    { last = true, fields = "", flags = 0 }: { last?: boolean; fields?: string; flags?: number } = {},
  ): void {
    const head = `OK\r\n${fields}`;
    const payload = `${head}${body}`;
    this.#send(toFront.response, id, {
      flags: flags | (last ? responseFlag.last : 0),
      status: 200,
      head: head.length,
      payload,
    });
  }
  data(id: number, body: string, last: boolean): void {
    this.#send(toFront.data, id, { flags: last ? responseFlag.last : 0, payload: body });
  }
  fail(id: number): void {
    this.#send(toFront.fail, id);
  }
  late(id: number, flags: number, stack = ""): void {
    this.#send(toFront.late, id, { flags, payload: stack });
  }
  giveBack(id: number): void {
    this.#send(toFront.returned, id);
  }
  drop(id: number): void {
    this.#send(toFront.dropped, id);
  }
  /** As a process that ends. */
  die(): void {
    this.#socket.destroy();
  }
}

/** A pool with its socket, and as many workers as asked for. */
export class PoolBench {
  readonly folder: string = temporaryFolder("pool");
  readonly pool: WorkerPool;
  readonly ready: number[] = [];
  readonly served: number[] = [];
  /** What else was told of workers. */
  readonly news: string[] = [];
  /** Time passes when the test says so. */
  readonly deadlines: Deadlines = new Deadlines(false);
  readonly #accepting: Promise<Accepting>;
  readonly #workers: FakeWorker[] = [];

  constructor(threads: number, settings: Partial<WorkerPoolSettings> = {}) {
    const responseMemory = 1000;
    this.pool = new WorkerPool(
      {
        label: "",
        threads,
        concurrency: 1000,
        responseMemory,
        responseMemoryTotal: Number.POSITIVE_INFINITY,
        scoreboards: this.folder,
        generation: 1,
        queue: 1024,
        queueTimeout: 30,
        gathers: false,
        retry: ["GET"],
        maxRequests: 0,
        requestTimeout: 0,
        interruptGrace: 5,
        logSlow: 0,
        hangTimeout: 60,
        limits: [],
        deadlines: this.deadlines,
        spoolSpace: new SpoolSpace(this.folder, 2 ** 20, new ResponseMemory(2 ** 20, 2 ** 29), this.deadlines),
        ...settings,
      },
      {
        workerReady: (worker) => this.ready.push(worker),
        workerServed: (worker) => this.served.push(worker),
        workerHung: (worker) => this.news.push(`hung ${worker}`),
        workerStuck: (worker) => this.news.push(`stuck ${worker}`),
        workerSpent: (worker, _pid, cause, amount) => this.news.push(`spent ${worker} ${cause} ${amount}`),
        workerRetired: (worker) => this.news.push(`retired ${worker}`),
      },
    );
    const accept = (socket: LinkSocket): void => this.pool.add(new WorkerLink(socket, this.pool));
    this.#accepting = listenPrivately(join(this.folder, "wire")).then((fd) => acceptLinks(fd, accept));
  }

  async worker(number: number): Promise<FakeWorker> {
    const before = this.ready.length;
    await this.#accepting;
    const socket = connect({ path: join(this.folder, "wire"), allowHalfOpen: true });
    const worker = new FakeWorker(socket, number, this.folder);
    this.#workers.push(worker);
    await until(() => this.ready.length > before);
    return worker;
  }

  /** Gives the pool a request. */
  ask(path: string, method?: string, body?: Body): TestExchange {
    const exchange = new TestExchange(path, method, body);
    this.pool.handle(exchange);
    return exchange;
  }

  /** Lets the pool learn that the application is fast. */
  async learn(worker: FakeWorker): Promise<void> {
    for (let n = 0; n < 20; n += 1) {
      const exchange = this.ask("/learn");
      const before = worker.requests.size;
      await until(() => worker.requests.size > before || exchange.ended);
      const id = [...worker.requests.keys()].at(-1) ?? 0;
      worker.begin(id);
      worker.answer(id, "");
      await until(() => exchange.ended);
    }
    worker.requests.clear();
  }

  async close(): Promise<void> {
    for (const worker of this.#workers) worker.die();
    (await this.#accepting).close();
    removeFolder(this.folder);
  }
}
