// The application called in a loop, by each Python there is: what no server can take less than.
import { join } from "node:path";
import { run } from "../test/support/processes.js";
import { python, pythons, root } from "../test/support/tools.js";
import { plainEnvironment } from "./server.js";
import { median } from "./statistics.js";

export interface BareLoop {
  /** "3.11.2" */
  readonly python: string;
  /** Microseconds. */
  readonly cpuPerCall: number;
}

/** Each interpreter several times, in turn; the system's first, which runs the servers. */
export async function measureBare(rounds: number, say: (line: string) => void): Promise<readonly BareLoop[]> {
  const interpreters = new Set([python(), ...pythons().map(({ path }) => path)]);
  const found = new Map<string, number[]>();
  for (let round = 0; round < rounds; round += 1) {
    for (const path of interpreters) {
      const { stdout, stderr } = await run(path, [join(root, "bench", "apps", "bare.py")], { env: plainEnvironment });
      const [, microseconds, version] = /^([\d.]+) ([\w.+]+)$/m.exec(stdout) ?? [];
      if (version === undefined) {
        say(`${path} is left out of the bare loop: ${stderr}`);
        interpreters.delete(path);
        continue;
      }
      found.set(version, [...(found.get(version) ?? []), Number(microseconds)]);
    }
  }
  return [...found].map(([version, values]) => ({ python: version, cpuPerCall: median(values) }));
}
