// How many descriptors this process may have open, and what of them is kept for what must go on when they run short. It must not
// come to none being left: libuv then accepts all connections that wait and closes them, unanswered and untold
// (uv__emfile_trick). There is no count to keep: a new descriptor has the lowest number that is free (POSIX.1-2017, 2.14), so
// that at least as many are in use as its number says.
import { readFileSync } from "node:fs";

export class Descriptors {
  /** RLIMIT_NOFILE (getrlimit(2)); Node has raised it to the hard limit. */
  readonly most: number;
  /** From this number on, a client's connection takes what is kept. */
  readonly clientsEnd: number;
  /** From this number on, so does what a request needs: its file, its connection to a server. */
  readonly requestsEnd: number;
  /** So many connections may be open beyond `clientsEnd`, to be told that there is no room. */
  readonly refusedMost: number;

  constructor(most: number = limitOfThisProcess()) {
    const kept = Math.min(64, Math.floor(most / 4));
    this.most = most;
    this.clientsEnd = most - kept;
    this.requestsEnd = most - Math.floor(kept / 2);
    this.refusedMost = Math.max(1, Math.floor(kept / 4));
  }
}

let own: Descriptors | undefined;

/** Those of this process. */
export function ownDescriptors(): Descriptors {
  own ??= new Descriptors();
  return own;
}

/** proc_pid_limits(5); infinite where it is unlimited, or there is nothing to read. */
function limitOfThisProcess(): number {
  try {
    const soft = /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1"))?.[1];
    return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/** Whether a call failed for want of a descriptor: this process's, or the system's. */
export function lacksDescriptor(error: NodeJS.ErrnoException): boolean {
  return error.code === "EMFILE" || error.code === "ENFILE";
}
