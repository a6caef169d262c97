// Finding processes that tests started and did not end.
import { readdirSync, readFileSync } from "node:fs";

/** Environment variable that every process started by tests inherits; its value is that run's own. */
export const runMarker = "VIVARIUM_TEST_RUN";

function read(path) {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

/** proc_pid_stat(5): the fields after the name, which is in parentheses and may itself hold any character. */
function statFields(pid) {
  const stat = read(`/proc/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

/**
 * Living processes of the session, or with the marker in their environment: the session finds servers that overwrite
 * their environment with a title (nginx, PostgreSQL), the marker those that began a session of their own.
 */
export function leftBehind(session, marker) {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((name) => {
      const [state, , , sid] = statFields(name);
      if (state === undefined || state === "" || state === "Z" || state === "X") return [];
      const ours = Number(sid) === session || read(`/proc/${name}/environ`).includes(`${runMarker}=${marker}`);
      if (!ours) return [];
      const command = read(`/proc/${name}/cmdline`).replaceAll("\0", " ").trim();
      return [{ pid: Number(name), command: command === "" ? read(`/proc/${name}/comm`).trim() : command }];
    });
}
