// Servers that are held still while another is measured, and then go on as if nothing had been.
import { setTimeout as delay } from "node:timers/promises";
import { tree } from "./process-tree.js";

/** Milliseconds that what a server started has to look up before the server itself does: gunicorn kills workers that were silent for 30 s. */
const headStart = 100;

/** Parents first: none is to see its children stop. */
export function freeze(roots: readonly number[]): void {
  signal(tree(roots), "SIGSTOP");
}

export async function thaw(roots: readonly number[]): Promise<void> {
  signal(
    tree(roots).filter((pid) => !roots.includes(pid)),
    "SIGCONT",
  );
  await delay(headStart);
  signal(roots, "SIGCONT");
}

function signal(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch {
      // It has ended since it was found.
    }
  }
}
