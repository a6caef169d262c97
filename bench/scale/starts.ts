// From starting a server to its first right answer; and from telling it to load the application anew to the new one's answer,
// while requests keep coming.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ask } from "../client.js";
import { answersRight, type Options, startServer, stopServer } from "../measure.js";
import { applicationFolder, clearPlace, type Place, preparePlace, type Server, usual } from "../server.js";
import { median } from "../statistics.js";
import { load, writeScript } from "../wrk.js";

export interface Reload {
  /** Milliseconds from the order to the first answer of the new application, and to the last of the old. */
  readonly firstNew: number;
  readonly lastOld: number;
  /** Requests meanwhile that were not answered, or not with 200. */
  readonly failed: number;
}

export interface Start {
  readonly server: string;
  /** Milliseconds. */
  readonly start: number;
  /** Absent where the server has no such order, or no new answer came. */
  readonly reload: Reload | undefined;
}

export const startServers: readonly string[] = [
  ...["vivarium", "vivarium-embedded", "nginx+uwsgi", "gunicorn-sync", "gunicorn-gthread", "mod_wsgi-embedded"],
  ...["mod_wsgi-daemon", "granian-wsgi", "uvicorn"],
];

async function timeStart(server: Server): Promise<number> {
  const place = await preparePlace(usual);
  const began = performance.now();
  const processes = server.start(place);
  try {
    for (;;) {
      const answer = await ask(`http://127.0.0.1:${place.port}/hello`).catch(() => undefined);
      const elapsed = performance.now() - began;
      if (answer?.status === 200) return elapsed;
      if (elapsed > 30_000)
        throw new Error(`no answer within 30 s; ${processes.map(({ output }) => output).join("\n")}`);
      await delay(2);
    }
  } finally {
    for (const process of processes) await process.stop("SIGTERM", 5000);
    clearPlace(place);
  }
}

function writeNewVersion(place: Place): void {
  const path = join(applicationFolder(place), "app.py");
  const source = readFileSync(path, "utf8");
  const changed = source.replace('VERSION = b"1\\n"', 'VERSION = b"2\\n"');
  if (changed === source) throw new Error(`${path} has no version to change`);
  writeFileSync(path, changed);
}

/** The old one's last answer counts as such when none came for so long, milliseconds. */
const quiet = 2000;
/** Granian waits 3.5 s between one worker and the next. */
const patience = 30_000;

async function watch(place: Place, began: number): Promise<Reload | undefined> {
  let firstNew = Number.NaN;
  let lastOld = 0;
  let failed = 0;
  let lastTrouble = began;
  for (;;) {
    const answer = await ask(`http://127.0.0.1:${place.port}/version`).catch(() => undefined);
    const now = performance.now();
    if (answer?.status === 200 && answer.body.toString() === "2\n") {
      if (Number.isNaN(firstNew)) firstNew = now - began;
    } else {
      lastTrouble = now;
      if (answer?.status === 200) lastOld = now - began;
      else failed += 1;
    }
    if (!Number.isNaN(firstNew) && now - lastTrouble > quiet) return { firstNew, lastOld, failed };
    if (now - began > patience) return undefined;
    await delay(2);
  }
}

async function timeReload(server: Server, order: NonNullable<Server["reload"]>): Promise<Reload | undefined> {
  const running = await startServer(server, { ...usual, reloadable: true });
  try {
    await answersRight(running.url, { method: "GET", path: "/version", expected: "1\n" });
    // Each worker of each server has loaded the old one by then: some do so at their first request.
    await load(`${running.url}/version`, writeScript(running.place, undefined), 1);
    writeNewVersion(running.place);
    const began = performance.now();
    const ordered = order(running.place, running.processes);
    const [found] = await Promise.all([watch(running.place, began), ordered]);
    return found;
  } finally {
    await stopServer(running);
  }
}

async function measureOne(server: Server, options: Options): Promise<Start> {
  const starts: number[] = [];
  const reloads: Reload[] = [];
  for (let round = 0; round < options.rounds; round += 1) {
    starts.push(await timeStart(server));
    const found = server.reload === undefined ? undefined : await timeReload(server, server.reload);
    if (found !== undefined) reloads.push(found);
  }
  const reload =
    reloads.length === 0
      ? undefined
      : {
          firstNew: median(reloads.map(({ firstNew }) => firstNew)),
          lastOld: median(reloads.map(({ lastOld }) => lastOld)),
          failed: reloads.reduce((sum, { failed }) => sum + failed, 0),
        };
  options.say(
    `${server.name} starts in ${median(starts).toFixed(0)} ms, reloads in ${reload?.firstNew.toFixed(0) ?? "–"}`,
  );
  return { server: server.name, start: median(starts), reload };
}

export async function measureStarts(servers: readonly Server[], options: Options): Promise<readonly Start[]> {
  const found: Start[] = [];
  for (const server of servers.filter(({ name }) => startServers.includes(name))) {
    try {
      found.push(await measureOne(server, options));
    } catch (error) {
      options.say(`${server.name} is left out of starts: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return found;
}
