// The handler of embedded mode: the application is called here, on the thread that serves the clients.
//
// Requests that come in the same turn of the event loop are run by one call, and answered after it: that this process has each
// time a different part of its code to do, the kernel's, V8's and Python's, costs more than what they do. As soon as that takes
// long (BUDGET in python/vivarium_host/embedded.py), it is one in a call again, which is answered before the next is begun.
//
// A response that is whole comes back from the one call its request took. One that goes on is fetched block by block: when
// the client has taken what there is (up to --response-memory ahead), and the event loop has had a turn.
import { performance } from "node:perf_hooks";
import type { Config, PoolConfig } from "../config/config.js";
import type { Exchange } from "../exchange.js";
import { ResponseMemory } from "../net/response-memory.js";
import { packageRoot } from "../package.js";
import { Bridge, batchMost, type Facts, type Result, told } from "../python/embedded/bridge.js";
import { type Interpreter, startInterpreter } from "../python/embedded/interpreter.js";
import type { Libpython } from "../python/libpython.js";
import type { Executing } from "./messages.js";
import { executingOf } from "./pool-report.js";

/** A response that goes on. */
interface Stream {
  /** Since when, by performance.now(). */
  readonly since: number;
  readonly exchange: Exchange;
  readonly id: number;
  /** Octets given to the client's connection that have not left yet. */
  unflushed: number;
  /** Whether the next block is to be fetched at the end of this turn of the event loop. */
  planned: boolean;
  /** There is no next block. */
  over: boolean;
}

/** Ids are 32 bits. */
const idMost = 0xffffffff;

export class EmbeddedApplication {
  readonly facts: Facts;
  readonly #interpreter: Interpreter;
  readonly #bridge: Bridge;
  readonly #responses: ResponseMemory;
  #nextId = 1;
  /** Those that are to be begun at the end of this turn of the event loop. */
  readonly #waiting: Exchange[] = [];
  /** The exchanges that Python executes. Nothing else runs meanwhile, but for what sends the octets given to write(). */
  #executing: readonly Exchange[] = [];
  /** Requests that a call may begin. */
  #most = 1;
  #requests = 0;
  readonly #streams = new Set<Stream>();

  /** Rejects with LoadFailed. */
  static async start(
    config: Config,
    pool: PoolConfig,
    python: Libpython,
    listeners: readonly number[],
  ): Promise<EmbeddedApplication> {
    return new EmbeddedApplication(config, pool, await startInterpreter(python), listeners);
  }

  private constructor(
    { responseMemory, responseMemoryTotal }: Config,
    { target, chdir, workers, interface: wanted }: PoolConfig,
    interpreter: Interpreter,
    listeners: readonly number[],
  ) {
    this.#responses = new ResponseMemory(responseMemory, responseMemoryTotal);
    this.#interpreter = interpreter;
    const take = (result: Result, index: number): boolean => this.#take(result, index);
    this.#bridge = new Bridge(interpreter, `${packageRoot}python`, {
      target,
      chdir,
      workers,
      interface: wanted,
      listeners,
      take,
    });
    this.facts = this.#bridge.facts;
  }

  /** Requests executed since the start. */
  get requests(): number {
    return this.#requests;
  }

  readonly streams = false;

  /** Responses that go on, the oldest first. */
  get executing(): readonly Executing[] {
    const now = performance.now();
    return [...this.#streams].map(({ exchange, since }) => executingOf(exchange, now - since));
  }

  /** The handler (src/exchange.ts). */
  handle(exchange: Exchange): void {
    if (this.#waiting.push(exchange) === 1) setImmediate(this.#run);
  }

  readonly #run = (): void => {
    for (let left = this.#waiting.splice(0); left.length > 0; ) {
      left = left.filter(({ ended }) => !ended);
      left = left.slice(this.#begin(left.slice(0, this.#most)));
    }
  };

  #newId(): number {
    const id = this.#nextId;
    this.#nextId = id === idMost ? 1 : id + 1;
    return id;
  }

  /** Begins and answers some of these, the first at least where there is one: how many. */
  #begin(batch: readonly Exchange[]): number {
    if (batch.length === 0) return 0;
    const bridge = this.#bridge;
    const ids = batch.map((exchange, index) => {
      const id = this.#newId();
      bridge.put(index, id, exchange.request);
      return id;
    });
    this.#executing = batch;
    const { begun, late } = bridge.begin(batch.length);
    this.#executing = none;
    this.#most = late ? 1 : Math.min(batchMost, this.#most + 1);
    this.#requests += begun;
    for (let index = 0; index < begun; index += 1) {
      const exchange = batch[index];
      const id = ids[index];
      if (exchange === undefined || id === undefined) continue;
      const result = bridge.result(index);
      if ((result.number & told.more) === 0) this.#give(exchange, result);
      // It is the last one.
      else this.#follow(this.#stream(exchange, id), result);
    }
    return begun;
  }

  /** Lets the application end what it has begun. No thread of it runs any more afterwards. */
  end(): void {
    this.#bridge.end();
    this.#interpreter.acquire();
  }

  /** A call for one of those that go on. */
  #execute<Value>(exchange: Exchange, call: () => Value): Value {
    this.#executing = [exchange];
    try {
      return call();
    } finally {
      this.#executing = none;
    }
  }

  /** Gives the client what a call returned. */
  #give(exchange: Exchange, result: Result): void {
    if (exchange.ended) return;
    const { number } = result;
    if ((number & told.failed) !== 0) {
      exchange.cut();
      return;
    }
    const last = (number & told.last) !== 0;
    const body = this.#bridge.body(result);
    if ((number & told.begun) !== 0) exchange.respond(this.#bridge.head(result), body, last);
    else if (body !== undefined || last) exchange.write(body ?? nothing, last);
  }

  /** What an application gave to write(). Returns whether anybody still wants it. */
  #take(result: Result, index: number): boolean {
    const exchange = this.#executing[index];
    if (exchange === undefined || exchange.ended) return false;
    this.#give(exchange, result);
    return !exchange.ended;
  }

  #stream(exchange: Exchange, id: number): Stream {
    const stream: Stream = { since: performance.now(), exchange, id, unflushed: 0, planned: false, over: false };
    this.#streams.add(stream);
    exchange.onFlushed = (octets) => {
      stream.unflushed -= octets;
      this.#plan(stream);
    };
    exchange.onGone = () => this.#plan(stream);
    return stream;
  }

  /** Gives what a call returned, and sees that the next one comes in its time. */
  #follow(stream: Stream, first: Result): void {
    const { exchange, id } = stream;
    let result = first;
    for (;;) {
      stream.unflushed += this.#bridge.size(result);
      this.#give(exchange, result);
      if ((result.number & told.more) === 0) {
        this.#end(stream);
        return;
      }
      // For the client the response is whole: what is left for the application to do had to wait for that alone.
      if (exchange.ended || (result.number & told.soon) === 0) break;
      result = this.#execute(exchange, () => this.#bridge.step(id));
    }
    this.#plan(stream);
  }

  #end(stream: Stream): void {
    stream.over = true;
    this.#streams.delete(stream);
  }

  #plan(stream: Stream): void {
    if (stream.planned || stream.over || (stream.unflushed > this.#responses.most && !stream.exchange.ended)) return;
    stream.planned = true;
    setImmediate(() => {
      stream.planned = false;
      const { exchange, id } = stream;
      if (!exchange.ended)
        this.#follow(
          stream,
          this.#execute(exchange, () => this.#bridge.step(id)),
        );
      else {
        this.#end(stream);
        this.#execute(exchange, () => this.#bridge.leave(id));
      }
    });
  }
}

const nothing = Buffer.alloc(0);
const none: readonly Exchange[] = [];
