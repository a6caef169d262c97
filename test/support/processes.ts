// Starting programs, reading what they print, and seeing them end.
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { waitUntilAccepting } from "./ports.js";

export interface StartOptions {
  readonly cwd?: string;
  /** Added to this process's environment; undefined takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly uid?: number;
  readonly gid?: number;
  /** In a session of its own: for programs that signal their whole process group when they end, as Apache does. */
  readonly detached?: boolean;
  /** Written to standard input, which is then closed. Without it standard input is empty. */
  readonly input?: string | Uint8Array;
  /** A descriptor of this process that is its standard input. */
  readonly stdin?: number;
  /** Descriptors of this process that it has as 3, 4 … */
  readonly descriptors?: readonly number[];
}

export interface Exit {
  /** Exit status, or null where a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Those still running; killed with their descendants if this process ends without having stopped them. */
const running = new Set<RunningProcess>();
process.on("exit", () => {
  for (const { pid } of running) for (const member of [...descendants(pid), pid]) killQuietly(member);
});
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => process.exit(1));

/** A program that was started. */
export class RunningProcess {
  readonly command: string;
  readonly pid: number;
  /**
   * Resolves when the process has ended and its output is read whole; a second after its end at the latest, as a
   * descendant that lives on may hold the pipe open.
   */
  readonly exited: Promise<Exit>;
  /** What it printed so far. */
  stdout = "";
  stderr = "";
  /** Both, in the order they arrived. */
  output = "";
  exit: Exit | undefined;
  readonly #child: ChildProcess;
  readonly #listeners = new Set<() => void>();

  constructor(command: string, args: readonly string[], options: StartOptions) {
    this.command = [command, ...args].join(" ");
    const { cwd, uid, gid } = options;
    // Never a socket that nobody asked for, as Node's pipes are: uWSGI takes one there for its own, and ends when what it reads as its
    // name is not one.
    const stdin = options.stdin ?? (options.input === undefined ? "ignore" : "pipe");
    this.#child = spawn(command, args, {
      env: { ...process.env, ...options.env },
      stdio: [stdin, "pipe", "pipe", ...(options.descriptors ?? [])],
      detached: options.detached ?? false,
      ...(cwd === undefined ? {} : { cwd }),
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid }),
    });
    this.pid = this.#child.pid ?? 0;
    running.add(this);
    this.exited = new Promise((resolve, reject) => {
      this.#child.once("error", (error) => {
        running.delete(this);
        reject(error);
      });
      const ended = (code: number | null, signal: NodeJS.Signals | null): void => {
        if (this.exit !== undefined) return;
        running.delete(this);
        this.exit = { code, signal };
        resolve(this.exit);
        this.#changed();
      };
      this.#child.once(
        "exit",
        (code, signal) => void delay(1000, undefined, { ref: false }).then(() => ended(code, signal)),
      );
      this.#child.once("close", ended);
    });
    // Whoever needs the failure awaits `exited`; nobody is obliged to.
    this.exited.catch(() => undefined);
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
      this.#append(text);
    });
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
      this.#append(text);
    });
    // A program that ends before reading its input is not an error of the test.
    this.#child.stdin?.on("error", () => undefined);
    this.#child.stdin?.end(options.input);
  }

  #append(text: string): void {
    this.output += text;
    this.#changed();
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  /** Waits until the output matches. Throws, with the output so far, when the process ends first or time is up. */
  async line(pattern: RegExp, timeout = 20_000): Promise<RegExpExecArray> {
    const ended = new AbortController();
    try {
      return await Promise.race([
        this.#match(pattern, ended.signal),
        delay(timeout, undefined, { signal: ended.signal }).then(() => {
          throw new Error(`${this.command}: no ${pattern} within ${timeout} ms; it printed:\n${this.output}`);
        }),
      ]);
    } finally {
      ended.abort();
    }
  }

  #match(pattern: RegExp, until: AbortSignal): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const match = new RegExp(pattern.source, pattern.flags.replace("g", "")).exec(this.output);
        if (match !== null) resolve(match);
        else if (this.exit !== undefined) {
          reject(new Error(`${this.command} ended (${describeExit(this.exit)}) having printed:\n${this.output}`));
        }
      };
      this.#listeners.add(look);
      until.addEventListener("abort", () => this.#listeners.delete(look));
      this.exited.catch(reject);
      look();
    });
  }

  /** Waits until it (or whoever) accepts connections at a port or unix socket. */
  async accepting(target: number | string, timeout = 20_000): Promise<void> {
    const gaveUp = (): string | undefined =>
      this.exit === undefined ? undefined : `${this.command} ended (${describeExit(this.exit)}):\n${this.output}`;
    await waitUntilAccepting(target, { timeout, gaveUp });
  }

  /** Sends a signal; nothing happens when the process has ended. */
  kill(signal: NodeJS.Signals = "SIGTERM"): void {
    if (this.exit === undefined) this.#child.kill(signal);
  }

  /** Ends it and waits until it has ended; after `timeout` milliseconds with SIGKILL, it and its descendants. */
  async stop(signal: NodeJS.Signals = "SIGTERM", timeout = 20_000): Promise<Exit> {
    if (this.exit !== undefined) return this.exit;
    const family = descendants(this.pid);
    this.kill(signal);
    const patience = new AbortController();
    const overdue = delay(timeout, "overdue", { signal: patience.signal }).catch(() => "overdue" as const);
    const first = await Promise.race([this.exited, overdue]);
    patience.abort();
    if (first !== "overdue") return this.exited;
    // The parent first: a shell whose child was killed would start the next one.
    const latest = descendants(this.pid);
    this.kill("SIGKILL");
    for (const pid of [...family, ...latest]) killQuietly(pid);
    return this.exited;
  }
}

function describeExit({ code, signal }: Exit): string {
  return signal === null ? `exit status ${code}` : signal;
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // ended in between
  }
}

/** Starts a program. The test must stop it, or wait for its end. */
export function start(command: string, args: readonly string[] = [], options: StartOptions = {}): RunningProcess {
  return new RunningProcess(command, args, options);
}

export interface Finished extends Exit {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. Does not throw for an exit status; does where it cannot be started. */
export async function run(
  command: string,
  args: readonly string[] = [],
  options: StartOptions = {},
): Promise<Finished> {
  const process = start(command, args, options);
  const exit = await process.exited;
  return { ...exit, stdout: process.stdout, stderr: process.stderr };
}

/** proc_pid_stat(5): state and parent, after the name in parentheses, which may itself hold any character. */
function stat(pid: number): { readonly state: string; readonly parent: number } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    const [state = "", parent = ""] = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return { state, parent: Number(parent) };
  } catch {
    return undefined;
  }
}

/** Whether a process lives; one that has ended and was not yet waited for (a zombie) does not. */
export function alive(pid: number): boolean {
  const found = stat(pid);
  return found !== undefined && found.state !== "Z" && found.state !== "X";
}

/** Waits until none of these processes lives; gives those still living after `timeout` milliseconds. */
export async function waitUntilGone(pids: readonly number[], timeout = 10_000): Promise<number[]> {
  let left = pids.filter(alive);
  for (let waited = 0; left.length > 0 && waited < timeout; waited += 20) {
    await delay(20);
    left = left.filter(alive);
  }
  return left;
}

/** The living children of a process, their children and so on. */
export function descendants(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const found = stat(Number(name));
    if (found === undefined || found.state === "Z") continue;
    children.set(found.parent, [...(children.get(found.parent) ?? []), Number(name)]);
  }
  const family: number[] = [];
  const visit = (parent: number): void => {
    for (const child of children.get(parent) ?? []) {
      family.push(child);
      visit(child);
    }
  };
  visit(pid);
  return family;
}
