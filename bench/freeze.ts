// Servers that are held still while another is measured, and then go on as if nothing had been.
import { tree } from "./process-tree.js";

/** Parents first: none is to see its children stop. */
export function freeze(roots: readonly number[]): void {
  signal(tree(roots), "SIGSTOP");
}

/** Children first: none is to be missed by a parent that runs already. */
export function thaw(roots: readonly number[]): void {
  signal(tree(roots).reverse(), "SIGCONT");
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
