// How a request gets into the interpreter of this process, and its response out: through two pieces of memory that both
// sides see, with one call. python/vivarium_host/embedded.py is the other side, and says what a call returns.
import type { Request, ResponseHead } from "../../exchange.js";
import { readHead } from "../response-head.js";
import type { Interpreter } from "./interpreter.js";

/** What a call returns, lowest octet. */
export const told = { begun: 1, last: 2, more: 4, failed: 8, new: 16, soon: 32 } as const;
const headShift = 2 ** 8;
const bodyShift = 2 ** 24;
const headMask = 0xffff;

/** In front of a head in the memory: status, flags, octets. */
const headHeader = 12;

const requestFlag = { bodyInFile: 1, known: 2 } as const;
const numberShift = 2 ** 8;

/** Requests that came again, of which Python keeps the variables. */
const knownMost = 512;
/** A longer one is not kept, octets. */
const knownSizeMost = 4096;

/** Octets of memory for requests at the start; it grows. */
const requestSize = 64 * 1024;
/** Octets of memory for responses: a larger body comes in pieces of this size. */
const responseSize = 256 * 1024;

export interface BridgeSettings {
  readonly target: string;
  /** "auto" or "wsgi". */
  readonly interface: string;
  readonly chdir: string;
  /** Processes that run the application. */
  readonly workers: number;
  /** Descriptors of listening sockets: none of a process that the application forks. */
  readonly listeners: readonly number[];
  /** Takes what an application gives to write(), in the midst of a call. Returns whether anybody still wants it. */
  readonly take: (result: number) => boolean;
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
  readonly #heads: ResponseHead[] = [];
  readonly #known = new Map<string, number>();
  readonly facts: Facts;
  readonly #begin: (id: number, shared: number, variables: number, body: number, flags: number) => number;
  /** The next piece of a response; call it where the last call said `more`. */
  readonly step: (id: number) => number;
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
      take: interpreter.takesNumber((result) => (settings.take(result) ? 0 : 1)),
      tell: interpreter.takesText((text) => {
        answer = JSON.parse(text) as Told;
      }),
    };
    interpreter.run(program(path, asked));
    if (answer === undefined) throw new Error("Python did not say whether the application was loaded");
    if (!answer.loaded) throw new LoadFailed(answer.problem, answer.traceback);
    this.facts = answer;
    const { begin, step, leave, attach, end } = answer.addresses;
    this.#begin = interpreter.functionAt(begin, "begin", "uint, uint, uint, uint, uint");
    this.step = interpreter.functionAt(step, "step", "uint");
    this.leave = interpreter.functionAt(leave, "leave", "uint");
    this.#attach = interpreter.functionAt(attach, "attach", "size_t, size_t");
    this.end = interpreter.functionAt(end, "end", "void");
    interpreter.release();
  }

  /** Runs a request. */
  begin(id: number, { variables, shared, again, body }: Request): number {
    const flags = again === true ? this.#number(variables) : 0;
    let size = 0;
    if ((flags & requestFlag.known) === 0) {
      size = variables.length;
      this.#reserve(size);
      this.#request.write(variables, 0, size, "latin1");
    }
    if (body.kind === "empty") return this.#begin(id, shared, size, 0, flags);
    if (body.kind === "file") return this.#begin(id, shared, size, body.fd, flags | requestFlag.bodyInFile);
    this.#reserve(size + body.bytes.length);
    this.#request.set(body.bytes, size);
    return this.#begin(id, shared, size, body.bytes.length, flags);
  }

  /**
   * The number by which Python keeps variables that come again, with the flag where it has them. The string is the same one
   * each time, so that V8 has its hash.
   */
  #number(variables: string): number {
    const known = this.#known.get(variables);
    if (known !== undefined) return known * numberShift + requestFlag.known;
    if (variables.length > knownSizeMost) return 0;
    if (this.#known.size === knownMost) this.#known.clear();
    const number = this.#known.size + 1;
    this.#known.set(variables, number);
    return number * numberShift;
  }

  #reserve(size: number): void {
    if (size <= this.#request.length) return;
    const before = this.#request;
    this.#request = Buffer.allocUnsafeSlow(2 * size);
    this.#request.set(before);
    this.#attach(this.#interpreter.address(this.#request), this.#request.length);
  }

  /** The head that a call told of (`told.begun`). */
  head(result: number): ResponseHead {
    const number = Math.floor(result / headShift) & headMask;
    const known = this.#heads[number];
    if ((result & told.new) === 0 && known !== undefined) return known;
    const memory = this.#response;
    const octets = Buffer.from(memory.subarray(headHeader, this.#bodyAt(result)));
    const head = readHead(memory.readUInt32LE(0), memory.readUInt32LE(4), octets);
    if (number !== 0) this.#heads[number] = head;
    return head;
  }

  /** Octets of a body that a call told of. */
  size(result: number): number {
    return Math.floor(result / bodyShift);
  }

  /** These octets, as a copy: the next call puts its own in their place. */
  body(result: number): Buffer | undefined {
    const size = this.size(result);
    if (size === 0) return undefined;
    const at = this.#bodyAt(result);
    return Buffer.from(this.#response.subarray(at, at + size));
  }

  #bodyAt(result: number): number {
    return (result & told.new) === 0 ? 0 : headHeader + this.#response.readUInt32LE(8);
  }
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
