// Four workers of an application that holds 200 MB once it is imported: what they take together.
import { setTimeout as delay } from "node:timers/promises";
import { answersRight, type Options, startServer, stopServer } from "../measure.js";
import { memoryOctets } from "../process-tree.js";
import { type Server, usual } from "../server.js";
import { median } from "../statistics.js";
import { load, writeScript } from "../wrk.js";

export interface LargeApplication {
  readonly server: string;
  /** MiB of the whole tree (PSS) a second after the first answer, and after load. */
  readonly atStart: number;
  readonly afterLoad: number;
}

export const memoryServers: readonly string[] = [
  "vivarium",
  "vivarium-embedded",
  "nginx+uwsgi",
  "gunicorn-sync",
  "mod_wsgi-daemon",
  "granian-wsgi",
];

async function sample(server: Server, options: Options): Promise<LargeApplication> {
  const running = await startServer(server, { ...usual, workers: 4, module: "large" });
  try {
    await answersRight(running.url, { method: "GET", path: "/", expected: /^\d+ of \d+\n$/ });
    // Until the last worker is forked, what is shared by how many still changes.
    await delay(1000);
    const atStart = memoryOctets(running.roots) / 2 ** 20;
    await load(`${running.url}/`, writeScript(running.place, undefined), options.seconds);
    const afterLoad = memoryOctets(running.roots) / 2 ** 20;
    options.say(`200 MB, ${server.name}: ${atStart.toFixed(0)} MiB, after load ${afterLoad.toFixed(0)} MiB`);
    return { server: server.name, atStart, afterLoad };
  } finally {
    await stopServer(running);
  }
}

export async function measureMemory(
  servers: readonly Server[],
  options: Options,
): Promise<readonly LargeApplication[]> {
  const found: LargeApplication[] = [];
  for (const server of servers.filter(({ name }) => memoryServers.includes(name))) {
    try {
      const samples: LargeApplication[] = [];
      for (let round = 0; round < options.rounds; round += 1) samples.push(await sample(server, options));
      found.push({
        server: server.name,
        atStart: median(samples.map(({ atStart }) => atStart)),
        afterLoad: median(samples.map(({ afterLoad }) => afterLoad)),
      });
    } catch (error) {
      options.say(`${server.name} is left out: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return found;
}
