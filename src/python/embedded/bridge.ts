// How requests get into the interpreter of this process, and their responses out: through pieces of memory that both
// sides see, with one call for all that came at once. python/vivarium_host/embedded.py is the other side, and says what a call returns.
import type { Request, ResponseHead } from "../../exchange.js";
import { Numbers } from "../numbers.js";
import { readHead } from "../response-head.js";
import type { Interpreter } from "./interpreter.js";

/** A result, lowest octet. */
export const told = { begun: 1, last: 2, more: 4, failed: 8, new: 16, soon: 32 } as const;
const headShift = 2 ** 8;
const bodyShift = 2 ** 24;
const headMask = 0xffff;

/** In front of a head in the memory: status, flags, octets. */
const headHeader = 12;

const requestFlag = { bodyInFile: 1, known: 2 } as const;
const numberShift = 2 ** 8;

/** Requests that one call may begin. */
export const batchMost = 32;
/** Numbers of a request in the table: id, shared, octets of variables, octets or descriptor of the body, flags. */
const entrySize = 5;
/** What the number of requests that were run has, where that took longer than their clients should wait. */
const lateFlag = 0x10000;

/** Octets of memory for requests at the start; it grows. */
const requestSize = 64 * 1024;
/** Octets of memory for responses: a larger body comes in pieces. When half of it is used, those that are there are sent first. */
const responseSize = 512 * 1024;

export interface BridgeSettings {
  readonly target: string;
  /** "auto" or "wsgi". */
  readonly interface: string;
  readonly chdir: string;
  /** Processes that run the application. */
  readonly workers: number;
  /** Descriptors of listening sockets: none of a process that the application forks. */
  readonly listeners: readonly number[];
  /**
   * Takes what the application of a request, by its number in the table, gives to write(), in the midst of a call. Returns whether
   * anybody still wants it.
   */
  readonly take: (result: Result, index: number) => boolean;
}

/** What is known of an application that was loaded. */
export interface Facts {
  /** Version of the interpreter. */
  readonly python: string;
  /** `module:callable`. */
  readonly application: string;
}

/** What Python says of the application once. */
type Told =
  | (Facts & {
      readonly loaded: true;
      readonly addresses: Readonly<Record<"begin" | "step" | "leave" | "attach" | "end", number>>;
    })
  | { readonly loaded: false; readonly problem: string; readonly traceback: string };

/** What a request has come to. */
export interface Result {
  /** `told` and more. */
  readonly number: number;
  /** Where in the response's memory there is what the number tells of. */
  readonly at: number;
}

/** The application cannot be loaded. */
export class LoadFailed extends Error {
  readonly problem: string;
  readonly traceback: string;
  constructor(problem: string, traceback: string) {
    super(problem);
    this.problem = problem;
    this.traceback = traceback;
  }
}

export class Bridge {
  readonly #interpreter: Interpreter;
  readonly #response = Buffer.allocUnsafeSlow(responseSize);
  #request = Buffer.allocUnsafeSlow(requestSize);
  readonly #table = new Uint32Array(entrySize * batchMost);
  readonly #results = new Float64Array(2 * batchMost);
  /** Octets of `request` that those in the table have. */
  #used = 0;
  readonly #heads: ResponseHead[] = [];
  readonly #numbers = new Numbers();
  /** Those of them that Python is told with the requests in the table, and where. */
  readonly #told: { readonly index: number; readonly variables: string }[] = [];
  readonly facts: Facts;
  readonly #begin: (count: number) => number;
  readonly #step: (id: number) => number;
  /** Its client left: call it once, in place of `step`. */
  readonly leave: (id: number) => number;
  /** Lets the application end what it has begun; nothing is to be called any more. */
  readonly end: () => number;
  readonly #attach: (address: number, size: number) => number;

  /** Loads the application, which may take as long as it likes. Throws LoadFailed. */
  constructor(interpreter: Interpreter, path: string, settings: BridgeSettings) {
    this.#interpreter = interpreter;
    let answer = nothing();
    const asked = {
      target: settings.target,
      interface: settings.interface,
      chdir: settings.chdir,
      workers: settings.workers,
      listeners: settings.listeners,
      request: interpreter.address(this.#request),
      requestSize,
      response: interpreter.address(this.#response),
      responseSize,
      table: interpreter.address(octetsOf(this.#table)),
      results: interpreter.address(octetsOf(this.#results)),
      most: batchMost,
      take: interpreter.takesNumbers((number, index, at) => (settings.take({ number, at }, index) ? 0 : 1)),
      tell: interpreter.takesText((text) => {
        answer = JSON.parse(text) as Told;
      }),
    };
    interpreter.run(program(path, asked));
    if (answer === undefined) throw new Error("Python did not say whether the application was loaded");
    if (!answer.loaded) throw new LoadFailed(answer.problem, answer.traceback);
    this.facts = answer;
    const { begin, step, leave, attach, end } = answer.addresses;
    this.#begin = interpreter.functionAt(begin, "begin", "uint");
    this.#step = interpreter.functionAt(step, "step", "uint");
    this.leave = interpreter.functionAt(leave, "leave", "uint");
    this.#attach = interpreter.functionAt(attach, "attach", "size_t, size_t");
    this.end = interpreter.functionAt(end, "end", "void");
    interpreter.release();
  }

  /** Puts a request in the table, as that of this number; from 0 in their order. */
  put(index: number, id: number, { variables, shared, again, body }: Request): void {
    if (index === 0) this.#used = 0;
    let flags = again === true ? this.#number(index, variables) : 0;
    let size = 0;
    if ((flags & requestFlag.known) === 0) {
      size = variables.length;
      this.#reserve(size);
      this.#request.write(variables, this.#used, size, "latin1");
      this.#used += size;
    }
    let content = 0;
    if (body.kind === "file") {
      content = body.fd;
      flags |= requestFlag.bodyInFile;
    } else if (body.kind === "memory") {
      content = body.bytes.length;
      this.#reserve(content);
      this.#request.set(body.bytes, this.#used);
      this.#used += content;
    }
    const table = this.#table;
    const entry = entrySize * index;
    table[entry] = id;
    table[entry + 1] = shared;
    table[entry + 2] = size;
    table[entry + 3] = content;
    table[entry + 4] = flags;
  }

  /** Runs the first requests of the table: how many of them, and whether that took long. Their results are to be taken before anything else is run. */
  begin(count: number): { readonly begun: number; readonly late: boolean } {
    const answer = this.#begin(count);
    const begun = answer & (lateFlag - 1);
    // What Python did not get to it does not know.
    for (const { index, variables } of this.#told.splice(0)) if (index >= begun) this.#numbers.delete(variables);
    return { begun, late: answer >= lateFlag };
  }

  /** What the request of this number in the table came to. */
  result(index: number): Result {
    return { number: this.#results[2 * index] ?? 0, at: this.#results[2 * index + 1] ?? 0 };
  }

  /** The next piece of a response; to be called where the last result said `more`. */
  step(id: number): Result {
    return { number: this.#step(id), at: 0 };
  }

  /** The number by which Python keeps variables that come again, with the flag where it has them. */
  #number(index: number, variables: string): number {
    const known = this.#numbers.get(variables);
    if (known > 0) return known * numberShift + requestFlag.known;
    const number = this.#numbers.add(variables);
    if (number > 0) this.#told.push({ index, variables });
    return number * numberShift;
  }

  #reserve(more: number): void {
    const size = this.#used + more;
    if (size <= this.#request.length) return;
    const before = this.#request;
    this.#request = Buffer.allocUnsafeSlow(2 * size);
    this.#request.set(before);
    this.#attach(this.#interpreter.address(this.#request), this.#request.length);
  }

  /** The head that a result tells of (`told.begun`). */
  head(result: Result): ResponseHead {
    const number = Math.floor(result.number / headShift) & headMask;
    const known = this.#heads[number];
    if ((result.number & told.new) === 0 && known !== undefined) return known;
    const memory = this.#response;
    const { at } = result;
    const octets = Buffer.from(memory.subarray(at + headHeader, this.#bodyAt(result)));
    const head = readHead(memory.readUInt32LE(at), memory.readUInt32LE(at + 4), octets);
    if (number !== 0) this.#heads[number] = head;
    return head;
  }

  /** Octets of a body that a result tells of. */
  size(result: Result): number {
    return Math.floor(result.number / bodyShift);
  }

  /** These octets, as a copy: the next call puts its own in their place. */
  body(result: Result): Buffer | undefined {
    const size = this.size(result);
    if (size === 0) return undefined;
    const at = this.#bodyAt(result);
    return Buffer.from(this.#response.subarray(at, at + size));
  }

  #bodyAt({ number, at }: Result): number {
    return (number & told.new) === 0 ? at : at + headHeader + this.#response.readUInt32LE(at + 8);
  }
}

function octetsOf(numbers: Uint32Array | Float64Array): Uint8Array {
  return new Uint8Array(numbers.buffer);
}

/** Until Python has spoken; it does so in the midst of a call. */
function nothing(): Told | undefined {
  return undefined;
}

/** The folder is importable while the package is imported, and no longer (python/vivarium_host/__main__.py does the same). */
function program(path: string, settings: object): string {
  return `
import json, sys
path = bytes.fromhex("${hex(path)}").decode("utf-8", "surrogateescape")
written, sys.dont_write_bytecode = sys.dont_write_bytecode, False
sys.path.insert(0, path)
from vivarium_host import embedded
sys.path.remove(path)
sys.dont_write_bytecode = written
del path, written
embedded.boot(json.loads(bytes.fromhex("${hex(JSON.stringify(settings))}")))
del embedded, json, sys
`;
}

function hex(text: string): string {
  return Buffer.from(text, "utf8").toString("hex");
}
