// Who holds a listening socket, as far as /proc tells this user: the first question after "port in use".
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** TCP_LISTEN in the `st` column of /proc/net/tcp (proc(5)). */
const LISTENING = "0A";

/** "python3 (process 4711)", or undefined where nobody is found: another user's process keeps its descriptors private. */
export function tcpHolder(port: number): string | undefined {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const inodes = new Set<string>();
  for (const table of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    for (const line of lines(table)) {
      const columns = line.trim().split(/\s+/u);
      if (columns[1]?.endsWith(suffix) && columns[3] === LISTENING && columns[9] !== undefined) inodes.add(columns[9]);
    }
  }
  return holderOf(inodes);
}

export function unixHolder(path: string): string | undefined {
  const inodes = new Set<string>();
  for (const line of lines("/proc/net/unix")) {
    const columns = line.split(/\s+/u);
    if (columns.slice(7).join(" ") === path && columns[6] !== undefined) inodes.add(columns[6]);
  }
  return holderOf(inodes);
}

function holderOf(inodes: ReadonlySet<string>): string | undefined {
  if (inodes.size === 0) return undefined;
  for (const pid of names("/proc")) {
    if (!/^\d+$/u.test(pid)) continue;
    for (const fd of names(`/proc/${pid}/fd`)) {
      const inode = /^socket:\[(\d+)\]$/u.exec(link(`/proc/${pid}/fd/${fd}`))?.[1];
      if (inode !== undefined && inodes.has(inode)) return `${lines(`/proc/${pid}/comm`)[0] ?? "?"} (process ${pid})`;
    }
  }
  return undefined;
}

// What cannot be read is not there for this user: processes end while one looks, and others' are private.

function lines(path: string): readonly string[] {
  try {
    return readFileSync(path, "utf8").split("\n");
  } catch {
    return [];
  }
}

function names(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
