// A server in which a test makes something go wrong under load, and what must be true afterwards: no process, descriptor,
// socket or temporary file is left, and the log has no line that the test did not expect.
import assert from "node:assert/strict";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { Server, type ServerOptions, until } from "../faults/server.js";
import { descendants } from "./processes.js";
import { removeFolder, root, temporaryFolder } from "./tools.js";

export interface PromiseOptions extends ServerOptions {
  /** What the log may say: each line has to match one of these, as `level area: message`. */
  readonly expected?: readonly RegExp[];
}

/** The application of such tests (test/support/promises_app.py); a configuration without a target runs none. */
export const promisesApplication: string = `${join(root, "test/support/promises_app.py")}:app`;

/** Starts a server, lets `act` happen to it, and sees that nothing is left of it: while it serves on, and after its end. */
export async function promised(options: PromiseOptions, act: (server: Server) => Promise<void>): Promise<void> {
  const temporary = temporaryFolder("promises");
  const env = { ...options.env, TMPDIR: temporary };
  const server = await Server.start({ target: promisesApplication, ...options, env });
  let stopped = false;
  try {
    const before = holdings(server.vivarium.pid);
    await act(server);
    server.closeConnections();
    if (server.vivarium.process.exit === undefined) {
      let now = holdings(server.vivarium.pid);
      await until(() => {
        now = holdings(server.vivarium.pid);
        return same(before, now);
      }, "it holds what it held before").catch(() => assert.deepEqual(now, before));
    }
    stopped = true;
    assert.equal((await server.stop()).code, 0);
    assert.deepEqual(readdirSync(temporary), []);
    const unexpected = logLines(server.vivarium.process.stderr).filter(
      (line) => ![...always, ...(options.expected ?? [])].some((pattern) => pattern.test(line)),
    );
    assert.deepEqual(unexpected, []);
    assert.equal(server.vivarium.process.stdout, "");
  } finally {
    if (!stopped) await server.stop("SIGKILL").catch(() => undefined);
    removeFolder(temporary);
  }
}

const always = [/^info supervisor: Stopping: running requests finish first\.$/];

/** The lines of a log, as `level area: message`; the lines of one message stay together, its start screen is left out. */
export function logLines(output: string): string[] {
  const lines: string[] = [];
  for (const line of output.replace(startScreen, "").split("\n")) {
    const entry = /^\d{4}-\d\d-\d\d [\d:.]+ \[(\w+)\] (.*)$/.exec(line);
    if (entry !== null) lines.push(`${entry[1]} ${entry[2]}`);
    else if (lines.length > 0) lines[lines.length - 1] += `\n${line}`;
  }
  return lines.map((line) => line.trimEnd());
}

const startScreen = /^vivarium \S+ is serving[\s\S]*? {2}Ctrl-C stops it[^\n]*\n/m;

/** How many processes, and of descriptors of each kind, a server's processes have; by what they are. */
function holdings(supervisor: number): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  const add = (what: string): void => {
    counts[what] = (counts[what] ?? 0) + 1;
  };
  for (const pid of [supervisor, ...descendants(supervisor)]) {
    const role = roleOf(pid);
    add(role);
    for (const kind of descriptorsOf(pid)) {
      // Threads of a worker, with what each opens for itself, start when they are needed first.
      if (role !== "python" || !kind.startsWith("/proc/")) add(`${role}: ${kind}`);
    }
  }
  return counts;
}

function same(one: Readonly<Record<string, number>>, other: Readonly<Record<string, number>>): boolean {
  const names = Object.keys({ ...one, ...other });
  return names.every((name) => one[name] === other[name]);
}

function roleOf(pid: number): string {
  const command = quietly(() => readFileSync(`/proc/${pid}/cmdline`, "latin1")) ?? "";
  if (command.includes("front.js")) return "front";
  return command.includes("vivarium.js") ? "supervisor" : "python";
}

/** What a process has open: files by their path, the rest by its kind, as "socket". */
function descriptorsOf(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  return (quietly(() => readdirSync(folder)) ?? []).flatMap((descriptor) => {
    const target = quietly(() => readlinkSync(join(folder, descriptor)));
    if (target === undefined) return [];
    // A worker's scoreboard has its generation in its name.
    return [target.replace(/:\[\d+\]$/, "").replace(/(?<=\/scoreboards\/)\d+-/, "")];
  });
}

/** Undefined where the process or descriptor has ended in between. */
function quietly<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
