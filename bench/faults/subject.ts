// A server that was started so that something can be made to happen to it.
import { copyFileSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { waitUntilAccepting } from "../../test/support/ports.js";
import { alive, type RunningProcess, waitUntilGone } from "../../test/support/processes.js";
import { root } from "../../test/support/tools.js";
import { answersRight } from "../measure.js";
import { applicationFolder, clearPlace, type Place, preparePlace, usual } from "../server.js";
import type { Contestant, Need } from "./contestants.js";

/** Threads of each of the two workers. */
export const threads = 8;
export const slots: number = threads * usual.workers;

export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended in between.
  }
}

/** Every process whose current directory is in this folder: those of a server whose master is gone, too. */
function processesIn(folder: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return `${readlinkSync(`/proc/${pid}/cwd`)}/`.startsWith(`${folder}/`);
      } catch {
        return false;
      }
    });
}

/** Memory that is a process's own and in use, at its most, octets. */
function mostMemory(pid: number): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** Fields 14 and 15 of proc_pid_stat(5): utime and stime. */
function ticks(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return Number(fields[11]) + Number(fields[12]);
  } catch {
    return 0;
  }
}

export class Subject {
  readonly contestant: Contestant;
  readonly #place: Place;
  readonly #processes: readonly RunningProcess[];

  /** Starts it and waits until it answers. */
  static async start(contestant: Contestant, need: Need): Promise<Subject> {
    const demand = { ...usual, threads, connections: 4096, module: "faulty", reloadable: need === "reload" };
    const place = await preparePlace(demand);
    const apps = applicationFolder(place);
    copyFileSync(join(root, "test", "support", "promises_app.py"), join(apps, "promises_app.py"));
    copyFileSync(join(root, "bench", "apps", "asgi_faulty.py"), join(apps, "asgi_faulty.py"));
    const subject = new Subject(contestant, place, contestant.start(place, contestant.options[need] ?? []));
    try {
      await waitUntilAccepting(place.port, { gaveUp: () => subject.#ended() });
      const url = `http://127.0.0.1:${place.port}`;
      await answersRight(url, { method: "GET", path: "/version", expected: "1" });
      return subject;
    } catch (error) {
      await subject.clear();
      throw error;
    }
  }

  private constructor(contestant: Contestant, place: Place, processes: readonly RunningProcess[]) {
    this.contestant = contestant;
    this.#place = place;
    this.#processes = processes;
  }

  get port(): number {
    return this.#place.port;
  }

  /** What its processes printed. */
  get output(): string {
    return this.#processes.map(({ output }) => output).join("");
  }

  #ended(): string | undefined {
    const ended = this.#processes.find(({ exit }) => exit !== undefined);
    return ended === undefined ? undefined : `${ended.command} ended:\n${ended.output}`;
  }

  /** Whether the master, or the front before it, is gone. */
  get gone(): boolean {
    return this.#ended() !== undefined;
  }

  workers(): readonly number[] {
    return this.contestant.workers(this.#processes.map(({ pid }) => pid)).filter(alive);
  }

  /** The one that did most so far: some servers have workers with no connection at all. */
  busiest(): number | undefined {
    return this.workers().toSorted((one, other) => ticks(other) - ticks(one))[0];
  }

  /** The largest of the workers since it began, octets. */
  largest(): number {
    return Math.max(0, ...this.workers().map(mostMemory));
  }

  /** Writes the application as of this version; code before it, where it is given, is what does not load. */
  deploy(version: number, code = ""): void {
    const source = readFileSync(join(root, "bench", "apps", "faulty.py"), "utf8");
    const changed = source.replace('VERSION = "1"\n', `VERSION = "${version}"\n${code}\n`);
    writeFileSync(join(applicationFolder(this.#place), "faulty.py"), changed);
  }

  /** Orders a reload; resolves when that is told, or done where the server says when. */
  async reload(): Promise<void> {
    await this.contestant.reload(this.#place, this.#processes);
  }

  /** Ends it as its documentation says; resolves when all of it has ended. */
  end(): Promise<void> {
    return this.contestant.end(this.#place, this.#processes);
  }

  /** The requests that the application noted, as often as it executed them. */
  record(): readonly string[] {
    try {
      return readFileSync(join(applicationFolder(this.#place), "record"), "utf8")
        .split("\n")
        .filter(Boolean);
    } catch {
      return [];
    }
  }

  /** Ends whatever is left of it, and removes its folder. */
  async clear(): Promise<void> {
    for (const process of this.#processes) await process.stop("SIGTERM", 3000);
    const left = processesIn(this.#place.folder);
    for (const pid of left) signal(pid, "SIGKILL");
    await waitUntilGone(left);
    clearPlace(this.#place);
  }
}
