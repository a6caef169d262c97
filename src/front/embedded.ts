// The handler of embedded mode: the application is called here, on the thread that serves the clients.
//
// A response that is whole comes back from the one call its request took. One that goes on is fetched block by block: when
// the client has taken what there is (up to --response-memory ahead), and the event loop has had a turn.
import { performance } from "node:perf_hooks";
import type { Config, PoolConfig } from "../config/config.js";
import type { Exchange } from "../exchange.js";
import { ResponseMemory } from "../net/response-memory.js";
import { packageRoot } from "../package.js";
import { Bridge, type Facts, told } from "../python/embedded/bridge.js";
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
  /** The exchange that Python executes. Nothing else runs meanwhile, but for what sends the octets given to write(). */
  #executing: Exchange | undefined;
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
    const take = (result: number): boolean => this.#take(result);
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
    if (this.#executing !== undefined) {
      // Python calls write(), and sending that has brought the next request of some connection.
      setImmediate(() => this.handle(exchange));
      return;
    }
    if (exchange.ended) return;
    const id = this.#nextId;
    this.#nextId = id === idMost ? 1 : id + 1;
    this.#requests += 1;
    const result = this.#execute(exchange, () => this.#bridge.begin(id, exchange.request));
    if ((result & told.more) === 0) this.#give(exchange, result);
    else this.#follow(this.#stream(exchange, id), result);
  }

  /** Lets the application end what it has begun. No thread of it runs any more afterwards. */
  end(): void {
    this.#bridge.end();
    this.#interpreter.acquire();
  }

  #execute(exchange: Exchange, call: () => number): number {
    this.#executing = exchange;
    try {
      return call();
    } finally {
      this.#executing = undefined;
    }
  }

  /** Gives the client what a call returned. */
  #give(exchange: Exchange, result: number): void {
    if (exchange.ended) return;
    if ((result & told.failed) !== 0) {
      exchange.cut();
      return;
    }
    const last = (result & told.last) !== 0;
    const body = this.#bridge.body(result);
    if ((result & told.begun) !== 0) exchange.respond(this.#bridge.head(result), body, last);
    else if (body !== undefined || last) exchange.write(body ?? nothing, last);
  }

  /** What an application gave to write(). Returns whether anybody still wants it. */
  #take(result: number): boolean {
    const exchange = this.#executing;
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
  #follow(stream: Stream, first: number): void {
    const { exchange, id } = stream;
    let result = first;
    for (;;) {
      stream.unflushed += this.#bridge.size(result);
      this.#give(exchange, result);
      if ((result & told.more) === 0) {
        this.#end(stream);
        return;
      }
      // For the client the response is whole: what is left for the application to do had to wait for that alone.
      if (exchange.ended || (result & told.soon) === 0) break;
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
